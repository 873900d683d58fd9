"""Replies of real servers by the cause that they have; the words are those of the systems."""

from __future__ import annotations

from typing import Final

REFUSALS: Final[tuple[tuple[str, str, str, bytes], ...]] = (
    ("policy.relay_denied", "relaying_postfix", "recipient",
     b"554 5.7.1 <you@there.test>: Relay access denied\r\n"),
    ("policy.relay_denied", "relaying_exim", "recipient", b"550 relay not permitted\r\n"),
    ("policy.relay_denied", "relaying_exchange", "recipient", b"550 5.7.1 Unable to relay\r\n"),
    ("policy.relay_denied", "relaying_exchange_54", "recipient",
     b"550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain\r\n"),
    ("policy.sender_not_owned", "sender_postfix", "recipient",
     b"553 5.7.1 <me@mail.test>: Sender address rejected: not owned by user other@mail.test\r\n"),
    ("policy.sender_not_owned", "sender_exchange", "content",
     b"550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n"),
    ("policy.sender_not_owned", "sender_office365", "content",
     b"554 5.2.252 SendAsDenied; me@mail.test not allowed to send as you@there.test\r\n"),
    ("policy.sender_domain_unresolvable", "sender_domain_postfix", "sender",
     b"450 4.1.8 <me@mail.test>: Sender address rejected: Domain not found\r\n"),
    ("policy.sender_domain_unresolvable", "sender_domain_sendmail", "sender",
     b"553 5.1.8 <me@mail.test>... Domain of sender address me@mail.test does not exist\r\n"),
    ("policy.client_blocklisted", "blocklist_postfix", "recipient",
     (b"554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org; "
      b"https://www.spamhaus.org/query/ip/192.0.2.7\r\n")),
    ("policy.ptr_missing", "reverse_postfix", "recipient",
     b"450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]\r\n"),
    ("policy.ptr_missing", "reverse_google", "content",
     (b"550-5.7.25 [192.0.2.7] The IP address sending this message does not have a\r\n"
      b"550-5.7.25 PTR record setup, or the corresponding forward DNS entry does not\r\n"
      b"550 5.7.25 point to the sending IP. - gsmtp\r\n")),
    ("policy.helo_rejected", "hello_postfix", "recipient",
     b"504 5.5.2 <client>: Helo command rejected: need fully-qualified hostname\r\n"),
    ("policy.greylisted", "greylist_postgrey", "recipient",
     (b"450 4.2.0 <you@there.test>: Recipient address rejected: Greylisted, see "
      b"http://postgrey.schweikert.ch/help/there.test.html\r\n")),
    ("policy.greylisted", "greylist_exim", "recipient",
     b"451 Temporary local problem - please try later; greylisting in action\r\n"),
    ("policy.rate_limited", "rate_postfix", "sender",
     b"450 4.7.1 Error: too much mail from 192.0.2.7\r\n"),
    ("policy.rate_limited", "rate_google", "content",
     (b"421-4.7.28 Our system has detected an unusual rate of unsolicited mail originating\r\n"
      b"421 4.7.28 from your IP address. - gsmtp\r\n")),
    ("policy.spf_fail", "spf_openspf", "recipient",
     (b"550 5.7.23 <you@there.test>: Recipient address rejected: Message rejected due to: SPF fail "
      b"- not authorized\r\n")),
    ("policy.dkim_fail", "dkim_milter", "content",
     b"550 5.7.20 No passing DKIM signature found\r\n"),
    ("policy.dmarc_fail", "dmarc_google", "content",
     (b"550-5.7.26 Unauthenticated email from mail.test is not accepted due to domain's\r\n"
      b"550 5.7.26 DMARC policy. Please contact the administrator of mail.test - gsmtp\r\n")),
    ("policy.content_rejected", "content_spam", "content",
     b"550 5.7.1 Message rejected as spam by content filtering\r\n"),
    ("policy.content_rejected", "content_general", "content",
     b"554 5.6.0 Message content rejected\r\n"),
    ("recipient.unknown", "unknown_postfix", "recipient",
     (b"550 5.1.1 <you@there.test>: Recipient address rejected: User unknown in local recipient "
      b"table\r\n")),
    ("recipient.unknown", "unknown_without_words", "recipient", b"550 no\r\n"),
    ("recipient.mailbox_full", "full_dovecot", "recipient",
     b"552 5.2.2 <you@there.test> Quota exceeded (mailbox for user is full)\r\n"),
    ("recipient.syntax", "syntax_postfix", "recipient",
     b"501 5.1.3 Bad recipient address syntax\r\n"),
    ("recipient.disabled", "disabled_google", "recipient",
     (b"550 5.2.1 The email account that you tried to reach is disabled. "
      b"https://support.google.com/mail/?p=DisabledUser a1 - gsmtp\r\n")),
    ("capacity.too_many_connections", "many_connections_mail", "sender",
     b"421 4.7.0 Error: too many connections from 192.0.2.7\r\n"),
    ("capacity.service_unavailable", "unavailable", "sender",
     b"421 4.3.2 Service shutting down and closing transmission channel\r\n"),
    ("capacity.insufficient_storage", "storage_postfix", "sender",
     b"452 4.3.1 Insufficient system storage\r\n"),
    ("size.message_too_big", "size_postfix", "sender",
     b"552 5.3.4 Message size exceeds fixed limit\r\n"),
    ("smtputf8.not_supported", "utf8_by_reply", "recipient",
     b"553 5.6.7 <you@there.test>: Address requires SMTPUTF8 support\r\n"),
    ("eightbit.not_supported", "eightbit_by_reply", "content",
     b"554 5.6.3 Conversion required but not supported: 8bit data not permitted\r\n"),
    ("protocol.unexpected_code", "unexpected_mail", "sender", b"354 go on\r\n"),
    ("protocol.unexpected_code", "unexpected_unknown", "sender",
     b"500 5.5.1 Command unrecognized\r\n"),
)  # fmt: skip
"""The cause, a name, the command that is refused ("content": the final dot), and the reply."""

"""Notices for people: the forms of the systems that write no delivery status.

Each text is made after the form of its system, with names of our own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.bounce.notice_end import cut_at_original
from waypost.mail.bounce.reading import read_report


@dataclass(frozen=True)
class Form:
    """A notice, whom it is about, and a word of the reason that must be found."""

    system: str
    text: str
    recipients: tuple[str, ...]
    words: str = ""
    step: str = ""
    sender: str = "MAILER-DAEMON@mta.example.net"


FORMS = (
    Form(
        "qmail",
        "Hi. This is the qmail-send program at mta.example.net.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n\n"
        "<anna@example.org>:\n192.0.2.5 does not like recipient.\n"
        "Remote host said: 550 5.1.1 no mailbox here by that name\nGiving up on 192.0.2.5.\n\n"
        "<bert@example.org>:\nSorry, I couldn't find any host by that name. (#4.1.2)\n\n"
        "--- Below this line is a copy of the message.\n\n"
        "Return-Path: <sender@example.com>\nFrom: sender@example.com\nTo: list@example.org\n",
        ("anna@example.org", "bert@example.org"),
        "550 5.1.1 no mailbox",
    ),
    Form(
        "exim",
        "This message was created automatically by mail delivery software.\n\n"
        "A message that you sent could not be delivered to one or more of its\n"
        "recipients. This is a permanent error. The following address(es) failed:\n\n"
        "  anna@example.org\n    (generated from team@example.net)\n"
        "    SMTP error from remote mail server after RCPT TO:<anna@example.org>:\n"
        "    host mx.example.org [192.0.2.5]: 550 No such user here\n\n"
        "------ This is a copy of the message, including all the headers. ------\n\n"
        "Return-path: <sender@example.com>\nReceived: by mta.example.net\nTo: team@example.net\n",
        ("anna@example.org",),
        "550 No such user here",
        "rcpt",
    ),
    Form(
        "postfix",
        "This is the mail system at host mta.example.net.\n\n"
        "I'm sorry to have to inform you that your message could not\n"
        "be delivered to one or more recipients. It's attached below.\n\n"
        "For further assistance, please send mail to <postmaster@mta.example.net>\n\n"
        "                   The mail system\n\n"
        "<anna@example.org> (expanded from <team@example.net>): host\n"
        "    mx.example.org[192.0.2.5] said: 452 4.2.2 Mailbox full (in reply to end of DATA\n"
        "    command)\n",
        ("anna@example.org",),
        "452 4.2.2 Mailbox full",
        "content",
    ),
    Form(
        "sendmail",
        "The original message was received at Tue, 24 Nov 2026 10:00:00 +0000\n"
        "from client.example.com [192.0.2.9]\n\n"
        "   ----- The following addresses had permanent fatal errors -----\n"
        "<anna@example.org>\n    (reason: 550 5.7.1 Rejected)\n\n"
        "   ----- Transcript of session follows -----\n"
        "... while talking to mx.example.org.:\n"
        ">>> DATA\n<<< 550 5.7.1 Rejected: looks like spam\n554 5.0.0 Service unavailable\n",
        ("anna@example.org",),
        "looks like spam",
        "data",
    ),
    Form(
        "old sendmail",
        "   ----- Transcript of session follows -----\n"
        "While talking to mx.example.org:\n"
        ">>> RCPT To:<anna@example.org>\n<<< 550 anna... User unknown\n"
        "550 <anna@example.org>... User unknown\n\n"
        "   ----- Unsent message follows -----\n"
        "Received: by mta.example.net; Tue, 24 Nov 1998\nFrom: sender@example.com\n"
        "To: anna@example.org\n",
        ("anna@example.org",),
        "User unknown",
        "rcpt",
    ),
    Form(
        "Exchange 5.5",
        "Your message\n\n  To:      sender@example.com\n  Subject: Plan\n"
        "  Sent:    Tue, 24 Nov 1998 10:00:00 +0000\n\n"
        "did not reach the following recipient(s):\n\n"
        "anna@example.org on Tue, 24 Nov 1998 10:00:05 +0000\n"
        "    The recipient name is not recognized\n"
        "    MSEXCH:IMS:ORG:SITE:SERVER 0 (000C05A6) Unknown Recipient\n",
        ("anna@example.org",),
        "not recognized",
        sender="System Administrator <postmaster@example.net>",
    ),
    Form(
        "Exchange, X.400",
        "Your message\n\n  To:      staff\n  Subject: Plan\n\n"
        "did not reach the following recipient(s):\n\n"
        "c=US;a= ;p=ORG;o=SITE;dda:SMTP=anna@example.org; on Tue, 24 Nov 1998 10:00:05\n"
        "    The recipient name is not recognized\n",
        ("anna@example.org",),
        "not recognized",
        sender="System Administrator <postmaster@example.net>",
    ),
    Form(
        "Microsoft 365",
        "Delivery has failed to these recipients or groups:\n\n"
        "anna@example.org<mailto:anna@example.org>\n"
        "The email address you entered couldn't be found.\n\n"
        "Diagnostic information for administrators:\n\n"
        "Generating server: AB1PR01MB0001.prod.example.net\n\n"
        "anna@example.org\n"
        "Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found'\n\n"
        "Original message headers:\n\n"
        "Received: from a.example.com by b.example.com\nFrom: sender@example.com\n",
        ("anna@example.org",),
        "550 5.1.10 RESOLVER",
        sender="postmaster@example.onmicrosoft.com",
    ),
    Form(
        "Gmail",
        "Delivery to the following recipient failed permanently:\n\n     anna@example.org\n\n"
        "Technical details of permanent failure:\n"
        "Google tried to deliver your message, but it was rejected by the server for the "
        "recipient domain example.org by mx.example.org. [192.0.2.5].\n\n"
        "The error that the other server returned was:\n550 5.1.1 User unknown\n\n"
        "----- Original message -----\n\nReceived: by 192.0.2.6\nFrom: sender@example.com\n",
        ("anna@example.org",),
        "550 5.1.1 User unknown",
        sender="Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
    ),
    Form(
        "Yahoo",
        "Sorry, we were unable to deliver your message to the following address.\n\n"
        "<anna@example.org>:\nRemote host said:\n554 5.7.9 Message not accepted\n[BODY]\n\n"
        "--- Below this line is a copy of the message.\n\nReceived: from [127.0.0.1]\n",
        ("anna@example.org",),
        "554 5.7.9",
    ),
    Form(
        "GMX",
        'The following address failed:\n\n"anna@example.org":\n'
        "SMTP error from remote server after RCPT command:\nhost: mx.example.org\n"
        "5.2.2 Mailbox Full\n\n--- The header of the original message is following. ---\n\n"
        "Received: from [192.0.2.1]\nTo: anna@example.org\n",
        ("anna@example.org",),
        "5.2.2 Mailbox Full",
        "rcpt",
    ),
    Form(
        "Sun Messaging Server",
        "This report relates to a message you sent with the following header fields:\n\n"
        "  Message-id: <m1@example.com>\n  Date: Tue, 24 Nov 2026\n  From: sender@example.com\n"
        "  To: anna@example.org\n  Subject: Plan\n\n"
        "Your message cannot be delivered to the following recipients:\n\n"
        "  Recipient address: @smtp.example.org:anna@example.org\n"
        "  Original address: anna@example.org\n"
        "  Reason: LMTP transmission failure has occurred\n"
        "  Diagnostic code: smtp;522 5.2.0 Delivery failed: Over quota\n",
        ("anna@example.org",),
        "Over quota",
    ),
    Form(
        "Courier",
        "                           UNDELIVERABLE MAIL\n\n"
        "Your message to the following recipients cannot be delivered:\n\n"
        "<anna@example.org>:\n    mx.example.org [192.0.2.5]:\n"
        ">>> RCPT TO:<anna@example.org>\n<<< 550 5.1.1 User unknown\n",
        ("anna@example.org",),
        "550 5.1.1",
        "rcpt",
    ),
    Form(
        "m-FILTER",
        "anna@example.org\n\n\n-------server message\n550 unknown user <anna@example.org>\n\n"
        "-------SMTP command\nDATA\n\n-------original message\nReceived: from 192.0.2.1\n",
        ("anna@example.org",),
        "unknown user",
        "data",
    ),
    Form(
        "Mimecast",
        "An email that you attempted to send to the following address could not be delivered:\n"
        "-- anna@example.org\n\nThe problem appears to be :\n"
        "-- Recipient email address is possibly incorrect\n\nAdditional information follows :\n"
        "-- 5.4.1 Recipient address rejected: Access denied\n",
        ("anna@example.org",),
        "Access denied",
    ),
    Form(
        "hMailServer",
        "Your message did not reach some or all of the intended recipients.\n\n"
        "   Sent: Tue, 24 Nov 2026 10:00:00 +0000\n   Subject: Plan\n\n"
        "The following recipient(s) could not be reached:\n\n"
        "anna@example.org\n   Error Type: SMTP\n   Remote server (192.0.2.5) issued an error.\n"
        "   hMailServer sent: RCPT TO:<anna@example.org>\n"
        "   Remote server replied: 550 5.1.1 User unknown\n",
        ("anna@example.org",),
        "550 5.1.1",
        "rcpt",
    ),
    Form(
        "MailEnable",
        "MailEnable: Message could not be delivered to some recipients.\n"
        "The following recipient(s) could not be reached:\n\n"
        "\tRecipient: [SMTP:anna@example.org]\n"
        "\tReason: Remote SMTP Server Returned: 550 mailbox unavailable\n",
        ("anna@example.org",),
        "mailbox unavailable",
    ),
    Form(
        "IMail",
        "Unknown user: anna@example.org\n\nRCPT TO generated following response:\n"
        "553 5.3.0 <anna@example.org>... Addressee unknown\n\n\nOriginal message follows.\n",
        ("anna@example.org",),
        "Addressee unknown",
    ),
    Form(
        "a sentence",
        "We had trouble delivering your message.\n\n"
        "The following recipients returned permanent errors: anna@example.org.\n",
        ("anna@example.org",),
    ),
    Form(
        "ezweb",
        "The user(s) account is disabled.\n\n<anna@example.org>\n",
        ("anna@example.org",),
        "account is disabled",
    ),
)


def message(form: Form) -> str:
    return (
        f"From: {form.sender}\nTo: sender@example.com\n"
        f"Subject: Mail delivery failed: returning message to sender\n\n{form.text}"
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.system)
def test_each_form_names_its_recipients_and_the_reason(form: Form) -> None:
    read = read_report(message(form))
    assert read.kind == "bounce"
    assert tuple(one.address for one in read.recipients) == form.recipients
    first = read.recipients[0]
    assert form.words in first.diagnostic
    assert not form.step or first.step == form.step


def test_what_an_alias_led_to_is_told_with_the_alias() -> None:
    for system in ("exim", "postfix"):
        form = next(one for one in FORMS if one.system == system)
        (one,) = read_report(message(form)).recipients
        assert (one.address, one.original) == ("anna@example.org", "team@example.net")


def test_a_reply_that_was_wrapped_is_no_session() -> None:
    """Its code, which every line of it has, may come to stand at the start of a line."""
    read = read_report(
        "This is the mail system at host mta.example.net.\n\n"
        "<anna@example.org>: host mx.example.org[192.0.2.5] said: 550-5.7.1 The words that\n"
        "    550-5.7.1 tell why stand here, and what\n"
        "    550 5.7.1 follows is https://example.org/help (in reply to end of DATA\n"
        "    command)\n"
    )
    (one,) = read.recipients
    assert one.address == "anna@example.org"
    assert "The words that 550-5.7.1 tell why" in one.diagnostic
    assert one.step == "content"


@pytest.mark.parametrize(
    ("sentence", "step"),
    [
        ("192.0.2.5 does not like recipient.", "rcpt"),
        ("Connected to 192.0.2.5 but sender was rejected.", "mail"),
        ("Connected to 192.0.2.5 but my name was rejected.", "ehlo"),
        ("192.0.2.5 failed after I sent the message.", "content"),
    ],
)
def test_qmail_tells_the_step_by_its_sentence(sentence: str, step: str) -> None:
    read = read_report(
        "Hi. This is the qmail-send program at mta.example.net.\n\n"
        f"<anna@example.org>:\n{sentence}\nRemote host said: 550 No\n"
    )
    assert [one.step for one in read.recipients] == [step]


def test_a_delay_is_no_failure() -> None:
    read = read_report(
        "From: mailer-daemon@googlemail.com\nTo: sender@example.com\n"
        "Subject: Delivery Status Notification (Delay)\n\nTHIS IS A WARNING MESSAGE ONLY.\n\n"
        "Delivery to the following recipient has been delayed:\n\n     anna@example.org\n\n"
        "Message will be retried for 2 more day(s)\n\nTechnical details of temporary failure:\n"
        "The recipient server did not accept our requests to connect.\n"
    )
    (one,) = read.recipients
    assert one.action == "delayed"
    assert one.diagnostic.startswith("The recipient server did not accept")


def test_the_sender_and_the_postmaster_are_no_recipients() -> None:
    read = read_report(
        "From: postmaster@example.net\nTo: sender@example.com\nSubject: Delivery failure\n\n"
        "Your message from sender@example.com could not be delivered to anna@example.org.\n"
        "Questions? Please contact postmaster@example.net or support@example.net.\n"
    )
    assert [one.address for one in read.recipients] == ["anna@example.org"]


def test_who_is_named_nowhere_is_taken_from_the_returned_message() -> None:
    read = read_report(
        "From: MAILER-DAEMON@example.net\nTo: sender@example.com\nSubject: failure notice\n\n"
        "Your message could not be delivered.\n\n--- Original message follows.\n\n"
        "Received: from a by b for <anna@example.org>; Tue, 24 Nov 2026\n"
        "From: sender@example.com\nTo: everybody@example.com\n"
    )
    assert [one.address for one in read.recipients] == ["anna@example.org"]


def test_words_in_another_charset_and_encoding() -> None:
    body = "Empfänger unbekannt\n\n<anna@example.org>: 550 unbekannt\n".encode("latin-1")
    raw = (
        b"From: MAILER-DAEMON@example.net\nSubject: Unzustellbar\n"
        b"Content-Type: text/plain; charset=iso-8859-1\n\n" + body
    )
    read = read_report(raw)
    assert "Empfänger" in read.words
    assert read.recipients[0].diagnostic == "550 unbekannt"


def test_base64_that_is_cut_short_is_read_as_far_as_it_goes() -> None:
    read = read_report(
        "From: MAILER-DAEMON@example.net\nSubject: failure notice\n"
        "Content-Transfer-Encoding: base64\n\n"
        "PGFubmFAZXhhbXBsZS5vcmc+OiA1NTAgNS4xLjEgdW5rbm93bgo"
    )
    assert [one.address for one in read.recipients] == ["anna@example.org"]


def test_html_alone_is_made_text() -> None:
    read = read_report(
        "From: postmaster@example.net\nTo: s@example.com\nSubject: Undeliverable: Plan\n"
        "Content-Type: text/html\n\n<html><body><p>Delivery has failed to:</p>"
        "<p>anna@example.org</p><p>550 5.1.1 no such user</p></body></html>\n"
    )
    assert [one.address for one in read.recipients] == ["anna@example.org"]


def test_the_notice_ends_where_the_message_begins() -> None:
    notice, original = cut_at_original(
        "<a@example.org>: 550 no\n\nReceived: from a\n by b\nFrom: s@example.com\nSubject: x\n\nhi"
    )
    assert notice.strip() == "<a@example.org>: 550 no"
    assert original.startswith("Received: from a")


def test_fields_that_are_only_quoted_do_not_end_it() -> None:
    text = "About:\n  Message-id: <a@b>\n  From: x@example.com\n  To: y@example.com\n\nfailed"
    assert cut_at_original(text) == (text, "")


HOSTILE = {
    "one recipient in every line": "<a@example.org>: 550 no\n" * 40_000,
    "as many recipients as lines": "".join(f"<u{n}@example.org>:\n550 no\n" for n in range(20_000)),
    "labels": "recipient: a@example.org\n" * 40_000,
    "an address that never ends": "a@" * 500_000,
    "a session that never ends": ">>> RCPT TO:<a@example.org>\n<<< 550 no\n" * 20_000,
    "no line end": "x" * 1_000_000,
    "nothing but line ends": "\n" * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_work_and_the_result_are_bounded(name: str) -> None:
    start = time.process_time()
    read = read_report(
        "From: MAILER-DAEMON@example.net\nSubject: failure notice\n\n" + HOSTILE[name]
    )
    assert len(read.recipients) <= 500
    assert all(len(one.diagnostic) <= 4000 for one in read.recipients)
    assert time.process_time() - start < 20  # a loop that is quadratic takes minutes


def test_parts_within_parts_without_end_are_read_as_far_as_they_go() -> None:
    raw = "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(5000)
    )
    assert read_report(raw).recipients == ()


@given(st.binary(max_size=2000))
def test_no_octets_raise(raw: bytes) -> None:
    read_report(raw)
    read_report(b"From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n" + raw)


_PIECES = st.sampled_from(
    (
        "From: MAILER-DAEMON@x.example\n", "Content-Type: multipart/report; boundary=b\n", "\n",
        "--b\n", "--b--\n", "Content-Type: message/delivery-status\n", "Final-Recipient: rfc822;",
        "a@example.org", "<", ">", ": ", "Action: failed\n", "Status: 5.1.1\n", "550 ", ">>> RCPT",
        "<<< ", "Content-Transfer-Encoding: base64\n", "=?utf-8?q?", "\\x{", "\r", "\0",
        "dda:SMTP=",
        "Received: x\n", "Content-Type: message/rfc822\n", "--- Original message follows.\n", "é",
    )
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_no_mixture_of_its_parts_raises(text: str) -> None:
    read = read_report(text)
    assert all(one.address for one in read.recipients)

"""What `explain` makes of the texts that people paste. All are ours, in each program's form."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.doctor.explanation.answer import Answer, NothingKnown, explain
from waypost.doctor.explanation.document import document_of
from waypost.knowledge.causes import causes
from waypost.knowledge.reasons import reasons


@dataclass(frozen=True)
class Case:
    """A text and what must be told of it."""

    text: str
    input_kind: str
    reason: str
    code: int | None = None
    kind: str = "permanent"
    step: str = ""
    cause: str | None = None
    side: str = ""
    host: str = ""
    recipient: str = ""


CODES = (
    Case("550", "code", "refused", 550),
    Case(" 5.1.1 ", "code", "no-such-mailbox"),
    Case("550 5.1.1", "code", "no-such-mailbox", 550),
    Case("421", "code", "service-closing", 421, "temporary"),
    Case("250", "code", "delivered", 250, "success"),
    Case("#5.7.1", "code", "access-refused"),
    Case("552-5.2.2", "code", "mailbox-full", 552),
)

REPLIES = (
    Case("550 5.1.1 <a@example.org>: User unknown", "reply", "no-such-mailbox", 550),
    Case("450 4.2.0 Greylisted, try later", "reply", "greylisted", 450, "temporary"),
    Case("554 5.7.1 <a@example.org>: Relay access denied", "reply", "relay-denied", 554),
    Case("535 5.7.8 Error: authentication failed:", "reply", "authentication-refused", 535),
    Case("552-5.2.2 The mailbox is full\n552 5.2.2 try later", "transcript", "mailbox-full", 552),
    Case("250 2.0.0 Ok: queued as 4B1C", "reply", "delivered", 250, "success"),
)

SESSIONS = (
    Case(
        "=== Trying mx.example.org:25...\n<-  220 mx.example.org ESMTP\n -> EHLO client\n"
        "<-  250-mx.example.org\n<-  250 SIZE 1000\n -> MAIL FROM:<s@example.com>\n<-  250 Ok\n"
        " -> RCPT TO:<a@example.org>\n<** 550 5.1.1 no such user\n -> QUIT\n<-  221 Bye",
        "transcript", "no-such-mailbox", 550, step="rcpt", recipient="a@example.org",
    ),
    Case(
        "S: 220 mx\nC: EHLO me\nS: 250 mx\nC: MAIL FROM:<s@example.com>\nS: 250 ok\n"
        "C: RCPT TO:<a@example.org>\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\n"
        "S: 554 5.7.1 Message looks like spam",
        "transcript", "spam-refused", 554, step="content",
    ),
    Case(
        "220 mx.example.org ESMTP\nEHLO me\n250-mx\n250 AUTH PLAIN\nAUTH PLAIN AGEAYg==\n"
        "535 5.7.8 Authentication credentials invalid",
        "transcript", "authentication-refused", 535, step="auth", side="provider",
    ),
    Case(
        "> EHLO me\n< 250-mx\n< 250 SIZE\n> MAIL FROM:<s@example.com>\n< 250 ok\n"
        "> RCPT TO:<a@example.org>\n< 452 4.2.2 Mailbox full",
        "transcript", "mailbox-full", 452, "temporary", "rcpt",
    ),
    Case(
        "SERVER -> CLIENT: 220 mx\nCLIENT -> SERVER: EHLO web\nSERVER -> CLIENT: 250-mx\n"
        "250 SIZE\nCLIENT -> SERVER: MAIL FROM:<s@example.com>\n"
        "SERVER -> CLIENT: 553 5.7.1 Sender address rejected: not owned by user web",
        "transcript", "sender-not-owned", 553, step="mail",
    ),
    Case(
        "send: 'ehlo me\\r\\n'\nreply: b'250 mx\\r\\n'\nreply: retcode (250); Msg: b'mx'\n"
        "send: 'rcpt TO:<a@example.org>\\r\\n'\n"
        "reply: b'550 5.1.1 User unknown\\r\\n'\nreply: retcode (550); Msg: b'5.1.1 User unknown'",
        "transcript", "no-such-mailbox", 550, step="rcpt",
    ),
    Case(
        "C: MAIL FROM:<s@example.com>\nS: 550 5.7.1 Relaying denied\n"
        "C: RCPT TO:<a@example.org>\nS: 503 5.5.1 Need MAIL before RCPT",
        "transcript", "relay-denied", 550, step="mail",
    ),
    Case(
        "         0.1 ms  they 220 mx ESMTP\n         0.1 ms  we   EHLO relay\n"
        "         1.2 ms  they 250 mx\n         1.3 ms  we   MAIL FROM:<s@example.com>\n"
        "         1.9 ms  they 250 ok\n         2.0 ms  we   RCPT TO:<a@example.org>\n"
        "         9.0 ms  they 450 4.2.0 Greylisted\n                 note ended",
        "transcript", "greylisted", 450, "temporary", "rcpt", recipient="a@example.org",
    ),
    Case(
        "C: DATA\nS: 354 go on\nC: .\nS: 250 2.0.0 Ok: queued",
        "transcript", "delivered", 250, "success",
    ),
)  # fmt: skip

POSTFIX = "Nov 24 10:00:00 mta postfix/smtp[123]: 4F1B2C3D: to=<a@example.org>, "

LOGS = (
    Case(
        POSTFIX + "relay=mx.example.org[192.0.2.5]:25, delay=1.2, dsn=5.1.1, status=bounced "
        "(host mx.example.org[192.0.2.5] said: 550 5.1.1 <a@example.org>: Recipient address "
        "rejected: User unknown (in reply to RCPT TO command))",
        "log", "no-such-mailbox", 550, step="rcpt", side="recipient", host="mx.example.org",
        recipient="a@example.org",
    ),
    Case(
        POSTFIX + "relay=none, delay=30, dsn=4.4.1, status=deferred (connect to "
        "mx.example.org[192.0.2.5]:25: Connection timed out)",
        "log", "connect-timeout", None, "temporary", cause="tcp.timeout_filtered", side="network",
    ),
    Case(
        POSTFIX + "relay=mx.example.org[192.0.2.5]:25, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
        "log", "delivered", 250, "success", side="recipient",
    ),
    Case(
        "Nov 24 10:00:00 mta postfix/smtpd[9]: NOQUEUE: reject: RCPT from unknown[192.0.2.9]: "
        "554 5.7.1 <a@example.net>: Relay access denied; from=<s@example.com> "
        "to=<a@example.net> proto=ESMTP helo=<x>",
        "log", "relay-denied", 554, step="rcpt", side="yours", recipient="a@example.net",
    ),
    Case(
        "postfix/smtpd[9]: warning: unknown[192.0.2.9]: SASL LOGIN authentication failed: "
        "UGFzc3dvcmQ6",
        "log", "authentication-refused", step="auth", side="yours", host="192.0.2.9",
    ),
    Case(
        "postfix/smtp[7]: 7A2B3C4D: lost connection with mx.example.org[192.0.2.5] while "
        "receiving the initial server greeting",
        "log", "connection-lost", None, "temporary", "greeting", side="network",
    ),
    Case(
        "postfix/smtp[7]: SSL_connect error to mx.example.org[192.0.2.5]:25: -1",
        "log", "tls-failed", None, "temporary", cause="tls.handshake_closed",
    ),
    Case(
        "2026-11-24 10:00:00 1abcde-000001-AB ** a@example.org R=dnslookup T=remote_smtp "
        "H=mx.example.org [192.0.2.5]: SMTP error from remote mail server after "
        "RCPT TO:<a@example.org>: 550 5.1.1 No such user",
        "log", "no-such-mailbox", 550, step="rcpt", side="recipient", host="mx.example.org",
        recipient="a@example.org",
    ),
    Case(
        "2026-11-24 10:00:00 1abcde-000001-AB == a@example.org R=dnslookup T=remote_smtp defer "
        "(-44) H=mx.example.org [192.0.2.5]: SMTP error from remote mail server after "
        "RCPT TO:<a@example.org>: 450 4.2.0 Greylisted",
        "log", "greylisted", 450, "temporary", "rcpt",
    ),
    Case(
        "2026-11-24 10:00:00 H=(x) [192.0.2.9] F=<s@example.com> rejected RCPT "
        "<a@example.net>: relay not permitted",
        "log", "relay-denied", step="rcpt", side="yours", recipient="a@example.net",
    ),
    Case(
        "2026-11-24 10:00:00 plain authenticator failed for (x) [192.0.2.9]: 535 Incorrect "
        "authentication data (set_id=joe)",
        "log", "authentication-refused", 535, step="auth", side="yours", host="192.0.2.9",
    ),
    Case(
        "postfix/qmgr[1]: 4F1B2C3D: from=<s@example.com>, status=expired, returned to sender",
        "log", "expired", side="yours",
    ),
    Case(
        "Nov 24 sendmail[12]: 3AOA0123456789: to=<a@example.org>, delay=00:00:01, mailer=esmtp, "
        "relay=mx.example.org. [192.0.2.5], dsn=5.1.1, stat=User unknown",
        "log", "no-such-mailbox", host="mx.example.org", recipient="a@example.org",
    ),
    Case(
        "Nov 24 sendmail[12]: 3AOA0123456789: to=<a@example.org>, mailer=esmtp, dsn=4.0.0, "
        "stat=Deferred: Connection refused by mx.example.org.",
        "log", "connection-refused", None, "temporary", cause="tcp.refused",
    ),
    Case(
        "@4000 delivery 123: failure: 192.0.2.5_does_not_like_recipient./Remote_host_said:"
        "_550_5.1.1_User_unknown/Giving_up_on_192.0.2.5./",
        "log", "no-such-mailbox", 550, side="recipient", host="192.0.2.5",
    ),
)  # fmt: skip

PROGRAMS = (
    Case(
        "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Username and Password not accepted')",
        "exception", "authentication-refused", 535, step="auth", side="provider",
    ),
    Case(
        "smtplib.SMTPRecipientsRefused: {'a@example.org': (550, b'5.1.1 No such user')}",
        "exception", "no-such-mailbox", 550, step="rcpt", recipient="a@example.org",
    ),
    Case(
        "smtplib.SMTPSenderRefused: (553, b'5.7.1 Sender address rejected: not owned by user x', "
        "'s@example.com')",
        "exception", "sender-not-owned", 553, step="mail",
    ),
    Case(
        "Traceback (most recent call last):\n  File \"x.py\", line 1\nssl.SSLError: "
        "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)",
        "exception", "tls-failed", cause="tls.wrong_mode_starttls_expected", step="tls",
    ),
    Case(
        "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify "
        "failed: Hostname mismatch, certificate is not valid for 'mail.example.com'.",
        "exception", "certificate-refused", cause="tls.hostname_mismatch",
    ),
    Case(
        "ConnectionRefusedError: [Errno 111] Connection refused",
        "exception", "connection-refused", None, "temporary", "connect", "tcp.refused",
    ),
    Case(
        "socket.gaierror: [Errno -2] Name or service not known",
        "exception", "smarthost-unknown", cause="dns.no_such_host",
    ),
    Case(
        'Expected response code "250" but got code "554", with message "554 5.7.1 '
        '<a@example.org>: Relay access denied".',
        "exception", "relay-denied", 554,
    ),
    Case(
        "SMTP Error: Could not authenticate.",
        "exception", "authentication-refused", cause="auth.bad_credentials",
    ),
    Case(
        "SMTP Error: data not accepted.SMTP server error: DATA END command failed Detail: "
        "Message looks like spam SMTP code: 554 Additional SMTP info: 5.7.1",
        "exception", "spam-refused", 554, step="content",
    ),
    Case(
        "stream_socket_client(): SSL operation failed with code 1. OpenSSL Error messages:\n"
        "error:1408F10B:SSL routines:ssl3_get_record:wrong version number",
        "exception", "tls-failed", cause="tls.wrong_mode_starttls_expected",
    ),
    Case(
        "Error: Invalid login: 535-5.7.8 Username and Password not accepted.\n535 5.7.8 see help\n"
        "{ code: 'EAUTH', response: '535-5.7.8 Username and Password not accepted', "
        "responseCode: 535, command: 'AUTH PLAIN' }",
        "exception", "authentication-refused", 535, step="auth",
    ),
    Case(
        "Error: connect ECONNREFUSED 127.0.0.1:587",
        "exception", "connection-refused", None, "temporary", cause="tcp.refused",
    ),
    Case(
        "Error: self-signed certificate\n  at TLSSocket {\n  code: 'ESOCKET',\n"
        "  command: 'CONN'\n}",
        "exception", "certificate-refused", cause="tls.self_signed",
    ),
    Case(
        "javax.mail.AuthenticationFailedException: 535 5.7.8 authentication failed",
        "exception", "authentication-refused", 535, step="auth",
    ),
    Case(
        "javax.mail.MessagingException: Could not convert socket to TLS;",
        "exception", "tls-failed", step="starttls",
    ),
    Case(
        "System.Net.Mail.SmtpException: The SMTP server requires a secure connection or the "
        "client was not authenticated. The server response was: 5.7.57 Client not authenticated "
        "to send mail.",
        "exception", "authentication-required", cause="auth.required",
    ),
    Case(
        "x509: certificate signed by unknown authority",
        "exception", "certificate-refused", cause="tls.unknown_issuer",
    ),
    Case(
        "tls: first record does not look like a TLS handshake",
        "exception", "tls-failed", cause="tls.wrong_mode_starttls_expected",
    ),
    Case(
        "dial tcp 192.0.2.25:25: i/o timeout",
        "exception", "connect-timeout", None, "temporary", cause="tcp.timeout_filtered",
    ),
    Case(
        "Net::OpenTimeout: execution expired",
        "exception", "connect-timeout", None, "temporary", "connect",
    ),
    Case(
        "535: 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
        "Tenant.",
        "exception", "login-disabled", 535, cause="auth.disabled_for_tenant",
    ),
    Case(
        "SMTP Error: The following recipients failed: a@example.org: Relay access denied",
        "exception", "relay-denied", step="rcpt",
    ),
    Case(
        "Error: queryA ETIMEOUT smtp.example.com { code: 'EDNS' }",
        "exception", "dns-temporary", None, "temporary",
    ),
    Case("curl: (67) Login denied", "exception", "authentication-refused"),
    Case(
        "msmtp: TLS certificate verification failed: the certificate has expired",
        "exception", "certificate-refused", cause="tls.certificate_expired",
    ),
)  # fmt: skip

EVENTS = (
    Case(
        json.dumps({
            "notificationType": "Bounce",
            "bounce": {
                "bounceType": "Permanent",
                "bouncedRecipients": [{
                    "emailAddress": "a@example.org", "action": "failed", "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                }],
            },
        }),
        "event", "no-such-mailbox", 550, recipient="a@example.org",
    ),
    Case(
        json.dumps([{"email": "a@example.org", "event": "bounce", "type": "bounce",
                     "reason": "552 5.2.2 mailbox full", "status": "5.2.2"}]),
        "event", "mailbox-full", 552, recipient="a@example.org",
    ),
    Case(
        json.dumps({"event-data": {
            "event": "failed", "severity": "temporary", "recipient": "a@example.org",
            "delivery-status": {"code": 450, "message": "4.2.0 Greylisted"},
        }}),
        "event", "greylisted", 450, "temporary", recipient="a@example.org",
    ),
    Case(
        json.dumps([{"email": "a@example.org", "event": "spamreport"}]),
        "event", "complaint", recipient="a@example.org",
    ),
    Case(
        json.dumps({"Type": "Notification", "Message": json.dumps({
            "notificationType": "Bounce",
            "bounce": {"bounceType": "Permanent", "bounceSubType": "Suppressed",
                       "bouncedRecipients": [{"emailAddress": "a@example.org"}]},
        })}),
        "event", "suppressed", recipient="a@example.org",
    ),
    Case(
        json.dumps({"notificationType": "Delivery",
                    "mail": {"destination": ["a@example.org"]},
                    "delivery": {"recipients": ["a@example.org"]}}),
        "event", "delivered", 250, "success", recipient="a@example.org",
    ),
)  # fmt: skip

CASES = (*CODES, *REPLIES, *SESSIONS, *LOGS, *PROGRAMS, *EVENTS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text[:50].replace("\n", "|"))
def test_what_is_told(case: Case) -> None:
    answer = explain(case.text)
    main = answer.main
    assert (answer.input_kind, main.reason) == (case.input_kind, case.reason)
    assert (main.code, main.kind) == (case.code, case.kind)
    assert not case.step or main.step == case.step
    assert case.cause is None or main.cause == case.cause
    assert not case.side or main.side == case.side
    assert not case.host or main.host == case.host
    assert not case.recipient or main.recipient == case.recipient


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text[:50].replace("\n", "|"))
def test_every_answer_is_whole(case: Case) -> None:
    for finding in explain(case.text).findings:
        assert finding.meaning
        assert finding.fix
        assert finding.would
        assert finding.said_by
        assert finding.evidence
        assert finding.rule
        assert finding.source
        assert finding.reason in reasons()
        assert not finding.cause or finding.cause in causes()
        assert 0 < finding.confidence <= 1


def bounce() -> bytes:
    return (
        b"From: MAILER-DAEMON@mta.example.net\r\nTo: s@example.com\r\n"
        b"Subject: Undelivered Mail Returned to Sender\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="c"\r\n\r\n'
        b"--c\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        b"--c\r\nContent-Type: message/delivery-status\r\n\r\n"
        b"Reporting-MTA: dns; mta.example.net\r\n\r\n"
        b"Final-Recipient: rfc822; a@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        b"Remote-MTA: dns; mx.example.org\r\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n"
        b"Final-Recipient: rfc822; b@example.org\r\nAction: delayed\r\nStatus: 4.2.2\r\n"
        b"Diagnostic-Code: smtp; 452 4.2.2 Mailbox full\r\n\r\n"
        b"Final-Recipient: rfc822; c@example.org\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\n"
        b"--c--\r\n"
    )


def test_a_bounce_is_explained_for_each_recipient() -> None:
    answer = explain(bounce())
    told = {
        one.address: (finding.reason, finding.kind, finding.action)
        for one, finding in answer.recipients
    }
    assert told == {
        "a@example.org": ("no-such-mailbox", "permanent", "suppress"),
        "b@example.org": ("mailbox-full", "temporary", "retry"),
        "c@example.org": ("delivered", "success", "deliver"),
    }
    assert answer.main.recipient == "a@example.org"
    assert answer.main.said_by == "the recipient's server mx.example.org"


def test_the_words_of_the_server_count_for_more_than_the_status_made_of_them() -> None:
    raw = bounce().replace(b"550 5.1.1 User unknown", b"550 5.7.1 listed at zen.spamhaus.org")
    assert explain(raw).main.reason == "blocklisted"


@pytest.mark.parametrize(
    "head",
    [
        "This is the mail system at host mta.example.net.",
        "   ----- The following addresses had permanent fatal errors -----",
        "Hi. This is the qmail-send program at mta.example.net.",
    ],
)
def test_a_notice_without_its_header_is_no_session(head: str) -> None:
    answer = explain(
        f"{head}\n\n<anna@example.org>: host mx.example.org[192.0.2.5] said:\n"
        "550-5.1.1 No such user is\n550 5.1.1 known here\n"
    )
    assert answer.input_kind == "bounce"
    assert [one.address for one, _ in answer.recipients] == ["anna@example.org"]
    assert answer.main.reason == "no-such-mailbox"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_file_that_windows_wrote_is_read(encoding: str) -> None:
    answer = explain("550 5.2.2 Mailbox full".encode(encoding))
    assert (answer.main.code, answer.main.reason) == (550, "mailbox-full")


def test_a_temporary_word_without_a_code_in_a_delay_is_temporary() -> None:
    answer = explain(
        "From: MAILER-DAEMON@mta.example.net\nSubject: Warning: message delayed 24 hours\n\n"
        "The following address has not yet been delivered:\n\n  a@example.org\n"
        "    host mx.example.org [192.0.2.5]\n    Delay reason: Connection timed out\n"
    )
    assert (answer.main.kind, answer.main.reason) == ("temporary", "connect-timeout")


def test_an_event_that_came_by_mail_is_found_in_it() -> None:
    event = base64.encodebytes(EVENTS[0].text.encode()).decode()
    answer = explain(
        "From: no-reply@sns.example.com\nTo: s@example.com\nSubject: Notification\n"
        f"Content-Transfer-Encoding: base64\n\n{event}"
    )
    assert answer.recipients[0][0].address == "a@example.org"


def test_several_lines_of_a_log_are_each_explained_and_failures_come_first() -> None:
    answer = explain("\n".join((LOGS[2].text, LOGS[0].text, LOGS[1].text, LOGS[0].text)))
    assert [one.reason for one in answer.findings] == [
        "no-such-mailbox", "connect-timeout", "delivered",
    ]  # fmt: skip


def test_where_a_session_ends_without_a_refusal_the_program_tells_why() -> None:
    answer = explain(
        "SERVER -> CLIENT: 220 mx ESMTP\nCLIENT -> SERVER: STARTTLS\n"
        "SERVER -> CLIENT: 220 2.0.0 Ready to start TLS\n"
        "SMTP Error: Could not connect to SMTP host. SSL routines: certificate verify failed"
    )
    assert (answer.main.reason, answer.main.step) == ("certificate-refused", "tls")


def test_a_certificate_that_is_warned_of_is_told_beside_the_refusal() -> None:
    answer = explain(
        "CONNECTED(00000003)\nverify error:num=10:certificate has expired\nverify return:1\n"
        "250 SMTPUTF8\nMAIL FROM:<s@example.com>\n530 5.7.0 Authentication Required"
    )
    assert [one.cause for one in answer.findings] == ["auth.required", "tls.certificate_expired"]


def test_several_codes_are_each_explained() -> None:
    answer = explain("550 5.1.1, 421 5.7.1 452 4.2.2")
    assert [(one.code, str(one.enhanced)) for one in answer.findings] == [
        (550, "5.1.1"), (421, "None"), (None, "5.7.1"), (452, "4.2.2"),
    ]  # fmt: skip


def test_a_secret_in_a_session_is_not_repeated() -> None:
    answer = explain(SESSIONS[2].text)
    assert "AGEAYg==" not in json.dumps(document_of(answer))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing to explain"),
        (" \n\t", "nothing to explain"),
        ("999", "no code of SMTP"),
        ("100", "no code of SMTP"),
        ("3.1.1", "no code of SMTP"),
        ("hello world", "what is understood"),
        ("\0\1\2", "what is understood"),
        ("[1, 2, 3]", "what is understood"),
        ("From: a@example.org\nTo: b@example.org\nSubject: Lunch\n\nAt noon?\n", "is no bounce"),
    ],
)
def test_what_holds_nothing_known_is_said_in_one_line(text: str, says: str) -> None:
    with pytest.raises(NothingKnown, match=says) as refused:
        explain(text)
    assert "\n" not in str(refused.value)


def check_bounds(answer: Answer) -> None:
    assert len(answer.findings) <= 20
    assert len(answer.recipients) <= 500
    for finding in answer.findings:
        assert len(finding.evidence) <= 400
        assert finding.reason in reasons()
    json.dumps(document_of(answer))


@given(st.one_of(st.text(max_size=1000), st.binary(max_size=1000)))
def test_nothing_else_is_raised_whatever_is_given(given_text: str | bytes) -> None:
    with suppress(NothingKnown):
        check_bounds(explain(given_text))


_PIECES = st.sampled_from(
    (
        *(case.text for case in CASES), "\n", " ", "550 ", "(550, b'", "postfix/smtp[1]: ", "{",
        "[",
        '"email": "a@b.c"', "status=bounced (", "** a@example.org R=x T=y", "delivery 1: failure: ",
        "-> ", "<- ", "C: ", "S: 550", "From: x@y.z\n", "\0", "é", "]", "}", "'", ")",
    )
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_no_mixture_of_what_it_knows_raises(text: str) -> None:
    with suppress(NothingKnown):
        check_bounds(explain(text))


def test_a_fault_of_a_setting_gives_no_mail_back() -> None:
    """Delivery keeps the mail then as well: no server has refused it."""
    [found] = explain("ssl.SSLError: [SSL: WRONG_VERSION_NUMBER] wrong version number").findings
    assert (found.reason, found.kind, found.action) == ("tls-failed", "permanent", "alert")


def _returned(number: int, status: str) -> str:
    return (
        f"From MAILER-DAEMON Tue Nov 24 09:0{number}:00 2026\n"
        f"From: MAILER-DAEMON@mx.example.com\nSubject: Undelivered\nTo: me@example.com\n"
        "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; "
        "boundary=x\n\n--x\nContent-Type: text/plain\n\nIt was not delivered.\n"
        "From here on it is text, and no new message.\n--x\n"
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n"
        f"Final-Recipient: rfc822; a{number}@example.org\nAction: failed\nStatus: {status}\n\n"
        "--x--\n\n"
    )


def test_every_message_of_an_mbox_is_explained() -> None:
    letter = (
        "From ann@example.com Tue Nov 24 09:05:00 2026\nFrom: ann@example.com\n"
        "Subject: Hello\nTo: me@example.com\n\nHow are you?\n\n"
    )
    answer = explain((_returned(1, "5.1.1") + letter + _returned(2, "5.2.2")).encode())
    assert (answer.input_kind, answer.messages) == ("mailbox", 3)
    assert [one.address for one, _ in answer.recipients] == ["a1@example.org", "a2@example.org"]
    assert [one.reason for one in answer.findings] == ["no-such-mailbox", "mailbox-full"]
    with pytest.raises(NothingKnown, match="none of the 2 messages"):
        explain((letter * 2).encode())
    alone = explain(_returned(1, "5.1.1").encode())
    assert (alone.input_kind, alone.messages) == ("bounce", 0)

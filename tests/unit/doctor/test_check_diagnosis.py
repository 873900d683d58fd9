"""From what was seen to one cause: a pure function, so no server is needed here."""

from __future__ import annotations

import pytest

from waypost.doctor.check.diagnosis import Diagnosis, beside, causes_of_reply, combine, diagnose
from waypost.doctor.check.steps import Sign, Step
from waypost.knowledge.causes import cause
from waypost.knowledge.reply_contexts import Stage
from waypost.smtp.reply import ReplyParser


def step(*signs: Sign) -> Step:
    return Step("step", "fail", 0.0, (), signs)


def found(name: str, verdict: str = "fail") -> Diagnosis:
    one = cause(name)
    return Diagnosis("fail" if verdict == "fail" else "warn", one, "", "", ())


def test_nothing_seen_is_well() -> None:
    assert diagnose([step()]).verdict == "ok"


def test_what_stops_mail_comes_before_what_troubles_it() -> None:
    made = diagnose([step(Sign("dns:mx-is-cname", "warn")), step(Sign("auth:refused", "fail"))])
    assert made.verdict == "fail"
    assert made.cause == cause("auth.bad_credentials")
    assert "dns.mx_is_cname" in made.alternatives


def test_the_last_failure_ended_the_walk() -> None:
    made = diagnose([step(Sign("tls:not-offered", "fail")), step(Sign("auth:refused", "fail"))])
    assert made.cause == cause("auth.bad_credentials")


def test_a_login_that_is_not_offered_comes_from_tls_that_is_not() -> None:
    made = diagnose([step(Sign("tls:not-offered", "fail")), step(Sign("auth:not-offered", "fail"))])
    assert made.cause == cause("tls.starttls_not_offered")


def test_of_warnings_the_most_precise() -> None:
    made = diagnose(
        [step(Sign("size:not-advertised", "warn")), step(Sign("greeting:slow", "warn"))]
    )
    assert (made.verdict, made.cause) == ("warn", cause("greeting.slow"))


def test_what_was_found_fills_the_fix() -> None:
    facts = {"host": "mail.test", "port": "465"}
    made = diagnose([step(Sign("tls:starttls-expected", "fail", facts))])
    assert made.command == "waypost check smtp://mail.test:465"


def test_one_server_that_takes_mail_makes_a_warning_of_the_others_failure() -> None:
    made = combine([found("tcp.refused"), diagnose([])])
    assert (made.verdict, made.cause) == ("warn", cause("tcp.refused"))
    assert combine([found("tcp.refused"), found("tcp.refused")]).verdict == "fail"


def test_of_two_warnings_the_more_precise_is_named_and_the_other_kept() -> None:
    made = beside(found("size.not_advertised", "warn"), found("dns.no_mx", "warn"))
    assert made.cause == cause("dns.no_mx")
    assert made.alternatives == ("size.not_advertised",)


@pytest.mark.parametrize(
    ("stage", "text", "first"),
    [
        ("greeting", "421 4.7.0 Try again later", "greeting.rejected_421"),
        ("greeting", "421 Too many concurrent SMTP connections", "capacity.too_many_connections"),
        ("greeting", "554 5.7.1 Access denied", "greeting.rejected_554"),
        ("greeting", "554 mail.test ESMTP not accepting messages", "greeting.rejected_554"),
        ("greeting", "521 mail.test does not accept mail", "greeting.rejected_554"),
        ("greeting", "450 4.7.1 greylisted", "policy.greylisted"),
        ("ehlo", "504 need a full name", "policy.helo_rejected"),
        ("ehlo", "421 busy", "capacity.service_unavailable"),
        ("auth", "535 5.7.3 Authentication unsuccessful", "auth.bad_credentials"),
        ("auth", "535 Incorrect authentication data", "auth.bad_credentials"),
        ("auth", "535 5.7.0 account suspended", "auth.account_locked"),
        ("auth", "504 5.5.4 Unrecognized authentication type", "auth.no_common_mechanism"),
        ("auth", "538 5.7.11 Encryption required for requested authentication mechanism",
         "auth.not_offered_before_tls"),
        ("auth", "432 4.7.12 A password transition is needed", "auth.temporary_failure"),
        ("auth", "503 5.5.1 Error: authentication not enabled", "auth.not_offered"),
        ("mail", "530 5.7.57 Client not authenticated to send mail", "auth.required"),
        ("mail", "553 sorry, your envelope sender is not allowed", "policy.sender_not_owned"),
        ("mail", "550 5.1.8 Sender domain not found", "policy.sender_domain_unresolvable"),
        ("rcpt", "553 5.1.3 Invalid address", "recipient.syntax"),
        ("rcpt", "454 4.7.1 Relay access denied", "policy.relay_denied"),
        ("rcpt", "550 hm", "recipient.unknown"),
        ("rcpt", "451 hm", "policy.greylisted"),
        ("content", "554 hm", "policy.content_rejected"),
        ("content", "552 hm", "size.message_too_big"),
    ],
)  # fmt: skip
def test_a_refusal_is_judged_by_its_words_and_else_by_its_code(
    stage: Stage, text: str, first: str
) -> None:
    (reply,) = ReplyParser().feed(text.encode() + b"\r\n")
    assert causes_of_reply(reply, stage)[0] == first

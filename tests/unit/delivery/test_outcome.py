"""What replies and failures lead to."""

from __future__ import annotations

import errno
import random
import ssl
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.delivery.exchangers import DestinationFailure
from waypost.delivery.outcome import (
    MAXIMUM_TEXT,
    Outcome,
    outcome_of_break,
    outcome_of_destination,
    outcome_of_error,
    outcome_of_failure,
    outcome_of_reply,
)
from waypost.knowledge.outcomes import Through, outcome_table
from waypost.net.happy_eyeballs import ConnectFailure, Target
from waypost.net.resolver import NoSuchDomain, ResolutionTemporaryFailure
from waypost.smtp.client_states import Stage
from waypost.smtp.reply import EnhancedStatus, Reply, reply

PERMANENT, TEMPORARY = "permanent", "temporary"
MX: Through = "mx"
SMARTHOST: Through = "smarthost"


@pytest.mark.parametrize("code", [220, 250, 251, 252, 354])
def test_a_positive_reply_is_a_delivery(code: int) -> None:
    outcome = outcome_of_reply("content_reply", reply(code, "2.0.0", "fine"))
    assert outcome.is_delivered
    assert (outcome.reason, outcome.text) == ("", f"{code} 2.0.0 fine")


@pytest.mark.parametrize(
    ("stage", "answer", "through", "kind", "scope", "next_", "reason"),
    [
        # 421 anywhere closes the session, whatever was being said.
        ("greeting", "421 busy", MX, TEMPORARY, "destination", "other-host", "service-closing"),
        ("mail", "421 4.7.0 busy", MX, TEMPORARY, "destination", "later", "service-closing"),
        ("rcpt", "421 busy", MX, TEMPORARY, "destination", "later", "service-closing"),
        ("content_reply", "421 x", MX, TEMPORARY, "destination", "later", "service-closing"),
        # Before mail is spoken of, another host may do.
        ("greeting", "554 no", MX, TEMPORARY, "destination", "other-host", "greeting-refused"),
        ("greeting", "450 no", MX, TEMPORARY, "destination", "other-host", "greeting-refused"),
        ("greeting", "521 no mail", MX, PERMANENT, "message", "other-host", "accepts-no-mail"),
        ("greeting", "521 x", SMARTHOST, TEMPORARY, "destination", "other-host",
         "accepts-no-mail"),
        ("greeting", "554 blocked using Spamhaus", MX, TEMPORARY, "destination", "other-host",
         "blocklisted"),
        ("ehlo", "550 bad name", MX, TEMPORARY, "destination", "other-host", "hello-refused"),
        ("starttls", "454 4.7.0 no", MX, TEMPORARY, "destination", "other-host", "tls-refused"),
        ("auth", "535 5.7.8 bad", SMARTHOST, TEMPORARY, "destination", "other-host",
         "authentication-refused"),
        ("auth", "534 5.7.9 weak", SMARTHOST, TEMPORARY, "destination", "other-host",
         "authentication-too-weak"),
        ("auth", "454 4.7.0 later", SMARTHOST, TEMPORARY, "destination", "other-host",
         "authentication-temporary"),
        # The first digit decides where nothing more is known.
        ("mail", "450 x", MX, TEMPORARY, "message", "later", "refused-for-now"),
        ("rcpt", "450 x", MX, TEMPORARY, "recipient", "later", "refused-for-now"),
        ("data", "451 x", MX, TEMPORARY, "message", "later", "refused-for-now"),
        ("mail", "550 x", MX, PERMANENT, "message", "give-back", "sender-refused"),
        ("rcpt", "550 x", MX, PERMANENT, "recipient", "give-back", "recipient-refused"),
        ("data", "554 x", MX, PERMANENT, "message", "give-back", "message-refused"),
        ("content_reply", "554 x", MX, PERMANENT, "message", "give-back", "message-refused"),
        ("MAIL", "450 x", MX, TEMPORARY, "message", "later", "refused-for-now"),
        ("RCPT", "599 x", MX, PERMANENT, "recipient", "give-back", "recipient-refused"),
        # Recipients.
        ("rcpt", "452 4.5.3 many", MX, TEMPORARY, "recipient", "at-once", "too-many-recipients"),
        ("rcpt", "452 too many recipients", MX, TEMPORARY, "recipient", "at-once",
         "too-many-recipients"),
        ("rcpt", "552 Too many recipients", MX, TEMPORARY, "recipient", "at-once",
         "too-many-recipients"),
        ("rcpt", "452 4.2.2 full", MX, TEMPORARY, "recipient", "later", "mailbox-full"),
        ("rcpt", "552 5.2.2 full", MX, PERMANENT, "recipient", "give-back", "mailbox-full"),
        ("rcpt", "550 5.1.1 who", MX, PERMANENT, "recipient", "give-back", "no-such-mailbox"),
        ("rcpt", "556 5.1.10 no", MX, PERMANENT, "recipient", "give-back", "accepts-no-mail"),
        ("rcpt", "450 4.7.1 Greylisted", MX, TEMPORARY, "recipient", "later", "greylisted"),
        ("mail", "552 too big", MX, PERMANENT, "message", "give-back", "message-too-large"),
        ("content_reply", "550 5.7.1 spam", MX, PERMANENT, "message", "give-back",
         "spam-refused"),
        # Protocol.
        ("mail", "500 what", MX, TEMPORARY, "message", "later", "protocol-error"),
        ("data", "503 5.5.1 bad sequence", MX, TEMPORARY, "message", "later", "protocol-error"),
        ("rcpt", "501 5.1.3 bad", MX, PERMANENT, "recipient", "give-back", "address-syntax"),
        ("mail", "555 SIZE", MX, PERMANENT, "message", "give-back", "syntax-refused"),
        # A smarthost that refuses us gives nobody's mail back.
        ("mail", "530 5.7.0 auth", SMARTHOST, TEMPORARY, "destination", "later",
         "authentication-required"),
        ("mail", "530 5.7.0 auth", MX, PERMANENT, "message", "give-back",
         "authentication-required"),
        ("rcpt", "535 5.7.8 no", SMARTHOST, TEMPORARY, "destination", "later",
         "authentication-refused"),
        ("mail", "550 5.7.8 no", SMARTHOST, TEMPORARY, "destination", "later",
         "authentication-refused"),
        ("mail", "503 5.5.4 AUTH first", SMARTHOST, TEMPORARY, "destination", "later",
         "authentication-required"),
        ("rcpt", "554 5.7.1 <a@b>: Relay access denied", SMARTHOST, TEMPORARY, "destination",
         "later", "relay-denied"),
        ("rcpt", "554 5.7.1 <a@b>: Relay access denied", MX, PERMANENT, "recipient",
         "give-back", "relay-denied"),
        ("content_reply", "454 Throttling failure: Maximum sending rate exceeded.", SMARTHOST,
         TEMPORARY, "destination", "later", "sending-limit"),
        # Words deceive: a recipient's group that wants a login does not stop the route.
        ("content_reply", "550 5.7.1 authentication required", SMARTHOST, PERMANENT, "message",
         "give-back", "authentication-required"),
        ("rcpt", "551 User not local", SMARTHOST, PERMANENT, "recipient", "give-back",
         "mailbox-moved"),
        # One recipient's limit does not slow the destination; the sender's does.
        ("rcpt", "450 4.2.1 The user you are trying to contact is receiving mail at a rate", MX,
         TEMPORARY, "recipient", "later", "recipient-rate-limited"),
        # What is wrong with our DNS or our address is told to the operator as well.
        ("content_reply", "550 5.7.26 failed DMARC", MX, PERMANENT, "message", "give-back",
         "dmarc-failed"),
        ("mail", "451 4.7.500 throttled", MX, TEMPORARY, "destination", "later", "rate-limited"),
    ],
)  # fmt: skip
def test_a_reply_leads_to_its_next_step(
    stage: str, answer: str, through: Through, kind: str, scope: str, next_: str, reason: str
) -> None:
    code, _, rest = answer.partition(" ")
    status = EnhancedStatus.parse(rest)
    said = rest.split(" ", 1)[1] if status else rest
    outcome = outcome_of_reply(stage, Reply(int(code), (said,), status), through)
    assert (outcome.kind, outcome.scope, outcome.next, outcome.reason) == (
        kind, scope, next_, reason,
    )  # fmt: skip
    assert outcome.status == status


@pytest.mark.parametrize("code", range(400, 600))
def test_refused_credentials_are_never_permanent_and_always_alert(code: int) -> None:
    outcome = outcome_of_reply("auth", reply(code, None, "x"), "smarthost")
    assert outcome.kind == TEMPORARY
    assert outcome.suspend
    assert outcome.back_off
    assert outcome.alert == (code >= 500)


def any_outcome(stage: str, code: int, text: str, through: Through) -> Outcome:
    return outcome_of_reply(stage, Reply(code, (text,), EnhancedStatus.parse(text)), through)


@given(
    st.sampled_from(get_args(Stage)),
    st.integers(200, 599),
    st.text(max_size=100) | st.sampled_from(["5.7.8 x", "4.5.3 x", "relay denied", "5.2.2"]),
    st.sampled_from(get_args(Through)),
)
def test_every_reply_at_every_stage_has_an_outcome_that_fits_its_digit(
    stage: str, code: int, text: str, through: Through
) -> None:
    outcome = any_outcome(stage, code, text, through)
    if code < 400:
        assert outcome.is_delivered
    elif code < 500:
        assert outcome.kind == TEMPORARY
    assert not outcome.is_delivered or code < 400
    if outcome.is_permanent:
        assert not outcome.back_off
        assert not outcome.suspend


def test_what_is_kept_of_a_reply_is_bounded() -> None:
    lines = tuple("x" * 4000 for _ in range(256))
    assert len(outcome_of_reply("rcpt", Reply(550, lines)).text) == MAXIMUM_TEXT


def one_address(error: Exception) -> ConnectFailure:
    return ConnectFailure([(Target("h", "192.0.2.1", 25), error)])


def certificate_error() -> ssl.SSLCertVerificationError:
    return ssl.SSLCertVerificationError(1, "certificate verify failed")


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        (one_address(ConnectionRefusedError()), "connection-refused", "4.4.1"),
        (one_address(TimeoutError()), "connect-timeout", "4.4.1"),
        (one_address(OSError(errno.ENETUNREACH, "x")), "unreachable", "4.4.1"),
        (one_address(OSError(errno.ENOENT, "x")), "connection-refused", "4.4.1"),
        (one_address(certificate_error()), "certificate-refused", "4.7.5"),
        (one_address(ssl.SSLError(1, "wrong version")), "tls-failed", "4.7.5"),
        (ConnectFailure([]), "unreachable", "4.4.1"),
        (ConnectionResetError(), "connection-lost", "4.4.2"),
        (certificate_error(), "certificate-refused", "4.7.5"),
        (NoSuchDomain("h", "A", "x"), "smarthost-unknown", "4.4.4"),
        (ResolutionTemporaryFailure("h", "A", "x"), "dns-temporary", "4.4.3"),
    ],
)
def test_an_error_before_the_session_is_temporary(
    error: Exception, reason: str, status: str
) -> None:
    outcome = outcome_of_error(error)
    assert (outcome.reason, str(outcome.status)) == (reason, status)
    assert outcome.kind == TEMPORARY
    assert outcome.back_off


def test_tls_trouble_tells_more_than_an_address_that_is_not_there() -> None:
    failed = [
        (Target("h", "2001:db8::1", 465), OSError(errno.ENETUNREACH, "x")),
        (Target("h", "192.0.2.1", 465), certificate_error()),
    ]
    assert outcome_of_error(ConnectFailure(failed)).reason == "certificate-refused"


def test_a_connection_that_ends_in_the_middle_is_temporary() -> None:
    for timed_out, malformed, reason in (
        (True, False, "timeout"),
        (False, False, "connection-lost"),
        (False, True, "not-smtp"),
    ):
        outcome = outcome_of_break("said so", timed_out=timed_out, malformed=malformed)
        assert (outcome.reason, outcome.kind, outcome.text) == (reason, TEMPORARY, "said so")


@pytest.mark.parametrize(
    ("reason", "permanent"),
    [
        ("null-mx", True), ("no-such-domain", True), ("bad-domain", True),
        ("no-exchanger-address", True), ("nowhere-address", True), ("private-address", False),
        ("mail-loop", False), ("dns-temporary", False),
    ],
)  # fmt: skip
def test_what_the_dns_says_about_a_destination_has_an_outcome(reason: str, permanent: bool) -> None:
    status = EnhancedStatus(5 if permanent else 4, 4, 4)
    outcome = outcome_of_destination(DestinationFailure(reason, permanent, status, "why"))
    assert outcome.is_permanent == permanent
    assert (outcome.status, outcome.text) == (status, "why")


def test_every_failure_of_the_table_has_an_outcome_with_our_own_status() -> None:
    for reason in outcome_table().failures:
        outcome = outcome_of_failure(reason, "why")
        assert outcome.status is not None
        assert (outcome.status.class_ == 5) == outcome.is_permanent


def test_the_order_of_questions_changes_no_answer() -> None:
    questions = [
        (stage, code, text)
        for stage in ("mail", "rcpt", "content")
        for code in (421, 450, 452, 550, 554)
        for text in ("", "4.5.3 x", "relay denied")
    ]
    first = {question: any_outcome(*question, "smarthost") for question in questions}
    random.Random(4).shuffle(questions)
    assert all(any_outcome(*question, "smarthost") == first[question] for question in questions)

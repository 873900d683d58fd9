"""`waypost check` of a real Postfix, right and wrong: what it says is not a script of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peer_relay import made_certificate

from postfix import Postfix, running_postfix
from waypost.doctor.check.diagnosis import Diagnosis
from waypost.doctor.check.run import CheckSettings, check
from waypost.doctor.check.subject import parse_subject
from waypost.doctor.line_opening import World
from waypost.net.clock import SystemClock
from waypost.net.dns import DnsResolver
from waypost.net.network import AsyncioNetwork

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postfix, Path]]:
    """It offers STARTTLS, and refuses by its usual restrictions."""
    folder = tmp_path_factory.mktemp("postfix-check")
    certificate, key = made_certificate(folder)
    more = (
        "smtpd_tls_security_level = may\n"
        f"smtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\n"
        "smtpd_helo_required = yes\n"
        "smtpd_sender_restrictions = check_sender_access inline:{"
        "{blocked.example=reject}, {full.example=452 4.3.1 Insufficient system storage}}\n"
        "smtpd_recipient_restrictions = reject_unauth_destination,"
        " check_recipient_access inline:{"
        "{grey@mailbox.example=450 4.2.0 Greylisted}, {gone@mailbox.example=550 5.1.1 unknown}}\n"
        "smtpd_relay_restrictions = reject_unauth_destination\n"
    )
    with running_postfix(folder, more) as running:
        yield running, certificate


def diagnosis(port: int, target: str = "smtp+plain://127.0.0.1:{}", **settings: Any) -> Diagnosis:
    clock = SystemClock()
    world = World(clock, AsyncioNetwork(), DnsResolver(clock, nameservers=("127.0.0.1",), port=9))
    made = CheckSettings("client.example", lambda: "nonce", 10.0, **settings)
    return asyncio.run(check(parse_subject(target.format(port)), made, world)).diagnosis


def test_postfix_that_is_well(made: tuple[Postfix, Path]) -> None:
    postfix, certificate = made
    found = diagnosis(
        postfix.port, "smtp://localhost:{}?name=localhost", ca_file=str(certificate),
        recipient="ann@mailbox.example",
    )  # fmt: skip
    assert found.verdict == "ok", found


@pytest.mark.parametrize(
    ("cause", "settings"),
    [
        ("policy.relay_denied", {"recipient": "ann@elsewhere.example"}),
        ("policy.greylisted", {"recipient": "grey@mailbox.example"}),
        ("recipient.unknown", {"recipient": "gone@mailbox.example"}),
        (
            "capacity.insufficient_storage",
            {"sender": "a@full.example", "recipient": "ann@mailbox.example"},
        ),
        ("size.message_too_big", {"size": 200_000_000}),
    ],
)
def test_what_postfix_refuses(
    made: tuple[Postfix, Path], cause: str, settings: dict[str, Any]
) -> None:
    found = diagnosis(made[0].port, **settings)
    assert found.verdict == "fail"
    assert found.cause is not None
    assert found.cause.id == cause, found


def test_a_certificate_of_postfix_that_nobody_knows(made: tuple[Postfix, Path]) -> None:
    found = diagnosis(made[0].port, "smtp://localhost:{}")
    assert found.cause is not None
    assert found.cause.id == "tls.self_signed", found


def test_postfix_asked_for_tls_from_the_first_byte(made: tuple[Postfix, Path]) -> None:
    found = diagnosis(made[0].port, "smtps://localhost:{}")
    assert found.cause is not None
    assert found.cause.id == "tls.wrong_mode_starttls_expected", found

"""Which mechanisms a check tries, and in what order: never more often than it has to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from broken_servers import DROP, Script
from cause_cases import offer
from check_lab import CheckLab

from waypost.doctor.check.run import Checked

TAKEN = b"235 2.7.0 taken\r\n"
WRONG = b"535 5.7.8 authentication failed\r\n"
UNKNOWN = b"504 5.5.4 unrecognized authentication type\r\n"


def tried(
    folder: Path, offered: str, answers: dict[str, bytes], target: str = "smtp+plain://"
) -> tuple[Checked, list[str]]:
    """The check, and the mechanisms that the server was asked for."""

    async def inside() -> tuple[Checked, list[str]]:
        lab = CheckLab(folder)
        try:
            said = {f"AUTH {name}": answer for name, answer in answers.items()}
            port = await lab.serve(Script(answers={"EHLO": offer(offered), "AUTH": WRONG, **said}))
            checked = await lab.check(f"{target}127.0.0.1:{port}", user="me@mail.test")
            heard = lab.servers[0].heard
            return checked, [line.split()[1] for line in heard if line.startswith("AUTH ")]
        finally:
            await lab.end()

    return asyncio.run(inside())


PLAIN = "PLAIN AG1lQG1haWwudGVzdABzZWNyZXQgd29yZA=="


@pytest.mark.parametrize(
    ("offered", "answers", "cause", "order"),
    [
        ("AUTH PLAIN LOGIN", {}, "auth.bad_credentials", ["PLAIN"]),
        ("AUTH PLAIN LOGIN", {PLAIN: TAKEN}, None, ["PLAIN"]),
        ("AUTH PLAIN LOGIN", {PLAIN: UNKNOWN, "LOGIN": TAKEN}, "auth.mechanism_fails",
         ["PLAIN", "LOGIN"]),
        ("AUTH PLAIN LOGIN", {PLAIN: UNKNOWN, "LOGIN": UNKNOWN}, "auth.no_common_mechanism",
         ["PLAIN", "LOGIN"]),
        ("AUTH SCRAM-SHA-256 PLAIN", {PLAIN: TAKEN}, "auth.mechanism_fails",
         ["SCRAM-SHA-256", "PLAIN"]),
        ("AUTH SCRAM-SHA-256 PLAIN LOGIN", {}, "auth.bad_credentials", ["SCRAM-SHA-256", "PLAIN"]),
        ("AUTH PLAIN LOGIN", {PLAIN: b"454 4.7.0 busy\r\n"}, "auth.temporary_failure", ["PLAIN"]),
        ("AUTH PLAIN LOGIN", {PLAIN: UNKNOWN, "LOGIN": WRONG + DROP}, "auth.bad_credentials",
         ["PLAIN", "LOGIN"]),
        ("AUTH SCRAM-SHA-256 PLAIN", {PLAIN: DROP}, "auth.bad_credentials",
         ["SCRAM-SHA-256", "PLAIN"]),
    ],
)  # fmt: skip
def test_another_mechanism_is_tried_where_that_may_help(
    tmp_path: Path, offered: str, answers: dict[str, bytes], cause: str | None, order: list[str]
) -> None:
    # The nonce of SCRAM is known, but its line is long: any is refused by the answer to AUTH.
    checked, heard = tried(tmp_path, offered, answers)
    found = checked.diagnosis.cause
    assert (found.id if found else None) == cause, checked.steps
    assert heard == order


def test_a_password_does_not_go_in_the_clear_where_tls_was_asked_for(tmp_path: Path) -> None:
    checked, heard = tried(tmp_path, "AUTH PLAIN", {}, "smtp://")
    assert checked.diagnosis.cause is not None
    assert checked.diagnosis.cause.id == "tls.starttls_not_offered"
    assert checked.diagnosis.verdict == "fail"
    assert heard == []

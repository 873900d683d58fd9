"""What a check says beside its cause: the fix, the next command, the alternatives, no secret."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from broken_servers import Script
from cause_cases import closed_port, offer
from check_lab import CheckLab, evidence

from waypost.doctor.check.run import Checked


def run(work: Callable[[CheckLab], Awaitable[Checked]], folder: Path) -> Checked:
    async def inside() -> Checked:
        lab = CheckLab(folder)
        try:
            return await work(lab)
        finally:
            await lab.end()

    return asyncio.run(inside())


@pytest.mark.parametrize(
    ("password", "answer", "shown"),
    [
        # Taken out of its place in a known sentence a word would be told by the gap.
        ("wrong", "535 wrong password", "535 wrong password"),
        ("x3cret!", "535 bad password x3cret!", "535 bad password [redacted]"),
        ("tulipwort", "535 bad password tulipwort", "535 bad password [redacted]"),
    ],
)
def test_a_password_is_hidden_and_an_ordinary_word_is_not(
    tmp_path: Path, password: str, answer: str, shown: str
) -> None:
    async def work(lab: CheckLab) -> Checked:
        answers = {"EHLO": offer("AUTH PLAIN"), "AUTH": f"{answer}\r\n".encode()}
        port = await lab.serve(Script(answers=answers))
        target = f"smtp+plain://127.0.0.1:{port}"
        return await lab.check(target, user="me@mail.test", password=password)

    checked = run(work, tmp_path)
    assert f"< {shown}" in evidence(checked, "auth").splitlines()
    assert checked.diagnosis.cause is not None
    assert checked.diagnosis.cause.id == "auth.bad_credentials"


def test_a_refusal_by_this_machine_comes_from_no_firewall_on_the_way(tmp_path: Path) -> None:
    checked = run(lambda lab: lab.check(f"127.0.0.1:{closed_port(lab)}"), tmp_path)
    assert checked.diagnosis.cause is not None
    assert checked.diagnosis.cause.id == "tcp.refused"
    assert checked.diagnosis.alternatives == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "/etc/resolv.conf"),
        ((("--dns", "127.0.0.1:5353"),), "the name server 127.0.0.1:5353 (--dns)"),
    ],
)
def test_a_name_server_that_does_not_answer_is_named(
    tmp_path: Path, given: tuple[tuple[str, str], ...], words: str
) -> None:
    async def work(lab: CheckLab) -> Checked:
        await lab.name({("mail.test", "*"): "SILENCE"})
        return await lab.check("mail.test:587", given=given)

    assert words in run(work, tmp_path).diagnosis.fix


def test_the_next_command_keeps_what_was_said(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Checked:
        port = await lab.serve(Script())
        lab.network.places["127.0.0.1", 465] = ("127.0.0.1", port)
        return await lab.check(
            "smtps://127.0.0.1:465?ehlo=client.test", given=(("--source", "127.0.0.1"),)
        )

    assert run(work, tmp_path).diagnosis.command == (
        "waypost check 'smtp://127.0.0.1:465?ehlo=client.test' --source 127.0.0.1"
    )

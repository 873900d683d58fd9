"""Whatever a server does, a check ends in its time and keeps no more than a little of it."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from pathlib import Path

import pytest
from broken_servers import HANG, Script
from check_lab import CheckLab, evidence, statuses
from made_certificates import context_of

from waypost.doctor.check.run import Checked

MEBIBYTE = 1 << 20


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One greeting that never ends."""
    while True:
        writer.write(b"220-and another line\r\n" * 1000)
        await writer.drain()


async def one_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A line without an end."""
    writer.write(b"220 ")
    while True:
        writer.write(b"x" * MEBIBYTE)
        await writer.drain()


async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes without meaning and without end."""
    while True:
        writer.write(bytes(range(256)) * 4096)
        await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, and never the last."""
    for letter in b"220-mail.test " + b"y" * 4000:
        writer.write(bytes((letter,)))
        await writer.drain()
        await asyncio.sleep(0.1)


async def endless_offer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A greeting as it should be, and then extensions without end."""
    writer.write(b"220 mail.test\r\n")
    await reader.readline()
    while True:
        writer.write(b"250-X-EXTENSION " + b"z" * 2000 + b"\r\n")
        await writer.drain()


def checked(script: Script, folder: Path, target: str = "127.0.0.1:{}") -> tuple[Checked, float]:
    """The check of a server, and how long it took."""

    async def run() -> Checked:
        lab = CheckLab(folder)
        try:
            port = await lab.serve(script)
            return await lab.check(target.format(port), seconds=1.0, recipient="you@there.test")
        finally:
            await lab.end()

    begun = time.monotonic()
    found = asyncio.run(run())
    return found, time.monotonic() - begun


HOSTILE = (endless, one_line, noise, drip, endless_offer)


@pytest.mark.parametrize("talk", HOSTILE, ids=lambda one: one.__name__)
@pytest.mark.parametrize("target", ["smtp://127.0.0.1:{}", "smtps://127.0.0.1:{}"])
def test_a_hostile_server_costs_little_time_and_memory(
    talk: object, target: str, tmp_path: Path
) -> None:
    checked(Script(), tmp_path)  # what is loaded and remembered on first use does not count
    tracemalloc.start()
    try:
        found, seconds = checked(Script(talk=talk), tmp_path, target)  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.diagnosis.verdict == "fail"
    assert seconds < 8
    # The server is in this process too and has up to its transport's buffer; the bound is on both.
    assert peak < 24 * MEBIBYTE
    assert sum(len(line) for step in found.steps for line in step.evidence) < 64 * 1024


def test_a_server_that_never_answers_a_command_ends_at_its_time(tmp_path: Path) -> None:
    found, seconds = checked(Script().with_(RCPT=HANG), tmp_path)
    assert statuses(found)["rcpt"] == "fail"
    assert 0.9 < seconds < 4


def test_what_was_said_before_the_handshake_is_not_an_answer_under_tls(tmp_path: Path) -> None:
    """RFC 3207 6: a response that was injected in the clear must not be believed."""

    async def run() -> Checked:
        lab = CheckLab(tmp_path)
        try:
            context = context_of(tmp_path, lab.certificate("127.0.0.1"))
            script = Script(
                answers={
                    "EHLO": b"250-mail.test\r\n250 STARTTLS\r\n",
                    "STARTTLS": b"220 go ahead\r\n250 AUTH PLAIN\r\n",
                },
                tls=context,
            )
            port = await lab.serve(script)
            return await lab.check(f"smtp://127.0.0.1:{port}")
        finally:
            await lab.end()

    found = asyncio.run(run())
    assert found.diagnosis.cause is not None
    assert found.diagnosis.cause.id == "protocol.malformed_reply"
    assert "in the clear" in evidence(found, "tls")

"""kill -9 at any moment: what was called back is there, and what was under way is known."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from spool_world import content_of

from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.sqlite import SqliteSettings, SqliteSpool

VICTIM = Path(__file__).with_name("spool_victim.py")


@pytest.mark.crash
@pytest.mark.parametrize("moment", [0.05, 0.13, 0.31, 0.47, 0.6])
def test_what_was_called_back_survives_the_kill(tmp_path: Path, moment: float) -> None:
    for _ in range(2):  # the second run goes on with what the first one left
        output = tmp_path / "output"
        with output.open("ab") as file:
            victim = subprocess.Popen([sys.executable, VICTIM, tmp_path / "spool"], stdout=file)
            try:
                until = time.monotonic() + 20
                begun = output.stat().st_size
                while output.stat().st_size == begun and time.monotonic() < until:
                    time.sleep(0.005)
                time.sleep(moment)
                assert victim.poll() is None, "it was at work"
            finally:
                victim.kill()
                victim.wait()
        asyncio.run(_check(tmp_path / "spool", output.read_text()))


async def _check(directory: Path, output: str) -> None:
    said: dict[str, dict[int, tuple[int, ...]]] = {"kept": {}, "started": {}, "done": {}}
    for line in output.splitlines():
        word, identifier, *more = line.split()
        said[word][int(identifier)] = tuple(map(int, more))
    assert said["kept"], "the victim got nothing done"
    spool = SqliteSpool(SqliteSettings(directory, minimum_free=0))
    recovery = await spool.open()
    assert recovery.set_aside == ()
    rows = {row.identifier: row for row in await spool.messages(MessageFilter(limit=0))}
    for identifier in said["kept"]:
        (recipient,) = rows[identifier].recipients
        if identifier in said["done"]:
            assert recipient.state is RecipientState.DELIVERED
        elif recipient.state is RecipientState.QUEUED:
            size, byte = said["kept"][identifier]
            content = await content_of(await spool.open_body(identifier))
            assert content == bytes([byte]) * size
            if identifier in said["started"]:
                assert recipient.attempts == 1, "an attempt that may have been made is counted"
    assert recovery.uncertain <= 8, "one for each that was at work"
    counts = await spool.counts()
    assert counts.queued + counts.delivered == len(rows)
    waiting = {
        row.identifier for row in rows.values()
        if row.recipients[0].state is RecipientState.QUEUED and row.size > 256 * 1024
    }  # fmt: skip
    assert {path.name for path in (directory / "bodies").iterdir()} == {
        f"{identifier}.eml" for identifier in waiting
    }
    started = {row.identifier for row in rows.values() if row.recipients[0].started}
    assert started == set()
    await spool.close()

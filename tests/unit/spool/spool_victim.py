"""A process that works on a spool until it is killed, and says what was called back.

Each line of its output is written at once: `kept ID SIZE`, `started ID`, `done ID`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.contract import AttemptRecord, NewMessage, RecipientResult, RecipientState
from waypost.spool.sqlite import SqliteSettings, SqliteSpool


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


async def main(directory: Path) -> None:
    spool = SqliteSpool(SqliteSettings(directory, minimum_free=0))
    await spool.open()

    async def work(seed: int) -> None:
        loop = asyncio.get_running_loop()
        for turn in range(1_000_000):
            size = (10, 5_000, 400_000)[(seed + turn) % 3]
            writer = spool.body_writer(size)
            writer.write(bytes([turn % 251]) * size)
            identifier, now = writer.identifier, time.time()

            async def wait(call: object, *arguments: object) -> None:
                future: asyncio.Future[None] = loop.create_future()

                def done(failure: Exception | None, future: asyncio.Future[None] = future) -> None:
                    assert failure is None, failure
                    future.set_result(None)

                call(*arguments, done)  # type: ignore[operator]
                await future

            message = NewMessage(
                identifier, Envelope("a@b.example", (Recipient(f"x@d{seed}.example"),)), now,
                now + 9999, now, None, "", size, "", "", False,
            )  # fmt: skip
            await wait(spool.append, message, writer)
            say(f"kept {identifier} {size} {turn % 251}")
            if turn % 2:
                await wait(spool.mark_started, identifier, [0])
                say(f"started {identifier}")
                result = RecipientResult(0, RecipientState.DELIVERED, 0.0, "250 ok", "")
                record = AttemptRecord(identifier, now, 0.0, "r", "h", "", (result,), "")
                await wait(spool.finish, record)
                say(f"done {identifier}")

    await asyncio.gather(*(work(seed) for seed in range(8)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

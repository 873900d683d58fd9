"""The senders of `make bench-client`, each run in a process of its own.

    python bench/client_senders.py NAME PORT MESSAGES CONNECTIONS

sends so many 4 KiB messages to 127.0.0.1:PORT, and prints one line of JSON: seconds of the clock
and of the processor, from the first connection to the last reply. NAME may be "memory", with a
file's path behind PORT.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import smtplib
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from email.message import EmailMessage
from typing import Any

SENDER = "app@example.com"
RECIPIENT = "someone@example.org"
LINE = b"X" * 78 + b"\r\n"
CONTENT = (
    b"From: app@example.com\r\nTo: someone@example.org\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n"
    b"Message-Id: <1.2@example.com>\r\nSubject: A message of four KiB\r\n\r\n" + LINE * 51
)


def raw_messages(count: int) -> Iterator[Any]:
    """The same bytes again and again, with their envelope."""
    import waypost

    message = waypost.raw(CONTENT, from_=SENDER, to=RECIPIENT)
    return (message for _ in range(count))


def composed() -> EmailMessage:
    """A message object as applications make it: here composing and writing it counts."""
    message = EmailMessage()
    message["From"], message["To"] = SENDER, RECIPIENT
    message["Subject"] = "A message of four KiB"
    message.set_content((LINE * 51).decode().replace("\r\n", "\n"))
    return message


async def waypost_async(port: int, count: int, connections: int, *, objects: bool = False) -> None:
    """AsyncMailer.send_many."""
    import waypost

    messages = (composed() for _ in range(count)) if objects else raw_messages(count)
    url = f"smtp+plain://127.0.0.1:{port}"
    async with waypost.AsyncMailer(url, pool_size=connections) as mailer:
        tally = await mailer.send_many(messages)
    assert tally.accepted == count, tally


def waypost_threads(port: int, count: int, connections: int) -> None:
    """Mailer.send_many."""
    import waypost

    url = f"smtp+plain://127.0.0.1:{port}"
    with waypost.Mailer(url, pool_size=connections) as mailer:
        tally = mailer.send_many(raw_messages(count)).run()
    assert tally.accepted == count, tally


async def aiosmtplib_pool(
    port: int, count: int, connections: int, *, objects: bool = False
) -> None:
    """aiosmtplib has no pool: so many clients share the work, each reused for every message."""
    import aiosmtplib

    numbers = iter(range(count))

    async def work() -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False)
        await client.connect()
        for _ in numbers:
            if objects:
                await client.send_message(composed())
            else:
                await client.sendmail(SENDER, [RECIPIENT], CONTENT)
        await client.quit()

    await asyncio.gather(*(work() for _ in range(connections)))


def smtplib_one(port: int, count: int, _connections: int) -> None:
    """One reused connection of the standard library."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        for _ in range(count):
            client.sendmail(SENDER, [RECIPIENT], CONTENT)


def _in_uvloop(
    make: Callable[..., Coroutine[Any, Any, None]], **keywords: Any
) -> Callable[[int, int, int], None]:
    def run(port: int, count: int, connections: int) -> None:
        import uvloop

        uvloop.run(make(port, count, connections, **keywords))

    return run


SENDERS: dict[str, Callable[[int, int, int], None]] = {
    "waypost": _in_uvloop(waypost_async),
    "waypost-threads": waypost_threads,
    "waypost-objects": _in_uvloop(waypost_async, objects=True),
    "aiosmtplib": _in_uvloop(aiosmtplib_pool),
    "aiosmtplib-objects": _in_uvloop(aiosmtplib_pool, objects=True),
    "smtplib": smtplib_one,
}


def measure_memory(port: int, path: str) -> None:
    """Print by how many MiB the peak grows while a file is sent."""
    import waypost

    with waypost.Mailer(f"smtp+plain://127.0.0.1:{port}") as mailer:
        parts = {"from_": SENDER, "to": RECIPIENT, "text": "see the file"}
        mailer.send({**parts, "attachments": [("small.txt", b"x")]})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mailer.send({**parts, "attachments": path})
        added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"mib": added / 1024}))


def main() -> None:
    """See the module."""
    if sys.argv[1] == "memory":
        measure_memory(int(sys.argv[2]), sys.argv[3])
        return
    name, port, count, connections = sys.argv[1], *map(int, sys.argv[2:5])
    SENDERS[name](port, 200, connections)  # what is loaded and compiled once does not count
    started, used = time.perf_counter(), os.times()
    SENDERS[name](port, count, connections)
    seconds, now = time.perf_counter() - started, os.times()
    cpu = now.user + now.system - used.user - used.system
    print(json.dumps({"seconds": seconds, "cpu": cpu}))


if __name__ == "__main__":
    main()

"""A spool with a long log, made with plain SQL: what a relay has after weeks of work.

Run by itself it makes one: `panel_spool.py DIRECTORY [MESSAGES]`.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waypost.control.search_index import NAME, IndexWriter
from waypost.control.search_words import indexed_text
from waypost.spool import sqlite_opening
from waypost.spool.sqlite_search import search_texts

NAMES = [
    "anna", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "karim",
    "lena", "mallory", "niaj", "olivia", "peggy", "rupert", "sybil", "trent", "ursula", "victor",
    "walter", "xenia", "yusuf", "zoe",
]  # fmt: skip
WORDS = [
    "your", "order", "has", "shipped", "invoice", "password", "reset", "welcome", "newsletter",
    "weekly", "report", "alert", "login", "device", "account", "payment", "received", "reminder",
    "ticket", "updated", "Grüße",
]  # fmt: skip
LARGE = ("gmail.example", "outlook.example", "yahoo.example", "gmx.example")
SMALL = 3000
"""Domains of companies, each with its share of the other half."""

DELIVERED, BOUNCED, QUEUED, HELD = 2, 3, 0, 1

REPLIES = {
    DELIVERED: ("250 2.0.0 Ok: queued as 4XyZ1234", ""),
    BOUNCED: ("550 5.1.1 <nobody> User unknown", "unknown-recipient"),
    QUEUED: ("451 4.7.1 Greylisted, try again later", "greylisted"),
    HELD: ("", ""),
}

TRANSCRIPT = (
    "0.0 > MAIL FROM:<app@example.com> SIZE=4096\n0.0 > RCPT TO:<{to}>\n0.1 > DATA\n"
    "9.1 < 250 2.1.0 Ok\n9.1 < 250 2.1.5 Ok\n9.2 < 354 End data with <CR><LF>.<CR><LF>\n"
    "9.3 > (content, 4096 bytes)\n21.7 < {reply}"
)


@dataclass(frozen=True, slots=True)
class Made:
    """A message of the log, to be searched for."""

    identifier: int
    address: str
    subject: str
    message_id: str
    state: int


def make_spool(directory: Path, messages: int, *, queued: float, seed: int = 5) -> list[Made]:
    """Make a spool; some of its messages, from all over it. `queued`: the share that waits."""
    directory.mkdir(parents=True, mode=0o700)
    path = directory / "spool.sqlite"
    sqlite_opening.prepare(path)
    chance = random.Random(seed)
    sample: list[Made] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA cache_size = -200000")
        database.execute("BEGIN")
        rows = _rows(chance, messages, queued)
        for start in range(0, messages, 10_000):
            part = [next(rows) for _ in range(min(10_000, messages - start))]
            _insert(database, part)
            sample.append(part[chance.randrange(len(part))][0])
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return sample


def make_index(directory: Path) -> None:
    """Make the search index of a spool at once; a relay would take its time over it."""
    writer = IndexWriter(directory / NAME)
    after = writer.open()
    with closing(sqlite3.connect(directory / "spool.sqlite", isolation_level=None)) as database:
        while texts := search_texts(database, after, 2000):
            after = texts[-1].message
            writer.add([(one.message, indexed_text(one)) for one in texts], after)
    writer.close(complete=True)


def _rows(
    chance: random.Random, messages: int, queued: float
) -> Iterator[tuple[Made, tuple[Any, ...]]]:
    now = time.time()
    first = now - 10 * 86400
    step = 10 * 86400 / messages
    for number in range(messages):
        at = first + number * step
        identifier = int(at * 1_000_000)
        domain = (
            chance.choice(LARGE) if chance.random() < 0.5
            else f"customer{int(SMALL * chance.random() ** 2)}.example"
        )  # fmt: skip
        address = f"{chance.choice(NAMES)}.{chance.randrange(200_000)}@{domain}"
        subject = " ".join(chance.choice(WORDS) for _ in range(5)) + f" #{number}"
        message_id = f"<{chance.getrandbits(96):x}@app{chance.randrange(9)}.example.com>"
        draw = chance.random()
        state = QUEUED if draw < queued else BOUNCED if draw > 0.99 else DELIVERED
        if draw > 0.9995:
            state = HELD
        made = Made(identifier, address, subject, message_id, state)
        yield made, (at, now + 86400 * 3, domain)


def _insert(database: sqlite3.Connection, part: list[tuple[Made, tuple[Any, ...]]]) -> None:
    database.executemany(
        "INSERT INTO message (id, reverse_path, received_at, expires_at, user, client, size, "
        "subject, message_id, options, checksum, in_file) "
        "VALUES (?, ?, ?, ?, NULL, '192.0.2.7', 4096, ?, ?, '', 0, 0)",
        [
            (m.identifier, f"app{m.identifier % 7}@example.com", at, expires, m.subject,
             m.message_id)
            for m, (at, expires, _) in part
        ],
    )  # fmt: skip
    database.executemany(
        "INSERT INTO recipient (message, number, address, domain, options, state, attempts, "
        "due_at, started, reply, reason) VALUES (?, 0, ?, ?, '', ?, 1, ?, 0, ?, ?)",
        [
            (m.identifier, m.address, domain, m.state,
             expires - 3600 if m.state == QUEUED else 0.0, *REPLIES[m.state])
            for m, (_, expires, domain) in part
        ],
    )  # fmt: skip
    database.executemany(
        "INSERT INTO attempt (message, started_at, serial, seconds, route, next_hop, tls, "
        "uncertain, results, transcript) VALUES (?, ?, 1, 0.0217, 'default', "
        "'mx.example[192.0.2.1]:25', '', 0, ?, ?)",
        [
            (m.identifier, at + 0.01,
             f'[[0,{m.state},0.0,"{REPLIES[m.state][0]}","{REPLIES[m.state][1]}"]]',
             TRANSCRIPT.format(to=m.address, reply=REPLIES[m.state][0]))
            for m, (at, _, _) in part
        ],
    )  # fmt: skip
    database.executemany(
        "INSERT INTO body (message, content) VALUES (?, ?)",
        [
            (m.identifier, b"Subject: %d\r\n\r\nkept\r\n" % m.identifier)
            for m, _ in part
            if m.state in (QUEUED, HELD)
        ],
    )


if __name__ == "__main__":
    begun = time.monotonic()
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    make_spool(Path(sys.argv[1]), number, queued=0.05)
    print(f"{number:,} messages in {time.monotonic() - begun:.0f} s")

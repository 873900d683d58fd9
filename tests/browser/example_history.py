"""A week of mail that never was, for pictures: counted by the relay's own statistics, kept where a
relay finds it when it starts."""

from __future__ import annotations

import asyncio
import math
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from waypost.control.database import NAME, ControlDatabase
from waypost.control.statistics_book import Book
from waypost.control.statistics_counting import Counting
from waypost.control.statistics_kept import StatisticsStore
from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.contract import (
    AttemptRecord,
    NewMessage,
    QueuedMessage,
    QueuedRecipient,
    RecipientResult,
    RecipientState,
)

MINUTES = 7 * 24 * 60
STEP = 10

DOMAINS = {
    "gmail.com": 40, "outlook.com": 22, "yahoo.com": 9, "web.de": 8, "example.net": 12,
    "example.edu": 6, "slow.example": 3,
}  # fmt: skip

REFUSALS = (
    (0.015, RecipientState.BOUNCED, "550 5.1.1 There is no such user here", "unknown-recipient"),
    (0.05, RecipientState.QUEUED, "421 4.7.0 Try again later, closing connection", "rate-limited"),
)


def write_history(data: Path, now: float) -> None:
    """Into the data folder of a relay that does not run yet."""
    chance, counting, book = random.Random(20), Counting(), Book()
    for minute in range(MINUTES, 0, -STEP):
        at = now - minute * 60
        for _ in range(_load(at, chance)):
            _count(counting, at, chance)
        # Long past, so that the last minute is the relay's own.
        book.lay(counting.gathered(), at, -minute * 60.0)

    async def save() -> None:
        database = ControlDatabase(data / NAME)
        store = StatisticsStore(database)
        await store.load()
        await store.save(book.kept())
        database.close()

    with ThreadPoolExecutor(1) as apart:  # Playwright's loop runs in this thread
        apart.submit(asyncio.run, save()).result()


def _load(at: float, chance: random.Random) -> int:
    """More by day than by night, less at the weekend."""
    hour, day = at % 86400 / 3600, int(at // 86400) % 7
    wave = 0.55 - 0.45 * math.cos((hour - 3) / 24 * 2 * math.pi)
    return max(0, round((18 if day in (2, 3) else 55) * wave + chance.gauss(0, 3)))


def _count(counting: Counting, at: float, chance: random.Random) -> None:
    (domain,) = chance.choices(list(DOMAINS), list(DOMAINS.values()))
    envelope = Envelope("shop@example.com", (Recipient(f"customer@{domain}"),))
    identifier = int(at * 1e6)
    message = NewMessage(
        identifier, envelope, at, at + 86400, at, "shop", "192.0.2.10", 6200, "Your order", "",
        False,
    )  # fmt: skip
    queued = QueuedMessage(
        identifier, envelope, [QueuedRecipient(0, f"customer@{domain}", 0, at)], at, at + 86400,
        "shop", 6200, False,
    )  # fmt: skip
    drawn, state, reply, reason = chance.random(), RecipientState.DELIVERED, "250 2.0.0 OK", ""
    for share, *refusal in REFUSALS:
        if drawn < share:
            state, reply, reason = refusal  # type: ignore[assignment]
            break
    slow = 9.0 if domain == "slow.example" else 1.0
    first = chance.lognormvariate(-2.0, 0.4) * slow
    route = "shop" if chance.random() < 0.8 else "partners"
    record = AttemptRecord(
        identifier, at, first * 2, route, f"mx1.{domain}[192.0.2.25]:25", "TLSv1.3",
        (RecipientResult(0, state, at + 900, reply, reason),),
        f"{first * 1000:.0f} < 220 mx1.{domain} ESMTP\n",
    )  # fmt: skip
    counting.take(message, None)
    counting.take(queued, record)

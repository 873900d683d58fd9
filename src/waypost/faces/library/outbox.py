"""The outbox of an application: mail is written down with what it is about, and sent afterwards.

    outbox = Outbox("smtp://user:password@mail.example.com:587", "sqlite:shop.sqlite")
    outbox.create_table()
    outbox.start()

    with connection:                                    # the application's own transaction
        connection.execute("INSERT INTO orders ...")
        outbox.add(connection=connection, idempotency_key=f"order-{number}",
                   from_="shop@example.com", to="ann@example.org", subject="Your order",
                   text="It is on its way.")

The mail is there exactly when the order is. A worker in this process (`start`), in another one, or
`waypost serve` with [[outbox]] sends it: by schedule, until it is taken, refused for good or
expired.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from waypost.delivery.retry import DEFAULT_EXPIRY, RetrySchedule
from waypost.errors import ConfigurationError, DeliveryError, WaypostError
from waypost.faces.library.prepared import Parts, Sendable, prepare
from waypost.faces.library.settings import machine_name
from waypost.mail.compose import ContentSource, Outgoing
from waypost.net.clock import Clock, SystemClock
from waypost.outbox import statements
from waypost.outbox.connections import database_of, run, run_async
from waypost.outbox.entry import LeasedEntry, NewEntry, OutboxCounts, Progress
from waypost.outbox.statements import DIALECTS, Style
from waypost.outbox.store import Connect, OutboxStore, UnknownDatabase, add_values, connect_to
from waypost.outbox.worker import OutboxWorker, WorkerSettings
from waypost.smtp.envelope import Envelope

if TYPE_CHECKING:
    from waypost.faces.library.mailer import Mailer
    from waypost.faces.library.result import RecipientResult, Result

STYLES: Final[tuple[Style, ...]] = ("qmark", "format", "numeric")

OnFinished = Callable[["Finished"], object]


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` did."""

    identifier: int
    """Of the entry: the one that was added, or the one that has the same key."""
    is_new: bool
    """False: an entry with this idempotency key was there already, and nothing was added."""


@dataclass(frozen=True, slots=True)
class FinishedRecipient:
    """What became of one recipient in the end."""

    address: str
    delivered: bool
    reply: str
    """What the server said, or why it was given up."""
    reason: str
    """From Waypost's taxonomy; "" for a success."""


@dataclass(frozen=True, slots=True)
class Finished:
    """An entry that has come to its end."""

    identifier: int
    attempts: int
    uncertain: int
    """Attempts whose outcome nobody knows: the message may have come so many times more."""
    recipients: tuple[FinishedRecipient, ...]

    def __bool__(self) -> bool:
        return all(one.delivered for one in self.recipients)


class Outbox:
    """See the module.

    `mailer` is a Mailer, or the URL of one, or None where something else empties the outbox.
    `database` is "sqlite:PATH", "postgresql://...", or a function that opens a connection. Times
    are in seconds. `on_finished` is called in the worker's thread with each entry that has come to
    its end. An attempt that was cut off is made again, as the mail would be lost otherwise; such
    attempts are counted.

    Raises ConfigurationError.
    """

    def __init__(
        self,
        mailer: Mailer | str | None,
        database: str | Connect,
        *,
        concurrency: int = 4,
        poll_seconds: float = 1.0,
        lease_seconds: float = 120.0,
        retention: float = 7 * 86400.0,
        expire_after: float = DEFAULT_EXPIRY,
        schedule: RetrySchedule | None = None,
        on_finished: OnFinished | None = None,
        hostname: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        try:
            self._connect = connect_to(database) if isinstance(database, str) else database
            self._settings = WorkerSettings(
                concurrency, poll_seconds, lease_seconds, retention, schedule or RetrySchedule()
            )
        except ValueError as fault:
            raise ConfigurationError(str(fault)) from fault
        self._mailer = mailer
        self._made: Mailer | None = None
        self._expire_after = expire_after
        self._on_finished = on_finished
        self._hostname = hostname or machine_name()
        self._clock = clock or SystemClock()
        self._store = OutboxStore(self._connect)
        self._worker: OutboxWorker | None = None

    # --- adding -----------------------------------------------------------------------------

    def add(
        self,
        message: Sendable | None = None,
        *,
        connection: Any = None,
        idempotency_key: str | None = None,
        not_before: dt.datetime | None = None,
        **parts: Unpack[Parts],
    ) -> Added:
        """Write a message down, in the transaction of `connection`; nothing is committed here.

        What a message can be is told by `waypost.send`. Without a connection the outbox uses one of
        its own, and commits. A second message with the same `idempotency_key` is not added. Raises
        InvalidMessage, waypost.outbox.connections.UnknownConnection, and what the driver raises.
        """
        entry = self._entry(message, idempotency_key, not_before, parts)
        if connection is not None:
            return _add(connection, entry)
        own = self._connect()
        try:
            added = _add(own, entry)
            own.commit()
        finally:
            own.close()
        self.wake()
        return added

    async def add_async(
        self,
        message: Sendable | None = None,
        *,
        connection: Any,
        idempotency_key: str | None = None,
        not_before: dt.datetime | None = None,
        **parts: Unpack[Parts],
    ) -> Added:
        """`add`, over a connection of asyncpg, psycopg.AsyncConnection or aiosqlite."""
        entry = self._entry(message, idempotency_key, not_before, parts)
        database = database_of(connection)
        values = add_values(entry)
        rows = await run_async(
            database, *statements.rendered(statements.ADD, database.style, values)
        )
        if rows:
            return Added(int(rows[0][0]), is_new=True)
        found = await run_async(
            database, *statements.rendered(statements.FIND_KEY, database.style, values)
        )
        return Added(int(found[0][0]), is_new=False)

    def insertion(
        self,
        message: Sendable | None = None,
        *,
        style: Style = "qmark",
        idempotency_key: str | None = None,
        not_before: dt.datetime | None = None,
        **parts: Unpack[Parts],
    ) -> tuple[str, tuple[Any, ...]]:
        """The statement that adds a message, and its values, for a connection of another kind.

        `style` is how it writes values: "qmark" (?), "format" (%s) or "numeric" ($1).
        """
        if style not in STYLES:
            raise ConfigurationError(f"style is {style!r}", fix=f"give one of {', '.join(STYLES)}")
        entry = self._entry(message, idempotency_key, not_before, parts)
        return statements.rendered(statements.ADD, style, add_values(entry))

    def _entry(
        self,
        message: Sendable | None,
        key: str | None,
        not_before: dt.datetime | None,
        parts: Parts,
    ) -> NewEntry:
        prepared = prepare(message, parts, self._clock, self._hostname)
        now = self._clock.now()
        due_at = now
        if not_before is not None:
            if not_before.tzinfo is None:
                raise ConfigurationError(
                    "not_before has no time zone", fix="use datetime.now(timezone.utc) and the like"
                )
            due_at = max(now, not_before.timestamp())
        return NewEntry(
            prepared.envelope,
            prepared.content.read(),
            now,
            due_at,
            due_at + self._expire_after,
            key,
        )

    # --- sending ----------------------------------------------------------------------------

    def create_table(self, connection: Any = None) -> None:
        """Create the table where it is not there; in the transaction of `connection`, if given.

        For migrations of your own, `schema` has the statements.
        """
        if connection is None:
            self._store.create()
            self._store.close()
            return
        database = database_of(connection)
        for statement in database.dialect.create:
            run(database, statement, ())

    @staticmethod
    def schema(database: str) -> tuple[str, ...]:
        """The statements that make the table, for "sqlite" or "postgresql"."""
        dialect = DIALECTS.get(database)
        if dialect is None:
            raise ConfigurationError(
                f"there is no schema for {database!r}", fix=f"known are {', '.join(DIALECTS)}"
            )
        return tuple(statement.strip() for statement in dialect.create)

    def start(self) -> None:
        """Send in the background until `stop`. Several processes may do so at a time."""
        if self._worker is not None:
            raise RuntimeError("this outbox is started already")
        self._worker = self._made_worker()
        self._worker.start()

    def stop(self) -> None:
        """Begin nothing new, and wait for what is under way."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
        made, self._made = self._made, None
        if made is not None:
            made.close()

    def wake(self) -> None:
        """Look at once, rather than at the next poll: a transaction with mail was committed."""
        if self._worker is not None:
            self._worker.wake()

    def drain(self) -> int:
        """Send what is due now, and return how many attempts that were: for cron, and for tests."""
        if self._worker is not None:
            raise RuntimeError("this outbox is started; what is due is sent without drain")
        worker = self._made_worker()
        try:
            return worker.drain()
        finally:
            self._store.close()

    def retry_now(self) -> int:
        """Make everything due that was put off; how many entries."""
        store = OutboxStore(self._connect)
        try:
            return store.retry_now(self._clock.now())
        finally:
            store.close()
            self.wake()

    def counts(self) -> OutboxCounts:
        """How much waits, is finished, and could not be delivered."""
        store = OutboxStore(self._connect)
        try:
            return store.counts()
        finally:
            store.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _made_worker(self) -> OutboxWorker:
        if self._mailer is None:
            raise ConfigurationError(
                "this outbox has no mailer", fix="give a URL, or let `waypost serve` empty it"
            )
        if isinstance(self._mailer, str) and self._made is None:
            from waypost.faces.library.mailer import Mailer

            # One attempt at a time: the schedule of the outbox says when the next one is.
            self._made = Mailer(self._mailer, retry=1, pool_size=self._settings.concurrency)
        return OutboxWorker(
            self._store, self._carry, self._clock, random.SystemRandom(), self._settings,
            self._report if self._on_finished is not None else None,
        )  # fmt: skip

    def _carry(self, envelope: Envelope, content: bytes) -> Sequence[Progress]:
        mailer = self._made if isinstance(self._mailer, str) else self._mailer
        assert mailer is not None
        message = Outgoing(envelope, ContentSource.of_bytes(content), "")
        try:
            result = mailer.send(message)
        except WaypostError as error:
            if not isinstance(error, DeliveryError) or error.result is None:
                # The mailer, not the message, is at fault: somebody will mend that.
                return [
                    Progress(one.address, "temporary", str(error), error.reason)
                    for one in envelope.recipients
                ]
            result = error.result
        return _progress(result)

    def _report(self, entry: LeasedEntry, results: Sequence[Progress]) -> None:
        assert self._on_finished is not None
        self._on_finished(
            Finished(
                entry.identifier, entry.attempts, entry.uncertain,
                tuple(
                    FinishedRecipient(
                        one.address, one.kind == "delivered", one.reply, one.reason
                    )
                    for one in results
                ),
            )
        )  # fmt: skip


def _add(connection: Any, entry: NewEntry) -> Added:
    database = database_of(connection)
    if database.asynchronous:
        raise ConfigurationError(
            "this connection is one of asyncio", fix="use `await outbox.add_async(...)`"
        )
    values = add_values(entry)
    rows = run(database, *statements.rendered(statements.ADD, database.style, values))
    if rows:
        return Added(int(rows[0][0]), is_new=True)
    found = run(database, *statements.rendered(statements.FIND_KEY, database.style, values))
    return Added(int(found[0][0]), is_new=False)


def _progress(result: Result) -> list[Progress]:
    return [_progress_of(one) for one in result.recipients]


def _progress_of(one: RecipientResult) -> Progress:
    said = f"{one.reply.code} {one.reply.text}" if one.reply is not None else ""
    if one.state == "accepted":
        return Progress(one.address, "delivered", said, "")
    error = one.error
    reason = error.reason if error is not None else ""
    text = said or (error.what if error is not None else "")
    if one.state == "uncertain":
        return Progress(one.address, "temporary", text, reason, uncertain=True)
    permanent = error is not None and not error.temporary
    return Progress(one.address, "permanent" if permanent else "temporary", text, reason)


__all__ = ["Added", "Finished", "FinishedRecipient", "Outbox", "UnknownDatabase"]

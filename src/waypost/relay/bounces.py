"""Mail that comes back to the relay: each message leaves with a return path of its own, and what
arrives there is matched, recorded and passed on to the original sender.

At RCPT an address of the bounce domain is taken only where its token is genuine, its message is
still known and the sender is null: what answers a bounce must not be able to start a loop (RFC 5321
4.5.5). The content streams through the ordinary intake, as a message to the original sender; the
beginning of it is kept beside that, read, and recorded before the peer is told 250. A crash
before that leaves the bounce with the peer, which sends it again.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from waypost.delivery.engine import Engine
from waypost.delivery.routing import Patterns
from waypost.knowledge.classification import classify_text
from waypost.mail.bounce.reading import read_report
from waypost.mail.bounce.report import BounceReport, ReportedRecipient
from waypost.mail.return_path import SECRET_BYTES, ReturnPath, ReturnPaths
from waypost.net.clock import Clock
from waypost.relay.dates import DateSource
from waypost.relay.head_fields import HeadSource
from waypost.relay.intake import Intake, IntakeSettings, Origin
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import EnhancedStatus, Reply, reply
from waypost.spool.contract import (
    MessageFilter,
    MessageRow,
    QueuedMessage,
    RecipientRow,
    Spool,
    SpoolRefusal,
)

KEY_FILE: Final = "return-paths.key"
"""The file in the data folder that holds the secret of the tokens."""

READ_BYTES: Final = 256 * 1024
"""Of a bounce; what is behind it is passed on unread."""

MAXIMUM_WORDS: Final = 500
"""Characters of a diagnostic text in an event."""


@dataclass(frozen=True, slots=True)
class BounceSettings:
    """Where mail comes back to."""

    domain: str
    senders: tuple[str, ...] = ()
    """Patterns of senders whose mail leaves with a return path of ours; none: those of the domain
    directly above ours, with which SPF stays aligned (RFC 7489 3.1.2)."""


@dataclass(frozen=True, slots=True)
class Returned:
    """A bounce that is expected: of which message, and for which recipient where that is known."""

    message: MessageRow
    recipient: int | None


class Bounces:
    """See the module. One for a relay whose configuration has a bounce domain."""

    def __init__(self, settings: BounceSettings, secret: bytes, spool: Spool, clock: Clock) -> None:
        self._paths = ReturnPaths(settings.domain, secret)
        above = settings.domain.lower().partition(".")[2]
        self._senders = Patterns(settings.senders or (above,))
        self._spool = spool
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    # --- going out --------------------------------------------------------------------------

    def outgoing(self, message: QueuedMessage) -> Envelope | None:
        """The envelope that goes out in place of the message's own; None: its own.

        Recipients that share a transaction share a return path, which then names the message
        alone: giving each its own would send the content once for each.
        """
        envelope = message.envelope
        sender = envelope.reverse_path.lower()
        domain = sender.rpartition("@")[2]
        if not sender or domain == self._paths.domain or not self._senders.match(sender, domain):
            return None
        recipients = message.recipients
        number = recipients[0].number if len(recipients) == 1 else None
        path = self._paths.write(ReturnPath(message.identifier, number))
        return replace(envelope, reverse_path=path)

    # --- coming back ------------------------------------------------------------------------

    def concerns(self, envelope: Envelope | None, address: str) -> bool:
        """Whether a recipient is for us to judge: it, or one before it, is in our domain."""
        before = envelope.recipients if envelope is not None else ()
        return self._paths.owns(address) or (bool(before) and self._paths.owns(before[0].address))

    async def judge(self, envelope: Envelope | None, address: str) -> Returned | Reply:
        """At RCPT: what is expected there, or the refusal."""
        if envelope is not None and envelope.recipients:
            return reply(452, "4.5.3", "One bounce has one recipient: send this one by itself")
        path = self._paths.read(address)
        if path is None:
            return reply(550, "5.1.1", f"<{address}>: no return path that this relay has written")
        if envelope is None or envelope.reverse_path:
            return reply(
                550, "5.7.1", f"<{address}>: takes bounces only, which have the null sender <>"
            )
        try:
            found = await self._spool.messages(MessageFilter((path.message,)))
        except SpoolRefusal as fault:
            return reply(451, "4.3.0", f"Cannot look for the message now: {fault.text}")
        if not found or not found[0].reverse_path:
            return reply(550, "5.1.1", f"<{address}>: the message is not known here any more")
        return Returned(found[0], path.recipient)

    def record(
        self, returned: Returned, content: bytes, done: Callable[[Reply | None], None]
    ) -> None:
        """Record what a bounce says; `done` is called when that is durable, or with a refusal."""
        task = asyncio.get_running_loop().create_task(self._record(returned, content, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until all that is being recorded is durable."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _record(
        self, returned: Returned, content: bytes, done: Callable[[Reply | None], None]
    ) -> None:
        report = await asyncio.to_thread(read_report, content)
        try:
            for row, one in concerned(report, returned):
                await self._note(report, returned.message.identifier, row, one)
        except SpoolRefusal as fault:
            done(reply(451, "4.3.0", f"The bounce could not be recorded: {fault.text}"))
            return
        done(None)

    async def _note(
        self, report: BounceReport, message: int, row: RecipientRow, one: ReportedRecipient
    ) -> None:
        """One recipient: what is to be sent there no more, then the event that tells of it."""
        if report.kind == "complaint":
            told = {"type": report.feedback_type, "suppressed": True}
            reason, suppressed, name = f"complaint ({report.feedback_type})", True, "complained"
        else:
            status = EnhancedStatus.parse(one.status) if one.status else None
            words = one.diagnostic or report.words
            found = classify_text(words, enhanced=status)
            suppressed, name = found.action == "suppress", "bounced"
            said = one.diagnostic[:MAXIMUM_WORDS]
            reason = f"bounced later: {found.reason} {one.status} {said}"[:MAXIMUM_WORDS].strip()
            told = {
                "asynchronous": True, "status": one.status, "reply": said, "reason": found.reason,
                "remote_mta": one.remote_mta[:MAXIMUM_WORDS], "suppressed": suppressed,
            }  # fmt: skip
        if suppressed:
            await self._spool.suppress(row.address, reason)
        detail = json.dumps(told)
        await self._spool.append_event(name, message, self._clock.now(), detail, row.number)


def concerned(
    report: BounceReport, returned: Returned
) -> Iterator[tuple[RecipientRow, ReportedRecipient]]:
    """The message's recipients that a report says something final of, each once.

    Where the token names the recipient, it counts, whatever address the report gives: that may be
    one behind an alias. Otherwise a report says nothing of addresses that the message did not have.
    """
    if report.kind == "bounce":
        reported = [one for one in report.recipients if one.action == "failed"]
    elif report.kind == "complaint":
        reported = list(report.recipients)
    else:
        return
    rows = returned.message.recipients
    if returned.recipient is not None:
        row = next((one for one in rows if one.number == returned.recipient), None)
        if row is not None and reported:
            yield row, reported[0]
        return
    for row in rows:
        address = row.address.lower()
        for one in reported:
            if address in (one.address.lower(), one.original.lower()):
                yield row, one
                break


class BounceIntake(Intake):
    """A bounce on its way in, and on to the original sender."""

    __slots__ = ("_begin", "_bounces", "_returned")

    def __init__(
        self,
        settings: IntakeSettings,
        spool: Spool,
        engine: Engine,
        dates: DateSource,
        envelope: Envelope,
        origin: Origin,
        head_source: HeadSource | None,
        bounces: Bounces,
        returned: Returned,
    ) -> None:
        sender = returned.message.reverse_path
        onward = Envelope(
            "", (Recipient(sender),), envelope.body, envelope.smtputf8 or not sender.isascii(),
            declared_size=envelope.declared_size,
        )  # fmt: skip
        super().__init__(settings, spool, engine, dates, onward, origin, head_source)
        self._bounces = bounces
        self._returned = returned
        self._begin = bytearray()

    def take(self, data: bytes) -> None:
        """Content as it arrives."""
        room = READ_BYTES - len(self._begin)
        if room > 0:
            self._begin += data[:room]
        super().take(data)

    def finish(self, done: Callable[[Reply | None, str], None]) -> None:
        """See Intake; `done` comes when what the bounce says is recorded as well."""

        def stored(refusal: Reply | None, identifier: str) -> None:
            if refusal is not None:
                done(refusal, "")
                return

            def recorded(failure: Reply | None) -> None:
                done(failure, identifier if failure is None else "")

            self._bounces.record(self._returned, bytes(self._begin), recorded)

        super().finish(stored)


def return_path_secret(folder: Path) -> bytes:
    """The secret in the data folder, made where there is none. Raises OSError, also for
    one that is damaged."""
    file = folder / KEY_FILE
    try:
        found = file.read_bytes()
    except FileNotFoundError:
        made = folder / f"{KEY_FILE}.{os.getpid()}"
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(SECRET_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        made.replace(file)
        found = file.read_bytes()
    if len(found) != SECRET_BYTES:
        raise OSError(
            f"{file} has {len(found)} bytes in place of {SECRET_BYTES}; restore it from a backup, "
            "or remove it: bounces of mail that has left already are refused then"
        )
    return found

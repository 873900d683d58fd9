"""From content on the wire to a durable message: the header fields that a relay adds, the loop
check, the body writer, the commit.

The content streams through: only its header block (bounded) is looked at, the rest goes to the
body writer as it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from waypost.delivery.engine import Engine
from waypost.mail.headers import HeaderBlock, HeaderFault
from waypost.mail.trace import message_id, received_field
from waypost.relay.dates import DateSource
from waypost.relay.head_fields import HeadFields, HeadSource
from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import Reply, reply
from waypost.spool.contract import BodyWriter, NewMessage, Spool, SpoolFull
from waypost.spool.identifiers import identifier_text
from waypost.values import unguarded

MAXIMUM_SUBJECT: Final = 200
"""Bytes of the Subject field kept for lists."""


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """What is asked of the content. Sizes in bytes."""

    hostname: str
    maximum_header: int = 256 * 1024
    maximum_fields: int = 1000
    maximum_hops: int = 50
    """Received fields from which a message is taken to be in a loop (RFC 5321 6.3)."""


@unguarded
@dataclass(frozen=True, slots=True)
class Origin:
    """Where a transaction comes from, for the trace and the log."""

    hello_name: str
    address: str
    protocol: str
    """ESMTP, ESMTPSA and the like (RFC 3848)."""
    tls: str
    user: str | None
    submission: bool
    """Missing Date and Message-ID are added (RFC 6409 8)."""


class Intake:
    """One message on its way in."""

    __slots__ = (
        "_dates",
        "_engine",
        "_envelope",
        "_head",
        "_head_fields",
        "_head_source",
        "_identifier",
        "_message_id",
        "_origin",
        "_past_head",
        "_settings",
        "_spool",
        "_subject",
        "finishing",
        "refusal",
        "writer",
    )  # fmt: skip

    def __init__(
        self,
        settings: IntakeSettings,
        spool: Spool,
        engine: Engine,
        dates: DateSource,
        envelope: Envelope,
        origin: Origin,
        head_source: HeadSource | None = None,
    ) -> None:
        self._head_source = head_source
        self._head_fields: HeadFields | None = None
        self._settings = settings
        self._spool = spool
        self._engine = engine
        self._dates = dates
        self._envelope = envelope
        self._origin = origin
        self._head = bytearray()
        """Content until its header is whole."""
        self._past_head = False
        self._subject = ""
        self._message_id = ""
        self.finishing = False
        """The message has been handed to the spool: it is no longer ours to discard."""
        self.refusal: Reply | None = None
        """Why the content cannot be taken; found while it streams, said at its end."""
        self.writer: BodyWriter = spool.body_writer(envelope.declared_size)
        self._identifier = identifier_text(self.writer.identifier)

    def take(self, data: bytes) -> None:
        """Content as it arrives."""
        if self._past_head:
            self.writer.write(data)
            if self._head_fields is not None:
                self._head_fields.body(data)
            return
        if self.refusal is not None:
            return
        head = self._head
        if not head:
            self._look_at_head(data, whole=False)
            if not self._past_head and self.refusal is None:
                head += data
            return
        # A header that comes in many pieces is looked at when it may be whole, not with each.
        looked = max(0, len(head) - 3)
        head += data
        if (
            head.find(b"\r\n\r\n", looked) >= 0
            or head.startswith(b"\r\n")
            or len(head) > self._settings.maximum_header
        ):
            self._look_at_head(bytes(head), whole=False)

    def _look_at_head(self, content: bytes, *, whole: bool) -> None:
        settings = self._settings
        try:
            block = HeaderBlock.scan(
                content,
                maximum_size=settings.maximum_header,
                maximum_fields=settings.maximum_fields,
                whole=whole,
            )
        except HeaderFault as fault:
            self._refuse(reply(552, "5.6.0", str(fault)))
            return
        if block is None:
            return
        if block.received_count > settings.maximum_hops:
            self._refuse(
                reply(
                    554,
                    "5.4.6",
                    f"Mail loop: the message has passed {block.received_count} servers "
                    f"(at most {settings.maximum_hops})",
                )
            )
            return
        origin, envelope = self._origin, self._envelope
        now = self._dates.now()
        date = self._dates.text(now)
        recipients = envelope.recipients
        added = received_field(
            hello_name=origin.hello_name,
            client_address=origin.address,
            hostname=settings.hostname,
            protocol=origin.protocol,
            identifier=self._identifier,
            date=date,
            tls=origin.tls,
            recipient=recipients[0].address if len(recipients) == 1 else None,
        )
        self._subject = block.raw_field(b"subject", MAXIMUM_SUBJECT)
        self._message_id = block.raw_field(b"message-id", MAXIMUM_SUBJECT)
        if origin.submission and not self._message_id:
            self._message_id = message_id(self._identifier, settings.hostname)
            added += b"Message-ID: %b\r\n" % self._message_id.encode()
        if origin.submission and not block.has(b"date"):
            added += b"Date: %b\r\n" % date.encode()
        if content and not content.startswith(b"\r\n") and not block.starts_with_field:
            added += b"\r\n"  # no header at all: what we add must not swallow the first line
        self._head.clear()
        self._past_head = True
        if self._head_source is not None:
            content = self._leave_room(self._head_source, block, added, content, now)
        self.writer.write(added + content)

    def _leave_room(
        self, source: HeadSource, block: HeaderBlock, added: bytes, content: bytes, now: float
    ) -> bytes:
        """Leave room for fields that need the body, and show them what is here; what to keep."""
        origin = self._origin
        fields = source.begin(
            block, added, self._envelope, client=(origin.address, origin.hello_name),
            user=origin.user, now=now,
        )  # fmt: skip
        if fields is None:
            return content
        self._head_fields = fields
        self.writer.reserve(fields.room)
        behind = content[len(block.block) :]
        fields.body(behind[2:])
        return fields.block + behind

    def _refuse(self, refusal: Reply) -> None:
        self.refusal = refusal
        self._head = bytearray()
        self.writer.discard()

    def found_eight_bit(self, *, in_header: bool) -> None:
        """The content has octets beyond US-ASCII, as a sender of SMTP would have said before it
        (BODY=8BITMIME, RFC 6152; SMTPUTF8 for its header, RFC 6531)."""
        envelope = self._envelope
        utf8 = envelope.smtputf8 or in_header
        self._envelope = replace(envelope, body="8BITMIME", smtputf8=utf8)

    def finish(self, done: Callable[[Reply | None, str], None]) -> None:
        """The content is whole. `done(None, identifier)` is called when it is durable, and
        `done(refusal, "")` when it is not and never will be."""
        if not self._past_head and self.refusal is None:
            self._look_at_head(bytes(self._head), whole=True)
        if self.refusal is not None:
            done(self.refusal, "")
            return
        self.finishing = True
        head_fields = self._head_fields
        if head_fields is None:
            self._append(done)
            return

        def known(fields: bytes | Reply) -> None:
            if isinstance(fields, Reply):
                self.writer.discard()
                done(fields, "")
                return
            self.writer.fill(head_fields.padded(fields) if self.writer.is_exact else fields)
            self._append(done)

        head_fields.finish(known)

    def _append(self, done: Callable[[Reply | None, str], None]) -> None:
        engine = self._engine
        now = due_at = self._dates.now()
        plan = engine.plan(self._envelope, self._origin.user)
        hold_until = self._envelope.hold_until
        waits = hold_until is not None and hold_until > now
        if hold_until is not None and waits:
            due_at = hold_until
        writer = self.writer
        message = NewMessage(
            writer.identifier, self._envelope, now, due_at + plan.expire_after, due_at,
            self._origin.user, self._origin.address, writer.size, self._subject,
            self._message_id, plan.starts and not waits,
        )  # fmt: skip

        def durable(failure: Exception | None) -> None:
            if failure is None:
                done(None, self._identifier)
                if waits:
                    engine.admit_later(message, plan)
                else:
                    engine.admit(message, body, plan)
            elif isinstance(failure, SpoolFull):
                done(reply(452, "4.3.1", "Insufficient storage: try again later"), "")
            else:
                done(reply(451, "4.3.0", "The message could not be stored: try again later"), "")

        body = self._spool.append(message, writer, durable)

    def discard(self) -> None:
        """The transaction ends without a message."""
        if self._head_fields is not None:
            self._head_fields.discard()
        self.writer.discard()

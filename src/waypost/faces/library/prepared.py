"""A message made ready to be sent, of whatever the caller gave: keywords, a message, or bytes.

Making it ready reads the clock once and takes a Message-ID of its own, so that every attempt, and
every copy that a lost answer may leave behind, carries the same identifier.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from email.message import EmailMessage, Message
from typing import Any, Final, TypeAlias, TypedDict, cast

from waypost.errors import InvalidMessage
from waypost.mail import compose as composing
from waypost.mail.compose import (
    Addresses,
    AddressLike,
    ContentSource,
    Outgoing,
    Unsubscribe,
)
from waypost.mail.compose_addresses import mailbox
from waypost.mail.compose_attachments import AttachmentLike
from waypost.mail.compose_content import raw_field
from waypost.mail.compose_fields import GivenHeaders
from waypost.net.clock import Clock
from waypost.smtp.client_commands import Transaction, mail_command, rcpt_command
from waypost.smtp.envelope import Envelope
from waypost.smtp.extensions import Capabilities
from waypost.smtp.framing import has_bare_line_end, normalise_line_ends
from waypost.spool.contract import BodyDamaged

IN_MEMORY: Final = 256 * 1024
"""Octets up to which a content is held whole: it then goes in one write with its commands."""


class Parts(TypedDict, total=False):
    """What a message can be made of; `waypost.mail.compose.compose` tells what each means."""

    from_: AddressLike
    to: Addresses
    cc: Addresses
    bcc: Addresses
    reply_to: Addresses
    sender: AddressLike
    subject: str
    text: str | None
    html: str | None
    attachments: Iterable[AttachmentLike] | AttachmentLike
    inline: Mapping[str, AttachmentLike]
    calendar: str | bytes
    headers: GivenHeaders
    list_unsubscribe: str | Unsubscribe | Iterable[str | Unsubscribe]
    date: dt.datetime
    message_id: str


Sendable: TypeAlias = "Message[Any, Any] | Outgoing | bytes | Parts | Mapping[str, Any]"
"""What can be sent: a message of the standard library, one that `prepare` has made, a whole message
as bytes (then from_ and to are given beside it), or a mapping of keywords."""


class Content:
    """The content of a message as a connection takes it (spool.contract.Body)."""

    __slots__ = ("fault", "size", "source", "whole")

    def __init__(self, source: ContentSource) -> None:
        self.source = source
        self.size = source.size
        self.fault: Exception | None = None
        """Why it could not be read to its end."""
        whole = source.whole
        self.whole: bytes | None = whole if whole is not None and self.size <= IN_MEMORY else None

    def read(self) -> bytes:
        """All of it in memory. Raises OSError and ValueError."""
        return self.source.read()

    async def chunks(self) -> AsyncIterator[bytes]:
        """In pieces. Raises BodyDamaged, so that a message cut short is never ended as if whole."""
        try:
            for chunk in self.source.chunks():
                yield chunk
        except (OSError, ValueError) as fault:
            self.fault = fault
            raise BodyDamaged(str(fault)) from fault


class Prepared:
    """A message, ready: envelope, content, identifier."""

    __slots__ = ("_again", "_seven_bit", "content", "envelope", "is_8bit", "message_id")

    def __init__(self, outgoing: Outgoing, again: Callable[[], Outgoing] | None = None) -> None:
        self.envelope = outgoing.envelope
        _check_addresses(outgoing.envelope)
        self.content = Content(outgoing.content)
        self.is_8bit = outgoing.content.is_8bit
        self.message_id = outgoing.message_id
        self._again = again
        self._seven_bit: Content | None = None

    def for_server(self, *, eight_bit: bool) -> Content:
        """The content as a server can take it. Without 8BITMIME a body in 8 bits is encoded (RFC
        6152 3); one given as bytes goes as it is, as its signatures may not be broken."""
        if eight_bit or not self.is_8bit or self._again is None:
            return self.content
        if self._seven_bit is None:
            self._seven_bit = Content(self._again().content)
        return self._seven_bit


def _check_addresses(envelope: Envelope) -> None:
    """Whether each can stand in its command. Composing has made sure of it; an envelope of the
    caller's own is checked here, before a connection is taken for it. Raises InvalidMessage."""
    ordinary = _ORDINARY.fullmatch
    if all(map(ordinary, [one.address for one in envelope.recipients])) and (
        not envelope.reverse_path or ordinary(envelope.reverse_path)
    ):
        return
    try:
        mail_command(Transaction(envelope, 0), _OFFERS_NOTHING)
        for recipient in envelope.recipients:
            rcpt_command(recipient, _OFFERS_NOTHING)
    except ValueError as fault:
        raise InvalidMessage(
            f"the message cannot be sent: {fault}",
            fix="give addresses like ann@example.org",
            reason="invalid-message",
        ) from fault


_ORDINARY: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,255}")
_OFFERS_NOTHING: Final = Capabilities()


def prepare(given: Sendable | None, parts: Parts, clock: Clock, hostname: str) -> Prepared:
    """Make a message ready. Raises errors.InvalidMessage."""
    try:
        if isinstance(given, Outgoing):
            if parts:
                raise _superfluous(parts, "a prepared message")
            return Prepared(given)
        if isinstance(given, bytes):
            return _of_bytes(given, parts)
        if isinstance(given, Message):
            return _of_message(given, parts, clock, hostname)
        if isinstance(given, Mapping):
            return _composed(cast("Parts", {**given, **parts}), clock)
        if given is None:
            return _composed(parts, clock)
    except composing.InvalidMessage as fault:
        raise InvalidMessage(
            f"the message cannot be sent: {fault.field}: {fault.problem}",
            fix=fault.advice or "correct it; nothing was sent",
            reason="invalid-message",
        ) from fault
    except OSError as fault:
        raise InvalidMessage(
            f"the message cannot be sent: {fault.filename or 'an attachment'} cannot be read: "
            f"{fault.strerror or fault}",
            fix="check the path and its permissions; nothing was sent",
            reason="invalid-message",
        ) from fault
    raise InvalidMessage(
        f"a {type(given).__name__} is no message",
        fix="give an EmailMessage, bytes with from_ and to, or keywords (from_, to, subject, text)",
        reason="invalid-message",
    )


def _composed(parts: Parts, clock: Clock) -> Prepared:
    unknown = set(parts) - set(Parts.__annotations__)
    if unknown:
        name = min(unknown)
        raise InvalidMessage(
            f"the message cannot be sent: there is no keyword {name!r}",
            fix="use from_ (with its underscore)" if name == "from"
            else f"known are {', '.join(sorted(Parts.__annotations__))}",
            reason="invalid-message",
        )  # fmt: skip
    if "from_" not in parts:
        raise InvalidMessage(
            "the message cannot be sent: from_ is missing",
            fix='give who sends it: from_="App <app@example.com>"',
            reason="invalid-message",
        )
    keywords: dict[str, Any] = {"date": _now(clock), **parts}
    if "message_id" not in keywords:
        domain = mailbox(parts["from_"], "from_").wire.rpartition("@")[2]
        keywords["message_id"] = _message_id(domain)
    message = composing.compose(**keywords)
    return _prepared(message, {})


def _of_message(message: Message[Any, Any], parts: Parts, clock: Clock, hostname: str) -> Prepared:
    if set(parts) - {"from_", "to"}:
        raise _superfluous(parts, "a message")
    domain = _sender_domain(message) or hostname
    keywords: dict[str, Any] = {"date": _now(clock), "message_id": _message_id(domain), **parts}
    return _prepared(message, keywords)


def _prepared(message: Message[Any, Any], keywords: dict[str, Any]) -> Prepared:
    def again() -> Outgoing:
        return composing.outgoing(message, seven_bit=True, **keywords)

    return Prepared(composing.outgoing(message, **keywords), again)


def _of_bytes(content: bytes, parts: Parts) -> Prepared:
    if set(parts) - {"from_", "to"}:
        raise _superfluous(parts, "a whole message in bytes")
    if "from_" not in parts or "to" not in parts:
        raise InvalidMessage(
            "a message in bytes needs from_ and to beside it",
            fix="give who sends and who receives; nothing is read from the bytes",
            reason="invalid-message",
        )
    return Prepared(raw(content, from_=parts["from_"], to=parts["to"]))


def raw(content: bytes, *, from_: AddressLike, to: Addresses) -> Outgoing:
    """A whole message in bytes with its envelope. Line ends become CRLF; nothing else is changed.

    An empty `from_` is the null sender of a notice. Raises waypost.mail.compose.InvalidMessage.
    """
    if has_bare_line_end(content):
        content = normalise_line_ends(content)
    source = ContentSource.of_bytes(content)
    envelope = composing.envelope_of(_NO_FIELDS, from_=from_, to=to, content=source)
    return Outgoing(envelope, source, _message_id_in(source.header))


_NO_FIELDS: Final = EmailMessage()


def _message_id_in(header: bytes) -> str:
    for line in header.split(b"\r\n"):
        if line[:11].lower() == b"message-id:":
            return line[11:].strip().decode("utf-8", "replace")
    return ""


def _superfluous(parts: Parts, what: str) -> InvalidMessage:
    names = ", ".join(sorted(set(parts) - {"from_", "to"}) or sorted(parts))
    return InvalidMessage(
        f"{names} cannot be given beside {what}",
        fix="set it in the message itself, or give keywords only",
        reason="invalid-message",
    )


def _now(clock: Clock) -> dt.datetime:
    return dt.datetime.fromtimestamp(clock.now(), dt.UTC).astimezone()


def _sender_domain(message: Message[Any, Any]) -> str:
    """The domain of From where it can be told at a glance; it belongs into a Message-ID more than
    the name of this machine, which nobody else knows."""
    found = _DOMAIN.search(raw_field(message, "from"))
    return found[1] if found is not None else ""


_DOMAIN: Final = re.compile(r"@([A-Za-z0-9.-]{1,255})>?\s*\Z")


def _message_id(domain: str) -> str:
    return f"<{secrets.token_hex(12)}@{domain.strip('[]') or 'localhost'}>"

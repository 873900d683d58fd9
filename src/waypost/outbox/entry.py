"""What a row of the outbox says, as values, and the JSON that it is kept as.

The columns that the database works with (when, how often, by whom) are columns; the envelope and
what came of each recipient are JSON, since nobody but the outbox reads them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from waypost.smtp.envelope import BodyType, Envelope, Recipient, Return

Kind = Literal["delivered", "temporary", "permanent"]

MAXIMUM_REPLY: Final = 1000
"""Characters of a reply that a row keeps."""


class UnreadableEntry(ValueError):
    """A row holds what no outbox of this version has written."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A message to keep. Times in seconds since the epoch."""

    envelope: Envelope
    content: bytes
    """As CRLF lines, signed if it is to be."""
    created_at: float
    due_at: float
    """Not before then."""
    expires_at: float
    idempotency_key: str | None = None
    """A second entry with the same key is not added."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What an attempt came to for one recipient."""

    address: str
    kind: Kind
    reply: str
    """The server's words that decided, or our own."""
    reason: str
    """From the taxonomy of waypost.knowledge; "" for a success."""
    uncertain: bool = False
    """The server may have accepted although nobody heard so."""


@dataclass(frozen=True, slots=True)
class LeasedEntry:
    """An entry that one worker has for a while; the attempt on it counts as begun."""

    identifier: int
    fence: int
    """Rises with each lease: who holds an older one can no longer settle."""
    envelope: Envelope
    """With the recipients that are still to be reached."""
    content: bytes
    created_at: float
    expires_at: float
    attempts: int
    """With the one that begins now."""
    uncertain: int
    """Attempts that were begun and never ended: their worker died, so that the message may have
    gone out without a trace."""
    results: tuple[Progress, ...]
    """Of recipients that have come to their end."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of an entry after an attempt."""

    identifier: int
    fence: int
    envelope: Envelope | None
    """With the recipients that remain; None: it has come to its end."""
    due_at: float
    results: tuple[Progress, ...]
    last_reply: str


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """How much is where. `oldest` is when the oldest waiting entry was added; None for none."""

    waiting: int
    finished: int
    failed: int
    """Of the finished, those with a recipient that was not reached."""
    uncertain: int
    """Attempts whose outcome nobody knows."""
    oldest: float | None


def envelope_to_json(envelope: Envelope) -> str:
    """An envelope as it stands in a row."""
    return json.dumps(
        {
            "reverse_path": envelope.reverse_path,
            "recipients": [_recipient_to_json(one) for one in envelope.recipients],
            "body": envelope.body,
            "smtputf8": envelope.smtputf8,
            "require_tls": envelope.require_tls,
            "returned": envelope.returned,
            "envelope_id": envelope.envelope_id,
        }
    )


def envelope_from_json(text: str) -> Envelope:
    """The envelope of a row. Raises UnreadableEntry."""
    try:
        read = json.loads(text)
        body, returned = read["body"], read["returned"]
        if body not in (None, *get_args(BodyType)) or returned not in (None, *get_args(Return)):
            raise UnreadableEntry(f"an envelope of the outbox says {body!r} and {returned!r}")
        return Envelope(
            reverse_path=_text(read["reverse_path"]),
            recipients=tuple(_recipient_from_json(one) for one in read["recipients"]),
            body=cast(BodyType | None, body),
            smtputf8=bool(read["smtputf8"]),
            require_tls=bool(read["require_tls"]),
            returned=cast(Return | None, returned),
            envelope_id=read["envelope_id"],
        )
    except (ValueError, KeyError, TypeError) as fault:
        raise UnreadableEntry(f"an envelope of the outbox cannot be read: {fault!r}") from fault


def results_to_json(results: tuple[Progress, ...]) -> str:
    """What came of recipients, as it stands in a row."""
    return json.dumps(
        [
            [one.address, one.kind, one.reply[:MAXIMUM_REPLY], one.reason, one.uncertain]
            for one in results
        ]
    )


def results_from_json(text: str) -> tuple[Progress, ...]:
    """The results of a row. Raises UnreadableEntry."""
    try:
        found = []
        for address, kind, reply, reason, uncertain in json.loads(text):
            if kind not in get_args(Kind):
                raise UnreadableEntry(f"a result of the outbox says {kind!r}")
            found.append(
                Progress(_text(address), cast(Kind, kind), _text(reply), _text(reason),
                         bool(uncertain))
            )  # fmt: skip
        return tuple(found)
    except (ValueError, TypeError) as fault:
        raise UnreadableEntry(f"results of the outbox cannot be read: {fault!r}") from fault


def _recipient_to_json(one: Recipient) -> dict[str, Any]:
    said: dict[str, Any] = {"address": one.address}
    if one.notify is not None:
        said["notify"] = sorted(one.notify)
    if one.original is not None:
        said["original"] = one.original
    return said


def _recipient_from_json(read: dict[str, Any]) -> Recipient:
    notify = read.get("notify")
    return Recipient(
        _text(read["address"]),
        None if notify is None else frozenset(_text(wish) for wish in notify),
        read.get("original"),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value

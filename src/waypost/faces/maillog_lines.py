"""The lines of a mail log for programs and people of today: each event with its named values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from waypost.faces.gathering import Happening
from waypost.message_events import accepted_event, attempt_events
from waypost.relay.refusals import Refusal
from waypost.spool.contract import NewMessage
from waypost.spool.identifiers import identifier_text

Line = tuple[float, str, str]
"""When it happened (seconds since the epoch), the program that says it ("": no heading), and the
text. No text has a control character in it, whatever a peer has said."""

Render = Callable[[dict[str, Any]], str]


class Shape(Protocol):
    """Makes lines of what has happened."""

    def of(self, happenings: Sequence[Happening]) -> Iterator[Line]:
        """In order."""

    def of_left_out(self, count: int, at: float) -> Iterator[Line]:
        """So many events are not in the log."""


class NamedValues:
    """JSON or console lines, rendered as the relay's own log is."""

    def __init__(self, render: Render) -> None:
        self._render = render

    def of(self, happenings: Sequence[Happening]) -> Iterator[Line]:
        """One for a message, then one for each recipient and attempt."""
        for one in happenings:
            if isinstance(one, Refusal):
                yield self._refused(one)
                continue
            if isinstance(one, NewMessage):
                event = accepted_event(one)
                yield self._line(
                    event.at, "accepted", message=identifier_text(one.identifier),
                    sender=event.sender, recipients=list(event.recipients), size=event.size,
                    client=event.client, user=event.user, message_id=one.message_id,
                )  # fmt: skip
                continue
            record, recipients = one.record, one.envelope.recipients
            addresses = {
                result.number: recipient.address
                for result, recipient in zip(record.results, recipients, strict=True)
            }
            message = identifier_text(record.message)
            for event in attempt_events(record, addresses):
                (recipient,) = event.recipients
                yield self._line(
                    event.at, event.event, message=message, recipient=recipient,
                    queue=f"{event.route}/{recipient.rpartition('@')[2].lower()}",
                    next_hop=event.next_hop, tls=event.tls, seconds=round(event.seconds, 6),
                    reply=event.reply, reason=event.reason,
                    next_attempt=None if event.next_attempt is None else _iso(event.next_attempt),
                    uncertain=event.uncertain or None,
                )  # fmt: skip

    def _refused(self, refusal: Refusal) -> Line:
        return self._line(
            refusal.at, "refused", client=refusal.client, hello=refusal.hello,
            sender=refusal.sender, recipient=refusal.recipient or None, reply=str(refusal.reply),
        )  # fmt: skip

    def of_left_out(self, count: int, at: float) -> Iterator[Line]:
        """So many events are not in the log."""
        yield self._line(at, "events left out", count=count)

    def _line(self, at: float, event: str, **values: Any) -> Line:
        kept = {name: value for name, value in values.items() if value is not None}
        return (
            at,
            "",
            self._render({"event": event, "level": "info", "timestamp": _iso(at), **kept}),
        )


def _iso(at: float) -> str:
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

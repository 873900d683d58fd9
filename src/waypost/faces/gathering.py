"""Hands what has become durable to work that is not for the event loop: log lines, traces.

On the loop an event is only put aside, which costs a message next to nothing; a thread of its own
takes what has gathered several times a second. What gathers is bounded: where the work does not
keep up, as with a disk that hangs, events are left out and counted, and mail goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from waypost.net.clock import Clock, Timer
from waypost.relay.refusals import Refusal
from waypost.smtp.envelope import Envelope
from waypost.spool.contract import AttemptRecord, NewMessage, QueuedMessage
from waypost.values import unguarded

PAUSE_SECONDS: Final = 0.2
"""How long events gather before they are worked on."""

MAXIMUM_HELD: Final = 32 * 1024 * 1024
"""Bytes, estimated, of the events that wait."""

_OF_AN_EVENT: Final = 1000
_OF_A_RECIPIENT: Final = 200


@unguarded
@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt whose outcome is durable, without the content of its message."""

    envelope: Envelope
    """Its recipients are those of the record's results, in the same order."""
    received_at: float
    size: int
    record: AttemptRecord


Happening = NewMessage | Attempted | Refusal
Work = Callable[[Sequence[Happening], int], None]
"""Takes what has happened, in order, and how much was left out since the last call."""


class Gathering:
    """See the module. `take` is what `Administration.watch` is given."""

    def __init__(
        self,
        clock: Clock,
        work: Work,
        name: str,
        pause: float = PAUSE_SECONDS,
        most: int = MAXIMUM_HELD,
    ) -> None:
        self._clock = clock
        self._work = work
        self._pause = pause
        self._most = most
        self._waiting: list[Happening] = []
        self._held = 0
        self._left_out = 0
        self._timer: Timer | None = None
        self._pool = ThreadPoolExecutor(1, name)
        self._under_way: Future[None] | None = None

    def take(self, message: NewMessage | QueuedMessage, record: AttemptRecord | None) -> None:
        """Called by the engine for all that becomes durable (delivery.settlement.Watcher)."""
        held = self._held + _OF_AN_EVENT + _OF_A_RECIPIENT * len(message.envelope.recipients)
        happening: Happening
        if isinstance(message, NewMessage):
            happening = message
        elif record is not None:
            happening = Attempted(message.envelope, message.received_at, message.size, record)
            held += len(record.transcript)
        else:
            return
        self._add(happening, held)

    def take_refusal(self, refusal: Refusal) -> None:
        """Called by the listeners (relay.refusals.RefusalWatcher)."""
        self._add(refusal, self._held + _OF_AN_EVENT)

    def _add(self, happening: Happening, held: int) -> None:
        if held > self._most:
            self._left_out += 1
            return
        self._held = held
        self._waiting.append(happening)
        if self._timer is None:
            self._timer = self._clock.call_later(self._pause, self._begin)

    def _begin(self) -> None:
        """Give the thread what has gathered; later, where it is still busy."""
        self._timer = None
        if self._under_way is not None and not self._under_way.done():
            self._timer = self._clock.call_later(self._pause, self._begin)
            return
        self._hand_over()

    def _hand_over(self) -> None:
        happenings, self._waiting = self._waiting, []
        left_out, self._left_out, self._held = self._left_out, 0, 0
        if happenings or left_out:
            self._under_way = self._pool.submit(self._work, happenings, left_out)

    def finish(self) -> None:
        """Work on what is left, and end; blocks until it is done."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._hand_over()
        self._pool.shutdown(wait=True)

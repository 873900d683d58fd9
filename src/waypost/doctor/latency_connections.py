"""How many connections at one time a server takes from here: opened one by one, until it says no.

It is for a server of one's own: to others it looks like an attack. So it goes up gently, keeps
what is open alive with NOOP, stops at the first sign of a limit, and leaves in order. A refusal
can have two meanings, too many at one time or too many in so short a time; so when all are closed
one more is tried: if that is taken, the limit was on those at one time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from waypost.delivery.next_hop import Smarthost
from waypost.delivery.outcome import outcome_of_reply
from waypost.doctor.fix import fix_for
from waypost.doctor.line_connection import LineConnection, Unanswered
from waypost.doctor.line_dialogue import Dialogue, is_done
from waypost.doctor.line_opening import REASONS, StageFailed, World, open_lines, resolve

PACE_SECONDS: Final = 0.05
"""Between two connections."""

NOOP_SECONDS: Final = 20.0
"""The longest that an open connection is left without a NOOP; servers close idle ones after
minutes (RFC 5321 4.5.3.2.7 asks for five)."""

SETTLING_SECONDS: Final = 0.5
"""Between the end of all connections and the one that is tried behind them."""

LEAVING_SECONDS: Final = 2.0
"""For the reply to QUIT."""

Sign = Literal["reply", "refused", "silent", "closed", "older-closed"]
"""How a limit shows: a negative reply; no connection; a connection and then nothing; the end of
the new connection, or of one that was open already."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first connection that was not taken, or was taken away."""

    number: int
    stage: str
    sign: Sign
    reason: str
    """The name in outcomes.toml."""
    text: str
    fix: str


@dataclass(frozen=True, slots=True)
class Parallel:
    """What was found."""

    open: int
    """The most that were open and alive at one time."""
    refusal: Refusal | None
    """None: the maximum was reached, the server's limit is above it."""
    taken_again: bool | None
    """Whether one connection was taken when all were closed; None where that was not asked."""
    seconds: float


async def find_parallel(
    hop: Smarthost,
    hostname: str,
    world: World,
    maximum: int,
    seconds: float,
    progress: Callable[[int], None],
) -> Parallel:
    """Open connections until one is refused or `maximum` are open. `progress` is told how many.

    `seconds` bounds each stage of each connection. Raises StageFailed where the name is not found.
    """
    begun = world.clock.monotonic()
    addresses = await resolve(hop, world)
    finding = _Finding(hop, hostname, world, seconds, addresses)
    refusal = None
    try:
        for number in range(1, maximum + 1):
            refusal = await finding.one_more(number)
            if refusal is not None:
                break
            progress(number)
            await world.clock.sleep(PACE_SECONDS)
        await finding.keep_alive(0.0)
        alive = finding.alive
        if refusal is None and alive < maximum:
            refusal = finding.lost(maximum)
    finally:
        await finding.leave()
    again = None
    if refusal is not None and alive:
        await world.clock.sleep(SETTLING_SECONDS)
        again = await finding.one_more(1) is None
        await finding.leave()
    return Parallel(alive, refusal, again, world.clock.monotonic() - begun)


class _Finding:
    """The connections that are open."""

    def __init__(
        self,
        hop: Smarthost,
        hostname: str,
        world: World,
        seconds: float,
        addresses: tuple[str, ...],
    ) -> None:
        self._hop = hop
        self._hostname = hop.ehlo or hostname
        self._world = world
        self._seconds = seconds
        self._addresses = addresses
        self._open: list[LineConnection] = []
        self._spoken: dict[LineConnection, float] = {}

    @property
    def alive(self) -> int:
        """Connections that the server has not ended."""
        return sum(one.ended is None for one in self._open)

    async def one_more(self, number: int) -> Refusal | None:
        """Open another; what spoke against it, if something did."""
        stage = "connect"
        made: list[LineConnection] = []

        def make() -> LineConnection:
            made.append(LineConnection(self._world.clock))
            return made[-1]

        try:
            opened = await open_lines(self._hop, self._world, make, self._seconds, self._addresses)
            dialogue = Dialogue(opened.connection, self._seconds)
            stage = "greeting"
            answer = await dialogue.greeting()
            if is_done(answer):
                stage = "ehlo"
                answer = await dialogue.ask(f"EHLO {self._hostname}")
        except StageFailed as fault:
            sign: Sign = "silent" if fault.reason in ("connect-timeout", "timeout") else "refused"
            refusal = Refusal(
                number, fault.stage, sign, fault.reason, fault.text,
                fault.fix or fix_for(fault.reason),
            )  # fmt: skip
        except Unanswered as fault:
            reason = REASONS[fault.why]
            sign = "silent" if fault.why == "timeout" else "closed"
            refusal = Refusal(number, stage, sign, reason, fault.text, fix_for(reason))
        else:
            if is_done(answer):
                self._open.append(opened.connection)
                self._spoken[opened.connection] = self._world.clock.monotonic()
                await self.keep_alive(NOOP_SECONDS)
                return None if self.alive == len(self._open) else self.lost(number)
            reason = outcome_of_reply(stage, answer, "smarthost").reason or "protocol-error"
            text = f"the server said {answer}"[:500]
            refusal = Refusal(number, stage, "reply", reason, text, fix_for(reason))
        for connection in made:
            connection.abort()
        return refusal

    def lost(self, number: int) -> Refusal:
        """What it means that the server has ended a connection that was open."""
        ended = next(one.ended for one in self._open if one.ended is not None)
        text = f"when there were {number}, one that was open came to its end: {ended.text}"
        advice = fix_for("connection-lost")
        return Refusal(number, "idle", "older-closed", "connection-lost", text, advice)

    async def keep_alive(self, quiet: float) -> None:
        """NOOP on those that said nothing for so many seconds; who does not answer is over."""
        now = self._world.clock.monotonic()
        for connection in self._open:
            if connection.ended is not None or now - self._spoken[connection] < quiet:
                continue
            self._spoken[connection] = now
            try:
                answer = await Dialogue(connection, self._seconds).ask("NOOP")
            except Unanswered:
                connection.abort()
            else:
                if not is_done(answer):
                    connection.abort()

    async def leave(self) -> None:
        """QUIT on all. A server that does not answer one is not waited for at the others."""
        waiting = LEAVING_SECONDS
        for connection in self._open:
            if connection.ended is None:
                try:
                    await Dialogue(connection, waiting).ask("QUIT")
                except Unanswered:
                    waiting = min(waiting, 0.1)
            connection.abort()
        self._open.clear()
        self._spoken.clear()

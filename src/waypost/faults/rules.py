"""What goes wrong at a server: its rules in their order, and how often each has been met.

The first rule that fits decides. Nothing here waits or closes: a rule says what is to happen, and
the server that asked makes it happen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from waypost.delivery.chance import Chance
from waypost.delivery.route import Rate
from waypost.faults.rule import REMEMBERED, Command, FaultRule, ReadRule, read
from waypost.smtp.reply import Reply

MAXIMUM_RULES: Final = 1_000


class NoSuchRule(LookupError):
    """There is no rule of this number."""


class RuleIsConfigured(Exception):
    """The rule stands in the configuration, and is changed there."""


class TooManyRules(Exception):
    """There are as many rules as there may be."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What is to happen now."""

    reply: Reply | None
    """None: what would have been answered."""
    delay: float
    drop: bool
    number: int
    """Of the rule."""


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule and what it has met."""

    number: int
    """Stays the same while the process runs; no other rule gets it."""
    rule: FaultRule
    is_configured: bool
    """It stands in the configuration; otherwise it was added since, and ends with the process."""
    seen: int
    """Commands that it was about."""
    struck: int


@dataclass(slots=True)
class _Armed:
    """A rule with what it remembers."""

    number: int
    read: ReadRule
    is_configured: bool
    seen: int = 0
    struck: int = 0
    moments: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    @property
    def state(self) -> RuleState:
        return RuleState(
            self.number, self.read.rule, self.is_configured, self.seen, self.struck
        )  # fmt: skip


class FaultRules:
    """The rules of one server. `strike` belongs to the server's thread; rules may be changed from
    one other, as the list is replaced and never changed.

    Rules that were added come before those of the configuration: who adds one wants to see it.
    """

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._armed: list[_Armed] = []
        self._numbers = 0

    def __bool__(self) -> bool:
        return bool(self._armed)

    @property
    def states(self) -> tuple[RuleState, ...]:
        """All of them, in the order in which they are asked."""
        return tuple(one.state for one in self._armed)

    def state(self, number: int) -> RuleState:
        """One of them. Raises NoSuchRule."""
        return self._find(number).state

    def add(self, rule: FaultRule) -> int:
        """Add a rule behind those added before; its number. Raises InvalidRule, TooManyRules."""
        made = self._arm(read(rule), is_configured=False)
        if len(self._armed) >= MAXIMUM_RULES:
            raise TooManyRules(f"there are {MAXIMUM_RULES} rules already; remove some")
        added = [one for one in self._armed if not one.is_configured]
        self._armed = [*added, made, *(one for one in self._armed if one.is_configured)]
        return made.number

    def configure(self, rules: Iterable[FaultRule]) -> None:
        """Set the rules of the configuration. Those that stay keep what they have met.

        Raises InvalidRule; nothing is changed then.
        """
        standing = [one for one in self._armed if one.is_configured]
        made: list[_Armed] = []
        for rule in rules:
            same = next((one for one in standing if one.read.rule == rule), None)
            if same is not None:
                standing.remove(same)
            made.append(same or self._arm(read(rule), is_configured=True))
        self._armed = [*(one for one in self._armed if not one.is_configured), *made]

    def replace(self, number: int, rule: FaultRule) -> None:
        """Put a rule in the place of another, with its number; it has met nothing yet.

        Raises InvalidRule, NoSuchRule, RuleIsConfigured.
        """
        made = read(rule)
        self._added(number)
        new = _Armed(number, made, is_configured=False)
        self._armed = [new if one.number == number else one for one in self._armed]

    def remove(self, number: int) -> None:
        """Take a rule away. Raises NoSuchRule, RuleIsConfigured."""
        self._added(number)
        self._armed = [one for one in self._armed if one.number != number]

    def clear(self) -> None:
        """Take away all that were added."""
        self._armed = [one for one in self._armed if one.is_configured]

    def reset(self, number: int | None = None) -> None:
        """Let a rule, or all, begin anew: nothing seen, nothing struck. Raises NoSuchRule."""
        found = self._armed if number is None else [self._find(number)]
        fresh = {
            one.number: _Armed(one.number, one.read, one.is_configured) for one in found
        }  # fmt: skip
        self._armed = [fresh.get(one.number, one) for one in self._armed]

    def strike(
        self, command: Command, sender: str, recipients: tuple[str, ...], now: float
    ) -> Strike | None:
        """What goes wrong at this command, if anything. `now` in seconds, from any clock."""
        for one in self._armed:
            rule = one.read.rule
            if rule.on == command and self._fits(one, sender, recipients, now):
                one.struck += 1
                return Strike(one.read.reply, rule.delay, rule.drop, one.number)
        return None

    def _fits(self, one: _Armed, sender: str, recipients: tuple[str, ...], now: float) -> bool:
        rule = one.read.rule
        if not one.read.concerns(sender, recipients):
            return False
        one.seen += 1
        if rule.times is not None and one.struck >= rule.times:
            return False
        if one.seen <= rule.after:
            return False
        if one.read.rate is not None and not _exceeds(one.read.rate, one.moments, now):
            return False
        return rule.share >= 1 or self._chance.random() < rule.share

    def _arm(self, rule: ReadRule, *, is_configured: bool) -> _Armed:
        self._numbers += 1
        return _Armed(self._numbers, rule, is_configured)

    def _find(self, number: int) -> _Armed:
        for one in self._armed:
            if one.number == number:
                return one
        raise NoSuchRule(f"there is no rule {number}")

    def _added(self, number: int) -> None:
        if self._find(number).is_configured:
            raise RuleIsConfigured(
                f"rule {number} stands in the configuration; change it there and reload"
            )


def _exceeds(rate: Rate, moments: deque[float], now: float) -> bool:
    """Whether one more now is too many; one that is not counts."""
    while moments and moments[0] <= now - rate.period:
        moments.popleft()
    if len(moments) >= rate.count:
        return True
    moments.append(now)
    return False

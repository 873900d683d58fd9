"""What goes wrong at a server, by rule: for whom, at which command, how often, and how.

Rules are asked in their order; the first that fits decides. Nothing here waits or closes: a rule
says what is to happen, and the server that asked makes it happen.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from waypost.delivery.chance import Chance
from waypost.delivery.route import Rate
from waypost.delivery.routing import InvalidRouting, Patterns
from waypost.smtp.reply import EnhancedStatus, Reply

Command = Literal["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content"]
"""Where a rule may strike. "content" is the end of the message, behind its final dot."""

REMEMBERED: Final = 10_000
"""Moments that a rule with a rate remembers at most."""


class InvalidRule(ValueError):
    """A rule that means nothing; the text says why and what to write."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One rule. What is left out does not restrict; times are in seconds."""

    on: Command
    reply: str = ""
    """What to answer: "450 4.7.1 Greylisted". "": as if there were no rule, after the delay."""
    delay: float = 0.0
    """Wait so long before answering."""
    drop: bool = False
    """Close the connection in place of an answer; with on="content" the message has been kept."""
    sender: str = ""
    """Only mail from there: joe@example.com, example.com, .example.com, with * and ?."""
    recipient: str = ""
    """Only recipients there, likewise; of a message with several, one of them is enough."""
    after: int = 0
    """Let so many pass first."""
    times: int | None = None
    """Strike so often, then never again."""
    share: float = 1.0
    """Strike this part of the times, by chance."""
    rate: str = ""
    """Strike what exceeds a rate: "10/minute"."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What is to happen now."""

    reply: Reply | None
    """None: what would have been answered."""
    delay: float
    drop: bool


@dataclass(slots=True)
class _Armed:
    """A rule, read, with what it remembers."""

    rule: FaultRule
    reply: Reply | None
    sender: Patterns | None
    recipient: Patterns | None
    rate: Rate | None
    seen: int = 0
    struck: int = 0
    moments: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))


class FaultRules:
    """The rules of one server. `strike` belongs to the server's thread; rules may be added and
    cleared from any other, as the list is replaced and never changed."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._armed: list[_Armed] = []

    def add(self, rule: FaultRule) -> None:
        """Add a rule behind the others. Raises InvalidRule."""
        self._armed = [*self._armed, _read(rule)]

    def clear(self) -> None:
        """Forget all rules: nothing goes wrong any more."""
        self._armed = []

    def strike(
        self, command: Command, sender: str, recipients: tuple[str, ...], now: float
    ) -> Strike | None:
        """What goes wrong at this command, if anything. `now` in seconds, from any clock."""
        for one in self._armed:
            if one.rule.on == command and self._fits(one, sender, recipients, now):
                one.struck += 1
                return Strike(one.reply, one.rule.delay, one.rule.drop)
        return None

    def _fits(self, one: _Armed, sender: str, recipients: tuple[str, ...], now: float) -> bool:
        rule = one.rule
        if rule.times is not None and one.struck >= rule.times:
            return False
        if one.sender is not None and not _matches(one.sender, sender):
            return False
        if one.recipient is not None and not any(
            _matches(one.recipient, recipient) for recipient in recipients
        ):
            return False
        one.seen += 1
        if one.seen <= rule.after:
            return False
        if one.rate is not None and not _exceeds(one.rate, one.moments, now):
            return False
        return rule.share >= 1 or self._chance.random() < rule.share


def _exceeds(rate: Rate, moments: deque[float], now: float) -> bool:
    """Whether one more now is too many; one that is not counts."""
    while moments and moments[0] <= now - rate.period:
        moments.popleft()
    if len(moments) >= rate.count:
        return True
    moments.append(now)
    return False


def _matches(patterns: Patterns, address: str) -> bool:
    lower = address.lower()
    return patterns.match(lower, lower.rpartition("@")[2])


def _read(rule: FaultRule) -> _Armed:
    if rule.on not in get_args(Command):
        raise InvalidRule(f"on is {rule.on!r}; give one of {', '.join(get_args(Command))}")
    if not (rule.reply or rule.delay or rule.drop):
        raise InvalidRule("the rule does nothing; give a reply, a delay or drop")
    if rule.reply and rule.drop:
        raise InvalidRule("a dropped connection gives no reply; leave out one of them")
    if rule.delay < 0 or rule.after < 0 or (rule.times is not None and rule.times < 1):
        raise InvalidRule("delay and after are at least 0, times at least 1")
    if not 0 < rule.share <= 1:
        raise InvalidRule(f"share is {rule.share}; give more than 0, at most 1")
    if rule.recipient and rule.on in ("connect", "ehlo", "starttls", "auth", "mail"):
        raise InvalidRule(f"no recipient is known at {rule.on}; use rcpt, data or content")
    if rule.sender and rule.on in ("connect", "ehlo", "starttls", "auth"):
        raise InvalidRule(f"no sender is known at {rule.on}; use mail, rcpt, data or content")
    try:
        sender = Patterns([rule.sender]) if rule.sender else None
        recipient = Patterns([rule.recipient]) if rule.recipient else None
        rate = Rate.parse(rule.rate) if rule.rate else None
    except (InvalidRouting, ValueError) as fault:
        raise InvalidRule(str(fault)) from fault
    if rate is not None and rate.count > REMEMBERED:
        raise InvalidRule(f"rate is {rule.rate}; give at most {REMEMBERED} in its time")
    return _Armed(rule, _read_reply(rule.reply), sender, recipient, rate)


def _read_reply(text: str) -> Reply | None:
    """ "450 4.7.1 Greylisted", or several lines of it."""
    if not text:
        return None
    code, _, rest = text.partition(" ")
    if not (len(code) == 3 and code.isdigit() and code[0] in "2345"):
        raise InvalidRule(f'{text[:60]!r} is no reply; write it as "450 4.7.1 Greylisted"')
    status = EnhancedStatus.parse(rest)
    if status is not None:
        rest = rest.partition(" ")[2]
    lines = tuple(rest.split("\n"))
    if any(not one.isprintable() for one in lines):
        raise InvalidRule(f"{text[:60]!r} holds a control character")
    return Reply(int(code), lines, status)

"""One fault, as people write it: for whom, at which command, how often, and what happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from waypost.delivery.route import Rate
from waypost.delivery.routing import InvalidRouting, Patterns
from waypost.smtp.reply import EnhancedStatus, Reply
from waypost.smtp.server_events import (
    AuthenticationRequested,
    ContentEnded,
    ContentRequested,
    HelloReceived,
    MailReceived,
    RecipientReceived,
    TlsRequested,
)

Command = Literal["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content"]
"""Where a rule may strike. "content" is the end of the message, behind its final dot."""

COMMANDS: Final[Mapping[type, Command]] = {
    HelloReceived: "ehlo", TlsRequested: "starttls", AuthenticationRequested: "auth",
    MailReceived: "mail", RecipientReceived: "rcpt", ContentRequested: "data",
    ContentEnded: "content",
}  # fmt: skip
"""By the event of the server protocol that asks."""

MAXIMUM_DELAY: Final = 86_400.0
"""Seconds; no client waits longer."""

MAXIMUM_REPLY: Final = 4_000
"""Characters of a reply."""

REMEMBERED: Final = 10_000
"""Moments that a rule with a rate remembers at most."""


class InvalidRule(ValueError):
    """A rule that means nothing; the text says why and what to write."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One rule. What is left out does not restrict; times are in seconds."""

    on: Command
    reply: str = ""
    """What to answer: "450 4.7.1 Greylisted"; "": as if there were no rule, after the delay. The
    command is not carried out, also where the code is that of a success: then the server lies."""
    delay: float = 0.0
    """Wait so long before answering; with on="content" and no reply the message is kept first."""
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
class ReadRule:
    """A rule with its texts understood."""

    rule: FaultRule
    reply: Reply | None
    sender: Patterns | None
    recipient: Patterns | None
    rate: Rate | None

    def concerns(self, sender: str, recipients: tuple[str, ...]) -> bool:
        """Whether it is about this mail."""
        if self.sender is not None and not _matches(self.sender, sender):
            return False
        return self.recipient is None or any(_matches(self.recipient, one) for one in recipients)


def read(rule: FaultRule) -> ReadRule:
    """Understand a rule. Raises InvalidRule."""
    if rule.on not in get_args(Command):
        raise InvalidRule(f"on is {rule.on!r}; give one of {', '.join(get_args(Command))}")
    if not (rule.reply or rule.delay or rule.drop):
        raise InvalidRule("the rule does nothing; give a reply, a delay or drop")
    if rule.reply and rule.drop:
        raise InvalidRule("a dropped connection gives no reply; leave out one of them")
    if rule.delay < 0 or rule.after < 0 or (rule.times is not None and rule.times < 1):
        raise InvalidRule("delay and after are at least 0, times at least 1")
    if not rule.delay <= MAXIMUM_DELAY:
        raise InvalidRule(f"delay is {rule.delay}; give at most {MAXIMUM_DELAY:.0f} seconds")
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
    return ReadRule(rule, _read_reply(rule.reply), sender, recipient, rate)


def _matches(patterns: Patterns, address: str) -> bool:
    lower = address.lower()
    return patterns.match(lower, lower.rpartition("@")[2])


def _read_reply(text: str) -> Reply | None:
    """ "450 4.7.1 Greylisted", or several lines of it."""
    if not text:
        return None
    if len(text) > MAXIMUM_REPLY:
        raise InvalidRule(f"the reply has more than {MAXIMUM_REPLY} characters")
    code, _, rest = text.partition(" ")
    if not (len(code) == 3 and code.isascii() and code.isdigit() and code[0] in "2345"):
        raise InvalidRule(f'{text[:60]!r} is no reply; write it as "450 4.7.1 Greylisted"')
    status = EnhancedStatus.parse(rest)
    if status is not None:
        rest = rest.partition(" ")[2]
    lines = tuple(rest.split("\n"))
    if any(not one.isprintable() for one in lines):
        raise InvalidRule(f"{text[:60]!r} holds a control character")
    return Reply(int(code), lines, status)

"""The arguments of sendmail, as programs have given them for forty years.

Options that only make sense for Sendmail itself (-O, -C, -h, -p, ...) are taken and have no effect,
as with Postfix and Exim: a program that gives them wants its mail sent. What would do something
else than it says is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Mode = Literal["send", "smtp", "list-queue", "run-queue", "aliases"]

_WITH_VALUE: Final = frozenset("ABCDFLNORVXfhopqr")
"""Letters that take a value: behind them, or as the next argument where nothing follows."""

_VALUE_ATTACHED: Final = frozenset("opqA")
"""Of these, those whose value is never the next argument: -oi, -q, -q30m."""

_WITHOUT_EFFECT: Final = frozenset("ACGLOUXehmnopvx")

_NOTIFY: Final = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})

_MODES: Final[dict[str, Mode]] = {
    "m": "send", "s": "smtp", "p": "list-queue", "i": "aliases",
}  # fmt: skip
_PROGRAMS: Final[dict[str, Mode]] = {"mailq": "list-queue", "newaliases": "aliases"}


class WrongArguments(ValueError):
    """The arguments cannot be served; the text says which and what to do instead."""


@dataclass(slots=True)
class Arguments:
    """What is asked for."""

    mode: Mode = "send"
    recipients: list[str] = field(default_factory=list)
    from_header: bool = False
    """-t: the recipients stand in To, Cc and Bcc."""
    sender: str | None = None
    """-f; "" and "<>" are the null sender."""
    full_name: str | None = None
    ignore_dots: bool = False
    """-i: a line with a single dot does not end the message."""
    notify: frozenset[str] | None = None
    returned: Literal["FULL", "HDRS"] | None = None
    envelope_id: str | None = None
    body: Literal["7BIT", "8BITMIME"] | None = None


def parse(program: str, given: Sequence[str]) -> Arguments:
    """The arguments of a program called by this name. Raises WrongArguments."""
    arguments = Arguments(mode=_PROGRAMS.get(program, "send"))
    rest = iter(given)
    for one in rest:
        if one == "--":
            arguments.recipients += rest
        elif one.startswith("-") and len(one) > 1:
            _options(arguments, one[1:], rest)
        else:
            arguments.recipients.append(one)
    if arguments.mode == "send" and not arguments.recipients and not arguments.from_header:
        raise WrongArguments(
            "nobody to send to: give the recipients, or -t to take them from To, Cc and Bcc"
        )
    return arguments


def _options(arguments: Arguments, letters: str, rest: Iterator[str]) -> None:
    """One argument with a dash: letters that stand alone, and the last with its value."""
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter == "b":
            _set_mode(arguments, letters)
            return
        if letter not in _WITH_VALUE:
            _set(arguments, letter)
            continue
        value = letters
        if not value and letter not in _VALUE_ATTACHED:
            following = next(rest, None)
            if following is None:
                raise WrongArguments(f"-{letter} needs a value behind it")
            value = following
        _set_value(arguments, letter, value)
        return


def _set_mode(arguments: Arguments, letter: str) -> None:
    mode = _MODES.get(letter)
    if mode is None:
        instead = {
            "d": "a relay is started with `waypost serve`",
            "v": "addresses are examined with `waypost check ADDRESS`",
            "t": "routes are examined with `waypost config show --for ADDRESS`",
        }.get(letter, "known are -bm, -bs, -bp and -bi")
        raise WrongArguments(f"-b{letter} is not served: {instead}")
    arguments.mode = mode


def _set(arguments: Arguments, letter: str) -> None:
    if letter == "t":
        arguments.from_header = True
    elif letter == "i":
        arguments.ignore_dots = True
    elif letter == "I":
        arguments.mode = "aliases"
    elif letter not in _WITHOUT_EFFECT:
        raise WrongArguments(f"-{letter} is no option of sendmail's that is known here")


def _set_value(arguments: Arguments, letter: str, value: str) -> None:
    if letter in "fr":
        arguments.sender = value
    elif letter == "F":
        arguments.full_name = value
    elif letter == "o":
        arguments.ignore_dots = arguments.ignore_dots or value == "i"
    elif letter == "q":
        arguments.mode = "run-queue"
    elif letter == "N":
        wishes = frozenset(value.upper().replace(" ", "").split(","))
        if not wishes <= _NOTIFY or ("NEVER" in wishes and len(wishes) > 1):
            raise WrongArguments("-N takes never, or any of success, failure, delay with commas")
        arguments.notify = wishes
    elif letter == "R":
        wanted = value.upper()
        if wanted not in ("FULL", "HDRS"):
            raise WrongArguments("-R takes full or hdrs")
        arguments.returned = "FULL" if wanted == "FULL" else "HDRS"
    elif letter == "V":
        arguments.envelope_id = value
    elif letter == "B":
        wanted = value.upper()
        if wanted not in ("7BIT", "8BITMIME"):
            raise WrongArguments("-B takes 7bit or 8bitmime")
        arguments.body = "7BIT" if wanted == "7BIT" else "8BITMIME"

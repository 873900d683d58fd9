"""The options that say which messages a command is for, and the filter they make."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from waypost.faces.cli.failure import WRONG_USAGE, fail

STATES: Final = ("queued", "held", "delivered", "bounced", "expired", "cancelled", "damaged")
WAITING: Final = ("queued", "held", "damaged")
"""What `queue list` shows when it is not told: mail that has not come to its end."""

IdArguments = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Messages.", show_default=False)
]
SenderOption = Annotated[
    str,
    typer.Option(
        "--sender", help="joe@example.com, @example.com, <>, or a part.", metavar="ADDRESS"
    ),
]
ToOption = Annotated[str, typer.Option("--to", help="A recipient, likewise.", metavar="ADDRESS")]
OlderOption = Annotated[
    str | None,
    typer.Option("--older-than", help="Received before so long: 2h, 3 days.", metavar="TIME"),
]
TextOption = Annotated[
    str, typer.Option("--text", help="In subject, Message-ID or an address.", metavar="TEXT")
]
StateOption = Annotated[
    list[str] | None,
    typer.Option("--state", help="queued, held, ...; several times; all.", metavar="STATE"),
]
BeforeOption = Annotated[
    str | None, typer.Option("--before", help="The page before this message.", metavar="ID")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages, as given on the command line."""

    ids: tuple[str, ...] = ()
    sender: str = ""
    to: str = ""
    older_than: str | None = None
    text: str = ""
    states: tuple[str, ...] = ()

    @property
    def only_ids(self) -> bool:
        """Nothing but messages named one by one."""
        return bool(self.ids) and not self.has_filter

    @property
    def has_filter(self) -> bool:
        """Anything but messages named one by one."""
        return bool(self.sender or self.to or self.older_than or self.text or self.states)

    def document(self, **more: Any) -> dict[str, Any]:
        """The filter of a request. Raises Failure."""
        from waypost.spool.identifiers import parse_identifier

        for one in self.ids:
            try:
                parse_identifier(one)
            except ValueError as fault:
                fail(f"{fault}; `waypost queue list` shows them", WRONG_USAGE)
        states = [state.lower() for state in self.states]
        for state in states:
            if state not in (*STATES, "all"):
                fail(f"{state!r} is no state; states are {', '.join(STATES)}", WRONG_USAGE)
        return {
            "ids": list(self.ids),
            "sender": self.sender,
            "to": self.to,
            "older_than": moment_before(self.older_than),
            "text": self.text,
            "states": [] if "all" in states else states,
            **more,
        }


def moment_before(span: str | None) -> float | None:
    """Seconds since the epoch, so long ago. Raises Failure."""
    if span is None:
        return None
    from waypost.config.units import parse_seconds

    try:
        seconds = parse_seconds(span)
    except ValueError as fault:
        fail(str(fault), WRONG_USAGE)
    return dt.datetime.now(dt.UTC).timestamp() - seconds

"""The command that is suggested next, with what was said beside the target.

A person who has checked a server by another name server, with an authority of its own or from one
of several addresses would otherwise be led to ask something else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from waypost.doctor.target import ServerTarget

Options = Sequence[tuple[str, str]]
"""Options of the command, with their values; "" for a flag."""

_FOR_ALL: Final = frozenset({"--dns", "--timeout"})
"""Options that concern any subject."""

_FOR_THE_TARGET: Final = frozenset({"--port", "--tls"})
"""Options that say what the target's text does not, and what another URL says by itself."""

_LOGIN: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")
_OF_LOGIN: Final = ("user", "password_env", "password_file")


def plain_target(text: str) -> str:
    """A target as a command may have it: without its login and with what else was said."""
    text = _LOGIN.sub(r"\1", text)
    place, mark, query = text.partition("?")
    kept = [one for one in query.split("&") if one and one.partition("=")[0] not in _OF_LOGIN]
    return f"{place}{mark}{'&'.join(kept)}".rstrip("?")


def follow_up(command: str, target: ServerTarget | None, given: Options) -> str:
    """A suggested command with the options that still hold; any other text as it is."""
    lines = command.splitlines()
    return "\n".join(_completed(line, target, given) for line in lines)


def _completed(line: str, target: ServerTarget | None, given: Options) -> str:
    if not line.startswith("waypost check "):
        return line
    import shlex

    words = shlex.split(line)
    subject = words[2]
    text = "" if target is None else plain_target(target.text)
    same = target is not None and target.hop.host in subject
    query = text.partition("?")[2]
    if same and query and "://" in subject and "?" not in subject:
        words[2] = f"{subject}?{query}"
    for option, value in given:
        fits = option in _FOR_ALL or (same and option not in _FOR_THE_TARGET) or subject == text
        if fits and option not in words:
            words += [option, value] if value else [option]
    return shlex.join(words)

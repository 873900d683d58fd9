"""The syntax of commands: paths and parameters (RFC 5321 4.1.2, 4.1.1.11; RFC 6531 3.3).

Parsing answers "is this well-formed, and what does it say". Whether a mailbox may send or receive
is policy, and stands elsewhere. A `CommandFault` carries the reply that the command earns.
"""

from __future__ import annotations

import re
from typing import Final

from waypost.smtp.reply import Reply, reply

MAXIMUM_PATH: Final = 256
"""Octets of a path with its angle brackets (RFC 5321 4.5.3.1.3); UTF-8 counts as octets."""

MAXIMUM_PARAMETERS: Final = 16
"""Parameters of one command. All extensions we know together need nine."""


class CommandFault(Exception):
    """A command that cannot be taken; `reply` says why, with the code that fits."""

    def __init__(self, answer: Reply) -> None:
        self.reply = answer
        super().__init__(str(answer))


# The ordinary mailbox in one pass. Anything else (quoting, source routes, literals, UTF-8) takes
# the careful way below.
_ORDINARY_PATH = re.compile(
    r"[ \t]*<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253})>(?:$|[ \t]+)"
)
_QUOTED_LOCAL_PART = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"')
_SOURCE_ROUTE = re.compile(r"@[^<>@:,\s]+(?:,@[^<>@:,\s]+)*:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^=\x00-\x20\x7f][^\x00-\x20\x7f]*))?")
_DOMAIN_ARGUMENT = re.compile(r"[^\x00-\x20\x7f]{1,255}")


def path_and_parameters(
    argument: str, keyword: str, *, null_allowed: bool
) -> tuple[str, tuple[tuple[str, str | None], ...]]:
    """Read `FROM:<path> parameters` or `TO:<path> parameters`.

    Returns the mailbox without brackets and source route ("" for the null path), and the
    parameters with upper-case keywords. Raises CommandFault.
    """
    head = len(keyword)
    if argument[:head].upper() != keyword:
        raise CommandFault(
            reply(501, "5.5.4", f"Syntax: {'MAIL' if null_allowed else 'RCPT'} {keyword}<address>")
        )
    rest = argument[head:]
    ordinary = _ORDINARY_PATH.match(rest)
    if ordinary is not None:
        mailbox, after = ordinary[1], rest[ordinary.end() :]
    else:
        mailbox, after = _careful_path(rest.lstrip(" \t"), null_allowed=null_allowed)
    return mailbox, parameters(after) if after else ()


def _careful_path(text: str, *, null_allowed: bool) -> tuple[str, str]:
    """Read a path that is not ordinary; returns the mailbox and what follows it."""
    code = "5.1.7" if null_allowed else "5.1.3"
    if not text.startswith("<"):
        raise CommandFault(reply(501, code, "The address must stand in angle brackets"))
    at = 1
    route = _SOURCE_ROUTE.match(text, at)
    if route is not None:
        at = route.end()  # RFC 5321 appendix C: accepted, ignored
    start = at
    quoted = _QUOTED_LOCAL_PART.match(text, at)
    if quoted is not None:
        at = quoted.end()
    end = text.find(">", at)
    if end < 0:
        raise CommandFault(reply(501, code, "The address has no closing angle bracket"))
    mailbox, after = text[start:end], text[end + 1 :]
    if len(mailbox.encode("utf-8", "surrogateescape")) + 2 > MAXIMUM_PATH:
        raise CommandFault(reply(501, code, f"The address exceeds {MAXIMUM_PATH} octets"))
    if _CONTROL.search(mailbox):
        raise CommandFault(reply(501, code, "The address holds a control character"))
    unquoted = mailbox[at - start :] if quoted is not None else mailbox
    if "<" in unquoted or '"' in unquoted or " " in unquoted:
        raise CommandFault(reply(501, code, "The address holds a character that needs quoting"))
    if after and after[0] not in " \t":
        raise CommandFault(reply(501, "5.5.4", "Parameters follow the address after a space"))
    if not mailbox:
        if null_allowed:
            return "", after.strip(" \t")
        raise CommandFault(reply(501, "5.1.3", "The recipient address is empty"))
    if quoted is not None and not unquoted.startswith("@"):
        raise CommandFault(reply(501, code, "A domain must follow the quoted local part"))
    return mailbox, after.strip(" \t")


def parameters(text: str) -> tuple[tuple[str, str | None], ...]:
    """Read `KEYWORD[=value] ...` (RFC 5321 4.1.1.11). Raises CommandFault."""
    words = text.split()
    if len(words) > MAXIMUM_PARAMETERS:
        raise CommandFault(reply(501, "5.5.4", f"More than {MAXIMUM_PARAMETERS} parameters"))
    found: list[tuple[str, str | None]] = []
    seen: set[str] = set()
    for word in words:
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise CommandFault(reply(501, "5.5.4", "Malformed parameter"))
        keyword = match[1].upper()
        if keyword in seen:
            raise CommandFault(reply(501, "5.5.4", f"Parameter {keyword} is given twice"))
        seen.add(keyword)
        found.append((keyword, match[2]))
    return tuple(found)


def hello_domain(argument: str, verb: str) -> str:
    """The argument of EHLO or HELO: one word without control characters. Raises CommandFault.

    Its truth is not checked here: RFC 5321 4.1.4 forbids to refuse mail because of it alone.
    """
    word = argument.strip(" \t")
    if not _DOMAIN_ARGUMENT.fullmatch(word):
        raise CommandFault(reply(501, "5.5.4", f"Syntax: {verb} your-host-name"))
    return word


def number(keyword: str, value: str | None, maximum_digits: int = 20) -> int:
    """A parameter that is a decimal number. Raises CommandFault."""
    if value is None or not value.isascii() or not value.isdigit() or len(value) > maximum_digits:
        raise CommandFault(reply(501, "5.5.4", f"{keyword}= needs a decimal number"))
    return int(value)

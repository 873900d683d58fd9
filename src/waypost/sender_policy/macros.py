"""Macros of SPF: `%{i}`, `%{d2r}` and the like in names and explanations (RFC 7208 7)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

LONGEST_NAME: Final = 253
"""Characters of a domain name (RFC 7208 7.3)."""

_IN_NAMES: Final = "slodiphv"
_IN_EXPLANATIONS: Final = "crt"
_MACRO: Final = re.compile(r"%\{([A-Za-z])([0-9]*)([rR]?)([.\-+,/_=]*)\}")
_PIECE: Final = re.compile(r"%(?:\{[^{}]*\}|.|$)|[^%]+", re.DOTALL)
_ESCAPES: Final = {"%%": "%", "%_": " ", "%-": "%20"}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class MacroFault(ValueError):
    """A macro string that is not one."""


@dataclass(frozen=True, slots=True)
class MacroValues:
    """What the letters stand for."""

    sender: str
    """local@domain."""
    helo: str
    address: _Address
    receiver: str
    now: float
    """Seconds since the epoch."""
    validated_name: Callable[[str], Awaitable[str]]
    """The name of the address, as seen from a domain; asked only where %{p} stands."""


def check_macros(text: str, *, in_explanation: bool = False) -> None:
    """Raises MacroFault where a text is no macro string."""
    for piece in _PIECE.findall(text):
        if not piece.startswith("%"):
            if not in_explanation and re.search(r"[^\x21-\x7e]", piece):
                raise MacroFault("holds a character that may not stand in it")
            continue
        if piece in _ESCAPES:
            continue
        macro = _MACRO.fullmatch(piece)
        if macro is None:
            raise MacroFault(f"has a broken macro {piece!r}")
        letters = _IN_NAMES + (_IN_EXPLANATIONS if in_explanation else "")
        if macro[1].lower() not in letters:
            raise MacroFault(f"has an unknown macro {piece!r}")
        if macro[2] and not int(macro[2][:4]):
            raise MacroFault(f"keeps no label in {piece!r}")


async def expand(
    text: str, domain: str, values: MacroValues, *, in_explanation: bool = False
) -> str:
    """Put the values in. Raises MacroFault, and what asking for a name raises."""
    check_macros(text, in_explanation=in_explanation)
    out: list[str] = []
    for piece in _PIECE.findall(text):
        macro = _MACRO.fullmatch(piece)
        if macro is None:
            out.append(_ESCAPES.get(piece, piece))
            continue
        value = await _value(macro[1].lower(), domain, values)
        labels = re.split(f"[{re.escape(macro[4] or '.')}]", value)
        if macro[3]:
            labels.reverse()
        if macro[2]:
            # More labels than a name can have are all of them.
            labels = labels[-int(macro[2][:4]) :]
        value = ".".join(labels)
        out.append(quote(value, safe="-._~") if macro[1].isupper() else value)
    return "".join(out)


async def expand_name(text: str, domain: str, values: MacroValues) -> str:
    """A domain-spec as the name to ask for: short enough, without its final dot."""
    name = (await expand(text, domain, values)).removesuffix(".")
    while len(name) > LONGEST_NAME and "." in name:
        name = name.partition(".")[2]
    return name


async def _value(letter: str, domain: str, values: MacroValues) -> str:
    local, _, sender_domain = values.sender.rpartition("@")
    address = values.address
    match letter:
        case "s":
            return values.sender
        case "l":
            return local
        case "o":
            return sender_domain
        case "d":
            return domain
        case "i" if isinstance(address, ipaddress.IPv6Address):
            return ".".join(f"{int(address):032X}")
        case "i" | "c":
            return str(address)
        case "p":
            return await values.validated_name(domain)
        case "v":
            return "in-addr" if address.version == 4 else "ip6"
        case "h":
            return values.helo
        case "r":
            return values.receiver
        case _:
            return str(int(values.now))

"""Reads the text of a policy (RFC 7208 4.5, 4.6.1 and 12). Asks nothing.

A policy with one faulty term is faulty as a whole, whatever stands before that term: a receiver
gives "permerror". So the fault names the term, and its owner sees what to mend.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from waypost.sender_policy.macros import MacroFault, check_macros

VERSION: Final = "v=spf1"

SHOWN: Final = 120
"""Characters of a faulty term that its message repeats."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Result(StrEnum):
    """RFC 7208 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_QUALIFIERS: Final = {
    "+": Result.PASS,
    "-": Result.FAIL,
    "~": Result.SOFTFAIL,
    "?": Result.NEUTRAL,
}

ASKING: Final = frozenset(("include", "a", "mx", "ptr", "exists", "redirect"))
"""Terms that cost a look-up (RFC 7208 4.6.4)."""

_MODIFIER: Final = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=(.*)", re.DOTALL)
_MECHANISM: Final = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9]*)(.*)", re.DOTALL)
_LENGTHS: Final = re.compile(r"(.*?)(?:/(0|[1-9][0-9]{0,2}))?(?://(0|[1-9][0-9]{0,2}))?", re.DOTALL)
_END: Final = re.compile(
    r".*\.(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?",
    re.DOTALL,
)
_MACRO_END: Final = re.compile(r".*%\{[^{}]*\}", re.DOTALL)


class MalformedPolicy(ValueError):
    """A policy that nobody can evaluate; `term` is the place, "" for the whole."""

    def __init__(self, term: str, reason: str) -> None:
        self.term = term
        self.reason = reason
        super().__init__(f"{term[:SHOWN]!r} {reason}" if term else reason)


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One term that can match."""

    text: str
    """As written."""
    qualifier: Result
    """The result where it matches."""
    name: str
    """all, include, a, mx, ptr, ip4, ip6, exists."""
    domain: str = ""
    """With its macros; "" for the domain that is looked at."""
    network: _Network | None = None
    """Of ip4 and ip6."""
    length_4: int = 32
    """Of a and mx: how many bits of an IPv4 address count."""
    length_6: int = 128


@dataclass(frozen=True, slots=True)
class Policy:
    """One SPF record."""

    mechanisms: tuple[Mechanism, ...]
    redirect: str | None = None
    """With its macros."""
    explanation: str | None = None
    """Where the words for a failure are (exp), with its macros."""
    unknown: tuple[str, ...] = ()
    """Modifiers that mean nothing (RFC 7208 6), as written."""


def is_policy(text: str) -> bool:
    """Whether a TXT record is an SPF record (RFC 7208 4.5)."""
    return text[: len(VERSION)].lower() == VERSION and text[len(VERSION) : len(VERSION) + 1] in (
        "",
        " ",
    )


def parse_policy(text: str) -> Policy:
    """Read a record. Raises MalformedPolicy."""
    if not is_policy(text):
        raise MalformedPolicy("", f"does not begin with {VERSION}")
    if not text.isascii():
        raise MalformedPolicy("", "holds characters outside ASCII")
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, str] = {}
    unknown: list[str] = []
    for term in text[len(VERSION) :].split(" "):
        if not term:
            continue
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            mechanisms.append(_mechanism(term))
            continue
        name, value = modifier[1].lower(), modifier[2]
        if name not in ("redirect", "exp"):
            _checked(term, value)
            unknown.append(term)
            continue
        if name in modifiers:
            raise MalformedPolicy(term, f"is the second {name}=")
        modifiers[name] = _domain(term, value)
    return Policy(
        tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"), tuple(unknown)
    )


def _mechanism(term: str) -> Mechanism:
    found = _MECHANISM.fullmatch(term)
    if found is None:
        raise MalformedPolicy(term, "is no term of SPF")
    qualifier, name, rest = _QUALIFIERS[found[1] or "+"], found[2].lower(), found[3]
    if name == "all":
        if rest:
            raise MalformedPolicy(term, "has something behind all")
        return Mechanism(term, qualifier, name)
    if name in ("include", "exists"):
        return Mechanism(term, qualifier, name, _domain(term, _behind_colon(term, rest)))
    if name in ("a", "mx"):
        return _with_lengths(term, qualifier, name, rest)
    if name == "ptr":
        domain = _domain(term, _behind_colon(term, rest)) if rest else ""
        return Mechanism(term, qualifier, name, domain)
    if name in ("ip4", "ip6"):
        network = _network(term, name, _behind_colon(term, rest))
        return Mechanism(term, qualifier, name, network=network)
    raise MalformedPolicy(term, "is an unknown mechanism")


def _behind_colon(term: str, rest: str) -> str:
    if not rest.startswith(":") or len(rest) == 1:
        raise MalformedPolicy(term, "needs a colon and a value behind it")
    return rest[1:]


def _with_lengths(term: str, qualifier: Result, name: str, rest: str) -> Mechanism:
    """a and mx, whose prefix lengths follow the domain: a:example.com/24//64."""
    found = _LENGTHS.fullmatch(rest)
    assert found is not None  # every part may be absent
    domain = _domain(term, _behind_colon(term, found[1])) if found[1] else ""
    length_4 = 32 if found[2] is None else int(found[2])
    length_6 = 128 if found[3] is None else int(found[3])
    if length_4 > 32 or length_6 > 128:
        raise MalformedPolicy(term, "has a prefix length that is too long")
    return Mechanism(term, qualifier, name, domain, length_4=length_4, length_6=length_6)


def _network(term: str, name: str, value: str) -> _Network:
    address, slash, length = value.partition("/")
    if slash and not re.fullmatch(r"0|[1-9][0-9]{0,2}", length):
        raise MalformedPolicy(term, "has no prefix length behind its slash")
    try:
        if name == "ip4":
            return ipaddress.IPv4Network((ipaddress.IPv4Address(address), int(length or 32)), False)
        if "%" in address:
            raise MalformedPolicy(term, "has a zone in its address")
        return ipaddress.IPv6Network((ipaddress.IPv6Address(address), int(length or 128)), False)
    except ValueError as fault:
        if isinstance(fault, MalformedPolicy):
            raise
        raise MalformedPolicy(term, f"has no {name[:2].upper()}v{name[2]} network") from fault


def _domain(term: str, value: str) -> str:
    """A domain-spec: a macro string that ends in a top label or a macro (RFC 7208 7.1)."""
    _checked(term, value)
    if not (_END.fullmatch(value) or _MACRO_END.fullmatch(value)):
        raise MalformedPolicy(term, "names no domain")
    return value


def _checked(term: str, value: str) -> None:
    try:
        check_macros(value)
    except MacroFault as fault:
        raise MalformedPolicy(term, str(fault)) from fault

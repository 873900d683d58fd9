"""Finds mailboxes in running text, and in the forms that reports have for them.

Looser than mail.address: what a bounce names may be cut, in another case, between odd brackets,
or an X.400 name that carries the mailbox. Every expression is linear in the length of its text.
"""

from __future__ import annotations

import re
from typing import Final

from waypost.mail.encoded_words import displayable

MAXIMUM_ADDRESS: Final = 320

LOCAL: Final = r"""(?:"[^"\n<>]{1,64}"|[^\s<>()\[\]"',;:@\\|*=][^\s<>()\[\]",;:@\\|]{0,127})"""
DOMAIN: Final = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[^\W_](?:[\w.-]{0,252}\w)?)"
ADDRESS: Final = rf"{LOCAL}@{DOMAIN}"
"""An expression for one, without groups."""

_ADDRESS: Final = re.compile(rf"(?<![\w@.+-]){ADDRESS}")
_X400: Final = re.compile(
    rf"(?i)(?:dda:)?smtp=({ADDRESS})|imceaex-[^@\s]{{1,300}}@|smtp:({ADDRESS})"
)
_TYPE: Final = re.compile(
    r"\s*(?:rfc/?822|utf-8|smtp|x400|unknown|system|local|lmtp|dns)\s*;\s*", re.IGNORECASE
)
_UNICODE: Final = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_XTEXT: Final = re.compile(r"\+([0-9A-F]{2})")


def addresses_in(text: str) -> list[str]:
    """All mailboxes in a text, each once, in order."""
    if "@" not in text:
        return []
    found: dict[str, str] = {}
    for one in _ADDRESS.findall(text):
        tidy = tidied(one)
        found.setdefault(tidy.lower(), tidy)
    return list(found.values())


def address_in(text: str) -> str:
    """The first mailbox in a text; "" where there is none."""
    if "@" not in text:
        return ""
    found = _ADDRESS.search(text)
    return tidied(found[0]) if found is not None else ""


def tidied(address: str) -> str:
    """Without what surrounds a mailbox in a sentence."""
    address = address.strip(" \t<>,;:()[]'").rstrip(".")
    for prefix in ("mailto:", "smtp:", "rfc822;"):
        if address.lower().startswith(prefix):
            address = address[len(prefix) :]
    return displayable(address)[:MAXIMUM_ADDRESS]


def typed_address(value: str) -> str:
    """The mailbox of a field such as `rfc822; user@example.com` (RFC 3464 2.3.1, RFC 6533 3).

    Where no mailbox stands in it, what stands there: a local part, or an X.400 name.
    """
    found = _X400.search(value)
    if found is not None and (found[1] or found[2]):
        return tidied(found[1] or found[2])
    kind = _TYPE.match(value)
    rest = value[kind.end() :] if kind is not None else value
    if kind is not None and "utf-8" in kind[0].lower():
        rest = _UNICODE.sub(_letter, rest)
    if " " in rest and "@" in rest:
        one = address_in(rest)
        if one:
            return one
    rest = tidied(rest)
    if rest.count("@") > 1 or ":" in rest:
        route = re.fullmatch(rf"@[^:]{{1,255}}:({ADDRESS})", rest)  # RFC 5321 A.2 source route
        if route is not None:
            return route[1]
    return rest


def unescaped(text: str) -> str:
    """An ORCPT with its xtext undone (RFC 3461 4)."""
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)


def _letter(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if 0x20 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "?"

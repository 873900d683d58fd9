"""Addresses as people give them, and as a header field and an envelope carry them.

One text is one address: a text with a comma is never taken apart, or who fills in one field of a
form could add recipients of his own. Several are given as a list.

An address goes out in US-ASCII where it has such a form (its domain in A-labels, RFC 5891), so that
every server can take it; only one whose local part is international has none and needs SMTPUTF8
(RFC 6531).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.header import Header
from email.headerregistry import Address as HeaderAddress
from typing import Final

from waypost.mail.address import Address, InvalidAddress, address_to_ascii, parse_address
from waypost.mail.compose_faults import InvalidMessage

AddressLike = str | tuple[str, str] | Address | HeaderAddress
"""`ann@example.org`, `Ann Lee <ann@example.org>`, ("Ann Lee", "ann@example.org"), or an object."""

Addresses = AddressLike | Iterable[AddressLike]
"""One, or several in a list. A pair by itself is a name with its address; in doubt use a list."""

MAXIMUM_LINE: Final = 78
"""Characters of a header line, without its end (RFC 5322 2.1.1: should; the limit is 998)."""

_NAMED: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<>"]*+))\s*<([^<>]*+)>\s*')
"""Name or "name", then the address in angle brackets."""

_LONG_NAME: Final = 60
"""Characters from which a name is written as encoded words: these can be folded anywhere."""

_BREAK: Final = re.compile(r"[\x00\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_ESCAPED: Final = re.compile(r"\\(.)")
_PHRASE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
"""A name that needs no quotes (RFC 5322 3.2.5)."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with the name that stands beside it; the name may be empty."""

    name: str
    address: Address

    @property
    def wire(self) -> str:
        """For an envelope, and between the angle brackets: US-ASCII where it has such a form."""
        return address_to_ascii(self.address) or str(self.address)

    @property
    def written(self) -> str:
        """As a header field carries it; a name beyond US-ASCII as encoded words, which may fold."""
        if not self.name:
            return self.wire
        if not self.name.isascii() or "=?" in self.name or len(self.name) > _LONG_NAME:
            name = Header(self.name, "utf-8", header_name="Resent-Reply-To").encode(linesep="\r\n")
        elif _PHRASE.fullmatch(self.name):
            name = self.name
        else:
            name = '"' + self.name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{name} <{self.wire}>"


def mailbox(given: AddressLike, field: str) -> Mailbox:
    """Read one address. Raises InvalidMessage, which names `field`."""
    if isinstance(given, Address):
        return _mailbox("", str(given), field, str(given))
    if isinstance(given, HeaderAddress):
        return _mailbox(given.display_name, given.addr_spec, field, given.addr_spec)
    if isinstance(given, tuple):
        if len(given) != 2 or not all(isinstance(one, str) for one in given):
            raise InvalidMessage(field, f"a tuple is (name, address), not {given!r:.100}")
        return _mailbox(given[0], given[1].strip(" \t"), field, given[1])
    if not isinstance(given, str):
        raise InvalidMessage(field, f"an address is a text, not {type(given).__name__}")
    if not given.isprintable() and _BREAK.search(given):
        raise InvalidMessage(
            field, f"the address holds a line break or NUL: {given!a:.100}", "remove it"
        )
    found = _NAMED.fullmatch(given)
    if found is None:
        return _mailbox("", given.strip(" \t"), field, given)
    name = _ESCAPED.sub(r"\1", found[1]) if found[1] is not None else found[2].strip()
    if found[1] is None and "@" in name:
        raise InvalidMessage(
            field,
            f"{given!r:.100} names two addresses",
            'give a list for several; a name with an @ stands in quotes: "a@b" <c@example.com>',
        )
    return _mailbox(name, found[3], field, given)


def mailboxes(given: Addresses | None, field: str) -> list[Mailbox]:
    """Read one or several. Raises InvalidMessage, which names `field`."""
    if given is None:
        return []
    if isinstance(given, tuple) and len(given) == 2 and "@" not in str(given[0]):
        return [mailbox((str(given[0]), str(given[1])), field)]
    if isinstance(given, str | Address | HeaderAddress):
        return [mailbox(given, field)]
    if not isinstance(given, Iterable):
        raise InvalidMessage(field, f"addresses are texts, not {type(given).__name__}")
    return [mailbox(one, field) for one in given]


def address_list(several: Sequence[Mailbox], name: str) -> str:
    """The value of a field, folded after commas (RFC 5322 3.4); `name` is the field's."""
    lines: list[str] = []
    line = ""
    room = MAXIMUM_LINE - len(name) - 2
    for one in several:
        written = one.written
        if line and len(line) + 2 + len(written) >= room:
            lines.append(line + ",")
            line, room = written, MAXIMUM_LINE - 1
        else:
            line = f"{line}, {written}" if line else written
    return "\r\n ".join([*lines, line])


def _mailbox(name: str, address: str, field: str, evidence: str) -> Mailbox:
    if not name.isprintable():
        raise InvalidMessage(
            field, f"the name holds a line break or control character: {evidence!r:.100}"
        )
    try:
        return Mailbox(name, parse_address(address, smtputf8=True))
    except InvalidAddress as fault:
        advice = ""
        if "," in address or ";" in address:
            advice = 'give a list for several addresses, ["a@example.com", "b@example.com"]'
        elif not address:
            advice = "give an address like ann@example.org"
        raise InvalidMessage(
            field, f"{evidence!r:.100} is no address: {fault.reason}", advice
        ) from fault

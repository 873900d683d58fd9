"""The message as it comes on standard input, and its envelope.

The content goes on as it is: only line ends become CRLF, Bcc fields are taken out, and From is
added where there is none. Date and Message-ID are the relay's to add.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formataddr, getaddresses
from typing import BinaryIO, Final

from waypost.faces.sendmail.arguments import Arguments
from waypost.mail.address import InvalidAddress, address_to_ascii, parse_address
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.framing import normalise_line_ends

MAXIMUM_SIZE: Final = 200 * 1024 * 1024
"""Bytes. The relay's own limit is lower as a rule, and says so itself."""

_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n")
_ADDRESSED: Final = (b"to", b"cc", b"bcc")
_RESENT: Final = tuple(b"resent-" + name for name in _ADDRESSED)
_HIDDEN: Final = (b"bcc", b"resent-bcc")


class InvalidMessage(ValueError):
    """What came cannot be sent; the text says why."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to hand over."""

    envelope: Envelope
    content: bytes


@dataclass(frozen=True, slots=True)
class _Field:
    name: bytes
    """In lower case."""
    value: bytes
    whole: bytes


def read(stream: BinaryIO, *, ignore_dots: bool) -> bytes:
    """The content in CRLF lines. Raises InvalidMessage."""
    content = stream.read(MAXIMUM_SIZE + 1)
    if len(content) > MAXIMUM_SIZE:
        raise InvalidMessage(f"the message is larger than {MAXIMUM_SIZE} bytes")
    content = normalise_line_ends(content)
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    if ignore_dots:
        return content
    end = 0 if content.startswith(b".\r\n") else content.find(b"\r\n.\r\n") + 2
    return content[:end] if end != 1 else content


def letter(content: bytes, arguments: Arguments, user: str, hostname: str) -> Letter:
    """The message and its envelope. `user` is who has called us. Raises InvalidMessage."""
    fields, body = _split(content)
    given = [one for argument in arguments.recipients for one in _several(argument)]
    if arguments.from_header:
        given += _named(fields)
        if not given:
            raise InvalidMessage("neither To nor Cc nor Bcc holds an address")
    recipients = tuple(dict.fromkeys(_address(one, hostname) for one in given))
    sender = _sender(arguments.sender, user, hostname)
    head = [one.whole for one in fields if one.name not in _HIDDEN]
    if not any(one.name == b"from" for one in fields):
        author = sender or f"{user}@{hostname}"
        head.insert(0, _from_field(author, arguments.full_name))
    envelope = Envelope(
        sender,
        tuple(Recipient(one, arguments.notify) for one in recipients),
        arguments.body,
        smtputf8=not all(one.isascii() for one in (sender, *recipients)),
        returned=arguments.returned,
        envelope_id=arguments.envelope_id,
    )
    return Letter(envelope, b"".join((*head, b"\r\n", body)))


def _split(content: bytes) -> tuple[list[_Field], bytes]:
    """The fields, and what stands behind the empty line. Without fields all of it is body."""
    fields: list[_Field] = []
    place = 0
    while (found := _FIELD.match(content, place)) is not None:
        fields.append(_Field(found[1].lower(), found[2], found[0]))
        place = found.end()
    if content.startswith(b"\r\n", place):
        place += 2
    return fields, content[place:]


def _named(fields: list[_Field]) -> list[str]:
    """Who stands in To, Cc and Bcc; or in Resent- fields, where there are any (RFC 5322 3.6.6)."""
    resent = [one for one in fields if one.name in _RESENT]
    values = [
        one.value.replace(b"\r\n", b"").decode("utf-8", "surrogateescape")
        for one in resent or [one for one in fields if one.name in _ADDRESSED]
    ]
    return [address for _, address in getaddresses(values) if address]


def _several(argument: str) -> list[str]:
    """The addresses of one argument: as a rule one, but names and commas are allowed."""
    if "," not in argument and "<" not in argument:
        return [argument]
    return [address for _, address in getaddresses([argument]) if address] or [argument]


def _sender(given: str | None, user: str, hostname: str) -> str:
    if given is None:
        return _address(user, hostname)
    if given.strip() in ("", "<>"):
        return ""
    return _address(_several(given)[0], hostname)


def _address(text: str, hostname: str) -> str:
    """On the wire; a name alone is somebody at this host. Raises InvalidMessage."""
    bare = text.strip()
    if "@" not in bare:
        bare = f"{bare}@{hostname}"
    try:
        address = parse_address(bare, smtputf8=True)
    except InvalidAddress as fault:
        raise InvalidMessage(f"{text[:100]!r} is no address: {fault.reason}") from fault
    return address_to_ascii(address) or str(address)


def _from_field(address: str, full_name: str | None) -> bytes:
    name = " ".join((full_name or "").split())
    if not address.isascii():
        return f"From: {name} <{address}>\r\n".encode() if name else f"From: {address}\r\n".encode()
    try:
        return f"From: {formataddr((name, address))}\r\n".encode("ascii")
    except UnicodeError as fault:
        raise InvalidMessage(f"-F: {name[:100]!r} is no text: {fault}") from fault

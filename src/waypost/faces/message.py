"""A message from its parts as people give them: addresses, text, HTML, files, header fields.

Nothing given can reach into another field: names and values with line breaks are refused. An
address goes out in US-ASCII where it has such a form; only one that has none asks for SMTPUTF8.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from waypost.mail.address import Address, InvalidAddress, address_to_ascii, parse_address
from waypost.smtp.envelope import Envelope, Recipient

if TYPE_CHECKING:
    import datetime as dt

_FIELD_NAME: Final = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322 3.6.8: printable, no colon

_NAMED: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<>"]*+))\s*<([^<>]*+)>\s*')
"""Name or "name", then the address in angle brackets."""

_OURS: Final = {
    "from": "--from", "to": "--to", "cc": "--cc", "bcc": "--bcc", "subject": "--subject",
    "content-type": "--text, --html or --attach", "content-transfer-encoding": "--text",
    "mime-version": "--text", "date": "nothing: it is the time of sending",
}  # fmt: skip
"""Fields that an option makes, with the option to use."""


class InvalidMessage(ValueError):
    """The parts make no message; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a message is made of, as given."""

    sender: str
    to: Sequence[str]
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    attachments: Sequence[Path] = ()
    headers: Sequence[str] = ()
    """ "Name: value" each."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A message ready to go."""

    envelope: Envelope
    content: bytes
    """CRLF lines."""
    message_id: str


@dataclass(frozen=True, slots=True)
class _Mailbox:
    name: str
    address: Address

    @property
    def wire(self) -> str:
        """In US-ASCII where it has such a form."""
        return address_to_ascii(self.address) or str(self.address)


def compose(parts: Parts, now: dt.datetime, hostname: str) -> Composed:
    """Make the message. Raises InvalidMessage, and OSError for a file that cannot be read."""
    sender = _mailbox(parts.sender, "--from")
    to = [_mailbox(one, "--to") for one in parts.to]
    cc = [_mailbox(one, "--cc") for one in parts.cc]
    bcc = [_mailbox(one, "--bcc") for one in parts.bcc]
    if not (to or cc or bcc):
        raise InvalidMessage("nobody to send to; give --to, --cc or --bcc")
    wires = list(dict.fromkeys(one.wire for one in (*to, *cc, *bcc)))
    utf8 = not all(one.isascii() for one in (sender.wire, *wires))
    message = EmailMessage(policy=SMTP.clone(utf8=utf8, cte_type="7bit"))
    message_id = make_msgid(domain=hostname)
    _set(message, "From", _header([sender]))
    for name, mailboxes in (("To", to), ("Cc", cc)):
        if mailboxes:
            _set(message, name, _header(mailboxes))
    _set(message, "Subject", parts.subject)
    for line in parts.headers:
        name, value = _given_field(line)
        _set(message, name, value)
        if name.lower() == "message-id":
            message_id = value
    if "Message-ID" not in message:
        _set(message, "Message-ID", message_id)
    _set(message, "Date", format_datetime(now))
    _set_body(message, parts)
    for path in parts.attachments:
        _attach(message, path)
    try:
        content = message.as_bytes()
    except (ValueError, UnicodeError) as fault:
        raise InvalidMessage(f"the message cannot be written: {fault}") from fault
    envelope = Envelope(sender.wire, tuple(Recipient(one) for one in wires), smtputf8=utf8)
    return Composed(envelope, content, message_id)


def _mailbox(text: str, option: str) -> _Mailbox:
    """ "Name <address>" or an address. Raises InvalidMessage."""
    found = _NAMED.fullmatch(text)
    name, bare = "", text.strip()
    if found is not None:
        name = re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2].strip()
        bare = found[3]
    if len(name.splitlines()) > 1 or not name.isprintable():
        raise InvalidMessage(f"{option}: the name holds a line break or control: {text[:100]!r}")
    try:
        return _Mailbox(name, parse_address(bare, smtputf8=True))
    except InvalidAddress as fault:
        evidence = repr(text[:100]) if bare != text.strip() else fault.evidence
        raise InvalidMessage(f"{option}: no address: {evidence}: {fault.reason}") from fault


def _header(mailboxes: Sequence[_Mailbox]) -> tuple[HeaderAddress, ...]:
    made: list[HeaderAddress] = []
    for one in mailboxes:
        local, _, domain = one.wire.rpartition("@")
        if local.startswith('"'):
            local = re.sub(r"\\(.)", r"\1", local[1:-1])  # it is quoted again when written
        made.append(HeaderAddress(one.name, local, domain))
    return tuple(made)


def _given_field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _FIELD_NAME.fullmatch(name):
        raise InvalidMessage(f"--header: {line[:100]!r} is no field; write it as 'Name: value'")
    if name.lower() in _OURS:
        raise InvalidMessage(f"--header: {name} is made by an option; use {_OURS[name.lower()]}")
    return name, value.strip(" \t")


def _set(message: EmailMessage, name: str, value: object) -> None:
    """Set a field. Raises InvalidMessage for what cannot stand there, line breaks above all."""
    text = value if isinstance(value, str) else ""
    if len(text.splitlines()) > 1 or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        raise InvalidMessage(f"{name}: the value holds a line break or control character")
    try:
        message[name] = value
    except (ValueError, IndexError) as fault:
        raise InvalidMessage(f"{name}: {fault}") from fault


def _set_body(message: EmailMessage, parts: Parts) -> None:
    try:
        message.set_content(parts.text if parts.text is not None else "")
        if parts.html is not None:
            if parts.text is None:
                message.set_content(parts.html, subtype="html")
            else:
                message.add_alternative(parts.html, subtype="html")
    except UnicodeError as fault:
        raise InvalidMessage(f"the text is not valid Unicode: {fault}") from fault


def _attach(message: EmailMessage, path: Path) -> None:
    """A file as an attachment; its type by its name."""
    guessed, encoding = mimetypes.guess_type(path.name)
    kind = guessed if guessed is not None and encoding is None else "application/octet-stream"
    main, _, sub = kind.partition("/")
    if main in ("message", "multipart"):  # these may not be in base64 (RFC 2046 5.2.1)
        main, sub = "application", "octet-stream"
    message.add_attachment(path.read_bytes(), maintype=main, subtype=sub, filename=path.name)

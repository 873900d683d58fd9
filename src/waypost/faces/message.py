"""A message from what a command line gives: options in, and faults that name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import make_msgid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from waypost.mail import compose as composing
from waypost.smtp.envelope import Envelope

if TYPE_CHECKING:
    import datetime as dt

_OPTIONS: Final = {
    "from_": "--from", "to": "--to", "cc": "--cc", "bcc": "--bcc", "reply_to": "--reply-to",
    "subject": "--subject", "text": "--text", "html": "--html", "attachments": "--attach",
    "headers": "--header",
}  # fmt: skip
"""What a part is called on the command line."""


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
    reply_to: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Composed:
    """A message ready to go."""

    envelope: Envelope
    content: bytes
    """CRLF lines, in US-ASCII but for international addresses."""
    message_id: str


def compose(parts: Parts, now: dt.datetime, hostname: str) -> Composed:
    """Make the message. Raises InvalidMessage, and OSError for a file that cannot be read."""
    if not (parts.to or parts.cc or parts.bcc):
        raise InvalidMessage("nobody to send to; give --to, --cc or --bcc")
    given = [given_field(line) for line in parts.headers]
    identifiers = [value for name, value in given if name.lower() == "message-id"]
    try:
        message = composing.compose(
            from_=parts.sender,
            to=list(parts.to),
            cc=list(parts.cc),
            bcc=list(parts.bcc),
            reply_to=list(parts.reply_to) or None,
            subject=parts.subject,
            text=parts.text if parts.text is not None or parts.html is not None else "",
            html=parts.html,
            attachments=list(parts.attachments),
            headers=[pair for pair in given if pair[0].lower() != "message-id"],
            date=now,
            message_id=identifiers[0] if identifiers else make_msgid(domain=hostname),
        )
        ready = composing.outgoing(message, seven_bit=True)
        return Composed(ready.envelope, ready.content.read(), ready.message_id)
    except composing.InvalidMessage as fault:
        raise InvalidMessage(_in_options(fault)) from fault
    except UnicodeError as fault:
        raise InvalidMessage(f"the text is not valid Unicode: {fault}") from fault


def given_field(line: str) -> tuple[str, str]:
    """A field as --header gives it. Raises InvalidMessage."""
    name, colon, value = line.partition(":")
    if not colon:
        raise InvalidMessage(f"--header: {line[:100]!r} is no field; write it as 'Name: value'")
    return name, value.strip(" \t")


def _in_options(fault: composing.InvalidMessage) -> str:
    """What is wrong, in the words of the command line."""
    field, bracket, which = fault.field.partition("[")
    argument = fault.problem.rpartition(": ")[2]
    option = _OPTIONS.get(field, field)
    name = which.strip("']")
    if bracket and argument in _OPTIONS:  # a field of --header that an option makes
        return f"{option}: {name} is made by an option; use {_OPTIONS[argument]}"
    where = f"{option}: {name}" if bracket else option
    return f"{where}: {fault.problem}{f'; {fault.advice}' if fault.advice else ''}"

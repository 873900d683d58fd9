"""A message of its parts: `compose` makes it, and `outgoing` what a server is given of it.

Nothing given can reach into another field (see `compose_fields`), what is missing is made (text of
the HTML, Date, Message-ID), and a message that the caller made is copied, never changed. The moment
and the identifier come from above: nothing here reads a clock or throws dice.

    message = compose(from_="a@example.com", to=["b@example.org"], subject="Hello", text="Hi",
                      date=now, message_id="<1@example.com>")
    ready = outgoing(message)
    ready.envelope, ready.content.size
    for chunk in ready.content.chunks(): ...
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage, Message
from email.policy import SMTP
from email.utils import format_datetime
from os import PathLike
from typing import Any, Final, cast

from waypost.mail.compose_addresses import (
    Addresses,
    AddressLike,
    Mailbox,
    address_list,
    mailbox,
    mailboxes,
)
from waypost.mail.compose_attachments import (
    Attachment,
    AttachmentLike,
    ReadableFile,
    attachment,
)
from waypost.mail.compose_body import body
from waypost.mail.compose_content import ContentSource, content_of, raw_field
from waypost.mail.compose_copy import prepared
from waypost.mail.compose_envelope import envelope_of
from waypost.mail.compose_faults import InvalidMessage
from waypost.mail.compose_fields import GivenHeaders, given_fields, set_field
from waypost.mail.list_headers import Unsubscribe, UnsubscribeLike, unsubscribe_fields
from waypost.smtp.envelope import Envelope

__all__ = [
    "AddressLike",
    "Addresses",
    "Attachment",
    "AttachmentLike",
    "ContentSource",
    "InvalidMessage",
    "Outgoing",
    "Unsubscribe",
    "attachment",
    "compose",
    "content_of",
    "envelope_of",
    "outgoing",
    "prepared",
]


NOBODY_NAMED: Final = "undisclosed-recipients:;"
"""A group without members (RFC 5322 A.1.3): a message with neither To nor Cc looks like junk."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a server is given: to whom, and what."""

    envelope: Envelope
    content: ContentSource
    message_id: str
    """With its angle brackets."""


def compose(
    *,
    from_: AddressLike,
    to: Addresses | None = None,
    cc: Addresses | None = None,
    bcc: Addresses | None = None,
    reply_to: Addresses | None = None,
    sender: AddressLike | None = None,
    subject: str = "",
    text: str | None = None,
    html: str | None = None,
    attachments: Iterable[AttachmentLike] | AttachmentLike = (),
    inline: Mapping[str, AttachmentLike] | None = None,
    calendar: str | bytes | None = None,
    headers: GivenHeaders = (),
    list_unsubscribe: UnsubscribeLike | None = None,
    date: dt.datetime | str,
    message_id: str,
) -> EmailMessage:
    """Make a message.

    Addresses are `ann@example.org`, `Ann Lee <ann@example.org>` or ("Ann Lee", "ann@example.org");
    several are a list. `bcc` stands in the message made, for `envelope_of`, and is left out of what
    `content_of` writes. Without `text`, it is made of `html`. `attachments` are paths, open binary
    files, or (name, content) with an optional type; `inline` images stand in the HTML as
    `cid:NAME`. `calendar` is an iCalendar text with its METHOD. `list_unsubscribe` is a https: or
    mailto: address, or several. `date` has a time zone, or is written already; `message_id` has its
    angle brackets.

    Raises InvalidMessage, which names the argument, and OSError for a file that cannot be read.
    """
    author = mailbox(from_, "from_")
    named: list[tuple[str, list[Mailbox]]] = [("From", [author])]
    if sender is not None:
        named.append(("Sender", [mailbox(sender, "sender")]))
    named += [
        ("To", mailboxes(to, "to")),
        ("Cc", mailboxes(cc, "cc")),
        ("Bcc", mailboxes(bcc, "bcc")),
        ("Reply-To", mailboxes(reply_to, "reply_to")),
    ]
    recipients = [one for name, several in named if name in ("To", "Cc", "Bcc") for one in several]
    if not recipients:
        raise InvalidMessage("to", "nobody to send to", "give to, cc or bcc")
    message = body(
        text=text,
        html=html,
        attachments=_several(attachments),
        inline=inline or {},
        calendar=calendar,
    )
    if not all(one.wire.isascii() for _, several in named for one in several):
        message.policy = SMTP.clone(utf8=True)  # RFC 6532
    of_body = list(message.raw_items())
    for name, _ in of_body:
        del message[name]
    for name, several in named:
        if several:
            message.set_raw(name, address_list(several, name))
    if "To" not in message and "Cc" not in message:
        message.set_raw("To", NOBODY_NAMED)
    set_field(message, "Subject", subject, "subject")
    stamp = date if isinstance(date, str) else _written_date(date)
    set_field(message, "Date", stamp, "date")
    set_field(message, "Message-ID", message_id, "message_id")
    for name, value in given_fields(headers):
        set_field(message, name, value, f"headers[{name!r}]")
    if list_unsubscribe is not None:
        for name, value in unsubscribe_fields(list_unsubscribe):
            message.set_raw(name, value)
    message.set_raw("MIME-Version", "1.0")
    for name, value in of_body:
        message.set_raw(name, value)
    return message


def outgoing(
    message: Message[Any, Any],
    *,
    from_: AddressLike | None = None,
    to: Addresses | None = None,
    date: dt.datetime | str | None = None,
    message_id: str | None = None,
    seven_bit: bool = False,
) -> Outgoing:
    """What a server is given of a message, composed here or by the caller.

    `from_` and `to` stand for what the fields say, in the envelope only. `date` and `message_id`
    are for a message that has none; the message given is not changed. Raises InvalidMessage.
    """
    ready = prepared(
        message,
        date=_written_date(date) if isinstance(date, dt.datetime) else date,
        message_id=message_id,
    )
    content = content_of(ready, seven_bit=seven_bit)
    envelope = envelope_of(ready, from_=from_, to=to, content=content)
    return Outgoing(envelope, content, raw_field(ready, "message-id").strip())


def _written_date(date: dt.datetime) -> str:
    if date.tzinfo is None:
        raise InvalidMessage("date", "it has no time zone", "use datetime.now(timezone.utc)")
    return format_datetime(date)


def _several(given: Iterable[AttachmentLike] | AttachmentLike) -> list[AttachmentLike]:
    """A caller with one file need not make a list of it; a pair has to stand in one, as it could be
    two paths as well."""
    if isinstance(given, list) or given == ():
        return list(cast("Iterable[AttachmentLike]", given))
    if isinstance(given, str | PathLike | ReadableFile | Attachment):
        return [given]
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise InvalidMessage("attachments", "bytes need a name", "give [(name, bytes)]")
    if isinstance(given, tuple) and any(isinstance(one, bytes) for one in given):
        raise InvalidMessage("attachments", "this pair could be two files", "give [(name, bytes)]")
    return list(cast("Iterable[AttachmentLike]", given))

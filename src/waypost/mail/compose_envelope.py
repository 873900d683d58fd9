"""Who sends and who receives, by the fields of a message (RFC 5321 2.3.1, RFC 5322 3.6).

The reverse-path is that of Sender, or else of From; the recipients are those of To, Cc and Bcc,
each once. A message that is sent on by someone else (Resent-From and its like, RFC 5322 3.6.6) goes
by those fields instead.
"""

from __future__ import annotations

import re
from email.message import Message
from email.policy import default
from typing import TYPE_CHECKING, Any, Final

from waypost.mail.compose_addresses import Addresses, AddressLike, Mailbox, mailbox, mailboxes
from waypost.mail.compose_faults import InvalidMessage
from waypost.smtp.envelope import Envelope, Recipient

if TYPE_CHECKING:
    from waypost.mail.compose_content import ContentSource

_SIMPLE: Final = re.compile(r"\s*(?:[A-Za-z0-9 .'_-]*<([^<>()\",;:\\\s]+)>|([^<>()\",;:\\\s]+))\s*")
"""One address with a plain name or none, as nearly all are; folds are white space."""


def envelope_of(
    message: Message[Any, Any],
    *,
    from_: AddressLike | None = None,
    to: Addresses | None = None,
    content: ContentSource | None = None,
) -> Envelope:
    """The envelope of a message; `from_` and `to` stand for what its fields say. An empty `from_`
    is the null sender of a notice. With `content`, what it asks of the server is in the envelope.

    Raises InvalidMessage.
    """
    fields: dict[str, list[Any]] = {}
    for name, value in message.raw_items():
        fields.setdefault(name.lower(), []).append(value)
    prefix = "resent-" if "resent-from" in fields or "resent-to" in fields else ""
    if prefix and len(fields.get("resent-date", [])) > 1:
        raise InvalidMessage(
            "message",
            "it was sent on more than once (several Resent-Date), so its fields do not tell whom "
            "it goes to now",
            "give from_ and to",
        )
    if from_ is None:
        sender = _sender(fields, prefix)
    else:
        sender = "" if from_ == "" else mailbox(from_, "from_").wire
    if to is not None:
        found = mailboxes(to, "to")
    else:
        found = [
            one
            for name in ("to", "cc", "bcc")
            for value in fields.get(prefix + name, [])
            for one in _mailboxes(value, (prefix + name).title())
        ]
    wires = list(dict.fromkeys(one.wire for one in found))
    if not wires:
        raise InvalidMessage(
            "to", "nobody to send to: the message has no To, Cc or Bcc", "set one, or give to"
        )
    utf8 = not sender.isascii() or not all(one.isascii() for one in wires)
    recipients = tuple(Recipient(one) for one in wires)
    if content is None:
        return Envelope(sender, recipients, smtputf8=utf8)
    return Envelope(
        sender,
        recipients,
        body="8BITMIME" if content.is_8bit else None,
        smtputf8=utf8 or content.needs_smtputf8,
        declared_size=content.size,
    )


def _sender(fields: dict[str, list[Any]], prefix: str) -> str:
    for name in (f"{prefix}sender", f"{prefix}from"):
        for value in fields.get(name, []):
            found = _mailboxes(value, name.title())
            if found:
                return found[0].wire
    raise InvalidMessage("from_", "the message has no From", "set message['From'], or give from_")


def _mailboxes(value: Any, name: str) -> list[Mailbox]:
    text = str(value)
    simple = _SIMPLE.fullmatch(text)
    if simple is not None:
        return [mailbox(simple[1] or simple[2], name)]
    addresses = getattr(value, "addresses", None)
    if addresses is None:
        addresses = default.header_factory(name, _unfolded(text)).addresses
    return [mailbox(one, name) for one in addresses]


def _unfolded(text: str) -> str:
    return re.sub(r"[\r\n]+(?=[ \t])", "", text).replace("\r", "").replace("\n", "")

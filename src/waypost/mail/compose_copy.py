"""A message of the caller's, copied and made ready: what is missing is added, nothing is changed in
the one given.

Addresses with an international domain are written with A-labels (RFC 5891), as every server can
take these; UTF-8 stays in a header only where a local part leaves no choice.
"""

from __future__ import annotations

import copy
from email.message import Message
from email.policy import EmailPolicy
from typing import Any, Final

from waypost.mail.compose_addresses import Mailbox, address_list, mailbox
from waypost.mail.compose_faults import InvalidMessage
from waypost.mail.compose_fields import check_value

ADDRESS_FIELDS: Final = frozenset(
    ("from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-to",
     "resent-cc", "resent-bcc")
)  # fmt: skip


def prepared(
    message: Message[Any, Any], *, date: str | None = None, message_id: str | None = None
) -> Message[Any, Any]:
    """A copy with Date, Message-ID and MIME-Version where they are missing.

    Bcc stays in it for `envelope_of`. Raises InvalidMessage.
    """
    ready = copy.copy(message)
    del ready["X-Waypost-None"]  # gives the copy a list of fields of its own
    given = [name.lower() for name, _ in ready.raw_items()]
    for name, value in (("Date", date), ("Message-ID", message_id)):
        if value is not None and name.lower() not in given:
            check_value(value, name)
            ready.set_raw(name, value)
    if "mime-version" not in given and "content-type" in given:
        ready.set_raw("MIME-Version", "1.0")
    _write_addresses(ready)
    return ready


def _write_addresses(ready: Message[Any, Any]) -> None:
    """Write again what addresses have letters beyond US-ASCII."""
    if not isinstance(ready.policy, EmailPolicy):
        return  # the old kind of message knows no international address
    utf8 = False
    for name, value in list(ready.raw_items()):
        if name.lower() not in ADDRESS_FIELDS or str(value).isascii():
            continue
        header = ready.policy.header_factory(name, value) if type(value) is str else value
        several: list[Mailbox] = []
        for group in header.groups:
            if group.display_name is not None:
                break
            several += [mailbox(one, name) for one in group.addresses]
        else:
            written = address_list(several, name)
            utf8 = utf8 or not written.isascii()
            _replace(ready, name, written)
    if utf8 and not ready.policy.utf8:
        ready.policy = ready.policy.clone(utf8=True)


def _replace(ready: Message[Any, Any], name: str, written: str) -> None:
    fields = list(ready.raw_items())
    for other, _ in fields:
        del ready[other]
    done = False
    for other, value in fields:
        if other == name and not done and not str(value).isascii():
            ready.set_raw(name, written)
            done = True
        else:
            ready.set_raw(other, value)


__all__ = ["InvalidMessage", "prepared"]

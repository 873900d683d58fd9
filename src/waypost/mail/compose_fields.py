"""Header fields with values of others: no value reaches into another field.

Every field of a composed message is set here. A value with a line break, a NUL or another control
character is refused before it is looked at in any other way, with the name of the part it came in:
never mended, as what someone smuggles in would then be sent without a word.

A short value in US-ASCII, as nearly all are, is stored as it will be written, which costs nothing;
all else goes through the standard library's folding and encoded words (RFC 2047).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.message import EmailMessage
from typing import Final

from waypost.mail.compose_addresses import MAXIMUM_LINE
from waypost.mail.compose_faults import InvalidMessage

GivenHeaders = Mapping[str, str] | Iterable[tuple[str, str]]

_NAME: Final = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322 3.6.8: printable, no colon
_BREAKS: Final = re.compile(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PLAIN: Final = re.compile(r"[ -~]*")

_MADE: Final = {
    "from": "from_", "sender": "sender", "to": "to", "cc": "cc", "bcc": "bcc",
    "reply-to": "reply_to", "subject": "subject", "date": "date", "message-id": "message_id",
    "list-unsubscribe": "list_unsubscribe", "list-unsubscribe-post": "list_unsubscribe",
    "content-type": "text, html or attachments", "content-transfer-encoding": "text or html",
    "content-disposition": "attachments", "content-id": "inline",
    "mime-version": "nothing: it is always written",
    "dkim-signature": "a DKIM key", "return-path": "nothing: the last server writes it",
}  # fmt: skip
"""Fields that an argument makes, with the argument to use."""


def check_value(value: str, field: str) -> None:
    """Raise InvalidMessage for what cannot stand in a header field."""
    if not isinstance(value, str):
        raise InvalidMessage(field, f"the value is a text, not {type(value).__name__}")
    found = _BREAKS.search(value)
    if found is not None:
        raise InvalidMessage(
            field,
            f"the value holds a line break ({_around(value, found.start())})",
            "a header field is one line: remove it, or refuse the input that brought it",
        )
    found = _CONTROLS.search(value)
    if found is not None:
        raise InvalidMessage(
            field, f"the value holds a control character ({_around(value, found.start())})"
        )


def set_field(message: EmailMessage, name: str, value: str, field: str) -> None:
    """Add a field whose value comes from outside. `field` is what its giver calls it.

    Raises InvalidMessage.
    """
    check_value(value, field)
    value = value.strip(" \t")
    if len(name) + 2 + len(value) <= MAXIMUM_LINE and _PLAIN.fullmatch(value) and "=?" not in value:
        message.set_raw(name, value)
        return
    try:
        message[name] = value
    except (ValueError, IndexError, AttributeError) as fault:
        raise InvalidMessage(field, f"the value cannot be written: {fault}") from fault


def given_fields(headers: GivenHeaders) -> list[tuple[str, str]]:
    """Header fields that the caller adds. Raises InvalidMessage."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    checked: list[tuple[str, str]] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InvalidMessage("headers", f"{pair!r:.100} is no pair of name and value")
        name, value = pair
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidMessage(
                "headers",
                f"{name!r:.100} is no name of a header field",
                "a name is at most 76 letters, digits and signs, without spaces or a colon",
            )
        if name.lower() in _MADE:
            raise InvalidMessage(
                f"headers[{name!r}]", f"this field is made by an argument: {_MADE[name.lower()]}"
            )
        check_value(value, f"headers[{name!r}]")
        checked.append((name, value))
    return checked


def _around(value: str, at: int) -> str:
    """Evidence: what stands there, escaped."""
    start = max(0, at - 20)
    return f"{'...' if start else ''}{value[start : at + 20]!a}"

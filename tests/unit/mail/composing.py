"""What the tests of composing share: a message of few words, and its bytes read back."""

from __future__ import annotations

import datetime as dt
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from typing import Any, cast

from waypost.mail.compose import compose, outgoing

NOW = dt.datetime(2026, 11, 24, 9, 0, tzinfo=dt.UTC)
SENDER, TO = "a@example.com", "b@example.org"
MESSAGE_ID = "<unique@example.com>"


def composed(**parts: Any) -> EmailMessage:
    """A message with what every message needs, and these parts."""
    needed = {"from_": SENDER, "to": [TO], "date": NOW, "message_id": MESSAGE_ID}
    return compose(**(needed | parts))


def written(message: Message[Any, Any] | None = None, **parts: Any) -> bytes:
    """What a server is given."""
    return outgoing(message if message is not None else composed(**parts)).content.read()


def read_back(content: bytes) -> EmailMessage:
    """What a recipient's program makes of it."""
    return cast("EmailMessage", message_from_bytes(content, policy=policy.default))


def field_names(content: bytes) -> list[str]:
    """The names of the header fields of the message itself, in lower case."""
    return [name.lower() for name in read_back(content).keys()]  # noqa: SIM118

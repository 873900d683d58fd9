"""A message as a test looks at it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from typing import Final

from waypost.lab.trap import Trapped
from waypost.smtp.envelope import Envelope

_LINK: Final = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]")


@dataclass(frozen=True)
class ReceivedMessage:
    """One message that the server has taken."""

    trapped: Trapped

    @property
    def envelope(self) -> Envelope:
        """Sender and recipients as SMTP had them, with their parameters."""
        return self.trapped.envelope

    @property
    def sender(self) -> str:
        """The reverse-path; "" for the null sender."""
        return self.trapped.envelope.reverse_path

    @property
    def recipients(self) -> tuple[str, ...]:
        """Of the envelope: Bcc is among them."""
        return tuple(one.address for one in self.trapped.envelope.recipients)

    @property
    def content(self) -> bytes:
        """The bytes, in CRLF lines."""
        return self.trapped.content

    @property
    def user(self) -> str | None:
        """Who logged in."""
        return self.trapped.user

    @property
    def tls(self) -> str:
        """Version and cipher of the connection; "" in the clear."""
        return self.trapped.tls

    @cached_property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        return message_from_bytes(self.content, policy=policy.default)

    def __getitem__(self, name: str) -> str:
        """A header field, decoded. Raises KeyError."""
        value = self.message[name]
        if value is None:
            raise KeyError(name)
        return str(value)

    @property
    def subject(self) -> str:
        """The Subject, decoded; "" where there is none."""
        return str(self.message["Subject"] or "")

    @property
    def text(self) -> str:
        """The plain text, with its lines ended by \\n; "" where there is none."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The HTML, likewise."""
        return self._body("html")

    @property
    def links(self) -> list[str]:
        """The web addresses in text and HTML, in their order, each once."""
        return list(dict.fromkeys(_LINK.findall(self.text) + _LINK.findall(self.html)))

    @property
    def attachments(self) -> dict[str, bytes]:
        """Attached files by name; of several with one name, the last."""
        found: dict[str, bytes] = {}
        for part in self.message.iter_attachments():
            payload = part.get_payload(decode=True)
            content = payload if isinstance(payload, bytes) else part.as_bytes()
            found[part.get_filename() or ""] = content
        return found

    def _body(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        return "" if part is None else str(part.get_content()).replace("\r\n", "\n")

    def __repr__(self) -> str:
        return (
            f"<ReceivedMessage {self.subject!r} from {self.sender or '<>'} "
            f"to {', '.join(self.recipients)}>"
        )

"""Fields in front of a message that are known only when all of it is: our signatures, and what was
found of the signatures of others.

Room is left for them when the header has come; the body is shown to them as it passes; at its end
they are put into the room, or say that the message is not to be taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from waypost.mail.headers import HeaderBlock
from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import Reply


class HeadFields(Protocol):
    """Of one message."""

    @property
    def room(self) -> int:
        """Bytes that the fields will have at most."""

    @property
    def block(self) -> bytes:
        """The header to keep: that of the message, perhaps without fields that lie."""

    def body(self, data: bytes) -> None:
        """More of what stands behind the header's empty line."""

    def finish(self, done: Callable[[bytes | Reply], None]) -> None:
        """The body is whole: `done` is called on the loop with the fields, or with a refusal."""

    def padded(self, fields: bytes) -> bytes:
        """The fields with exactly `room` bytes, for content that is in a file already."""

    def discard(self) -> None:
        """The transaction ends without a message."""


class HeadSource(Protocol):
    """Makes them, for those messages that are to have some."""

    def begin(
        self,
        block: HeaderBlock,
        added: bytes,
        envelope: Envelope,
        *,
        client: tuple[str, str],
        user: str | None,
        now: float,
    ) -> HeadFields | None:
        """For a message with this header, to which `added` is put in front.

        `client` is its address and the name it gave itself, `user` who has logged in, `now` seconds
        since the epoch. None: no fields.
        """

"""Return paths that say what came back: `bounce+TOKEN@bounces.example.com`.

A bounce is a text by a stranger, and often does not say which message it is about. So each message
leaves with a return path of its own (variable envelope return path, VERP): its token holds the
message and the recipient, and an authentication code that nobody can make without our secret. A
token is base32, as some servers change the case of a local part.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "bounce+"

SECRET_BYTES: Final = 32

_MESSAGE_BYTES: Final = 8
_NUMBER_BYTES: Final = 3
_CODE_BYTES: Final = 9
"""Of the code (HMAC-SHA-256, cut as RFC 2104 5 allows). It can only be guessed by asking us."""

# 20 bytes are 32 letters of base32 without padding, and 39 octets before the at sign; the most that
# there may be is 64 (RFC 5321 4.5.3.1.1).
_TOKEN: Final = re.compile(r"[a-z2-7]{32}")

MAXIMUM_NUMBER: Final = (1 << 8 * _NUMBER_BYTES) - 2
"""The highest place in an envelope that a token can hold."""


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """What a token stands for."""

    message: int
    """Its identifier."""
    recipient: int | None
    """Its place in the envelope; None: the message went to several at once."""


class ReturnPaths:
    """Writes and reads the return paths of one domain, with one secret."""

    def __init__(self, domain: str, secret: bytes) -> None:
        """Raises ValueError where the secret is too short to be one."""
        if len(secret) < SECRET_BYTES:
            raise ValueError(f"the secret of return paths has {SECRET_BYTES} bytes at least")
        self.domain = domain.lower()
        self._secret = secret

    def write(self, path: ReturnPath) -> str:
        """The address. Raises ValueError where a number does not fit into it."""
        number = 0 if path.recipient is None else path.recipient + 1
        try:
            held = path.message.to_bytes(_MESSAGE_BYTES, "big") + number.to_bytes(
                _NUMBER_BYTES, "big"
            )
        except OverflowError as fault:
            raise ValueError(f"{path} does not fit into a return path") from fault
        token = base64.b32encode(held + self._code(held)).decode().lower()
        return f"{PREFIX}{token}@{self.domain}"

    def owns(self, address: str) -> bool:
        """Whether an address is in our domain, genuine or not."""
        return address.rpartition("@")[2].lower() == self.domain

    def read(self, address: str) -> ReturnPath | None:
        """What an address stands for; None where it is not one that we have written."""
        local_part, _, domain = address.lower().rpartition("@")
        token = local_part.removeprefix(PREFIX)
        if domain != self.domain or token == local_part or not _TOKEN.fullmatch(token):
            return None
        octets = base64.b32decode(token.upper())
        held, code = octets[:-_CODE_BYTES], octets[-_CODE_BYTES:]
        if not hmac.compare_digest(code, self._code(held)):
            return None
        number = int.from_bytes(held[_MESSAGE_BYTES:], "big")
        message = int.from_bytes(held[:_MESSAGE_BYTES], "big")
        return ReturnPath(message, number - 1 if number else None)

    def _code(self, held: bytes) -> bytes:
        said = b"return path\0" + self.domain.encode() + b"\0" + held
        return hmac.digest(self._secret, said, hashlib.sha256)[:_CODE_BYTES]

"""Signatures of webhooks, as the Standard Webhooks specification 1.0.0 has them.

The signed text is ID.TIMESTAMP.BODY, the signature HMAC-SHA256 of it in base64 behind `v1,`. A
secret is `whsec_` and 24 to 64 random bytes in base64. While a secret is being replaced a request
carries two signatures, one with each, and its receiver accepts either.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import Final

PREFIX: Final = "whsec_"

SECRET_BYTES: Final = 32

ALLOWED_BYTES: Final = range(24, 65)

RandomBytes = Callable[[int], bytes]


def new_secret(random_bytes: RandomBytes = secrets.token_bytes) -> str:
    """A secret for one endpoint."""
    return PREFIX + base64.b64encode(random_bytes(SECRET_BYTES)).decode("ascii")


def checked_secret(text: str) -> str:
    """A secret that somebody brings along. Raises ValueError, which does not repeat it."""
    try:
        key = _key(text)
    except (ValueError, binascii.Error, UnicodeError):
        key = b""
    if not text.startswith(PREFIX) or len(key) not in ALLOWED_BYTES:
        raise ValueError(
            f"a secret is {PREFIX} and {ALLOWED_BYTES.start} to {ALLOWED_BYTES.stop - 1} random "
            "bytes in base64; leave it out to have one made"
        )
    return text


def signed_headers(
    secrets_in_use: Sequence[str], identity: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The three headers of a request; `timestamp` in seconds since the epoch, of this attempt."""
    text = f"{identity}.{timestamp}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.digest(_key(secret), text, hashlib.sha256)).decode("ascii")
        for secret in secrets_in_use
    ]
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)

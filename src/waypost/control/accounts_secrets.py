"""Secrets that this program makes: of sessions, one-time links and API keys.

Each has 256 random bits, so that a plain SHA-256 of it is enough to keep: nobody can guess what it
was made of, however fast. Passwords, which people think of, are another matter (see
`accounts_passwords`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final

SECRET_BYTES: Final = 32

RandomBytes = Callable[[int], bytes]


def new_secret(prefix: str = "", random_bytes: RandomBytes = secrets.token_bytes) -> str:
    """A new secret as text that is safe in a URL, a cookie and a header."""
    drawn = base64.urlsafe_b64encode(random_bytes(SECRET_BYTES)).decode()
    return prefix + drawn.rstrip("=")


def hash_of(secret: str) -> bytes:
    """What is kept of a secret, and looked up by."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def token_bound_to(secret: str, purpose: str) -> str:
    """A token that only who has the secret can make, and that does not tell it."""
    made = hmac.digest(secret.encode("utf-8", "surrogatepass"), purpose.encode(), "sha256")
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def equal(one: str, other: str) -> bool:
    """Whether two texts are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )

"""AUTH at a trap: PLAIN and LOGIN, against names and passwords that a test has made up."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from waypost.smtp.reply import Reply, reply

MECHANISMS: Final = ("PLAIN", "LOGIN")

BAD_CREDENTIALS: Final = reply(
    535, "5.7.8", "Authentication failed: user name or password is wrong"
)
MALFORMED: Final = reply(501, "5.5.2", "Malformed response")


@dataclass(frozen=True, slots=True)
class LoginStep:
    """What to say next: a challenge, success for a user, or else the refusal."""

    challenge: bytes | None = None
    user: str | None = None
    refusal: Reply = BAD_CREDENTIALS


class TrapLogin:
    """One exchange."""

    def __init__(self, mechanism: str, users: Mapping[str, str]) -> None:
        self._mechanism = mechanism
        self._users = users
        self._name: str | None = None

    def respond(self, response: bytes | None) -> LoginStep:
        """The client's next message; None where AUTH had no initial response."""
        if response is None:
            return LoginStep(challenge=b"Username:" if self._mechanism == "LOGIN" else b"")
        try:
            text = response.decode()
        except UnicodeDecodeError:
            return LoginStep(refusal=MALFORMED)
        if self._mechanism == "PLAIN":
            parts = text.split("\0")
            return self._check(*parts[1:]) if len(parts) == 3 else LoginStep(refusal=MALFORMED)
        if self._name is None:
            self._name = text
            return LoginStep(challenge=b"Password:")
        return self._check(self._name, text)

    def _check(self, name: str, password: str) -> LoginStep:
        wanted = self._users.get(name)
        if wanted is not None and hmac.compare_digest(wanted.encode(), password.encode()):
            return LoginStep(user=name)
        return LoginStep()

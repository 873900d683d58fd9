"""One AUTH exchange as its client leads it (RFC 4954 4): base64 around a SASL mechanism."""

from __future__ import annotations

import base64
from typing import Final

from waypost.smtp.auth import AuthenticationFailure, ClientMechanism
from waypost.smtp.client_replies import REDACTED
from waypost.smtp.reply import Reply

MAXIMUM_COMMAND: Final = 512
"""Octets of an AUTH command with CRLF. A longer initial response waits for an empty challenge."""

MAXIMUM_CHALLENGES: Final = 8
"""Challenges answered before the exchange is broken off. The mechanisms in use need at most 3."""


class AuthenticationExchange:
    """The lines of one exchange. It holds secrets: no line of it but `shown` is fit for a log."""

    __slots__ = ("_challenges", "_held", "_mechanism", "line", "reason", "shown")

    def __init__(self, mechanism: ClientMechanism) -> None:
        self._mechanism = mechanism
        self._challenges = 0
        self._held: str | None = None
        self.reason: str | None = None
        """Why our side broke the exchange off."""
        self.line = self.shown = f"AUTH {mechanism.name}"
        """The opening command, and what may be shown of it."""
        initial = mechanism.initial_response()
        if initial is None:
            return
        response = base64.b64encode(initial).decode("ascii") or "="
        if len(self.line) + len(response) + 3 > MAXIMUM_COMMAND:
            self._held = "" if response == "=" else response
        else:
            self.line += f" {response}"
            self.shown += f" {REDACTED}"

    def respond(self, challenge: Reply) -> str | None:
        """The line that answers a 334; None where the exchange must be cancelled."""
        self._challenges += 1
        if self._challenges > MAXIMUM_CHALLENGES:
            self.reason = f"the server sent more than {MAXIMUM_CHALLENGES} challenges"
            return None
        if self._held is not None:
            held, self._held = self._held, None
            return held
        try:
            decoded = base64.b64decode(challenge.text, validate=True)
        except ValueError:  # binascii.Error, or a letter beyond US-ASCII
            self.reason = "the server's challenge is not base64"
            return None
        try:
            response = self._mechanism.respond(decoded)
        except AuthenticationFailure as failure:
            self.reason = str(failure)
            return None
        return base64.b64encode(response).decode("ascii")

    def doubt(self) -> str | None:
        """Why a 235 is not to be believed: some mechanisms make the server prove itself too."""
        if self._mechanism.complete:
            return None
        return (
            f"the server accepted {self._mechanism.name} without proving that it knows the secret"
        )

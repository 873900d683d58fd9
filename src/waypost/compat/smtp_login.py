"""Logging in: the middle part of the drop-in for smtplib (RFC 4954).

Beside what smtplib knows there are SCRAM-SHA-256, where the server proves itself as well, and
OAuth 2.0: `login(user, tokens)` with an `OAuth2` of `waypost.oauth`.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from smtplib import SMTPAuthenticationError, SMTPException, SMTPNotSupportedError
from typing import Final, Protocol

from waypost.compat.smtp_commands import Commands, Reply
from waypost.compat.smtp_explained import explained
from waypost.smtp.auth import (
    CRAM_MD5_WORKS,
    AuthenticationFailure,
    BearerToken,
    ClientMechanism,
    CramMd5,
    OAuthBearer,
    Password,
    Plain,
    ScramSha256,
    XOAuth2,
)

MAXIMUM_CHALLENGES: Final = 5

_UNDER_TLS: Final = ("SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5")
_IN_CLEAR: Final = ("SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN")
"""Without TLS first what does not show the password."""

AuthObject = Callable[..., str | bytes | None]


class Tokens(Protocol):
    """A user and his access tokens: `waypost.oauth.OAuth2`."""

    username: str

    def bearer(self) -> BearerToken:
        """User and token."""

    def forget(self, bearer: BearerToken) -> None:
        """The server refused this one: give another from now on."""


class Authentication(Commands):
    """AUTH, with the mechanisms as functions that answer challenges."""

    user: str
    password: str
    _encrypted = False

    def auth(
        self, mechanism: str, authobject: AuthObject, *, initial_response_ok: bool = True
    ) -> Reply:
        """Lead one exchange. `authobject()` gives the initial response or None, and
        `authobject(challenge)` answers a challenge in bytes.

        Raises SMTPAuthenticationError, and SMTPException for a server that never comes to an end.
        """
        mechanism = mechanism.upper()
        initial = authobject() if initial_response_ok else None
        if initial is not None:
            code, message = self.docmd("AUTH", f"{mechanism} {_encoded(initial)}")
            challenges = 1
        else:
            code, message = self.docmd("AUTH", mechanism)
            challenges = 0
        while code == 334:
            challenges += 1
            answer = authobject(base64.decodebytes(message))
            code, message = self.docmd(_encoded(answer if answer is not None else ""))
            if challenges > MAXIMUM_CHALLENGES:
                raise SMTPException(
                    f"Server AUTH mechanism infinite loop. Last response: {(code, message)!r}"
                )
        if code not in (235, 503):  # 503: it is done already
            raise explained(SMTPAuthenticationError(code, message), code, message)
        return code, message

    def auth_cram_md5(self, challenge: bytes | None = None) -> str | None:
        """CRAM-MD5; there is no initial response."""
        if challenge is None:
            return None
        if not self._cram_md5_works():
            raise SMTPException("CRAM-MD5 is not supported")
        return CramMd5(Password(self.user, self.password)).respond(challenge).decode()

    def auth_plain(self, challenge: bytes | None = None) -> str:
        """PLAIN."""
        del challenge
        return Plain(Password(self.user, self.password)).initial_response().decode()

    def auth_login(self, challenge: bytes | None = None) -> str | None:
        """LOGIN: the user name goes with the command, or answers the first challenge."""
        if challenge is None or self._login_step < 1:
            self._login_step = 1
            return self.user
        self._login_step = 0
        return self.password

    _login_step = 0

    def login(
        self, user: str, password: str | Tokens, *, initial_response_ok: bool = True
    ) -> Reply:
        """Log in by the best mechanism that the server offers, and by the others where one fails.

        Raises SMTPNotSupportedError, SMTPAuthenticationError, SMTPException.
        """
        self.ehlo_or_helo_if_needed()
        if not self.has_extn("auth"):
            raise SMTPNotSupportedError("SMTP AUTH extension not supported by server.")
        offered = self.esmtp_features["auth"].upper().split()
        if not isinstance(password, str):
            return self._login_by_token(user, password, offered)
        self.user, self.password = user, password
        preferred = _UNDER_TLS if self._encrypted else _IN_CLEAR
        possible = [
            name for name in preferred
            if name in offered and (name != "CRAM-MD5" or self._cram_md5_works())
        ]  # fmt: skip
        if not possible:
            raise SMTPException(
                "No suitable authentication method found. The server offers "
                f"{' '.join(offered) or 'none'}"
            )
        refused: SMTPAuthenticationError | None = None
        for name in possible:
            try:
                return self._by(name, initial_response_ok=initial_response_ok)
            except SMTPAuthenticationError as error:
                refused = error
        assert refused is not None
        raise refused

    def _cram_md5_works(self) -> bool:
        return CRAM_MD5_WORKS

    def _by(self, name: str, *, initial_response_ok: bool) -> Reply:
        if name == "SCRAM-SHA-256":
            given = Password(self.user, self.password)
            return self._mechanism(ScramSha256(given, secrets.token_urlsafe(18)))
        method: AuthObject = getattr(self, f"auth_{name.lower().replace('-', '_')}")
        if name == "LOGIN":
            self._login_step = 0
        return self.auth(name, method, initial_response_ok=initial_response_ok)

    def _login_by_token(self, user: str, tokens: Tokens, offered: list[str]) -> Reply:
        """By an access token; by a new one, once, where it is refused."""
        made: Callable[[BearerToken], ClientMechanism]
        if "OAUTHBEARER" in offered:
            made = OAuthBearer
        elif "XOAUTH2" in offered:
            made = XOAuth2
        else:
            raise SMTPNotSupportedError(
                f"the server takes no OAuth 2.0; it offers {' '.join(offered) or 'none'}"
            )
        bearer = tokens.bearer()
        try:
            return self._mechanism(made(BearerToken(user or tokens.username, bearer.token)))
        except SMTPAuthenticationError:
            tokens.forget(bearer)
            bearer = tokens.bearer()
        return self._mechanism(made(BearerToken(user or tokens.username, bearer.token)))

    def _mechanism(self, mechanism: ClientMechanism) -> Reply:
        """Lead the exchange of one of our mechanisms. Raises SMTPAuthenticationError."""

        def answer(challenge: bytes | None = None) -> bytes | None:
            if challenge is None:
                return mechanism.initial_response()
            return mechanism.respond(challenge)

        try:
            code, message = self.auth(mechanism.name, answer)
        except AuthenticationFailure as fault:
            self.close()  # the exchange stands open; nothing else can be said in it
            raise SMTPAuthenticationError(-1, str(fault)) from fault
        if code == 235 and not mechanism.complete:
            self.close()
            raise SMTPAuthenticationError(
                -1, f"the server accepted {mechanism.name} without proving that it knows the secret"
            )
        return code, message


def _encoded(response: str | bytes) -> str:
    """In base64; an empty response is `=` only with the command itself (RFC 4954 4)."""
    octets = response.encode("utf-8") if isinstance(response, str) else response
    return base64.b64encode(octets).decode("ascii")

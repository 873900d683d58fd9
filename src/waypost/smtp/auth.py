"""SASL for SMTP (RFC 4954): the client's mechanisms, and how one is chosen.

PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), CRAM-MD5 (RFC 2195), SCRAM-SHA-256 (RFC 5802,
7677), XOAUTH2 (as Google and Microsoft publish it) and OAUTHBEARER (RFC 7628). Mechanisms deal in
raw bytes, base64 belongs to the SMTP layer. Nonces are passed in: nothing here is random.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from waypost.smtp.scram import ScramClient, ScramFault, prepared

IN_CLEAR_TEXT: Final = frozenset({"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"})
"""Mechanisms that show the secret to whoever listens."""

_STRENGTH: Final = ("SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN", "CRAM-MD5")
"""Strongest first. CRAM-MD5 comes last although it hides the password: under TLS nobody listens,
and it forces the server to store the password itself."""


def _has_md5() -> bool:
    """Whether this Python computes MD5: one that keeps to FIPS 140 does not."""
    try:
        hmac.digest(b"", b"", "md5")
    except ValueError:
        return False
    return True


CRAM_MD5_WORKS: Final = _has_md5()


class AuthenticationFailure(Exception):
    """The exchange cannot go on from our side; the text says why."""


class NoCommonMechanism(AuthenticationFailure):
    """Nothing that the server offers can be used with these credentials here."""

    def __init__(self, offered: Sequence[str], possible: Sequence[str], advice: str) -> None:
        self.offered = tuple(offered)
        self.possible = tuple(possible)
        super().__init__(
            f"no usable AUTH mechanism: the server offers {' '.join(offered) or 'none'}, "
            f"we could use {' '.join(possible) or 'none'}; {advice}"
        )


@dataclass(frozen=True, slots=True)
class Password:
    """A user name and a password (or an API key, or an app password)."""

    username: str
    password: str = field(repr=False)
    authorization_identity: str = ""
    """Whom to act as, where that is someone else; PLAIN only."""


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A user name and an OAuth 2.0 access token."""

    username: str
    token: str = field(repr=False)


Credentials = Password | BearerToken


class ClientMechanism(Protocol):
    """One exchange. Made new for each."""

    name: str

    def initial_response(self) -> bytes | None:
        """What goes with AUTH itself; None: the server speaks first."""

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge. Raises AuthenticationFailure."""

    @property
    def complete(self) -> bool:
        """Whether a 235 may be believed now: the server has proved what it must."""


class Plain:
    """PLAIN (RFC 4616)."""

    name = "PLAIN"
    complete = True

    def __init__(self, credentials: Password) -> None:
        for text in (
            credentials.username, credentials.password, credentials.authorization_identity,
        ):  # fmt: skip
            if "\0" in text:
                raise AuthenticationFailure("a user name or password holds a NUL")
        self._credentials = credentials

    def initial_response(self) -> bytes:
        """authorization NUL user NUL password."""
        given = self._credentials
        return "\0".join((given.authorization_identity, given.username, given.password)).encode()

    def respond(self, challenge: bytes) -> bytes:
        """An empty challenge asks for what the initial response would have said."""
        if challenge:
            raise AuthenticationFailure("the server sent a challenge that PLAIN does not have")
        return self.initial_response()


class Login:
    """LOGIN: two prompts, whose words are not standardised; the first is for the user name."""

    name = "LOGIN"
    complete = True

    def __init__(self, credentials: Password) -> None:
        self._answers = [credentials.username.encode(), credentials.password.encode()]

    def initial_response(self) -> None:
        """The server prompts first."""

    def respond(self, challenge: bytes) -> bytes:
        """User name, then password."""
        del challenge
        if not self._answers:
            raise AuthenticationFailure("the server prompts a third time")
        return self._answers.pop(0)


class CramMd5:
    """CRAM-MD5 (RFC 2195): HMAC-MD5 of the challenge."""

    name = "CRAM-MD5"
    complete = True

    def __init__(self, credentials: Password) -> None:
        self._credentials = credentials

    def initial_response(self) -> None:
        """The server challenges first."""

    def respond(self, challenge: bytes) -> bytes:
        """user SP digest."""
        given = self._credentials
        digest = hmac.new(given.password.encode(), challenge, hashlib.md5).hexdigest()
        return f"{given.username} {digest}".encode()


class ScramSha256:
    """SCRAM-SHA-256 (RFC 7677): neither side learns a password, and the server proves itself."""

    name = "SCRAM-SHA-256"

    def __init__(self, credentials: Password, nonce: str) -> None:
        self._exchange = ScramClient(credentials.username, credentials.password, nonce)

    @property
    def complete(self) -> bool:
        """The server's signature has been checked."""
        return self._exchange.verified

    def initial_response(self) -> bytes:
        """client-first-message."""
        return self._exchange.first_message()

    def respond(self, challenge: bytes) -> bytes:
        """client-final-message, then nothing once the server's signature is right."""
        try:
            return self._exchange.respond(challenge)
        except ScramFault as fault:
            raise AuthenticationFailure(str(fault)) from fault


class _Bearer:
    """What XOAUTH2 and OAUTHBEARER share: an error comes as a challenge that wants an answer."""

    complete = True

    def __init__(self, credentials: BearerToken) -> None:
        if any(ord(letter) < 0x20 for letter in credentials.username + credentials.token):
            raise AuthenticationFailure("a user name or token holds a control character")
        self._credentials = credentials
        self.server_error = ""
        """The server's own words (JSON), when it refused the token."""

    def respond(self, challenge: bytes) -> bytes:
        """Acknowledge the error, so that the server ends the exchange with its reply."""
        self.server_error = challenge.decode("utf-8", "backslashreplace")[:1000]
        return b"\x01"


class XOAuth2(_Bearer):
    """XOAUTH2."""

    name = "XOAUTH2"

    def initial_response(self) -> bytes:
        """user=...^Aauth=Bearer ...^A^A."""
        given = self._credentials
        return f"user={given.username}\x01auth=Bearer {given.token}\x01\x01".encode()

    def respond(self, challenge: bytes) -> bytes:
        """The dummy answer of XOAUTH2 is empty."""
        super().respond(challenge)
        return b""


class OAuthBearer(_Bearer):
    """OAUTHBEARER (RFC 7628)."""

    name = "OAUTHBEARER"

    def initial_response(self) -> bytes:
        """gs2 header, then the token as a key-value pair."""
        given = self._credentials
        user = given.username.replace("=", "=3D").replace(",", "=2C")
        return f"n,a={user},\x01auth=Bearer {given.token}\x01\x01".encode()


def choose_mechanism(
    credentials: Credentials,
    offered: Sequence[str],
    *,
    encrypted: bool,
    nonce: str,
    allowed: Sequence[str] | None = None,
    allow_clear_text: bool = False,
) -> ClientMechanism:
    """The strongest mechanism that the server offers and the credentials fit.

    Without TLS, none that shows the secret is used unless `allow_clear_text`. Raises
    NoCommonMechanism and AuthenticationFailure.
    """
    password = isinstance(credentials, Password)
    fitting = [
        name for name in _STRENGTH
        if (name not in ("OAUTHBEARER", "XOAUTH2")) == password
        and (allowed is None or name in allowed)
        and (CRAM_MD5_WORKS or name != "CRAM-MD5")
    ]  # fmt: skip
    if password and not prepared(credentials.username):
        raise AuthenticationFailure("the user name is empty")
    usable = [
        name for name in fitting
        if encrypted or allow_clear_text or name not in IN_CLEAR_TEXT
    ]  # fmt: skip
    names = {name.upper() for name in offered}
    for name in usable:
        if name in names:
            return _make(name, credentials, nonce)
    if any(name in names for name in fitting):
        advice = "use TLS: what is offered would show the secret in clear text"
    elif password and names & {"XOAUTH2", "OAUTHBEARER"}:
        advice = "the server wants OAuth 2.0: give an access token instead of a password"
    else:
        advice = "check that this is the submission server and that its AUTH comes after TLS"
    raise NoCommonMechanism(offered, usable, advice)


def _make(name: str, credentials: Credentials, nonce: str) -> ClientMechanism:
    if isinstance(credentials, BearerToken):
        return XOAuth2(credentials) if name == "XOAUTH2" else OAuthBearer(credentials)
    if name == "SCRAM-SHA-256":
        return ScramSha256(credentials, nonce)
    if name == "CRAM-MD5":
        return CramMd5(credentials)
    return Plain(credentials) if name == "PLAIN" else Login(credentials)

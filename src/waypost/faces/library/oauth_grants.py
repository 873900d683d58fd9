"""What is asked of a token endpoint, and what its answer means: no network, no clock (RFC 6749).

A grant is one way to come by an access token: a refresh token that a user once gave (RFC 6749 6),
the credentials of a program (4.4), or a service account's signed word (RFC 7523). Each makes the
form that is posted; `read_answer` reads what comes back.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from waypost.knowledge.oauth import token_refusal
from waypost.smtp.auth import AuthenticationFailure

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

DEFAULT_LIFETIME: Final = 3600
"""Seconds that a token is taken to live where the answer does not say (RFC 6749 5.1)."""

_ASSERTION_LIFETIME: Final = 3600
_LONGEST_SAID: Final = 300


class TokenFailure(AuthenticationFailure):
    """No access token: `reason` says why, `fix` what to do.

    `temporary`: the endpoint could not be reached or had a fault of its own, so the same may work
    later.
    """

    def __init__(self, reason: str, fix: str, *, temporary: bool = False) -> None:
        self.reason = reason
        self.fix = fix
        self.temporary = temporary
        super().__init__(f"{reason}; {fix}")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and until when it can be used (seconds since the epoch)."""

    access: str = field(repr=False)
    expires_at: float
    refresh: str = field(default="", repr=False)
    """The refresh token to use from now on; "" where it stays the same."""


class Grant(Protocol):
    """A way to come by a token."""

    @property
    def token_url(self) -> str:
        """Where it is asked for."""

    def form(self, now: float, refresh: str = "") -> Mapping[str, str]:
        """What is posted. `refresh` is a newer refresh token than the one in the grant."""

    def key(self) -> str:
        """A name for this grant that holds no secret, for a cache."""


@dataclass(frozen=True, slots=True)
class RefreshGrant:
    """By the refresh token that a user's consent gave."""

    token_url: str
    client_id: str
    refresh_token: str = field(repr=False)
    client_secret: str = field(default="", repr=False)
    scope: str = ""

    def form(self, now: float, refresh: str = "") -> Mapping[str, str]:
        """RFC 6749 6."""
        del now
        return _without_empty(
            grant_type="refresh_token",
            refresh_token=refresh or self.refresh_token,
            client_id=self.client_id,
            client_secret=self.client_secret,
            scope=self.scope,
        )

    def key(self) -> str:
        """It names the token that it began with: a new consent is a new entry."""
        began = hashlib.sha256(self.refresh_token.encode()).hexdigest()[:16]
        return _key("refresh", self.token_url, self.client_id, self.scope, began)


@dataclass(frozen=True, slots=True)
class ClientGrant:
    """By the credentials of the program itself."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""

    def form(self, now: float, refresh: str = "") -> Mapping[str, str]:
        """RFC 6749 4.4.2."""
        del now, refresh
        return _without_empty(
            grant_type="client_credentials",
            client_id=self.client_id,
            client_secret=self.client_secret,
            scope=self.scope,
        )

    def key(self) -> str:
        """See Grant."""
        return _key("client", self.token_url, self.client_id, self.scope)


@dataclass(frozen=True, slots=True)
class ServiceAccountGrant:
    """By the word of a service account, signed with its key, that it acts for a user."""

    token_url: str
    account: str
    private_key: rsa.RSAPrivateKey = field(repr=False)
    key_id: str
    user: str
    scope: str

    @classmethod
    def of_file(
        cls, described: Mapping[str, object], *, user: str, scope: str, token_url: str
    ) -> ServiceAccountGrant:
        """Of the JSON that Google's console gives. Raises TokenFailure."""
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        account, pem = described.get("client_email"), described.get("private_key")
        if not isinstance(account, str) or not isinstance(pem, str):
            raise TokenFailure(
                "the file of the service account lacks client_email or private_key",
                "take the JSON key that the console gives for the service account",
            )
        try:
            key = load_pem_private_key(pem.encode(), None)
        except (ValueError, TypeError) as fault:
            raise TokenFailure(
                f"the private_key of the service account is damaged ({str(fault)[:100]})",
                "make a new key in the console and take its file as it is",
            ) from fault
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TokenFailure("the private_key is not RSA", "take the JSON key of the console")
        return cls(token_url, account, key, str(described.get("private_key_id", "")), user, scope)

    def form(self, now: float, refresh: str = "") -> Mapping[str, str]:
        """RFC 7523 2.1."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        del refresh
        head = {"alg": "RS256", "typ": "JWT"} | ({"kid": self.key_id} if self.key_id else {})
        claims = {
            "iss": self.account,
            "sub": self.user,
            "scope": self.scope,
            "aud": self.token_url,
            "iat": int(now),
            "exp": int(now) + _ASSERTION_LIFETIME,
        }
        signed = f"{_segment(json.dumps(head).encode())}.{_segment(json.dumps(claims).encode())}"
        signature = self.private_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": f"{signed}.{_segment(signature)}",
        }

    def key(self) -> str:
        """See Grant."""
        return _key("service", self.token_url, self.account, self.user, self.scope)


def read_answer(status: int, body: bytes, now: float, *, said_by: str) -> Token:
    """The token in an answer (RFC 6749 5.1). Raises TokenFailure; `said_by` names the endpoint."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status >= 500 or status == 429:
        raise TokenFailure(f"{said_by} answered {status}", "try again later", temporary=True)
    if not isinstance(answer, dict):
        raise TokenFailure(
            f"{said_by} answered {status} with something that is no JSON object: {_shown(body)}",
            "check that this is the token URL, and that no proxy stands before it",
        )
    access = answer.get("access_token")
    if status == 200 and isinstance(access, str) and access:
        kind = str(answer.get("token_type", "bearer"))
        if kind.lower() != "bearer":
            raise TokenFailure(
                f"{said_by} gave a token of the type {kind[:40]!r}", "SMTP takes bearer tokens only"
            )
        return Token(access, now + _lifetime(answer.get("expires_in")), _refresh(answer))
    raise _refused(status, answer, said_by)


def kept_refresh(token: Token, before: Token | None) -> Token:
    """The new token, with the refresh token that came before it where it brought none."""
    if token.refresh or before is None or not before.refresh:
        return token
    return replace(token, refresh=before.refresh)


def _refused(status: int, answer: Mapping[str, object], said_by: str) -> TokenFailure:
    error = str(answer.get("error", ""))[:100]
    described = str(answer.get("error_description", ""))
    words = _shown(described.encode("utf-8", "replace"))
    known = token_refusal(error, described)
    said = f"{said_by} answered {status} {error}{f' ({words})' if words else ''}"
    if known is None:
        return TokenFailure(said, "compare client id, secret and scope with the provider's console")
    return TokenFailure(f"{known.meaning}: {said}", known.fix)


def _lifetime(told: object) -> float:
    """Some send the number as a text."""
    try:
        seconds = float(told)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return DEFAULT_LIFETIME
    return seconds if 0 < seconds < 10**8 else DEFAULT_LIFETIME


def _refresh(answer: Mapping[str, object]) -> str:
    refresh = answer.get("refresh_token", "")
    return refresh if isinstance(refresh, str) else ""


def _shown(body: bytes) -> str:
    text = body[: 4 * _LONGEST_SAID].decode("utf-8", "replace")
    return " ".join(text.split())[:_LONGEST_SAID]


def _without_empty(**fields: str) -> Mapping[str, str]:
    return {name: value for name, value in fields.items() if value}


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


def _segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")

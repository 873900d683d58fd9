"""OAuth 2.0 for sending mail: access tokens that are there when a connection needs one.

    mailer = waypost.Mailer("smtp://smtp.office365.com:587", logins=microsoft(
        "robot@example.com", tenant="example.com", client_id="...", client_secret="..."))

`OAuth2` is what a connection knows of it: it asks for credentials, and where the server refuses
them (535, as for an expired or revoked token) it asks once more, for others. A token is kept until
a minute before it ends; of several connections that need a new one, one fetches it and the others
wait.

Own tokens come from any function without arguments that returns one, or a coroutine of one.

httpx is imported where a token is fetched: a program without OAuth does not load it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from waypost.delivery.route import Credentials
from waypost.faces.library.oauth_cache import FileCache, MemoryCache, TokenCache
from waypost.faces.library.oauth_grants import (
    ClientGrant,
    Grant,
    RefreshGrant,
    ServiceAccountGrant,
    Token,
    TokenFailure,
    kept_refresh,
    read_answer,
)
from waypost.knowledge.oauth import token_endpoint
from waypost.net.clock import SystemClock
from waypost.smtp.auth import BearerToken

if TYPE_CHECKING:
    import httpx

__all__ = [
    "FileCache",
    "MemoryCache",
    "OAuth2",
    "TokenFailure",
    "TokenSource",
    "client_credentials",
    "google",
    "google_service_account",
    "microsoft",
    "refresh_token",
]

TIMEOUT: Final = 15.0
"""Seconds for the whole of a request to a token endpoint, and for each step of it."""

RENEW_BEFORE: Final = 60.0
"""Seconds before its end from which a token is not used any more."""

_LARGEST_ANSWER: Final = 256 * 1024
"""Octets of an answer that are read."""

TokenProvider = Callable[[], str] | Callable[[], Awaitable[str]]


class TokenSource(Protocol):
    """Where tokens come from; `OAuthTokens` is ours."""

    def token(self) -> str:
        """An access token, from the cache or the network. Raises TokenFailure."""

    async def token_async(self) -> str:
        """The same without blocking."""

    def forget(self, token: str) -> None:
        """This token was refused: give another one from now on."""


class OAuth2:
    """A user and the source of his access tokens: `logins=` of a mailer (delivery.opening.Logins).

    `mechanism` is what a mailer logs in with: XOAUTH2, which Google and Microsoft take, or
    OAUTHBEARER (RFC 7628).
    """

    def __init__(
        self,
        username: str,
        tokens: TokenSource | TokenProvider,
        *,
        mechanism: str = "XOAUTH2",
    ) -> None:
        self.username = username
        self.tokens: TokenSource = _Provided(tokens) if callable(tokens) else tokens
        self.mechanism = mechanism

    def __repr__(self) -> str:
        return f"OAuth2({self.username!r})"

    def bearer(self) -> BearerToken:
        """User and token, for a caller that may block. Raises TokenFailure."""
        return BearerToken(self.username, self.tokens.token())

    def forget(self, bearer: BearerToken) -> None:
        """The server refused this one: `bearer` gives another from now on."""
        self.tokens.forget(bearer.token)

    async def credentials(self, hop: object) -> Credentials:
        """What to log in with now. Raises TokenFailure."""
        del hop
        return Credentials(self.username, await self.tokens.token_async(), self.mechanism)

    async def refused(self, hop: object, given: Credentials) -> Credentials | None:
        """The server did not take these: others, for one more try. None where there are none, as
        when a function gives the same token again. Raises TokenFailure."""
        self.tokens.forget(given.password)
        again = await self.credentials(hop)
        return again if again.password != given.password else None


class OAuthTokens:
    """Tokens by a grant, kept in a cache. Safe for several threads and event loops."""

    def __init__(
        self,
        grant: Grant,
        *,
        cache: TokenCache | None = None,
        timeout: float = TIMEOUT,
        now: Callable[[], float] = SystemClock.now,
    ) -> None:
        self._grant = grant
        self._key = grant.key()
        self._cache = cache if cache is not None else MemoryCache()
        self._timeout = timeout
        self._now = now
        self._refused = ""
        self._lock = threading.Lock()
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )

    def token(self) -> str:
        """See TokenSource."""
        import httpx

        with self._lock:
            kept = self._kept()
            usable = self._usable(kept)
            if usable is not None:
                return usable
            with httpx.Client(timeout=self._timeout) as client:
                try:
                    answer = client.post(self._grant.token_url, data=self._form(kept))
                except httpx.HTTPError as fault:
                    raise self._unreachable(fault) from fault
            return self._keep(answer, kept)

    async def token_async(self) -> str:
        """See TokenSource."""
        import httpx

        loop = asyncio.get_running_loop()
        async with self._by_loop.setdefault(loop, asyncio.Lock()):
            kept = self._kept()
            usable = self._usable(kept)
            if usable is not None:
                return usable
            async with httpx.AsyncClient(timeout=self._timeout) as client:
                try:
                    async with asyncio.timeout(self._timeout):
                        answer = await client.post(self._grant.token_url, data=self._form(kept))
                except (httpx.HTTPError, TimeoutError) as fault:
                    raise self._unreachable(fault) from fault
            return self._keep(answer, kept)

    def forget(self, token: str) -> None:
        """See TokenSource."""
        self._refused = token

    def _kept(self) -> Token | None:
        return self._cache.get(self._key)

    def _usable(self, kept: Token | None) -> str | None:
        """The token that is kept, unless it ends soon or was refused."""
        if kept is None or kept.access == self._refused:
            return None
        return kept.access if kept.expires_at - RENEW_BEFORE > self._now() else None

    def _form(self, kept: Token | None) -> Mapping[str, str]:
        return self._grant.form(self._now(), kept.refresh if kept is not None else "")

    def _keep(self, answer: httpx.Response, kept: Token | None) -> str:
        host = answer.request.url.host
        token = read_answer(
            answer.status_code, answer.content[:_LARGEST_ANSWER], self._now(), said_by=host
        )
        self._cache.put(self._key, kept_refresh(token, kept))
        return token.access

    def _unreachable(self, fault: Exception) -> TokenFailure:
        said = str(fault) or type(fault).__name__
        return TokenFailure(
            f"no answer from {self._grant.token_url}: {said}",
            "check that this machine reaches it over HTTPS, by a proxy if need be (HTTPS_PROXY)",
            temporary=True,
        )


class _Provided:
    """Tokens of the caller's own function. It is asked for each connection: caching is its
    affair."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    def token(self) -> str:
        """See TokenSource."""
        given = self._provider()
        if inspect.isawaitable(given):
            if inspect.iscoroutine(given):
                given.close()
            raise TokenFailure(
                "the token provider is a coroutine, and this is no event loop",
                "use AsyncMailer, or give a function that returns the token",
            )
        return _checked(given)

    async def token_async(self) -> str:
        """See TokenSource."""
        if inspect.iscoroutinefunction(self._provider):
            return _checked(await self._provider())
        given = await asyncio.to_thread(self._provider)  # it may well ask the network
        return _checked(await given if inspect.isawaitable(given) else given)

    def forget(self, token: str) -> None:
        """It is asked anew in any case."""


def _checked(token: object) -> str:
    if not isinstance(token, str) or not token:
        raise TokenFailure(
            f"the token provider returned {type(token).__name__} instead of a token",
            "return the access token as a text",
        )
    return token


def google(
    username: str,
    *,
    client_id: str,
    client_secret: str,
    refresh_token: str,
    token_file: str | os.PathLike[str] | None = None,
    token_url: str | None = None,
) -> OAuth2:
    """Send as a Google user by the refresh token of his consent (scope https://mail.google.com/).

    `token_file` keeps tokens between runs; `token_url` stands for Google's.
    """
    endpoint = token_endpoint("google")
    url = token_url or endpoint.token_url
    grant = RefreshGrant(url, client_id, refresh_token, client_secret, endpoint.user_scope)
    return OAuth2(username, OAuthTokens(grant, cache=_cache(token_file)))


def google_service_account(
    username: str,
    key: Mapping[str, object] | str | os.PathLike[str],
    *,
    token_file: str | os.PathLike[str] | None = None,
    token_url: str | None = None,
) -> OAuth2:
    """Send as any user of a Google Workspace by a service account with domain-wide delegation.

    `key` is the JSON key of the account: its path, or what it holds. Raises TokenFailure, OSError.
    """
    endpoint = token_endpoint("google")
    if isinstance(key, Mapping):
        described = key
    else:
        try:
            described = json.loads(Path(key).read_bytes())
        except ValueError as fault:
            raise TokenFailure(
                f"{key} is no JSON ({fault})", "take the JSON key of the service account"
            ) from fault
        if not isinstance(described, dict):
            raise TokenFailure(f"{key} is no JSON object", "take the JSON key of the account")
    grant = ServiceAccountGrant.of_file(
        described,
        user=username,
        scope=endpoint.app_scope,
        token_url=token_url or endpoint.token_url,
    )
    return OAuth2(username, OAuthTokens(grant, cache=_cache(token_file)))


def microsoft(
    username: str,
    *,
    tenant: str,
    client_id: str,
    client_secret: str = "",
    refresh_token: str = "",
    token_file: str | os.PathLike[str] | None = None,
    token_url: str | None = None,
) -> OAuth2:
    """Send as a Microsoft 365 user: by the refresh token of his consent (SMTP.Send), or without one
    in the name of the application (SMTP.SendAsApp).

    Microsoft gives a new refresh token with each answer: `token_file` keeps it. `tenant` is the
    directory's id or domain.
    """
    endpoint = token_endpoint("microsoft")
    url = token_url or endpoint.token_url.format(tenant=tenant)
    grant: Grant
    if refresh_token:
        grant = RefreshGrant(url, client_id, refresh_token, client_secret, endpoint.user_scope)
    elif client_secret:
        grant = ClientGrant(url, client_id, client_secret, endpoint.app_scope)
    else:
        raise TokenFailure(
            "neither a client secret nor a refresh token is given",
            "give client_secret for an application, refresh_token for a user",
        )
    return OAuth2(username, OAuthTokens(grant, cache=_cache(token_file)))


def client_credentials(
    username: str,
    *,
    token_url: str,
    client_id: str,
    client_secret: str,
    scope: str = "",
    token_file: str | os.PathLike[str] | None = None,
) -> OAuth2:
    """By a program's own credentials at any provider (RFC 6749 4.4)."""
    grant = ClientGrant(token_url, client_id, client_secret, scope)
    return OAuth2(username, OAuthTokens(grant, cache=_cache(token_file)))


def refresh_token(
    username: str,
    *,
    token_url: str,
    client_id: str,
    refresh_token: str,
    client_secret: str = "",
    scope: str = "",
    token_file: str | os.PathLike[str] | None = None,
) -> OAuth2:
    """By a refresh token at any provider (RFC 6749 6)."""
    grant = RefreshGrant(token_url, client_id, refresh_token, client_secret, scope)
    return OAuth2(username, OAuthTokens(grant, cache=_cache(token_file)))


def _cache(token_file: str | os.PathLike[str] | None) -> TokenCache:
    return FileCache(token_file) if token_file is not None else MemoryCache()

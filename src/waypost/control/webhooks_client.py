"""Sends one request of a webhook.

People name the URL, and who may set up a webhook need not be who may reach everything that the
relay can: so no address inside a network is asked unless the configuration allows it (server-side
request forgery), the connection goes to the very address that was looked at, certificates are
verified, redirects are not followed, and of an answer no more is read than is kept. Nothing of the
environment is used: no proxy, no stored credentials.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol
from urllib.parse import urlsplit

import httpx

from waypost.knowledge.special_addresses import special_network
from waypost.net.clock import Clock
from waypost.net.resolver import ResolutionFailure, Resolver

ANSWER_SECONDS: Final = 15.0
"""For one request, name and connection included; the specification has 15 to 30."""

KEPT_ANSWER: Final = 1024
"""Bytes of an answer that are kept, and read."""

IDLE_SECONDS: Final = 30.0
"""How long a connection is kept for the next event."""

USER_AGENT: Final = "waypost-webhooks/1"

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    status: int | None
    """None: there was no answer."""
    seconds: float
    error: str = ""
    """Why it does not count as taken; "" where it was (2xx)."""
    text: str = ""
    """The beginning of what was answered."""
    retry_after: float | None = None
    """Seconds that the endpoint asks us to wait."""

    @property
    def is_taken(self) -> bool:
        """The endpoint has it."""
        return not self.error


class Poster(Protocol):
    """Sends to one endpoint."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send, and say what came of it. Raises nothing of the network."""

    async def close(self) -> None:
        """Close the connections that are kept."""


class _NotAllowed(Exception):
    """The address of an endpoint must not be asked; the text says why."""


class HttpxPoster:
    """Implements Poster with httpx, for one endpoint: its connections are its own."""

    def __init__(
        self,
        resolver: Resolver,
        clock: Clock,
        allowed: Networks = (),
        *,
        connections: int = 4,
        seconds: float = ANSWER_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`allowed`: networks that are asked although they are not public, over plain HTTP too."""
        self._resolver = resolver
        self._clock = clock
        self._allowed = allowed
        self._seconds = seconds
        self._tls = tls
        self._connections = connections
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """See Poster."""
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                status, text, retry_after, location = await self._exchange(url, body, headers)
        except TimeoutError:
            return self._failed(begun, f"no answer within {self._seconds:g} seconds")
        except _NotAllowed as fault:
            return self._failed(begun, str(fault))
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as fault:
            return self._failed(begun, _words(fault))
        error = "" if 200 <= status < 300 else f"it answers {status}"
        if 300 <= status < 400:
            to = f" to {location[:200]}" if location else ""
            error = f"it answers {status} and leads{to}; redirects are not followed"
        return Answer(status, self._clock.monotonic() - begun, error, text, retry_after)

    async def close(self) -> None:
        """See Poster."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _failed(self, begun: float, error: str) -> Answer:
        return Answer(None, self._clock.monotonic() - begun, error)

    async def _exchange(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str, float | None, str]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        address = await self._address(host, parts.scheme)
        async with self._made().stream(
            "POST",
            # The address was looked at above; the name is for the certificate and the server.
            httpx.URL(url).copy_with(host=address),
            content=body,
            headers={
                "Host": parts.netloc, "User-Agent": USER_AGENT, "Accept": "*/*",
                "Accept-Encoding": "identity", "Content-Type": "application/json", **headers,
            },
            extensions={"sni_hostname": host},
        ) as answer:  # fmt: skip
            kept = bytearray()
            async for chunk in answer.aiter_raw():
                kept += chunk[: KEPT_ANSWER - len(kept)]
                if len(kept) >= KEPT_ANSWER:
                    break  # the connection is closed, for the rest would have to be read
            return (
                answer.status_code,
                kept.decode("utf-8", "replace"),
                _seconds(answer.headers.get("retry-after", "")),
                answer.headers.get("location", ""),
            )

    async def _address(self, host: str, scheme: str) -> str:
        """An address of the host that may be asked. Raises _NotAllowed."""
        try:
            addresses: tuple[str, ...] = (str(ipaddress.ip_address(host)),)
        except ValueError:
            try:
                addresses = await self._resolver.addresses(host)
            except ResolutionFailure as fault:
                raise _NotAllowed(f"the address of {host} is not known: {fault.reason}") from fault
        for address in addresses:
            if self._is_allowed(address):
                return address
            if special_network(address) is None:
                if scheme == "https":
                    return address
                raise _NotAllowed(
                    "plain http:// leaves the events for others to read; use https://"
                )
        raise _NotAllowed(
            f"{host} is at {addresses[0] if addresses else 'no address'}, which is no public "
            "address; allow its network with webhooks.allow if that is meant"
        )

    def _is_allowed(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        return any(parsed in network for network in self._allowed)

    def _made(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=self._tls or _public(),
                trust_env=False,
                follow_redirects=False,
                timeout=self._seconds,
                limits=httpx.Limits(
                    max_connections=self._connections,
                    max_keepalive_connections=self._connections,
                    keepalive_expiry=IDLE_SECONDS,
                ),
            )
        return self._client


@cache
def _public() -> ssl.SSLContext:
    """Verifies by the certificates of the system; read once, which takes a while."""
    return ssl.create_default_context()


def _seconds(text: str) -> float | None:
    """Retry-After as seconds; a date is not looked at, the schedule will do."""
    digits = text.strip()
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _words(fault: BaseException) -> str:
    """A fault of the connection in words; one of the certificate is told apart."""
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate does not hold: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return (str(fault) or type(fault).__name__)[:300]

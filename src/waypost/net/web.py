"""Web pages, as a seam: the few small files that say how a domain's mail is set up.

A page is asked for because a stranger's domain names it, so the client gives as little as it can:
HTTPS unless plain HTTP was asked for, no public page from inside a network (server-side request
forgery), few redirects, a bounded answer, a bounded time. Nothing of the environment is used: no
proxy, no stored credentials.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit

from waypost.knowledge.special_addresses import special_network
from waypost.net.resolver import ResolutionFailure, Resolver

LARGEST_PAGE: Final = 64 * 1024
"""Bytes; a configuration or a policy has a few hundred."""

PAGE_SECONDS: Final = 10.0
"""For one page with its redirects."""

MOST_REDIRECTS: Final = 3

USER_AGENT: Final = "waypost"

_PORTS: Final = {"https": 443, "http": 80}


class WebFailure(Exception):
    """A page that could not be had. `reason` says why, in words."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url}: {reason}")


class WebUnreachable(WebFailure):
    """Nobody answered: no such name, no connection, no end within the time."""


class WebTlsFailure(WebFailure):
    """The connection is not safe: the certificate does not hold."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a server answered, whatever the status."""

    url: str
    """Where it was found at last."""
    status: int
    content_type: str
    body: bytes
    redirects: tuple[str, ...] = ()
    """The addresses on the way to `url`, the one that was asked for first."""


@dataclass(frozen=True, slots=True)
class WebRequest:
    """What is asked for."""

    url: str
    body: bytes | None = None
    """With one it is a POST."""
    content_type: str = ""
    redirects: int = MOST_REDIRECTS
    """How many are followed; the next one is the answer."""
    largest: int = LARGEST_PAGE


class Web(Protocol):
    """Gets pages."""

    async def page(self, request: WebRequest) -> Page:
        """The page. Raises WebFailure where there is no answer, or one that may not be taken."""


class HttpxWeb:
    """Implements Web with httpx."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        tls: ssl.SSLContext | None = None,
        inside: bool = False,
        seconds: float = PAGE_SECONDS,
    ) -> None:
        """`inside` lets it ask addresses that are not public, and any port."""
        self._resolver = resolver
        self._tls = tls
        self._inside = inside
        self._seconds = seconds

    async def page(self, request: WebRequest) -> Page:
        """See Web.page."""
        passed: list[str] = []
        url = request.url
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    page, target = await self._once(url, request)
                    if target is None or len(passed) >= request.redirects:
                        return Page(
                            page.url, page.status, page.content_type, page.body, tuple(passed)
                        )
                    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                        raise WebFailure(url, f"leads from HTTPS to {target[:200]}")
                    passed.append(url)
                    url = target
        except TimeoutError as fault:
            raise WebUnreachable(url, f"no answer within {self._seconds:g} seconds") from fault

    async def _once(self, url: str, request: WebRequest) -> tuple[Page, str | None]:
        """One answer, and where it leads to."""
        import httpx

        parts = urlsplit(url)
        host = parts.hostname
        if parts.scheme not in _PORTS or not host or parts.username is not None:
            raise WebFailure(url, "is no plain web address")
        address = await self._address(url, host)
        where = httpx.URL(url).copy_with(host=address)
        headers = {"Host": parts.netloc, "User-Agent": USER_AGENT, "Accept": "*/*"}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        try:
            async with (
                # The address was looked at above; the name is for the certificate and the server.
                httpx.AsyncClient(
                    verify=self._context(), trust_env=False, timeout=self._seconds
                ) as client,
                client.stream(
                    "GET" if request.body is None else "POST",
                    where,
                    headers=headers,
                    content=request.body,
                    extensions={"sni_hostname": host},
                ) as answer,
            ):
                body = bytearray()
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > request.largest:
                        raise WebFailure(url, f"is larger than {request.largest} bytes")
                page = Page(
                    url, answer.status_code, answer.headers.get("content-type", ""), bytes(body)
                )
                location = answer.headers.get("location", "")
        except httpx.HTTPError as fault:
            raise _failure(url, fault) from fault
        if page.status in (301, 302, 303, 307, 308) and location:
            return page, urljoin(url, location)
        return page, None

    async def _address(self, url: str, host: str) -> str:
        """An address of the host that may be asked."""
        port = urlsplit(url).port
        if port is not None and port not in _PORTS.values() and not self._inside:
            raise WebFailure(url, f"has the unusual port {port}")
        try:
            addresses: tuple[str, ...] = (str(ipaddress.ip_address(host)),)
        except ValueError:
            try:
                addresses = await self._resolver.addresses(host)
            except ResolutionFailure as fault:
                raise WebUnreachable(url, fault.reason) from fault
        for address in addresses:
            special = special_network(address)
            if special is None or self._inside:
                return address
        raise WebFailure(url, f"{host} is at {addresses[0]}, which is no public address")

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def _failure(url: str, fault: Exception) -> WebFailure:
    """In the words of this module; a fault of the certificate is told apart."""
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return WebTlsFailure(url, f"its certificate does not hold: {cause.verify_message}")
        cause = cause.__cause__ or cause.__context__
    text = str(fault) or type(fault).__name__
    return WebUnreachable(url, text[:200])

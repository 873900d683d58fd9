"""Pages over real sockets: bounded, followed with care, and only where they may be."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from waypost.net.static_resolver import StaticResolver
from waypost.net.static_web import StaticWeb
from waypost.net.web import (
    HttpxWeb,
    Page,
    WebFailure,
    WebRequest,
    WebTlsFailure,
    WebUnreachable,
)
from waypost.relay.certificates import self_signed

Handler = Callable[[bytes], bytes]


def answer(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def got(
    handler: Handler,
    path: str,
    *,
    tls: ssl.SSLContext | None = None,
    trusted: ssl.SSLContext | None = None,
    inside: bool = True,
    request: WebRequest | None = None,
) -> Page:
    """The page that a server on loopback gives under the name web.example."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(handler(head))
        writer.close()

    async def story() -> Page:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        resolver = StaticResolver(addresses={"web.example": ["127.0.0.1"]})
        web = HttpxWeb(resolver, tls=trusted, inside=inside)
        scheme = "https" if tls is not None else "http"
        wanted = request or WebRequest("")
        url = f"{scheme}://web.example:{port}{path}"
        async with server:
            return await web.page(
                WebRequest(url, wanted.body, wanted.content_type, wanted.redirects, wanted.largest)
            )

    return asyncio.run(story())


def test_a_page_is_asked_for_by_its_name() -> None:
    heads: list[bytes] = []

    def handler(head: bytes) -> bytes:
        heads.append(head)
        return answer(b"hello", "200 OK", "Content-Type: text/plain")

    page = got(handler, "/x?y=1")
    assert (page.status, page.body, page.content_type) == (200, b"hello", "text/plain")
    assert heads[0].startswith(b"GET /x?y=1 HTTP/1.1\r\n")
    assert b"Host: web.example:" in heads[0]


def test_a_body_is_posted() -> None:
    heads: list[bytes] = []

    def handler(head: bytes) -> bytes:
        heads.append(head)
        return answer(b"ok")

    got(handler, "/", request=WebRequest("", b"<x/>", "text/xml"))
    assert heads[0].startswith(b"POST / ")
    assert b"Content-Type: text/xml" in heads[0]


def test_redirects_are_followed_and_counted() -> None:
    def handler(head: bytes) -> bytes:
        if head.startswith(b"GET /a"):
            return answer(b"", "302 Found", "Location: /b")
        return answer(b"end")

    page = got(handler, "/a")
    assert page.url.endswith("/b")
    assert [one.rpartition("/")[2] for one in page.redirects] == ["a"]
    unfollowed = got(handler, "/a", request=WebRequest("", redirects=0))
    assert unfollowed.status == 302


def test_a_ring_of_redirects_ends() -> None:
    page = got(lambda _: answer(b"", "302 Found", "Location: /again"), "/")
    assert (page.status, len(page.redirects)) == (302, 3)


def test_a_page_without_end_is_cut_off() -> None:
    with pytest.raises(WebFailure, match="larger than 1000 bytes"):
        got(lambda _: answer(b"x" * 5000), "/", request=WebRequest("", largest=1000))


def test_a_server_that_says_nothing_is_left() -> None:
    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        web = HttpxWeb(StaticResolver(), inside=True, seconds=0.2)
        async with server:
            await web.page(WebRequest(f"http://127.0.0.1:{port}/"))

    with pytest.raises(WebUnreachable, match=r"within 0\.2 seconds|[Tt]imeout"):
        asyncio.run(story())


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1", "no public address"),
        ("10.0.0.8", "no public address"),
        ("169.254.169.254", "no public address"),
        ("::1", "no public address"),
        ("fd00::1", "no public address"),
        ("::ffff:10.0.0.8", "no public address"),
    ],
)
def test_an_inside_address_is_not_asked(address: str, said: str) -> None:
    web = HttpxWeb(StaticResolver(addresses={"evil.example": [address]}))
    for url in ("https://evil.example/", f"https://[{address}]/" if ":" in address else ""):
        if url:
            with pytest.raises(WebFailure, match=said):
                asyncio.run(web.page(WebRequest(url)))


def test_a_redirect_to_the_inside_is_not_followed() -> None:
    web = HttpxWeb(StaticResolver(addresses={"web.example": ["127.0.0.1"]}))
    with pytest.raises(WebFailure, match="unusual port"):
        asyncio.run(web.page(WebRequest("https://web.example:8443/")))


@pytest.mark.parametrize("url", ["ftp://x.example/", "https://user@x.example/", "https:///x", "x"])
def test_what_is_no_web_address_is_told(url: str) -> None:
    with pytest.raises(WebFailure, match="no plain web address"):
        asyncio.run(HttpxWeb(StaticResolver()).page(WebRequest(url)))


def test_an_unknown_host_is_unreachable() -> None:
    with pytest.raises(WebUnreachable, match="no such name"):
        asyncio.run(HttpxWeb(StaticResolver()).page(WebRequest("https://gone.example/")))


def contexts(tmp_path: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for a name, and a client's that trusts it."""
    certificate, key = self_signed(tmp_path, name, dt.datetime.now(dt.UTC))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


def test_the_certificate_is_looked_at_for_the_name(tmp_path: Path) -> None:
    server, trusting = contexts(tmp_path, "web.example")
    assert got(lambda _: answer(b"safe"), "/", tls=server, trusted=trusting).body == b"safe"
    with pytest.raises(WebTlsFailure, match="does not hold"):
        got(lambda _: answer(b"safe"), "/", tls=server)


def test_a_wrong_name_is_told(tmp_path: Path) -> None:
    server, trusting = contexts(tmp_path, "other.example")
    with pytest.raises(WebTlsFailure, match="does not hold"):
        got(lambda _: answer(b"safe"), "/", tls=server, trusted=trusting)


def test_a_step_from_https_to_http_is_refused(tmp_path: Path) -> None:
    server, trusting = contexts(tmp_path, "web.example")
    leading = answer(b"", "302 Found", "Location: http://web.example/")
    with pytest.raises(WebFailure, match="leads from HTTPS"):
        got(lambda _: leading, "/", tls=server, trusted=trusting)


def test_a_static_web_keeps_to_the_same_rules() -> None:
    web = StaticWeb({"https://a.example/": b"x" * 10})
    page = asyncio.run(web.page(WebRequest("https://a.example/")))
    assert (page.status, page.body) == (200, b"x" * 10)
    with pytest.raises(WebFailure, match="larger"):
        asyncio.run(web.page(WebRequest("https://a.example/", largest=5)))
    with pytest.raises(WebUnreachable):
        asyncio.run(web.page(WebRequest("https://b.example/")))
    assert [one.url for one in web.asked] == ["https://a.example/"] * 2 + ["https://b.example/"]

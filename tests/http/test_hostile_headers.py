"""Whatever stands in a header, it is judged and breaks nothing."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from web_room import WebRoom, web_room

from waypost.control.permissions import Role
from waypost.faces.http.panel.theme import own_path
from waypost.faces.http.security_hosts import AllowedHosts, host_name

HOSTS = AllowedHosts("https://mail.example.com", ("inside",))

header = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="[]:/@.%#?\\x0 1aZlocalhost", max_size=40),
    st.sampled_from(
        ["http://[::1", "http://[", "//", "http://a:b", "http://\u2100", "null", "[::1%"]
    ),
)


@given(header)
@settings(max_examples=500)
def test_no_host_breaks_anything_and_none_but_ours_is_taken(text: str) -> None:
    name = host_name(text)
    if HOSTS.allows(text):
        assert name is not None
        ours = {"localhost", "mail.example.com", "inside"}
        assert name in ours or name.endswith(".localhost") or name[0] in "0123456789abcdef:"


@given(header)
@settings(max_examples=500)
def test_no_origin_breaks_anything(text: str) -> None:
    request = Request({"type": "http", "headers": [(b"host", b"127.0.0.1:8025")]})
    ours = {"http://127.0.0.1:8025", "https://127.0.0.1:8025", "https://mail.example.com"}
    assert HOSTS.is_own_origin(text, request) is (text.lower() in ours)


@given(header)
def test_a_path_to_go_to_is_one_of_ours(text: str) -> None:
    path = own_path(text)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert path.isprintable()


BYTES = (
    b"", b"\xff\xfe", b"\x80" * 200, "ü".encode(), b"[", b"http://[::1", b"a" * 5000, b"=;=;",
    b"%00", b"Bearer", b"Bearer ", b"bearer wpk_\xff", b"Basic Zm9vOmJhcg==", b",,,,",
    b"1.2.3.4:80", b"::ffff:1", b"\"\\\"",
    b"waypost_session=\xff", b"waypost_session=a; waypost_session=b",
)  # fmt: skip

NAMES = (
    b"host", b"origin", b"sec-fetch-site", b"cookie", b"authorization", b"x-forwarded-for",
    b"x-forwarded-proto", b"x-csrf-token", b"user-agent", b"content-length", b"content-type",
    b"referer", b"accept", b"if-none-match", b"range",
)  # fmt: skip


def test_no_header_makes_a_fault_of_ours(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.ADMIN)
        proxied = await room.visitor(address="10.0.0.1")
        for name in NAMES:
            for value in BYTES:
                for client in (person, proxied):
                    for method, path in (
                        ("GET", "/account"), ("POST", "/login"), ("POST", "/account/password"),
                        ("GET", "/api/v1/me"),
                    ):  # fmt: skip
                        headers = [(name, value)]
                        answer = await client.request(method, path, headers=headers)
                        assert answer.status_code < 500, (method, path, name, value)

    async def run() -> None:
        async with web_room(tmp_path, trusted_proxies=(ip_network("10.0.0.0/8"),)) as room:
            await work(room)

    asyncio.run(run())

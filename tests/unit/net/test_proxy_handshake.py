"""What is said to proxies, byte for byte, however their answers are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.net.proxy import InvalidProxyUrl, Proxy, parse_proxy_url
from waypost.net.proxy_handshake import Handshake, HttpConnect, ProxyRefused, Socks5

SOCKS_OPEN = b"\x05\x00\x00\x01\x0a\x00\x00\x01\x04\x38"


def said(handshake: Handshake, *answers: bytes) -> bytes:
    return handshake.begin() + b"".join(handshake.receive(answer) for answer in answers)


def test_socks_asks_for_a_name_an_address_or_an_ipv6_address() -> None:
    assert said(Socks5("mx.example", 25), b"\x05\x00") == (
        b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0amx.example\x00\x19"
    )
    assert said(Socks5("192.0.2.7", 587), b"\x05\x00").endswith(b"\x01\xc0\x00\x02\x07\x02\x4b")
    assert said(Socks5("2001:db8::1", 25), b"\x05\x00").endswith(
        b"\x04" + bytes.fromhex("20010db8000000000000000000000001") + b"\x00\x19"
    )


def test_socks_logs_in_where_it_is_asked_to() -> None:
    conversation = said(Socks5("h", 25, "user", "pass"), b"\x05\x02", b"\x01\x00")
    assert conversation.startswith(b"\x05\x02\x00\x02" + b"\x01\x04user\x04pass" + b"\x05\x01\x00")
    assert b"pass" not in said(Socks5("h", 25, "user", "pass"), b"\x05\x00")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((b"\x04\x5b",), "no SOCKS5 proxy"),
        ((b"HTTP/1.1 400",), "no SOCKS5 proxy"),
        ((b"\x05\xff",), "wants a login"),
        ((b"\x05\x02",), "wants a login"),
        ((b"\x05\x00", b"\x05\x02\x00\x01\x00"), "rules do not allow"),
        ((b"\x05\x00", b"\x05\x05\x00\x01\x00"), "server refused"),
        ((b"\x05\x00", b"\x05\x63\x00\x01\x00"), "code 99"),
        ((b"\x05\x00", b"\x05\x00\x00\x07\x00"), "unknown kind 7"),
    ],
)
def test_socks_refusals_are_told_in_words(answers: tuple[bytes, ...], words: str) -> None:
    with pytest.raises(ProxyRefused, match=words):
        said(Socks5("h", 25), *answers)
    with pytest.raises(ProxyRefused, match="user name and password"):
        said(Socks5("h", 25, "u", "p"), b"\x05\x02", b"\x01\x01")


def test_connect_names_the_host_and_logs_in_by_basic() -> None:
    assert said(HttpConnect("mx.example", 25)) == (
        b"CONNECT mx.example:25 HTTP/1.1\r\nHost: mx.example:25\r\n\r\n"
    )
    assert said(HttpConnect("2001:db8::1", 25)).startswith(b"CONNECT [2001:db8::1]:25 HTTP/1.1")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in said(
        HttpConnect("h", 25, "user", "pass")
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Login\r\n\r\n", "407 Login"),
        (b"HTTP/1.0 403 Forbidden\r\nX: y\r\n\r\n", "403 Forbidden"),
        (b"220 mail.example ESMTP\r\n", "no HTTP proxy"),
        (b"HTTP/1.1 abc\r\n\r\n", "no HTTP proxy"),
        (b"HTTP/1.1 200 x\r\n" + b"a: b\r\n" * 4000, "no end"),
    ],
)
def test_connect_refusals_are_told_in_words(answer: bytes, words: str) -> None:
    with pytest.raises(ProxyRefused, match=words):
        said(HttpConnect("h", 25), answer)


@pytest.mark.parametrize("host", ["a b", "x\r\nHost: y", "bücher.example", "h" * 300, ""])
def test_no_host_can_speak_for_itself(host: str) -> None:
    with pytest.raises(ProxyRefused):
        HttpConnect(host, 25)
    with pytest.raises(ProxyRefused):
        Socks5(host, 25)


@given(st.lists(st.integers(1, 30)), st.binary(max_size=40))
def test_answers_may_be_cut_anywhere_and_nothing_behind_them_is_lost(
    cuts: list[int], behind: bytes
) -> None:
    for handshake, answers in (
        (Socks5("h", 25), b"\x05\x00" + SOCKS_OPEN),
        (HttpConnect("h", 25), b"HTTP/1.1 200 OK\r\nVia: 1.1 x\r\n\r\n"),
    ):
        data = answers + behind
        handshake.begin()
        rest = b""
        for cut in [*cuts, len(data)]:
            piece, data = data[:cut], data[cut:]
            if handshake.rest is not None:
                rest += piece
            elif piece:
                handshake.receive(piece)
                rest += handshake.rest or b""
        assert rest == behind


@given(st.binary(max_size=200))
def test_whatever_a_proxy_answers_it_is_a_way_or_a_refusal(data: bytes) -> None:
    for handshake in (Socks5("h", 25, "u", "p"), HttpConnect("h", 25)):
        handshake.begin()
        try:
            handshake.receive(data)
        except ProxyRefused:
            continue


def test_urls_of_proxies() -> None:
    assert parse_proxy_url("socks5://127.0.0.1") == Proxy("socks5", "127.0.0.1", 1080)
    assert parse_proxy_url("http://u:p%40x@[::1]:3128/") == Proxy("http", "::1", 3128, "u", "p@x")
    assert parse_proxy_url("socks5h://tor.example:9050").looks_names_up
    assert not parse_proxy_url("socks5://tor.example:9050").looks_names_up
    assert "p" not in repr(Proxy("http", "h", 1, "u", "p")).partition("user")[2]
    for wrong in (
        "socks4://h",
        "h:1080",
        "https://h",
        "http://u:secret@h:0",
        "socks5://",
        "http://h:99999",
    ):
        with pytest.raises(InvalidProxyUrl) as raised:
            parse_proxy_url(wrong)
        assert "secret" not in str(raised.value)

"""A server is named in the form that its user has at hand."""

from __future__ import annotations

import pytest

from waypost.delivery.route import Credentials, TlsMode
from waypost.delivery.route_url import UrlContext
from waypost.doctor.target import InvalidTarget, parse_target, provider_of_host

JOE = Credentials("joe", "secret")


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("mail.example.com", "mail.example.com", 25, TlsMode.OPPORTUNISTIC),
        ("mail.example.com:587", "mail.example.com", 587, TlsMode.OPPORTUNISTIC),
        ("mail.example.com 2525", "mail.example.com", 2525, TlsMode.OPPORTUNISTIC),
        ("mail.example.com:465", "mail.example.com", 465, TlsMode.IMPLICIT),
        ("localhost:2525", "localhost", 2525, TlsMode.OPPORTUNISTIC),
        ("smtp:25", "smtp", 25, TlsMode.OPPORTUNISTIC),
        ("192.0.2.1:25", "192.0.2.1", 25, TlsMode.OPPORTUNISTIC),
        ("2001:db8::1", "2001:db8::1", 25, TlsMode.OPPORTUNISTIC),
        ("[2001:db8::1]:587", "2001:db8::1", 587, TlsMode.OPPORTUNISTIC),
        ("münchen.example:25", "xn--mnchen-3ya.example", 25, TlsMode.OPPORTUNISTIC),
        ("smtp://mail.example.com", "mail.example.com", 25, TlsMode.OPPORTUNISTIC),
        ("smtps://mail.example.com", "mail.example.com", 465, TlsMode.IMPLICIT),
        ("smtps://[::1]:4650", "::1", 4650, TlsMode.IMPLICIT),
        ("smtp+plain://mail.example.com", "mail.example.com", 25, TlsMode.NONE),
        ("smtp://joe:secret@mail.example.com", "mail.example.com", 587, TlsMode.REQUIRED),
        ("unix:/run/relay.sock", "unix:/run/relay.sock", 0, TlsMode.NONE),
        ("gmail", "smtp.gmail.com", 587, TlsMode.REQUIRED),
        ("smtp.gmail.com", "smtp.gmail.com", 587, TlsMode.REQUIRED),
        ("smtp.gmail.com:25", "smtp.gmail.com", 25, TlsMode.OPPORTUNISTIC),
        ("ses:eu-west-1", "email-smtp.eu-west-1.amazonaws.com", 587, TlsMode.REQUIRED),
    ],
)  # fmt: skip
def test_a_server_is_named_in_many_forms(text: str, host: str, port: int, tls: TlsMode) -> None:
    hop = parse_target(text).hop
    assert (hop.host, hop.port, hop.tls) == (host, port, tls)


@pytest.mark.parametrize(
    ("text", "port_given", "tls_given"),
    [
        ("mail.example.com", False, False),
        ("mail.example.com:587", True, False),
        ("[::1]", False, False),
        ("[::1]:25", True, False),
        ("smtp://mail.example.com", False, True),
        ("smtp://joe:pa:55@mail.example.com", False, True),
        ("smtp://mail.example.com:587?verify=no", True, True),
        ("gmail", False, True),
    ],
)
def test_what_was_left_open_is_known(text: str, port_given: bool, tls_given: bool) -> None:
    target = parse_target(text)
    assert (target.port_given, target.tls_given) == (port_given, tls_given)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("joe@example.com", "waypost discover"),
        ("imaps://imap.example.com", "for reading mail (IMAP)"),
        ("https://example.com", "is a web address"),
        ("mx:", "names no server"),
        ("sandbox:", "names no server"),
        ("mail.example.com:99999", "port that is no number"),
        ("mail.example.com:smtp", "port that is no number"),
        ("mail..example.com", "impossible host name"),
        ("300.1.1.1:25", "impossible IPv4 address"),
        ("[::zz]:25", "no IPv6 address"),
        ("ses", "needs its region"),
        ("one two three", "is no URL"),
        ("smtp://mail.example.com/path", "has a path"),
    ],
)
def test_what_is_no_server_is_told_in_one_line(text: str, says: str) -> None:
    with pytest.raises(InvalidTarget) as failure:
        parse_target(text)
    assert says in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_password_is_never_repeated() -> None:
    with pytest.raises(InvalidTarget) as failure:
        parse_target("smtp://joe:hush@mail.example.com:0")
    assert "hush" not in str(failure.value)
    assert "hush" not in parse_target("smtp://joe:hush@mail.example.com").text


def test_credentials_beside_the_target_count_as_those_in_a_url() -> None:
    hop = parse_target("mail.example.com", credentials=JOE).hop
    assert (hop.port, hop.tls, hop.credentials) == (587, TlsMode.REQUIRED, JOE)
    assert parse_target("mail.example.com:25", credentials=JOE).hop.port == 25
    assert parse_target("mail.example.com:465", credentials=JOE).hop.tls is TlsMode.IMPLICIT
    assert parse_target("gmail", credentials=JOE).hop.port == 587


def test_credentials_do_not_go_over_a_connection_that_stays_in_the_clear() -> None:
    with pytest.raises(InvalidTarget, match="clear text"):
        parse_target("smtp+plain://mail.example.com", credentials=JOE)
    assert parse_target("smtp+plain://localhost", credentials=JOE).hop.credentials == JOE


def test_variables_of_the_environment_are_read() -> None:
    context = UrlContext({"SECRET": "hush"})
    hop = parse_target("smtp://joe:${SECRET}@mail.example.com", context).hop
    assert hop.credentials == Credentials("joe", "hush")


def test_a_place_is_shown_with_its_port() -> None:
    assert parse_target("[::1]:25").place == "[::1]:25"
    assert parse_target("smtps://mail.example.com").place == "mail.example.com:465"
    assert parse_target("unix:/run/relay.sock").place == "unix:/run/relay.sock"


def test_hosts_of_providers_are_known() -> None:
    found = provider_of_host("Email-SMTP.us-east-1.amazonaws.com.")
    assert found is not None
    assert found.name == "ses"
    assert provider_of_host("mail.example.com") is None

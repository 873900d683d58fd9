"""Route URLs as the command contract writes them."""

from __future__ import annotations

import contextlib
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.delivery.route import Credentials, MxDelivery, NextHop, Sandbox, Smarthost, TlsMode
from waypost.delivery.route_url import InvalidRouteUrl, UrlContext, parse_route_url, redacted

ENVIRONMENT = {"SMTP_PASSWORD": "p@ss:w/rd%41", "HOST": "mail.example.com"}
FILES = {"/run/secret": "from-file\n"}


def read_file(path: str) -> str:
    if path not in FILES:
        raise FileNotFoundError(2, "No such file or directory", path)
    return FILES[path]


CONTEXT = UrlContext(ENVIRONMENT, read_file)


def parse(url: str) -> NextHop:
    return parse_route_url(url, CONTEXT)


def smarthost(url: str) -> Smarthost:
    hop = parse(url)
    assert isinstance(hop, Smarthost)
    return hop


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://mail.example.com:2525", "mail.example.com", 2525, TlsMode.OPPORTUNISTIC),
        ("smtp://mail.example.com", "mail.example.com", 25, TlsMode.OPPORTUNISTIC),
        ("smtp://u:p@mail.example.com", "mail.example.com", 587, TlsMode.REQUIRED),
        ("smtp://u:p@mail.example.com:25", "mail.example.com", 25, TlsMode.REQUIRED),
        ("SMTP://Mail.Example.COM./", "mail.example.com", 25, TlsMode.OPPORTUNISTIC),
        ("smtps://mail.example.com", "mail.example.com", 465, TlsMode.IMPLICIT),
        ("smtps://u:p@mail.example.com:4650", "mail.example.com", 4650, TlsMode.IMPLICIT),
        ("smtp+plain://mail.example.com", "mail.example.com", 25, TlsMode.NONE),
        ("smtp://[2001:DB8::1]:587", "2001:db8::1", 587, TlsMode.OPPORTUNISTIC),
        ("smtps://[::1]", "::1", 465, TlsMode.IMPLICIT),
        ("smtp://192.0.2.1", "192.0.2.1", 25, TlsMode.OPPORTUNISTIC),
        ("smtp://bücher.example", "xn--bcher-kva.example", 25, TlsMode.OPPORTUNISTIC),
        ("smtp://mail_relay:25", "mail_relay", 25, TlsMode.OPPORTUNISTIC),
        ("smtp://${HOST}:25", "mail.example.com", 25, TlsMode.OPPORTUNISTIC),
        ("unix:/run/relay.sock", "unix:/run/relay.sock", 0, TlsMode.NONE),
        ("unix:///run/re%20lay.sock", "unix:/run/re lay.sock", 0, TlsMode.NONE),
        ("gmail", "smtp.gmail.com", 587, TlsMode.REQUIRED),
        ("ses:eu-west-1", "email-smtp.eu-west-1.amazonaws.com", 587, TlsMode.REQUIRED),
        ("ses://u:p@us-east-1", "email-smtp.us-east-1.amazonaws.com", 587, TlsMode.REQUIRED),
    ],
)
def test_a_url_names_host_port_and_tls(url: str, host: str, port: int, tls: TlsMode) -> None:
    hop = smarthost(url)
    assert (hop.host, hop.port, hop.tls) == (host, port, tls)
    assert hop.verify


def test_mx_and_sandbox_need_nothing_more() -> None:
    assert parse("mx:") == MxDelivery()
    assert parse("sandbox:") == Sandbox()


def test_mx_with_verification_requires_tls() -> None:
    hop = parse("mx:?verify=yes&source=192.0.2.9&port=2525")
    assert hop == MxDelivery(2525, TlsMode.REQUIRED, verify=True, source="192.0.2.9")


@pytest.mark.parametrize(
    ("url", "user", "password"),
    [
        ("smtp://user:pass@h", "user", "pass"),
        ("smtp://me%40example.com:p%3Aw%2F@h", "me@example.com", "p:w/"),
        ("smtp://me@example.com:pass@h", "me@example.com", "pass"),
        ("smtp://user:a:b@h", "user", "a:b"),
        ("smtp://user:${SMTP_PASSWORD}@h", "user", ENVIRONMENT["SMTP_PASSWORD"]),
        ("smtp://user:%24%7BHOST%7D@h", "user", "${HOST}"),
        ("smtp://user@h?password_env=SMTP_PASSWORD", "user", ENVIRONMENT["SMTP_PASSWORD"]),
        ("smtp://h?user=me%40x&password_file=/run/secret", "me@x", "from-file"),
        ("gmail://me@gmail.com:app-password@", "me@gmail.com", "app-password"),
        ("sendgrid?password_env=SMTP_PASSWORD", "apikey", ENVIRONMENT["SMTP_PASSWORD"]),
    ],
)
def test_credentials_come_from_the_url_the_environment_or_a_file(
    url: str, user: str, password: str
) -> None:
    assert smarthost(url).credentials == Credentials(user, password)


def test_options_are_taken() -> None:
    hop = smarthost(
        "smtp://u:p@h?verify=no&name=mx.example.com&timeout=30s&source=[2001:db8::2]"
        "&ehlo=relay.example.com&weight=3&priority=10&auth=plain&ca_file=/etc/ca.pem"
    )
    assert not hop.verify
    assert hop.server_name == "mx.example.com"
    assert hop.timeout == 30.0
    assert hop.source == "2001:db8::2"
    assert hop.ehlo == "relay.example.com"
    assert (hop.weight, hop.priority, hop.ca_file) == (3, 10, "/etc/ca.pem")
    assert hop.credentials is not None
    assert hop.credentials.mechanism == "PLAIN"


@pytest.mark.parametrize(
    "url",
    [
        "smtp+plain://u:p@localhost",
        "smtp+plain://u:p@127.8.8.8:2525",
        "smtp+plain://u:p@[::1]",
        "smtp+plain://u:p@mail.example.com?clear_text_auth=yes",
        "unix:/run/s?user=u&password_file=/run/secret",
    ],
)
def test_a_password_goes_in_the_clear_only_on_this_machine_or_when_allowed(url: str) -> None:
    assert smarthost(url).clear_text_auth


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "no URL"),
        ("mail.example.com:587", "write it as smtp://mail.example.com:587"),
        ("mail.example.com:user:p@h", "neither a kind of URL nor a provider"),
        ("smpt://h", "did you mean smtp?"),
        ("gmial", "did you mean gmail?"),
        ("smtp:h", "no //"),
        ("smtp://", "names no host"),
        ("smtp://u:p@", "names no host"),
        ("smtp://h/path", "a path"),
        ("smtp://u:p#x@h", "%23"),
        ("smtp://u:a/b@h", "%2F"),
        ("smtp://h:0", "port"),
        ("smtp://h:65536", "port"),
        ("smtp://h:٣", "port"),
        ("smtp://2001:db8::1", "brackets"),
        ("smtp://[2001:db8::zz]", "IPv6"),
        ("smtp://999.1.1.1", "IPv4"),
        ("smtp://a..b", "host name"),
        ("smtp://-a.example", "host name"),
        ("smtp://h h", "space"),
        ("smtp://h\r\nMAIL", "control"),
        ("smtp://:p@h", "no user name"),
        ("smtp://u@h", "without a password"),
        ("smtp://h?password_env=SMTP_PASSWORD", "without a user name"),
        ("smtp://u:p@h?password_env=SMTP_PASSWORD", "more than one password"),
        ("smtp://u@h?password_env=MISSING", "MISSING, which is not set"),
        ("smtp://u:${MISSING}@h", "${MISSING}, which is not set"),
        ("smtp://u@h?password_file=/nowhere", "cannot be read"),
        ("smtp://h?verfy=no", "did you mean verify?"),
        ("smtp://h?verify=perhaps", "neither yes nor no"),
        ("smtp://h?verify=no&verify=yes", "verify twice"),
        ("smtp://h?verify", "no value"),
        ("smtp://h?timeout=nan", "seconds"),
        ("smtp://h?timeout=-1", "seconds"),
        ("smtp://h?weight=1e9", "whole number"),
        ("smtp://h?source=me", "no IP address"),
        ("smtp://h?auth=plain", "no user"),
        ("smtp+plain://u:p@mail.example.com", "clear text"),
        ("smtp+plain://u:p@localhost.example.com", "clear text"),
        ("mx:mail.example.com", "names a host behind mx:"),
        ("mx:?user=u", "unknown option"),
        ("sandbox:x", "sandbox:"),
        ("unix:run/x", "absolute path"),
        ("ses", "needs its region"),
        ("ses:../x", "needs its region"),
        ("gmail:eu", "no regions"),
        ("gmail:me:p@", "//"),
        ("gmail://u:p@:25", "port"),
        ("smtp://" + "a" * 5000, "longer"),
    ],
)
def test_a_faulty_url_is_told_with_its_reason(url: str, said: str) -> None:
    with pytest.raises(InvalidRouteUrl) as caught:
        parse(url)
    assert said in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "smtp://user:hunter2@h:99999",
        "smtp://user:hunter2#x@h",
        "smtp://user:hunter2/x@h",
        "smtp://user:hunter2?x@h",
        "smtp:user:hunter2@h",
        "smtp+plain://me@example.com:hunter2@mail.example.com",
        "smtp://h?password=hunter2",
        "smtp://u:hunter2@h?verfy=no",
        "gmail:user:hunter2@",
        "smpt://user:hunter2@h",
    ],
)
def test_an_error_never_repeats_a_password(url: str) -> None:
    with pytest.raises(InvalidRouteUrl) as caught:
        parse(url)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in caught.value.evidence


def test_a_password_is_in_no_repr() -> None:
    assert "hunter2" not in repr(smarthost("smtp://u:hunter2@h"))
    assert "p@ss" not in repr(CONTEXT)


def test_names_of_variables_and_files_stay_visible_when_passwords_are_taken_out() -> None:
    url = "smtp://h?user=me&password_env=SMTP_PASSWORD"
    assert redacted(url) == url


TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40
)


@given(user=TEXT, password=TEXT)
def test_any_credentials_survive_percent_encoding(user: str, password: str) -> None:
    url = f"smtps://{quote(user, safe='')}:{quote(password, safe='')}@mail.example.com"
    assert smarthost(url).credentials == Credentials(user, password)


@given(st.text(st.sampled_from(string.printable + "é€"), max_size=60))
def test_any_text_is_a_next_hop_or_an_invalid_url(text: str) -> None:
    for url in (text, f"smtp://{text}", f"smtp://user:{text}@h", f"mx:{text}", f"unix:/{text}"):
        with contextlib.suppress(InvalidRouteUrl):
            assert isinstance(parse(url), NextHop)

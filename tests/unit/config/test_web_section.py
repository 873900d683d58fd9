"""[web]: the panel is reached as safely as it can be where nothing is said."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from configuration_loading import loaded

from waypost.config import ConfigurationError
from waypost.control.settings import ControlSettings


def web(folder: Path, text: str) -> ControlSettings:
    settings = loaded(folder, text).control_settings()
    assert settings is not None
    return settings


@pytest.mark.parametrize(
    ("text", "tls"),
    [
        ("", False),
        ('panel = "[::1]:80"', False),
        ('panel = "*:8025"', True),
        ('panel = "192.0.2.1:8025"', True),
        ('panel = "127.0.0.1:8025"\n[web]\ntls = true', True),
        ('panel = "*:8025"\n[web]\ntls = false\ntrusted_proxies = "172.16.0.0/12"', False),
    ],
)
def test_https_is_served_off_loopback(tmp_path: Path, text: str, tls: bool) -> None:
    assert web(tmp_path, text).tls is tls


def test_no_password_crosses_a_network_in_the_clear(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="would take passwords in the clear"):
        loaded(tmp_path, 'panel = "*:8025"\n[web]\ntls = false')


def test_the_settings_are_taken_over(tmp_path: Path) -> None:
    given = web(
        tmp_path,
        """
        [web]
        public_url = "https://Mail.Example.com:8443/"
        hosts = ["waypost", "relay.internal"]
        trusted_proxies = "10.0.0.0/8"
        session_idle = "10 min"
        session_lifetime = "1 day"
        """,
    )
    assert given.public_url == "https://mail.example.com:8443"
    assert given.hosts == ("waypost", "relay.internal")
    assert given.trusted_proxies == (ip_network("10.0.0.0/8"),)
    assert (given.lifetimes.idle, given.lifetimes.absolute) == (600, 86400)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80/", "http://a.example"),
        ("https://a.example:80", "https://a.example:80"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_an_address_is_kept_as_browsers_send_it(tmp_path: Path, given: str, kept: str) -> None:
    assert web(tmp_path, f'[web]\npublic_url = "{given}"').public_url == kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('public_url = "mail.example.com"', "write https://HOST"),
        ('public_url = "ftp://mail.example.com"', "write https://HOST"),
        ('public_url = "https://mail.example.com/panel"', "without a path"),
        ('public_url = "https://me@mail.example.com"', "write https://HOST"),
        ('public_url = "https://mail.example.com:x"', "is no address of a web site"),
        ("public_url = 5", "in quotes"),
        ('hosts = "no host"', "is no host name"),
        ('session_idle = "8 days"', "at most web.session_lifetime, which is 7 days"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        loaded(tmp_path, f"[web]\n{text}")

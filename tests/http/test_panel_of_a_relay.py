"""The panel of a real relay process: the printed link, accounts beside it, TLS off loopback."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from relay_process import COMMAND, WAIT, RelayProcess, free_port

CONFIGURATION = """
[[listener]]
address = "127.0.0.1:0"
"""

FORM = {"name": "Ada", "password": "a long password", "again": "a long password"}


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    made = RelayProcess(tmp_path, CONFIGURATION)
    made.panel = f"127.0.0.1:{free_port()}"
    yield made
    made.kill()


def printed_link(relay: RelayProcess) -> str:
    (link,) = re.findall(r"https?://[^\s]+/first-run/[\w-]{43}", relay.welcome_path.read_text())
    return link


def run(relay: RelayProcess, *arguments: str) -> str:
    ended = subprocess.run(
        [COMMAND, *arguments, "--config", relay.path], env=relay.environment, timeout=WAIT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ended.stdout


def test_the_first_account_is_made_with_the_link_that_serve_prints(relay: RelayProcess) -> None:
    relay.start()
    link = printed_link(relay)
    assert link.startswith(f"http://{relay.panel}/")
    assert link not in relay.log_text, "the log is kept and sent about; the link is not in it"
    with httpx.Client(follow_redirects=True, timeout=WAIT) as browser:
        assert browser.get(f"http://{relay.panel}/audit").url.path == "/login"
        browser.post(link, data=FORM)
        assert "password chosen" in browser.get(f"http://{relay.panel}/audit").text
        assert browser.get(link).status_code == 410
        relay.stop()
        relay.start()
        assert "first-run" not in relay.welcome_path.read_text()
        page = browser.get(f"http://{relay.panel}/account")
        assert "You are admin" in page.text, "a session lasts over a restart"


def test_commands_and_a_running_relay_have_the_same_accounts(relay: RelayProcess) -> None:
    relay.start()
    base = f"http://{relay.panel}"
    told = run(relay, "operator", "add", "Olga", "--role", "operator")
    (link,) = re.findall(r"http://\S+/first-run/\S+", told)
    secret = run(relay, "key", "add", "shop", "--scope", "messages:read").strip()
    with httpx.Client(timeout=WAIT) as browser, httpx.Client(timeout=WAIT) as program:
        assert browser.post(link, data=FORM).status_code == 303
        program.headers["Authorization"] = f"Bearer {secret}"
        assert program.get(f"{base}/api/v1/me").json()["name"] == "key:shop"
        assert browser.get(f"{base}/account").status_code == 200
        run(relay, "operator", "disable", "Olga")
        run(relay, "key", "revoke", "shop")
        assert browser.get(f"{base}/account").status_code == 303
        assert program.get(f"{base}/api/v1/me").status_code == 401


def test_off_loopback_the_panel_is_served_over_tls(relay: RelayProcess) -> None:
    port = free_port("0.0.0.0")
    relay.panel = f"0.0.0.0:{port}"
    relay.start()
    link = printed_link(relay)
    assert link.startswith("https://")
    trusted = ssl.create_default_context(cafile=str(relay.data / "tls" / "self-signed.pem"))
    base = f"https://127.0.0.1:{port}"
    with httpx.Client(verify=trusted, timeout=WAIT) as browser:
        path = httpx.URL(link).path
        answer = browser.post(f"{base}{path}", data=FORM)
        assert answer.status_code == 303
        assert answer.headers["strict-transport-security"]
        assert answer.headers["set-cookie"].startswith("__Host-waypost_session=")
        assert "; Secure" in answer.headers["set-cookie"]
        assert browser.get(f"{base}/account").status_code == 200
        assert browser.get(f"{base}/", headers={"Host": "evil.example"}).status_code == 421
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(f"http://127.0.0.1:{port}/login", timeout=WAIT)


def test_nonsense_is_refused_and_fills_no_log(relay: RelayProcess) -> None:
    relay.start()
    host, _, port = relay.panel.partition(":")
    before = relay.log_text
    for nonsense, answer in (
        (b"\x16\x03\x01\x00\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET /login HTTP/1.0\r\n\r\n", b"421"),
        (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", b"421"),
        (b"GET /%ff%00 HTTP/1.1\r\nHost: [::1]\r\nCookie: waypost_session=\xff\r\n\r\n", b"303"),
        (b"GET / HTTP/1.1\r\nHost: [::1]\r\nAuthorization: \xff\r\n\r\n", b"401"),
        ((b"GET /login HTTP/1.1\r\nHost: [::1]\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"), b"200"),
    ):  # fmt: skip
        with socket.create_connection((host, int(port)), WAIT) as client:
            client.sendall(nonsense)
            assert client.recv(1000).split()[1] == answer, nonsense
    assert relay.log_text == before


def test_a_new_certificate_is_used_without_a_restart(relay: RelayProcess) -> None:
    relay.configure(CONFIGURATION + "[web]\ntls = true\n")
    relay.start()
    host, _, port = relay.panel.partition(":")

    def certificate() -> bytes:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((host, int(port)), WAIT) as raw,
            context.wrap_socket(raw) as wrapped,
        ):
            found = wrapped.getpeercert(binary_form=True)
            assert found is not None
            return found

    first = certificate()
    assert certificate() == first
    other = RelayProcess(relay.folder / "other", CONFIGURATION)
    try:
        other.start()
    finally:
        other.kill()
    for name in ("self-signed.key", "self-signed.pem"):
        (other.data / "tls" / name).replace(relay.data / "tls" / name)
    assert certificate() != first


def test_a_damaged_file_of_the_panel_does_not_stop_the_mail(relay: RelayProcess) -> None:
    relay.start()
    relay.stop()
    (relay.data / "control.sqlite").write_bytes(b"no database at all" * 100)
    for more in ("-wal", "-shm"):
        (relay.data / f"control.sqlite{more}").unlink(missing_ok=True)

    relay.start()

    (told,) = relay.events("no panel")
    assert "control.sqlite is damaged" in told["why"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{relay.panel}/", timeout=WAIT)
    relay.stop()

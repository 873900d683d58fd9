"""The library and a real relay: TLS, logins, proxies on the way, large content."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.policy import default
from pathlib import Path

import pytest
from proxy_servers import ProxyServer

import waypost
from relay_process import RelayProcess, free_port
from sink import Sink
from waypost import errors
from waypost.relay.certificates import self_signed

MESSAGE = {"from_": "app@here.example", "subject": "Hello", "text": "Hi"}


@dataclass
class Relay:
    """A relay that runs, and what is behind it."""

    sink: Sink
    certificate: Path
    starttls: int
    implicit: int


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    folder = tmp_path_factory.mktemp("library")
    certificate, key = self_signed(folder, "localhost", dt.datetime.now(dt.UTC))
    sink = Sink()
    made = Relay(sink, certificate, free_port(), free_port())
    process = RelayProcess(
        folder,
        "[access]\ntrusted_networks = []\n"
        f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
        f'[[listener]]\naddress = "127.0.0.1:{made.starttls}"\nkind = "submission"\n'
        f'[[listener]]\naddress = "127.0.0.1:{made.implicit}"\nkind = "submissions"\n'
        f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n',
    )
    process.add_user("app", "sesame & co")
    process.start()
    yield made
    process.stop()
    sink.close()


def url(relay: Relay, password: str = "sesame%20%26%20co", implicit: bool = False) -> str:
    scheme, port = ("smtps", relay.implicit) if implicit else ("smtp", relay.starttls)
    return f"{scheme}://app:{password}@localhost:{port}?ca_file={relay.certificate}"


@pytest.mark.parametrize("implicit", [False, True])
def test_it_logs_in_under_tls_and_the_relay_delivers(relay: Relay, implicit: bool) -> None:
    to = f"tls{implicit}@there.example"
    with waypost.Mailer(url(relay, implicit=implicit)) as mailer:
        result = mailer.send(to=to, **MESSAGE)
        assert "TLSv1.3" in result.transcript
        assert "sesame" not in result.transcript
        assert mailer.send(to="more@there.example", **MESSAGE)
    content = relay.sink.wait_for(to).content
    assert email.message_from_bytes(content, policy=default)["Message-ID"] == result.message_id


def test_a_wrong_password_is_told_and_not_tried_again(relay: Relay) -> None:
    with (
        waypost.Mailer(url(relay, "wrong")) as mailer,
        pytest.raises(errors.AuthenticationFailed) as raised,
    ):
        mailer.send(to="b@there.example", **MESSAGE)
    error = raised.value
    assert error.cause == "auth.bad_credentials"
    assert error.reply is not None
    assert error.reply.code == 535
    assert not error.temporary
    assert error.result is not None
    assert error.result.attempts == 1
    assert "535" in str(error)
    assert "what to do:" in str(error)


def test_a_certificate_that_nobody_trusts_is_told_with_what_to_do(relay: Relay) -> None:
    unknown = url(relay).partition("?")[0]
    with waypost.Mailer(unknown) as mailer, pytest.raises(errors.TlsFailed) as raised:
        mailer.send(to="b@there.example", **MESSAGE)
    assert "certificate" in str(raised.value)
    assert raised.value.fix
    with waypost.Mailer(unknown, verify=False) as mailer:
        assert mailer.send(to="unverified@there.example", **MESSAGE)


def test_the_wrong_way_to_tls_is_told(relay: Relay) -> None:
    wrong = f"smtps://app:x@localhost:{relay.starttls}"
    with waypost.Mailer(wrong, retry=1) as mailer, pytest.raises(errors.TlsFailed) as raised:
        mailer.send(to="b@there.example", **MESSAGE)
    assert raised.value.fix


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
def test_it_goes_through_a_proxy(relay: Relay, scheme: str, implicit: bool) -> None:
    proxy = ProxyServer("http" if scheme == "http" else "socks5", login="me:se cret")
    to = f"{scheme}{implicit}@there.example"
    with waypost.Mailer(
        url(relay, implicit=implicit), proxy=f"{scheme}://me:se%20cret@127.0.0.1:{proxy.port}"
    ) as mailer:
        assert mailer.send(to=to, **MESSAGE)
        assert mailer.send(to=to.replace("@", "2@"), **MESSAGE)
    assert relay.sink.wait_for(to)
    host = "127.0.0.1" if scheme == "socks5" else "localhost"
    assert proxy.asked == [(host, relay.implicit if implicit else relay.starttls)]
    proxy.close()


@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_a_proxy_that_refuses_is_told(relay: Relay, kind: str) -> None:
    proxy = ProxyServer(kind, refuse=True)
    with (
        waypost.Mailer(url(relay), proxy=f"{kind}://127.0.0.1:{proxy.port}", retry=1) as mailer,
        pytest.raises(errors.ConnectionFailed, match="proxy") as raised,
    ):
        mailer.send(to="b@there.example", **MESSAGE)
    assert ("403 Forbidden" if kind == "http" else "rules do not allow") in str(raised.value)
    proxy.close()
    with (
        waypost.Mailer(url(relay), proxy=f"{kind}://127.0.0.1:{proxy.port}", retry=1) as mailer,
        pytest.raises(errors.ConnectionFailed, match="cannot be reached"),
    ):
        mailer.send(to="b@there.example", **MESSAGE)


def test_a_large_file_is_never_held_whole(relay: Relay, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        for number in range(32):
            file.write(bytes([number]) * 1024 * 1024)
    program = """
import resource, sys, waypost
with waypost.Mailer(sys.argv[1]) as mailer:
    mailer.send(from_="app@here.example", to="small@there.example", text="x",
                attachments=[("x", b"y")])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mailer.send(from_="app@here.example", to="large@there.example", text="x",
                attachments=sys.argv[2])
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, url(relay), large],
        capture_output=True, text=True, timeout=100, check=False, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 16, "MiB more than before, for a message of 43"
    content = relay.sink.wait_for("large@there.example").content
    message = email.message_from_bytes(content, policy=default)
    (attachment,) = message.iter_attachments()
    assert attachment.get_content() == large.read_bytes()


def test_a_file_that_changes_while_it_is_sent_ends_no_message(relay: Relay, tmp_path: Path) -> None:
    large = tmp_path / "log.bin"
    large.write_bytes(b"x" * 8_000_000)

    async def main() -> None:
        async with waypost.AsyncMailer(url(relay), chunking=False) as mailer:
            sending = asyncio.ensure_future(
                mailer.send(to="cut@there.example", attachments=large, **MESSAGE)
            )
            await asyncio.sleep(0)
            os.truncate(large, 1000)
            with pytest.raises(errors.MessageRefused, match="could not be read"):
                await sending
            assert await mailer.send(to="after@there.example", **MESSAGE)

    asyncio.run(main())
    relay.sink.wait_for("after@there.example")
    assert relay.sink.for_recipient("cut@there.example") == []

"""The first page: what it tells of listeners is so, and what is copied from it sends a message."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from panel_world import Page, in_room, over, send_bytes
from web_room import WebRoom, web_room

from relay_process import RelayProcess, free_port, wait_for
from waypost.control.permissions import Role
from waypost.delivery.route_url import UrlContext, parse_route_url
from waypost.faces.http.panel.start import route_of
from waypost.faces.http.panel.start_listener import ListenerFacts, listener_facts
from waypost.faces.http.panel.start_snippets import SENDER, snippets
from waypost.knowledge.providers import providers
from waypost.testing import MailServer

PLAIN = ListenerFacts("127.0.0.1", 2525, "submission", False, False, False, True, False)

PROGRAMS = {
    "python": sys.executable, "waypost": sys.executable, "php": "php", "curl": "curl",
    "swaks": "swaks", "node": "node", "go": "go",
}  # fmt: skip


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> RelayProcess:
    return RelayProcess(
        tmp_path_factory.mktemp("relay"), f'[[listener]]\naddress = "127.0.0.1:{free_port()}"\n'
    )


def port_of(relay: RelayProcess) -> int:
    return int(relay.path.read_text().partition("127.0.0.1:")[2].partition('"')[0])


def code_of(name: str, port: int, sendmail: str = "waypost-sendmail") -> Sequence[str]:
    """The parts of an example, as a person would copy them."""
    at = replace(PLAIN, port=port)
    found = next(one for one in snippets(at, sendmail, "http://127.0.0.1:1") if one.name == name)
    return [code for _, code in found.parts]


def nodemailer(folder: Path) -> bool:
    """Whether this machine has nodemailer for a program in a folder."""
    script = "import('nodemailer').then(() => process.exit(0), () => process.exit(1))"
    return not subprocess.run(["node", "-e", script], cwd=folder, check=False).returncode


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_copied_sends_a_message(name: str, relay: RelayProcess, tmp_path: Path) -> None:
    if shutil.which(PROGRAMS[name]) is None:
        pytest.skip(f"{PROGRAMS[name]} is not here")
    if name == "node" and not nodemailer(tmp_path):
        pytest.skip("nodemailer is not here")
    if not relay.runs:
        relay.start()
    sendmail = Path(sys.executable).with_name("waypost-sendmail")
    parts = code_of(name, port_of(relay), str(sendmail))
    command = [PROGRAMS[name]]
    environment = dict(os.environ, WAYPOST_CONFIG=str(relay.path), HOME=str(tmp_path))
    if name in ("python", "waypost"):
        command += ["-c", parts[0]]
    elif name == "php":
        (tmp_path / "php.ini").write_text(parts[0])
        (tmp_path / "hello.php").write_text(parts[1])
        command += ["-c", str(tmp_path / "php.ini"), str(tmp_path / "hello.php")]
    elif name == "node":
        (tmp_path / "hello.mjs").write_text(parts[0])
        command += [str(tmp_path / "hello.mjs")]
    elif name == "go":
        (tmp_path / "main.go").write_text(parts[0])
        command += ["run", str(tmp_path / "main.go")]
    else:
        command = ["sh", "-c", parts[0]]
    before = relay.query("SELECT count(*) FROM message")[0][0]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    wait_for(
        "the message is there",
        lambda: relay.query("SELECT count(*) FROM message")[0][0] == before + 1,
    )
    newest = relay.query("SELECT reverse_path, subject FROM message ORDER BY id DESC LIMIT 1")[0]
    assert newest[1].startswith("Hello from")
    if name != "php":  # whose envelope is the user's that runs it
        assert newest[0] == SENDER


def test_the_relay_of_the_examples_ends_well(relay: RelayProcess) -> None:
    relay.stop()


@pytest.mark.parametrize("name", ["python", "waypost", "curl", "swaks"])
def test_with_a_login_what_is_copied_logs_in(name: str, tmp_path: Path) -> None:
    if shutil.which(PROGRAMS[name]) is None:
        pytest.skip(f"{PROGRAMS[name]} is not here")
    with MailServer(tls="starttls", users={"USER": "PASSWORD"}, require_login=True) as server:
        at = ListenerFacts(
            "127.0.0.1", server.port, "submission", False, True, True, False, True
        )  # fmt: skip
        found = next(one for one in snippets(at, "sendmail", "http://x") if one.name == name)
        code = found.parts[0][1]
        if name == "waypost":
            code = code.replace(at.place, f"{at.place}?ca_file={server.ca_file}")
        if name == "curl":
            code = code.replace("curl ", f"curl --cacert {server.ca_file} ")
        command = [sys.executable, "-c", code] if PROGRAMS[name] == sys.executable else None
        ran = subprocess.run(
            command or ["sh", "-c", code], cwd=tmp_path, capture_output=True, text=True,
            timeout=60, check=False, env=dict(os.environ, SSL_CERT_FILE=str(server.ca_file)),
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        came = server.wait_for(subject="Hello from")
        assert came.user == "USER"
        assert came.tls


def test_the_settings_for_django_send_a_message(tmp_path: Path) -> None:
    with MailServer() as server:
        settings, code = code_of("django", server.port)
        program = (
            f"from django.conf import settings\n{settings}\n"
            "settings.configure(**{k: v for k, v in globals().items() if k.isupper()})\n" + code
        )
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert server.wait_for(subject="Hello from Django").sender == SENDER


def test_what_is_copied_for_the_api_is_taken_by_it(tmp_path: Path) -> None:
    """Run in the application itself: the request that curl would make."""
    import json
    import re

    from waypost.control.permissions import Permission

    async def test(room: WebRoom) -> None:
        key = await room.key(Permission.SEND)
        code = code_of("http", 2525)[1]
        body = re.search(r"--data '(.*)'", code, re.DOTALL)
        assert body is not None
        path = re.search(r"http://127.0.0.1:1(/\S+)", code)
        assert path is not None
        answer = await key.post(path[1], json=json.loads(body[1]))
        assert answer.status_code == 202, answer.text
        (identifier,) = await over(room, 1)
        assert answer.json()["id"] == identifier

    in_room(test, tmp_path)


def test_the_page_shows_the_real_host_and_port(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        viewer = await room.person(Role.VIEWER)
        for way in ("python", "waypost", "django", "symfony", "node", "rails", "go", "swaks"):
            words = Page((await viewer.get(f"/start?way={way}")).text).text
            assert str(room.smtp_port) in words, way
            assert "127.0.0.1" in words
        page = Page((await viewer.get("/start?way=no-such-way")).text)
        assert "smtplib" in page.text, "the first of them"

    in_room(test, tmp_path)


def test_the_page_waits_for_a_message_and_leads_to_it(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        viewer = await room.person(Role.VIEWER)
        page = Page((await viewer.get("/start")).text)
        assert "Waiting for your first message" in page.text
        (live,) = [given["data-live"] for _, given in page.elements if "data-live" in given]
        await send_bytes(room, b"Subject: It came\r\n\r\nx\r\n")
        (identifier,) = await over(room, 1)
        page = Page((await viewer.get(live)).text)
        assert "It came" in page.text
        assert page.links() == [f"/messages/{identifier}"]

    in_room(test, tmp_path)


def facts(folder: Path, configuration: str) -> Sequence[ListenerFacts]:
    async def main() -> Sequence[ListenerFacts]:
        async with web_room(folder, configuration) as room:
            return listener_facts(room.service, "mail.example.com")

    return asyncio.run(main())


def test_the_listener_to_use_first_is_the_one_for_submission(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    found = facts(
        tmp_path,
        "".join(
            f'[[listener]]\naddress = "127.0.0.1:{port}"\nkind = "{kind}"\n'
            for port, kind in zip(ports, ("relay", "submissions", "submission"), strict=True)
        ),
    )
    assert [(one.port, one.implicit_tls) for one in found] == [
        (ports[2], False), (ports[0], False), (ports[1], True),
    ]  # fmt: skip
    assert all(one.is_loopback for one in found)
    assert not any(one.needs_login for one in found)


def test_a_listener_on_all_addresses_is_shown_as_people_reach_it_and_wants_a_login(
    tmp_path: Path,
) -> None:
    port = free_port()
    found = facts(tmp_path, f'[[listener]]\naddress = "0.0.0.0:{port}"\n')
    assert [(one.host, one.port, one.needs_login) for one in found] == [
        ("mail.example.com", port, True)
    ]


def test_where_a_login_is_needed_every_example_has_one() -> None:
    at = ListenerFacts("mail.example.com", 587, "submission", False, True, True, False, True)
    for one in snippets(at, "waypost-sendmail", "https://mail.example.com"):
        code = "\n".join(code for _, code in one.parts)
        if one.name not in ("php", "http"):
            assert "USER" in code, one.name
            assert "PASSWORD" in code, one.name


@pytest.mark.parametrize("name", providers())
def test_the_route_of_each_provider_can_be_used(name: str) -> None:
    import tomllib

    provider = providers()[name]
    (route,) = tomllib.loads(route_of(provider))["route"]
    variable = provider.name.upper().replace("-", "_") + "_PASSWORD"
    hop = parse_route_url(route["via"], UrlContext(environment={variable: "secret"}))
    assert provider.name in str(getattr(hop, "provider", ""))


def test_the_page_tells_how_to_get_the_credentials_of_a_provider(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        viewer = await room.person(Role.VIEWER)
        answer = await viewer.get("/start?provider=ses")
        words = Page(answer.text).text
        assert "SMTP credentials made in the SES console" in words
        assert "ses://USER:${SES_PASSWORD}@eu-west-1" in words

    in_room(test, tmp_path)

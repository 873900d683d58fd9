"""`waypost discover` against name servers and mail servers on loopback."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from answering_server import ScriptedServer, server_context
from typer.testing import CliRunner

from name_server import NameServer
from waypost.doctor.discovery import probing
from waypost.doctor.discovery.probing import Probed, probe
from waypost.doctor.line_opening import World
from waypost.faces.cli.discover import app
from waypost.net.clock import SystemClock
from waypost.net.network import AsyncioNetwork
from waypost.net.static_resolver import StaticResolver

ZONE = """
example.com MX 10 mx.example.com.
mx.example.com A 127.0.0.9
_submissions._tcp.example.com SRV 0 1 465 smtp.example.com.
_submission._tcp.example.com SRV 0 1 587 smtp.example.com.
hosted.example MX 10 aspmx.l.google.com.
bare.example A 127.0.0.9
"""


class Ran:
    def __init__(self, *arguments: str) -> None:
        ended = CliRunner().invoke(app, list(arguments))
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        self.code, self.out, self.err = ended.exit_code, ended.stdout, ended.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def test_the_route_is_printed_ready_for_use() -> None:
    with NameServer(ZONE, signed=["_submissions._tcp.example.com"]) as server:
        ran = Ran("ann@example.com", "--dns", server.place)
    assert ran.code == 0, ran.out
    route = "smtps://ann%40example.com:${SMTP_PASSWORD}@smtp.example.com:465"
    assert f"  {route}\n" in ran.out
    assert f'  via = ["{route}"]\n' in ran.out
    line = "waypost send --from ann@example.com --to ann@example.com --subject Test --text Hello"
    assert f"  {line} --via '{route}'\n" in ran.out
    assert "smtp.example.com:587, STARTTLS, 90% (srv)" in ran.out


def test_the_same_as_json() -> None:
    with NameServer(ZONE) as server:
        document = Ran("example.com", "--json", "--dns", server.place).json
    assert document["route"] == "smtps://you%40example.com:${SMTP_PASSWORD}@smtp.example.com:465"
    assert document["settings"][0]["security"] == "tls"
    assert document["settings"][0]["sources"][0]["source"] == "srv"
    assert {one["source"] for one in document["asked"]} >= {"srv", "autoconfig", "autodiscover"}


def test_a_hosted_domain_leads_to_its_provider() -> None:
    with NameServer(ZONE) as server:
        document = Ran("ann@hosted.example", "--json", "--dns", server.place).json
    assert document["route"] == "gmail://ann%40hosted.example:${SMTP_PASSWORD}@"


def test_a_domain_without_any_ends_with_1() -> None:
    with NameServer(ZONE) as server:
        ran = Ran("ann@bare.example", "--dns", server.place)
    assert ran.code == 1
    assert "No server for sending was found for bare.example." in ran.out
    assert "probe" in ran.out


def test_a_network_that_is_not_there_ends_with_69() -> None:
    with NameServer("x.example A 192.0.2.1") as server:
        place = server.place
    # Nobody listens there any more: the question is refused at once.
    ran = Ran("ann@example.com", "--dns", place)
    assert ran.code == 69
    assert "Nobody answered" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["a@b@c.example"], ["example.com", "--dns", "ns.example"], ["ses"]],
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str]) -> None:
    ran = Ran(*arguments)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert ran.out == ""


# --- probing --------------------------------------------------------------------------------------

EHLO_TLS = b"250-x\r\n250 STARTTLS\r\n"
EHLO_AUTH = b"250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"


def probed(server: ScriptedServer, *, inside: bool = True) -> Probed:
    port = int(server.place.rpartition(":")[2])
    resolver = StaticResolver(addresses={"smtp.example.com": ["127.0.0.1"]})
    world = World(SystemClock(), AsyncioNetwork(), resolver)
    found = asyncio.run(
        probe(world, ["smtp.example.com"], [port], inside=inside, ehlo="me.example")
    )
    assert len(found) == 1
    return found[0]


def test_a_server_that_takes_logins_is_found_and_its_certificate_doubted(tmp_path: Path) -> None:
    tls, _ = server_context(tmp_path)
    answers = {"EHLO": EHLO_AUTH, "STARTTLS": b"220 go\r\n"}
    with ScriptedServer(answers, tls=tls) as server:
        found = probed(server)
    assert found.setting is not None
    assert found.setting.authentication == ("PLAIN", "LOGIN")
    assert "certificate" in found.setting.problem
    assert found.setting.confidence == probing.UNSAFE


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "does not offer STARTTLS"),
        ({"": b"554 no\r\n"}, "554 no"),
        ({"EHLO": b"500 what\r\n"}, "500 what"),
        ({"": b"* OK IMAP4 ready\r\n"}, "no SMTP reply"),
        ({"EHLO": EHLO_TLS, "STARTTLS": b"454 not now\r\n"}, "refuses STARTTLS"),
    ],
)
def test_what_is_no_server_for_sending_is_told(answers: dict[str, bytes], said: str) -> None:
    with ScriptedServer(answers) as server:
        found = probed(server)
    assert found.setting is None
    assert said in found.text
    assert found.answered


def test_a_login_in_the_clear_is_told_as_a_danger() -> None:
    with ScriptedServer({"EHLO": b"250-x\r\n250 AUTH PLAIN\r\n"}) as server:
        found = probed(server)
    assert found.setting is not None
    assert (found.setting.security, found.setting.authentication) == ("none", ("PLAIN",))
    assert "can read the password" in found.setting.problem


def test_a_server_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "SERVER_SECONDS", 0.3)
    with ScriptedServer({"EHLO": b"250-" + b"x" * 400}) as server:
        found = probed(server)
    assert (found.setting, found.text) == (None, "it came to no end within 0.3 seconds")


def test_nobody_there_is_told() -> None:
    with ScriptedServer() as server:
        pass
    found = probed(server)
    assert (found.setting, found.answered) == (None, False)


def test_an_address_inside_is_not_asked() -> None:
    with ScriptedServer() as server:
        found = probed(server, inside=False)
        assert server.heard == []
    assert "no public address" in found.text


def test_tls_from_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls: ssl.SSLContext = server_context(tmp_path)[0]
    with ScriptedServer({"EHLO": EHLO_AUTH}, tls=tls, implicit=True) as server:
        monkeypatch.setitem(probing.PORTS, int(server.place.rpartition(":")[2]), "tls")
        found = probed(server)
    assert found.setting is not None
    assert found.setting.security == "tls"

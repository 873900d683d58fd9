"""`waypost check` as a command: what it prints, its JSON, exit codes, one line for mistakes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from broken_servers import DROP, Script
from check_lab import CheckLab
from made_certificates import context_of

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "check.md"
Shown = TypeVar("Shown")

KEYS = {"target", "verdict", "cause", "fix", "alternatives", "steps", "capabilities"}
OFFER = b"250-mail.test\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"


@dataclass(frozen=True)
class Ended:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def waypost(*arguments: str, **environment: str) -> Ended:
    """Run the command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "waypost", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "WAYPOST_HOSTNAME": "client.test", **environment},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def run(work: Callable[[CheckLab], Awaitable[Shown]], folder: Path) -> Shown:
    async def inside() -> Shown:
        lab = CheckLab(folder)
        try:
            return await work(lab)
        finally:
            await lab.end()

    return asyncio.run(inside())


def good(lab: CheckLab) -> Script:
    context = context_of(lab.folder, lab.certificate("mail.test", "127.0.0.1"))
    return Script(answers={"EHLO": OFFER, "AUTH": b"235 2.7.0 welcome\r\n"}, tls=context)


def test_a_good_server_as_json(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Ended:
        port = await lab.serve(good(lab))
        return await waypost(
            "check", f"smtp://127.0.0.1:{port}", "--user", "me@mail.test", "--password-env", "WORD",
            "--to", "you@there.test", "--ca-file", str(lab.ca_file), "--json", WORD="very secret",
        )  # fmt: skip

    ended = run(work, tmp_path)
    assert ended.code == 0, ended
    document = ended.json
    assert set(document) == KEYS
    assert (document["verdict"], document["cause"], document["fix"]) == ("ok", None, None)
    assert document["alternatives"] == []
    for step in document["steps"]:
        assert set(step) == {"name", "status", "milliseconds", "evidence"}
    assert document["capabilities"]["auth"] == ["PLAIN"]
    reference = REFERENCE.read_text("utf-8")
    for key in (*document, *document["steps"][0], *document["capabilities"]):
        assert f"`{key}`" in reference, key
    for step in document["steps"]:
        assert f"`{step['name']}`" in reference, step["name"]
    assert "very secret" not in ended.out


def test_a_bad_server_as_json(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Ended:
        port = await lab.serve(Script(greeting=b"554 go away\r\n" + DROP))
        return await waypost("check", f"127.0.0.1:{port}", "--json")

    ended = run(work, tmp_path)
    assert ended.code == 1
    document = ended.json
    assert (document["verdict"], document["cause"]) == ("fail", "greeting.rejected_554")
    assert document["fix"]
    assert "policy.client_blocklisted" in document["alternatives"]


def test_a_bad_server_for_people(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Ended:
        port = await lab.serve(Script(tls=good(lab).tls, implicit=True))
        return await waypost("check", f"smtp://127.0.0.1:{port}", "--timeout", "2")

    ended = run(work, tmp_path)
    assert ended.code == 1
    assert "FAIL" in ended.out
    assert "tls.wrong_mode_implicit_expected" in ended.out
    assert "waypost check smtps://127.0.0.1:" in ended.out


def test_a_domain_with_its_servers_and_its_records(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Ended:
        port = await lab.serve(good(lab))
        await lab.name(
            {
                ("example.test", "MX"): ["10 mail.test."],
                ("mail.test", "A"): ["127.0.0.1"],
                ("example.test", "TXT"): ['"v=spf1 mx -all"'],
            }
        )
        return await waypost(
            "check", "example.test", "--port", str(port), "--dns", f"127.0.0.1:{lab.dns_port}",
            "--blocklist", "none", "--ca-file", str(lab.ca_file), "--json",
        )  # fmt: skip

    ended = run(work, tmp_path)
    document = ended.json
    assert set(document) == KEYS | {"domain_health"}
    names = [step["name"] for step in document["steps"]]
    assert names.index("mx") < names.index("rcpt") < names.index("spf") < names.index("dmarc")
    rcpt = next(step for step in document["steps"] if step["name"] == "rcpt")
    assert any("postmaster@example.test" in line for line in rcpt["evidence"])
    assert document["domain_health"]["target"] == "example.test"
    assert document["verdict"] in ("warn", "fail")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["imap://mail.test"], "for reading mail"),
        (["https://mail.test"], "web address"),
        ([""], "is empty"),
        (["mail.test:99999"], "no number from 1 to 65535"),
        (["a@b@c"], "no mail address"),
        (["mail.test", "--tls", "maybe"], "--tls is one of"),
        (["mail.test", "--timeout", "0"], "--timeout"),
        (["mail.test", "--dns", "ns.test"], "--dns"),
        (["mail.test", "--to", "nobody"], "--to"),
        (["mail.test", "--ca-file", "/nonexistent.pem"], "--ca-file"),
        (["mail.test", "--user", "me"], "--password-env"),
        (["smtp://127.0.0.1:1?ca_file=/nonexistent.pem&verify=maybe"], "verify"),
        (["mail.test", "--send-to", "you@there.test"], "--from"),
        (["mail.test", "--source", "here"], "--source"),
    ],
)
def test_a_mistake_gets_one_line(arguments: list[str], words: str) -> None:
    ended = asyncio.run(waypost("check", *arguments))
    assert ended.code == 2, ended
    assert words in ended.err
    assert len(ended.err.strip().splitlines()) == 1, ended.err
    assert not ended.out


def test_authorities_of_a_url_that_cannot_be_read_get_one_line(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Ended:
        port = await lab.serve(good(lab))
        return await waypost("check", f"smtp://127.0.0.1:{port}?ca_file=/nonexistent.pem", "--json")

    ended = run(work, tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert "/nonexistent.pem" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


@pytest.mark.parametrize("tls", [False, True])
def test_it_loads_nothing_that_it_does_not_need(tmp_path: Path, tls: bool) -> None:
    """A check of a server that is well must cost little beside the network."""
    heavy = (
        "pydantic", "dns", "httpx", "rich", "cryptography", "structlog", "waypost.config",
        "waypost.service", "waypost.knowledge.classification", "waypost.knowledge.providers",
        "waypost.smtp.auth", "waypost.doctor.domain_health",
    )  # fmt: skip

    async def work(lab: CheckLab) -> str:
        port = await lab.serve(good(lab) if tls else Script())
        target = f"{'smtp://' if tls else ''}127.0.0.1:{port}"
        code = (
            "import sys\n"
            f"sys.argv = ['waypost', 'check', '{target}', '--ca-file', '{lab.ca_file}', '--json']\n"
            "from waypost.faces.cli.main import run\n"
            "try: run()\n"
            f"finally: print([n for n in {heavy} if n in sys.modules])"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return out.decode()

    shown = run(work, tmp_path).splitlines()
    assert json.loads(shown[0])["verdict"] == "ok"
    assert shown[1] == "[]"


def test_on_a_terminal_each_step_is_shown_as_it_ends(tmp_path: Path) -> None:
    import pty

    async def work(lab: CheckLab) -> Ended:
        port = await lab.serve(Script(greeting=b"554 \x1b[31mgo away\r\n" + DROP))
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "waypost", "check", f"127.0.0.1:{port}",
            stdin=asyncio.subprocess.DEVNULL, stdout=theirs, stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )  # fmt: skip
        os.close(theirs)
        code = await process.wait()
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass  # the other end is closed: all is read
        os.close(ours)
        return Ended(code, shown.decode(), "")

    ended = run(work, tmp_path)
    assert ended.code == 1
    assert "greeting.rejected_554" in ended.out
    assert "\x1b[31mgo away" not in ended.out  # what a server says never steers the terminal

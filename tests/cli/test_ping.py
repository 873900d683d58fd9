"""`waypost ping` against servers on loopback: good, slow, hostile and absent ones."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from answering_server import DROP, ScriptedServer, server_context
from person import Person
from typer.testing import CliRunner

from relay_process import free_port, has_ipv6
from waypost.faces.cli.ping import app

COMMAND = Path(sys.executable).with_name("waypost")
WAIT = 60.0


class Ran:
    """What a command gave."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        ended = CliRunner().invoke(app, list(arguments), env=environment)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        self.code, self.out, self.err = ended.exit_code, ended.stdout, ended.stderr


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def test_each_session_and_what_they_come_to() -> None:
    with ScriptedServer() as server:
        ran = Ran(server.place, "--count", "3", "--rcpt", "joe@example.org")
    assert ran.code == 0, ran.err
    each = re.compile(r"^ +[123] +[0-9.]+ ms .*greeting .*ehlo .*rcpt", re.MULTILINE)
    assert len(each.findall(ran.out)) == 3
    assert re.search(r"^stage +min +median +p95$", ran.out, re.MULTILINE)
    assert re.search(r"^total +[0-9.]+ ms", ran.out, re.MULTILINE)
    assert "good: the median of" in ran.out
    assert server.heard.count("RCPT TO:<joe@example.org>") == 3
    assert server.heard.count("RSET") == 3
    assert "DATA" not in server.heard


def test_the_figures_as_one_object() -> None:
    with ScriptedServer() as server:
        ran = Ran(server.place, "--count", "2", "--json")
    document = json.loads(ran.out)
    assert (document["verdict"], document["count"], document["losses"]) == ("ok", 2, 0)
    assert set(document["spreads"]) == {"dns", "connect", "greeting", "ehlo", "total"}
    assert document["sessions"][0]["lost"] is None
    assert document["threshold"] == 1000.0


def test_past_the_threshold_it_ends_with_1_and_names_the_stage() -> None:
    with ScriptedServer() as server:
        ran = Ran(server.place, "--count", "1", "--threshold", "0.000001")
    assert ran.code == 1
    assert "slow: the median of" in ran.out
    assert "most of it is" in ran.out


def test_starttls_and_a_login_are_stages_of_their_own(tmp_path: Path) -> None:
    context, authority = server_context(tmp_path)
    answers = {
        "EHLO": b"250-scripted.example\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
        "STARTTLS": b"220 go\r\n",
        "AUTH": b"235 2.7.0 welcome\r\n",
    }
    with ScriptedServer(answers, tls=context) as server:
        target = f"smtp://localhost:{server.port}?ca_file={authority}"
        login = ("--user", "joe", "--password-env", "SECRET")
        ran = Ran(target, "--count", "1", "--json", *login, SECRET="hush")
        (session,) = json.loads(ran.out)["sessions"]
        assert ran.code == 0, ran.out
        assert list(session["stages"]) == ["dns", "connect", "greeting", "ehlo", "tls", "auth"]
        assert session["tls"].startswith("TLSv1.3")
        assert "hush" not in ran.out
        refused = Ran(f"localhost:{server.port}", "--count", "1")
        assert refused.code == 69
        assert "lost at tls: the certificate is signed by itself" in refused.out
        insecure = Ran(f"localhost:{server.port}", "--count", "1", "--insecure")
        assert insecure.code == 0


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"STARTTLS": b"454 4.7.0 not now\r\n"}, "lost at tls: the server said 454 4.7.0 not now"),
        ({"AUTH": b"535 5.7.8 no\r\n"}, "lost at auth: the server said 535 5.7.8 no"),
        ({"AUTH": b"354 what\r\n"}, "lost at auth: the server said 354 what"),
        ({"AUTH": b"334 no base64!\r\n"}, "lost at auth: the server's challenge is not base64"),
        (
            {"EHLO": b"250-scripted.example\r\n250-STARTTLS\r\n250 AUTH XOAUTH2\r\n"},
            "lost at auth: no usable AUTH mechanism",
        ),
        ({"EHLO": b"250 scripted.example\r\n"}, "lost at tls: the server does not offer STARTTLS"),
    ],
)
def test_a_login_that_fails_is_a_loss_with_its_cause(
    answers: dict[str, bytes], says: str, tmp_path: Path
) -> None:
    context, authority = server_context(tmp_path)
    ordinary = {
        "EHLO": b"250-scripted.example\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
        "STARTTLS": b"220 go\r\n",
        "*": b"501 5.7.0 cancelled\r\n",
    }
    with ScriptedServer({**ordinary, **answers}, tls=context) as server:
        target = f"smtp://joe:hush@localhost:{server.port}?ca_file={authority}"
        ran = Ran(target, "--count", "1")
    assert says in ran.out
    assert ran.code == 1
    assert "hush" not in ran.out


def test_implicit_tls(tmp_path: Path) -> None:
    context, authority = server_context(tmp_path)
    with ScriptedServer(tls=context, implicit=True) as server:
        target = f"smtps://localhost:{server.port}?ca_file={authority}"
        ran = Ran(target, "--count", "1", "--json")
    (session,) = json.loads(ran.out)["sessions"]
    assert {"connect", "tls", "greeting"} <= set(session["stages"])


@pytest.mark.skipif(not has_ipv6(), reason="::1 is not there")
def test_ipv6() -> None:
    with ScriptedServer(host="::1") as server:
        ran = Ran(server.place, "--count", "1")
    assert ran.code == 0, ran.out


@pytest.mark.parametrize(
    ("answers", "code", "says"),
    [
        ({"": b"421 4.3.2 closing\r\n"}, 1, "lost at greeting: the server said 421 4.3.2 closing"),
        ({"": DROP}, 69, "lost at greeting: the server closed the connection"),
        ({"": b""}, 69, "lost at greeting: no answer within 0.5 seconds"),
        ({"": b"220 hi\r\n250 early\r\n"}, 69, "lost at ehlo: the server speaks without being"),
        ({"": b"354 go on\r\n"}, 1, "lost at greeting: the server said 354 go on"),
        ({"": b"HTTP/1.1 400 Bad\r\n"}, 69, "lost at greeting: the server sent what is no SMTP"),
        ({"EHLO": b"250-x\r\n" * 5000}, 69, "lost at ehlo: the server sent what is no SMTP"),
        ({"EHLO": b"2" * 3_000_000}, 69, "lost at ehlo: the server sent what is no SMTP"),
        ({"MAIL": b"550 5.7.1 \x1b[2Jno\r\n"}, 1, r"lost at mail: the server said 550 5.7.1"),
    ],
)
def test_a_lost_session_has_its_cause(answers: dict[str, bytes], code: int, says: str) -> None:
    with ScriptedServer(answers) as server:
        options = ("--count", "1", "--timeout", "0.5", "--rcpt", "joe@example.org")
        ran = Ran(server.place, *options)
    assert says in ran.out
    assert "\x1b" not in ran.out
    assert ran.code == code


def test_bytes_in_the_clear_behind_starttls_are_refused(tmp_path: Path) -> None:
    context, _ = server_context(tmp_path)
    answers = {
        "EHLO": b"250-scripted.example\r\n250 STARTTLS\r\n",
        "STARTTLS": b"220 go\r\n250 injected\r\n",
    }
    with ScriptedServer(answers, tls=context) as server:
        ran = Ran(server.place, "--count", "1", "--insecure")
    assert "lost at tls: the server sent bytes in the clear behind its 220" in ran.out


def test_nobody_there() -> None:
    ran = Ran(f"127.0.0.1:{free_port()}", "--count", "2")
    assert ran.code == 69
    assert "Connection refused" in ran.out
    assert "no session got through" in ran.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["imap://mail.example.com"], "for reading mail"),
        (["localhost:2525", "--interval", "0"], "--interval"),
        (["localhost:2525", "--timeout", "-1"], "--timeout"),
        (["localhost:2525", "--rcpt", "nobody"], "--rcpt"),
        (["localhost:2525", "--password-env", "X"], "--user"),
        (["localhost:2525", "--user", "joe"], "--password-env"),
        (["localhost:2525", "--user", "joe", "--password-env", "UNSET"], "UNSET is not set"),
        (["localhost:2525", "--connections"], "--yes"),
        (["smtp.gmail.com", "--connections", "--yes"], "belongs to"),
        (["alt1.gmail-smtp-in.l.google.com:25", "--connections", "--yes"], "belongs to"),
    ],
)
def test_wrong_usage_is_told_in_one_line(arguments: list[str], says: str) -> None:
    ran = Ran(*arguments)
    assert ran.code == 2
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


# --- watching -----------------------------------------------------------------------------------


def test_watching_ends_when_the_last_three_are_past_the_threshold() -> None:
    with ScriptedServer() as server:
        options = ("--interval", "0.01", "--count", "1000", "--threshold", "0.000001", "--json")
        ran = Ran(server.place, *options)
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 1
    assert [line["session"]["number"] for line in lines[:-1]] == [1, 2, 3]
    assert (lines[-1]["verdict"], lines[-1]["sessions"]) == ("slow", None)


def test_ctrl_c_ends_watching_with_the_figures() -> None:
    with ScriptedServer() as server:
        watching = subprocess.Popen(
            [COMMAND, "ping", server.place, "--interval", "0.05"],
            stdout=subprocess.PIPE, text=True, env=os.environ.copy(),
        )  # fmt: skip
        assert watching.stdout is not None
        try:
            for _ in range(4):
                assert watching.stdout.readline()
            watching.send_signal(signal.SIGINT)
            rest, _ = watching.communicate(timeout=WAIT)
        finally:
            watching.kill()
    assert watching.returncode == 0
    assert "good: the median of" in rest


def test_on_a_terminal_a_picture_is_drawn_until_ctrl_c() -> None:
    with ScriptedServer() as server:
        person = Person("ping", server.place, "--interval", "0.05")
        try:
            person.sees("3 sessions, 0 lost; min .*Ctrl-C ends")
            person.types("\x03")
            person.sees("total .*good: the median of")
            assert person.ends() == 0
        finally:
            person.leaves()
    assert "█" in person.all


def test_a_hostile_server_has_no_more_time_than_its_stage(tmp_path: Path) -> None:
    begun = time.monotonic()
    with ScriptedServer({"EHLO": b"250-still\r\n"}) as server:
        ran = Ran(server.place, "--count", "1", "--timeout", "0.5")
    assert "the answer did not end within 0.5 seconds" in ran.out
    assert time.monotonic() - begun < 10


# --- parallel connections -----------------------------------------------------------------------


def test_the_maximum_is_reached_and_nothing_refused() -> None:
    with ScriptedServer() as server:
        ran = Ran(server.place, "--connections", "--yes", "--maximum", "5")
    assert ran.code == 0
    assert "5 connections were open at one time, and none was refused" in ran.out
    assert server.heard.count("QUIT") == 5


def test_a_server_without_room_for_one() -> None:
    with ScriptedServer({"": b"421 4.7.0 busy\r\n" + DROP}) as server:
        ran = Ran(server.place, "--connections", "--yes", "--maximum", "5", "--json")
    document = json.loads(ran.out)
    assert ran.code == 1
    assert (document["open"], document["refusal"]["sign"]) == (0, "reply")
    assert document["taken_again"] is None


def test_where_nobody_answers_at_first_it_does_not_go_on() -> None:
    ran = Ran(f"127.0.0.1:{free_port()}", "--json")
    document = json.loads(ran.out)
    assert (document["count"], document["verdict"]) == (2, "lost")


def test_an_authority_of_ones_own_is_trusted(tmp_path: Path) -> None:
    context, authority = server_context(tmp_path)
    with ScriptedServer(tls=context, implicit=True) as server:
        target = f"smtps://localhost:{server.port}"
        assert Ran(target, "--count", "1", "--ca-file", str(authority)).code == 0
    missing = Ran("localhost:25", "--ca-file", "/nowhere.pem")
    assert missing.code == 2
    assert "/nowhere.pem cannot be used: No such file" in missing.err

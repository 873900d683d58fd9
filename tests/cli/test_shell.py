"""`waypost shell` against servers on loopback: from a script, and in a terminal."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from answering_server import DROP, ScriptedServer, server_context
from person import Person
from typer.testing import CliRunner

from relay_process import free_port, has_ipv6
from waypost.faces.cli.shell import app

WITH_AUTH = {
    "EHLO": b"250-scripted.example\r\n250-SIZE 1000\r\n250-AUTH PLAIN LOGIN\r\n250 DSN\r\n",
    "AUTH": b"235 2.7.0 welcome\r\n",
}


class Ran:
    """What a script came to."""

    def __init__(self, *arguments: str, script: str = "", **environment: str) -> None:
        ended = CliRunner().invoke(app, list(arguments), input=script, env=environment)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        self.code, self.out, self.err = ended.exit_code, ended.stdout, ended.stderr


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


# --- from a script ------------------------------------------------------------------------------


def test_a_whole_message_by_hand_each_reply_explained() -> None:
    script = (
        "EHLO me.example\nMAIL FROM:<a@me.example>\nRCPT TO:<b@example.org>\nDATA\n"
        "Subject: by hand\n\n.a line with a dot\n.\nQUIT\n"
    )
    with ScriptedServer() as server:
        ran = Ran(server.place, script=script)
    assert ran.code == 0, ran.out
    assert server.heard == [
        "EHLO me.example", "MAIL FROM:<a@me.example>", "RCPT TO:<b@example.org>", "DATA",
        "Subject: by hand", "", "..a line with a dot", ".", "QUIT",
    ]  # fmt: skip
    assert "< 250-SIZE 1000                      = messages up to 1000 bytes\n" in ran.out
    assert re.search(r"^  = the message is taken: .*; [0-9.]+ ms$", ran.out, re.MULTILINE)
    assert "> [40 bytes of content]\n" in ran.out


def test_telnets_two_words_and_the_end_of_input_say_quit() -> None:
    with ScriptedServer() as server:
        host, _, port = server.place.rpartition(":")
        ran = Ran(host, port, script="NOOP\n")
    assert ran.code == 0
    assert server.heard == ["NOOP", "QUIT"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("NOOP\nQUIT\n", 0),
        ("NOPE\nQUIT\n", 1),
        ("NOPE\nNOOP\nQUIT\n", 0),
        ("RSET\nNOPE\n", 1),
    ],
)
def test_the_last_reply_decides_and_that_to_quit_does_not(script: str, code: int) -> None:
    with ScriptedServer() as server:
        assert Ran(server.place, script=script).code == code


@pytest.mark.parametrize(
    ("answers", "script", "code", "says"),
    [
        ({"NOOP": b"421 4.3.2 closing\r\n" + DROP}, "NOOP\nRSET\n", 1, "closed the connection"),
        ({"NOOP": DROP}, "NOOP\nRSET\n", 1, "closed the connection"),
        ({"": DROP}, "NOOP\n", 1, "closed the connection"),
        ({"": b"* OK IMAP4rev1 ready\r\n"}, "", 1, "an IMAP server answers there"),
        ({"NOOP": b"250-more\r\n" * 9000}, "NOOP\n", 1, "nothing more is read"),
        ({"": b"220 more\r\n" * 9000}, "NOOP\n", 1, "nothing more is read"),
        ({"NOOP": b"2" * 3_000_000}, "NOOP\n", 1, "the line is longer than 4096 bytes"),
        ({"NOOP": b"250-never ends\r\n"}, "NOOP\n", 1, "did not end within 1 seconds"),
    ],
)
def test_a_hostile_or_vanishing_server_ends_in_words(
    answers: dict[str, bytes], script: str, code: int, says: str
) -> None:
    begun = time.monotonic()
    with ScriptedServer(answers) as server:
        ran = Ran(server.place, "--timeout", "1", script=script)
    assert says in ran.out
    assert ran.code == code
    assert max(map(len, ran.out.splitlines())) < 1200
    assert time.monotonic() - begun < 15


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    with ScriptedServer({"NOOP": b"250 \x1b]0;owned\x07\x1b[2J\r\n"}) as server:
        ran = Ran(server.place, script="NOOP\n")
    assert "\x1b" not in ran.out
    assert r"250 \x1b]0;owned" in ran.out


def test_content_behind_a_refused_data_is_not_taken_for_commands() -> None:
    script = "DATA\nSubject: x\nQUIT\n.\nNOOP\n"
    with ScriptedServer({"DATA": b"503 5.5.1 MAIL first\r\n"}) as server:
        ran = Ran(server.place, script=script)
    assert server.heard == ["DATA", "NOOP", "QUIT"]
    assert "are left out" in ran.out


def test_content_without_an_end_is_never_sent_as_a_message() -> None:
    with ScriptedServer() as server:
        ran = Ran(server.place, script="DATA\nSubject: x\n")
    assert ran.code == 1
    assert "." not in server.heard
    assert "the content has no end" in ran.out


def test_raw_sends_dots_as_they_are() -> None:
    with ScriptedServer() as server:
        Ran(server.place, script="/raw on\nDATA\n..x\n.\n")
    assert server.heard[:3] == ["DATA", "..x", "."]


def test_bdat_counts_what_was_typed() -> None:
    with ScriptedServer({"BDAT": b"250 2.0.0 chunk\r\n"}) as server:
        ran = Ran(server.place, script="BDAT\nabc\n.\nBDAT 5 LAST\nxyz\n")
    assert "sent as BDAT 5 LAST" in ran.out
    assert server.heard[:4] == ["BDAT 5 LAST", "abc", "BDAT 5 LAST", "xyz"]


def test_nobody_there() -> None:
    ran = Ran(f"127.0.0.1:{free_port()}", script="NOOP\n")
    assert ran.code == 69
    assert "Connection refused" in ran.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["imap://mail.example.com"], "for reading mail"),
        (["localhost:25", "--timeout", "0"], "--timeout"),
        (["localhost:25", "--transcript", "/nowhere/there"], "cannot be written"),
    ],
)
def test_wrong_usage_is_told_in_one_line(arguments: list[str], says: str) -> None:
    ran = Ran(*arguments)
    assert ran.code == 2
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.skipif(not has_ipv6(), reason="::1 is not there")
def test_ipv6() -> None:
    with ScriptedServer(host="::1") as server:
        assert Ran(server.place, script="NOOP\n").code == 0


# --- TLS ----------------------------------------------------------------------------------------


def test_starttls_is_done_and_told(tmp_path: Path) -> None:
    context, authority = server_context(tmp_path)
    answers = {"STARTTLS": b"220 go\r\n"}
    with ScriptedServer(answers, tls=context) as server:
        target = f"smtp://localhost:{server.port}?ca_file={authority}"
        ran = Ran(target, script="EHLO a\nSTARTTLS\nEHLO a\n/tls\nSTARTTLS\nQUIT\n")
        assert ran.code == 0, ran.out
        assert server.heard == ["EHLO a", "STARTTLS", "EHLO a", "QUIT"]
        assert "* TLSv1.3 " in ran.out
        assert "for localhost" in ran.out
        assert "* verified: an authority" in ran.out
        assert "TLS is in force already" in ran.out
        refused = Ran(f"localhost:{server.port}", script="STARTTLS\nEHLO a\n")
        assert refused.code == 1
        assert "! the certificate is signed by itself" in refused.out
        insecure = Ran(f"localhost:{server.port}", "--insecure", script="/tls\n")
        assert insecure.code == 0
        assert "NOT verified (--insecure)" in insecure.out


def test_implicit_tls(tmp_path: Path) -> None:
    context, authority = server_context(tmp_path)
    with ScriptedServer(tls=context, implicit=True) as server:
        ran = Ran(f"smtps://localhost:{server.port}?ca_file={authority}", script="NOOP\n")
    assert ran.code == 0, ran.out
    assert "TLSv1.3" in ran.out


def test_the_wrong_mode_is_told_with_what_to_do(tmp_path: Path) -> None:
    context, _ = server_context(tmp_path)
    with ScriptedServer() as plain, ScriptedServer(tls=context, implicit=True) as encrypted:
        implicit = Ran(f"smtps://localhost:{plain.port}", script="NOOP\n")
        explicit = Ran(encrypted.place, "--timeout", "0.5", script="")
    assert implicit.code == 69
    assert "does not speak TLS from the first byte" in implicit.out
    assert "no answer within 0.5 seconds" in explicit.out
    assert "465" in explicit.out or "smtps" in explicit.out


def test_bytes_in_the_clear_behind_starttls_are_refused(tmp_path: Path) -> None:
    context, _ = server_context(tmp_path)
    with ScriptedServer({"STARTTLS": b"220 go\r\n250 injected\r\n"}, tls=context) as server:
        ran = Ran(server.place, "--insecure", script="STARTTLS\nEHLO a\n")
    assert ran.code == 1
    assert "sent bytes in the clear behind its 220 to STARTTLS" in ran.out
    assert "EHLO a" not in server.heard


# --- logging in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["AUTH PLAIN", "/auth", "AUTH LOGIN", "AUTH PLAIN AGpvZQBodXNo"])
def test_no_secret_goes_out_in_the_clear_by_accident(line: str) -> None:
    with ScriptedServer(WITH_AUTH) as server:
        ran = Ran(server.place, script=f"EHLO a\n{line}\n")
    assert "would show the secret to whoever listens" in ran.out
    assert not any(one.startswith("AUTH") for one in server.heard)


def test_with_the_word_for_it_a_login_goes_in_the_clear_and_stays_out_of_sight(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "session.txt"
    with ScriptedServer(WITH_AUTH) as server:
        script = "EHLO a\nAUTH PLAIN in-clear\njoe\nhush\nQUIT\n"
        ran = Ran(server.place, "--transcript", str(kept), script=script)
    secret = base64.b64encode(b"\0joe\0hush").decode()
    assert ran.code == 0, ran.out
    assert f"AUTH PLAIN {secret}" in server.heard
    assert "> AUTH PLAIN [redacted]" in ran.out
    for text in (ran.out, kept.read_text()):
        assert "hush" not in text
        assert secret not in text
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_response_that_is_typed_with_auth_is_redacted_too(tmp_path: Path) -> None:
    kept = tmp_path / "session.txt"
    with ScriptedServer(WITH_AUTH) as server:
        script = "AUTH PLAIN AGpvZQBodXNo in-clear\n"
        ran = Ran(server.place, "--transcript", str(kept), script=script)
    assert "AUTH PLAIN AGpvZQBodXNo" in server.heard
    assert "AGpvZQBodXNo" not in ran.out + kept.read_text()


def test_responses_by_hand_are_neither_shown_nor_kept() -> None:
    answers = {
        **WITH_AUTH,
        "AUTH": b"334 VXNlcm5hbWU6\r\n",
        "AM9L": b"334 UGFzc3dvcmQ6\r\n",
        "AHVZAA==": b"235 2.7.0 in\r\n",
    }
    with ScriptedServer(answers) as server:
        script = "/raw on\nAUTH LOGIN in-clear\nam9l\naHVzaA==\n"
        ran = Ran(server.place, "--timeout", "1", script=script)
    assert server.heard[:3] == ["AUTH LOGIN", "am9l", "aHVzaA=="]
    assert "the server asks: Username:" in ran.out
    assert "aHVzaA==" not in ran.out
    assert "am9l" not in ran.out


def test_credentials_of_the_target_are_used(tmp_path: Path) -> None:
    context, authority = server_context(tmp_path)
    answers = {**WITH_AUTH, "STARTTLS": b"220 go\r\n"}
    with ScriptedServer(answers, tls=context) as server:
        target = f"smtp://joe:hush@localhost:{server.port}?ca_file={authority}"
        ran = Ran(target, script="/tls\n/auth\n")
    secret = base64.b64encode(b"\0joe\0hush").decode()
    assert f"AUTH PLAIN {secret}" in server.heard
    assert "hush" not in ran.out


# --- transcripts and the shell's own commands ---------------------------------------------------


def test_a_transcript_is_saved_once_and_never_over_another_file(tmp_path: Path) -> None:
    kept = tmp_path / "session.txt"
    with ScriptedServer() as server:
        ran = Ran(server.place, script=f"NOOP\n/save {kept}\n/save {kept}\n/save\n/sabe\n")
    assert "is there already" in ran.out
    assert "did you mean /save?" in ran.out
    lines = kept.read_text().splitlines()
    assert lines[0].startswith(f"# waypost shell {server.place}, ")
    assert [line.split(None, 1)[1] for line in lines if "NOOP" in line] == ["> NOOP"]


def test_help_names_every_command() -> None:
    with ScriptedServer() as server:
        ran = Ran(server.place, script="/help\n/help rcpt\n/help /tls\n/help xyz\n")
    assert "RCPT TO:<ADDRESS> [PARAMETERS]" in ran.out
    assert "/reconnect" in ran.out
    assert "nothing is known of xyz" in ran.out


# --- in a terminal ------------------------------------------------------------------------------


@pytest.fixture
def people() -> Iterator[list[Person]]:
    made: list[Person] = []
    yield made
    for person in made:
        person.leaves()


def test_a_person_completes_logs_in_without_an_echo_and_leaves_with_ctrl_d(
    people: list[Person], tmp_path: Path
) -> None:
    with ScriptedServer(WITH_AUTH) as server:
        person = Person("shell", server.place)
        people.append(person)
        person.sees(r"it is ready.*\n> ")
        person.types("EH\tme.example\n")
        person.sees(r"a login is possible.*\n> ")
        person.types("/auth PLAIN in-clear\n")
        person.sees("User name: ")
        person.types("joe\n")
        person.sees("Password: ")
        person.types("hush\n")
        person.sees(r"AUTH PLAIN \[redacted\].*logged in.*\n> ")
        person.types("\x04")
        assert person.ends() == 0
    assert server.heard[0] == "EHLO me.example"
    assert server.heard[-1] == "QUIT"
    assert "hush" not in person.all
    history = (tmp_path / "data" / "waypost" / "shell_history").read_text()
    assert history.splitlines() == ["EHLO me.example", "/auth PLAIN in-clear"]


def test_what_comes_unasked_is_shown_at_once_and_the_line_is_kept(people: list[Person]) -> None:
    with ScriptedServer(idle=b"421 4.4.2 idle for too long\r\n") as server:
        person = Person("shell", server.place)
        people.append(person)
        person.sees(r"it is ready.*\n> ")
        person.types("EHLO me\n")
        person.sees(r"greeted.*> ")
        person.types("MAIL FR")
        person.sees("421 4.4.2 idle for too long.*said unasked.*> MAIL FR")
        person.types("\x03")
        person.sees("> ")
        person.types("QUIT\n")
        assert person.ends() == 0


def test_ctrl_c_leaves_a_wait_and_not_the_shell(people: list[Person]) -> None:
    with ScriptedServer({"VRFY": b""}) as server:
        person = Person("shell", server.place)
        people.append(person)
        person.sees(r"it is ready.*\n> ")
        person.types("VRFY joe\n")
        time.sleep(0.3)
        person.types("\x03")
        person.sees("> ")
        person.types("/quit\n")
        assert person.ends() == 0
    assert server.heard == ["VRFY joe", "QUIT"]


def test_ctrl_c_in_a_login_ends_the_connection(people: list[Person]) -> None:
    """The server would take the next line for the response that it waits for."""
    with ScriptedServer({**WITH_AUTH, "AUTH": b""}) as server:
        person = Person("shell", f"smtp://joe:hush@{server.place}")
        people.append(person)
        person.sees(r"it is ready.*\n> ")
        person.types("AUTH PLAIN in-clear\n")
        person.sees(r"AUTH PLAIN \[redacted\]")
        person.types("\x03")
        person.sees(r"the login was given up.*\(closed\)> ")
        person.types("/quit\n")
        assert person.ends() == 0
    assert "hush" not in person.all


def test_a_lost_connection_can_be_made_again(people: list[Person]) -> None:
    with ScriptedServer({"NOOP": DROP}) as server:
        person = Person("shell", server.place)
        people.append(person)
        person.sees(r"it is ready.*\n> ")
        person.types("NOOP\n")
        person.sees(r"closed the connection.*\(closed\)> ")
        person.types("RSET\n")
        person.sees(r"/reconnect makes a new one.*\(closed\)> ")
        person.types("/reconnect\n")
        person.sees(r"it is ready.*\n> ")
        person.types("QUIT\n")
        assert person.ends() == 0


def test_ctrl_c_in_a_message_ends_the_connection_and_not_the_message(
    people: list[Person],
) -> None:
    with ScriptedServer() as server:
        person = Person("shell", server.place)
        people.append(person)
        person.sees(r"it is ready.*\n> ")
        person.types("DATA\n")
        person.sees("data> ")
        person.types("Subject: x\n")
        person.sees("data> ")
        person.types("\x03")
        person.sees(r"only be taken back.*\(closed\)> ")
        person.types("/quit\n")
        assert person.ends() == 0
    assert "." not in server.heard

"""Whatever is typed and whatever the server says: it ends, and nothing secret is shown."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.doctor.line_opening import World
from waypost.doctor.shell.entries import MAXIMUM_ENTRIES, Entry, Transcript
from waypost.doctor.shell.logins import LoginWanted
from waypost.doctor.shell.session import ShellSession
from waypost.doctor.target import parse_target
from waypost.lab.simulated_network import SimulatedNetwork
from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.net.static_resolver import StaticResolver

HOST, ADDRESS = "mail.example", "192.0.2.25"
SECRET = "hush-hush-hush"
SECONDS = 10.0


class Server(asyncio.Protocol):
    """Gives its answers one after the other, whatever it is asked; None ends the connection."""

    def __init__(self, answers: Sequence[bytes | None]) -> None:
        self._answers = list(answers)
        self.heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._answer()

    def data_received(self, data: bytes) -> None:
        self.heard += data
        for _ in range(data.count(b"\n")):
            self._answer()

    def _answer(self) -> None:
        if not self._answers:
            return
        answer = self._answers.pop(0)
        if answer is None:
            self.transport.close()
        else:
            self.transport.write(answer)


class Told:
    """A session that was driven to its end."""

    def __init__(
        self, answers: Sequence[bytes | None], lines: Sequence[str], *, target: str = f"{HOST}:25"
    ) -> None:
        self.entries: list[Entry] = []
        self.servers: list[Server] = []
        self.answers = answers
        self.lines = lines
        self.hop = parse_target(target).hop
        run_virtual(self._drive)

    async def _drive(self, clock: VirtualClock) -> None:
        network = SimulatedNetwork()
        network.listen(ADDRESS, self.hop.port, self._accept)
        world = World(clock, network, StaticResolver(addresses={HOST: [ADDRESS]}))
        self.session = session = ShellSession(
            self.hop, "mail.example:25", "me.example", world, self.entries.append,
            lambda: "nonce", seconds=SECONDS, script=True,
        )  # fmt: skip
        await session.connect()
        for line in self.lines:
            if session.over or not session.connected:
                break
            wanted = await session.take(line)
            if isinstance(wanted, LoginWanted):
                await session.log_in(wanted, "joe", SECRET)
        await session.end_of_input()
        self.seconds = clock.monotonic()
        await asyncio.sleep(1)

    def _accept(self) -> Server:
        self.servers.append(Server(self.answers))
        return self.servers[-1]

    @property
    def shown(self) -> str:
        return "\n".join(f"{entry.text} {entry.beside}" for entry in self.entries)

    @property
    def heard(self) -> bytes:
        return self.servers[0].heard if self.servers else b""


ANSWERS = st.one_of(
    st.none(),
    st.sampled_from(
        [
            b"220 hi\r\n", b"250 ok\r\n", b"250-a\r\n250-AUTH PLAIN LOGIN\r\n250 DSN\r\n",
            b"354 go\r\n", b"334 \r\n", b"334 VXNlcm5hbWU6\r\n", b"235 in\r\n", b"535 5.7.8 no\r\n",
            b"334 " + base64.b64encode(b"\x1b[2J") + b"\r\n",
            b"421 4.3.2 bye\r\n", b"250-open\r\n", b"", b"* OK imap\r\n", b"\xff\x1b[2J\x00\r\n",
        ]
    ),
    st.binary(max_size=60),
)  # fmt: skip
LINES = st.one_of(
    st.sampled_from(
        [
            "EHLO me", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", ".", "..x", "BDAT",
            "BDAT 3 LAST", "/help \x1b[2J", "/\x07", "NOOP \udcff",
            "BDAT 0 LAST", "AUTH", "AUTH PLAIN", "AUTH PLAIN in-clear", "AUTH LOGIN in-clear",
            "/auth", "AUTH XOAUTH2 in-clear", "AUTH CRAM-MD5", "AUTH NTLM", "/hello", "/timing",
            "/raw on", "/raw off", "/help", "/reconnect", "RSET", "NOOP", "QUIT", "/quit",
            f"AUTH PLAIN {base64.b64encode(SECRET.encode()).decode()} in-clear",
        ]
    ),
    st.text(max_size=20).filter(lambda line: "\n" not in line),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(ANSWERS, max_size=12), st.lists(LINES, max_size=10))
def test_it_ends_and_shows_no_secret_and_no_control_character(
    answers: list[bytes | None], lines: list[str]
) -> None:
    told = Told(answers, lines)
    kept = told.session.transcript.text()
    for form in (SECRET, base64.b64encode(SECRET.encode()).decode()):
        assert form not in told.shown
        assert form not in kept
    for entry in told.entries:
        assert entry.text.isprintable(), entry
        assert entry.beside.isprintable(), entry
    assert told.seconds <= (len(lines) * 10 + 3) * (SECONDS + 31)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(ANSWERS, max_size=8),
    st.lists(LINES.filter(lambda line: "in-clear" not in line.lower()), max_size=8),
)
def test_without_its_word_no_secret_goes_out_in_the_clear(
    answers: list[bytes | None], lines: list[str]
) -> None:
    told = Told(answers, lines)
    assert SECRET.encode() not in told.heard
    assert base64.b64encode(b"\0joe\0" + SECRET.encode()) not in told.heard
    assert base64.b64encode(SECRET.encode()) not in told.heard


def test_the_best_mechanism_that_is_offered_is_taken() -> None:
    answers = [b"220 hi\r\n", b"250-a\r\n250 AUTH LOGIN PLAIN\r\n", b"235 in\r\n"]
    target = f"smtp+plain://{HOST}?clear_text_auth=yes"
    told = Told(answers, ["/hello", "/auth"], target=target)
    assert b"AUTH PLAIN " in told.heard
    assert "logged in" in told.shown


def test_a_challenge_that_makes_no_sense_ends_the_login_and_not_the_session() -> None:
    answers = [b"220 hi\r\n", b"334 no base64!\r\n", b"501 cancelled\r\n", b"250 ok\r\n"]
    told = Told(answers, ["AUTH LOGIN in-clear", "NOOP"])
    assert told.heard.split(b"\r\n")[:3] == [b"AUTH LOGIN", b"*", b"NOOP"]
    assert "the server's challenge is not base64" in told.shown


def test_a_token_that_was_refused_shows_the_servers_reason() -> None:
    reason = base64.b64encode(b'{"status":"401"}')
    answers = [b"220 hi\r\n", b"334 " + reason + b"\r\n", b"535 5.7.8 no\r\n"]
    told = Told(answers, ["AUTH XOAUTH2 in-clear"])
    assert 'the server gave this reason: {"status":"401"}' in told.shown


@pytest.mark.parametrize("line", ["a\rb", "NOOP\r"])
def test_a_bare_carriage_return_does_not_go_out(line: str) -> None:
    told = Told([b"220 hi\r\n", b"250 ok\r\n"], [line])
    assert b"\r" not in told.heard.replace(b"\r\n", b"")
    assert "bare CR" in told.shown


def test_a_transcript_has_a_limit_and_says_so() -> None:
    transcript = Transcript("title", 0.0, lambda: 0.0)
    for _ in range(MAXIMUM_ENTRIES * 2):
        transcript.add(Entry("received", "250 ok"))
    assert len(transcript.lines) == MAXIMUM_ENTRIES + 1
    assert "not kept" in transcript.lines[-1]

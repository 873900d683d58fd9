"""The server protocol under any bytes, cut anywhere, with any decisions: what always holds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st
from streams import HONEST, cut, streams

from waypost.smtp.reply import Reply, reply
from waypost.smtp.server import MAXIMUM_AUTH_LINE, ServerProtocol
from waypost.smtp.server_events import (
    AuthenticationRequested,
    AuthenticationResponded,
    ContentEnded,
    ContentReceived,
    ContentRequested,
    HelloReceived,
    MailReceived,
    RecipientReceived,
    ServerEvent,
    TlsRequested,
    TransactionDropped,
    VerifyReceived,
)
from waypost.smtp.server_settings import ServerSettings

SETTINGS = ServerSettings(
    "mx.test",
    maximum_size=2000,
    maximum_recipients=3,
    maximum_command_line=600,
    maximum_errors=15,
    maximum_idle_commands=20,
    starttls=True,
    auth_mechanisms=("PLAIN", "LOGIN", "SCRAM-SHA-256"),
    auth_in_clear=True,
)
NORMALISING = ServerSettings("mx.test", maximum_size=2000, normalise_line_ends=True)

QUESTIONS = (
    HelloReceived, MailReceived, RecipientReceived, ContentRequested, ContentEnded, TlsRequested,
    AuthenticationRequested, AuthenticationResponded, VerifyReceived,
)  # fmt: skip

REFUSALS = (reply(451, "4.3.0", "Later"), reply(550, "5.7.1", "No"), reply(421, "4.3.2", "Bye"))

_LINE = re.compile(rb"([2345][0-9]{2})([ -])(?:([245])\.[0-9]{1,3}\.[0-9]{1,3} )?[^\r\n]*")
_WITHOUT_ENHANCED = (b"220", b"250", b"334", b"354")
"""Greeting and EHLO (RFC 2034 3), challenges and the invitation to send content."""


class Client:
    """Drives a protocol; decisions come from an iterator, None for the ordinary answer."""

    def __init__(
        self, server: ServerSettings, decisions: Iterator[Reply | None], *, encrypted: bool = False
    ) -> None:
        self.server = server
        self.protocol = ServerProtocol(server, encrypted=encrypted)
        self.protocol.greet()
        self.out = self.protocol.take()
        self.messages: list[bytes] = []
        self._decisions = decisions
        self._open = False
        """A transaction: between an accepted MAIL and its end."""
        self._recipients = 0
        self._content: list[bytes] | None = None

    def say(self, data: bytes) -> None:
        protocol = self.protocol
        protocol.receive(data)
        for _ in range(10_000):
            event = protocol.next_event()
            if event is None:
                break
            self._check(event)
            if isinstance(event, QUESTIONS):
                assert protocol.waiting
                self._decide(event)
        else:
            raise AssertionError("events without an end")
        self.out += protocol.take()
        self._check_memory()
        if protocol.in_handshake:
            protocol.tls_established()
            self._forget()

    def _forget(self) -> None:
        self._open, self._recipients, self._content = False, 0, None

    def _check(self, event: ServerEvent) -> None:
        """Events come in an order that makes sense."""
        if isinstance(event, MailReceived):
            # Without recipients it ends by the way, when a chunk comes for it all the same.
            assert not (self._open and self._recipients)
        elif isinstance(event, RecipientReceived):
            assert self._open
            assert self._content is None
            assert self._recipients < self.server.maximum_recipients
        elif isinstance(event, ContentRequested):
            assert self._recipients
            assert len(event.envelope.recipients) == self._recipients
        elif isinstance(event, ContentReceived):
            assert self._content is not None, "content that nobody agreed to take"
            self._content.append(event.data)
            assert sum(map(len, self._content)) <= self.server.maximum_size
        elif isinstance(event, ContentEnded):
            assert self._content is not None
            assert sum(map(len, self._content)) == event.size
        elif isinstance(event, TransactionDropped):
            # A message that is refused while it streams is read to its end; its recipients go then.
            self._content = None
            self._open = False
            self._recipients = 0

    def _decide(self, event: ServerEvent) -> None:
        protocol = self.protocol
        decision = next(self._decisions, None)
        if isinstance(event, AuthenticationRequested | AuthenticationResponded):
            if decision is not None:
                protocol.answer(decision)
            elif isinstance(event, AuthenticationRequested) and event.initial is None:
                protocol.challenge(b"go on")
            else:
                protocol.authenticated("someone")
            return
        if decision is not None:
            protocol.answer(decision)
            if isinstance(event, ContentRequested | ContentEnded):
                self._forget()
            return
        if isinstance(event, ContentEnded):
            assert self._content is not None
            self.messages.append(b"".join(self._content))
            self._forget()
        elif isinstance(event, MailReceived):
            self._open, self._recipients = True, 0
        elif isinstance(event, RecipientReceived):
            self._recipients += 1
        elif isinstance(event, ContentRequested):
            self._content = []
        protocol.accept()

    def _check_memory(self) -> None:
        """What waits to be read is a line that is not whole, never more."""
        protocol = self.protocol
        assert protocol.backlog <= max(self.server.maximum_command_line, MAXIMUM_AUTH_LINE)
        assert not protocol.backlog or not (protocol.in_content or protocol.closing)


def check_replies(out: bytes) -> None:
    """Whole replies: lines of at most 512 octets, one code in each, with the enhanced code of the
    same class where one belongs."""
    assert out.endswith(b"\r\n")
    code = None
    for line in out[:-2].split(b"\r\n"):
        found = _LINE.fullmatch(line)
        assert found is not None, line
        assert len(line) <= 510
        assert code in (None, found[1]), "the lines of a reply differ in their code"
        code = None if found[2] == b" " else found[1]
        if found[3] is None:
            assert found[1] in _WITHOUT_ENHANCED, line
        else:
            assert found[3] == found[1][:1], line
    assert code is None, "the last reply has not ended"


decisions = st.lists(st.sampled_from((None, None, None, *REFUSALS)), max_size=30)
places = st.lists(st.integers(0, 10_000), max_size=30)


@settings(max_examples=1000, deadline=None)
@given(
    streams(closing=True), places, decisions, st.sampled_from((SETTINGS, NORMALISING)),
    st.booleans(),
)  # fmt: skip
def test_what_always_holds(
    stream: bytes,
    at: list[int],
    decided: list[Reply | None],
    server: ServerSettings,
    encrypted: bool,
) -> None:
    client = Client(server, iter(decided), encrypted=encrypted)
    for piece in cut(stream, at):
        client.say(piece)
    check_replies(client.out)
    for message in client.messages:
        ends = message.count(b"\r\n")
        assert message.count(b"\r") == ends
        assert message.count(b"\n") == ends


@settings(max_examples=400, deadline=None)
@given(streams(closing=False), places, st.sampled_from((SETTINGS, NORMALISING)))
@example(b"EHLO c\r\nDATA\r\nNOOP\r\n", [14], SETTINGS)
@example(HONEST[2] + b"\n.\n", [], SETTINGS)
@example(HONEST[2] + b"\r.\r", [], SETTINGS)
def test_how_a_stream_is_cut_changes_nothing(
    stream: bytes, at: list[int], server: ServerSettings
) -> None:
    """But for when it is given up: a DATA that is refused with bytes behind it, and content that
    has been refused and seems to have ended, may end the connection earlier."""
    whole = Client(server, iter(()))
    whole.say(stream)
    for cuts in (cut(stream, at), [stream[n : n + 1] for n in range(len(stream))]):
        pieces = Client(server, iter(()))
        for piece in cuts:
            pieces.say(piece)
        compare(whole, pieces)


def compare(whole: Client, pieces: Client) -> None:
    """Both have said and taken the same, up to where the first of them was given up."""
    shorter, longer = sorted((whole, pieces), key=lambda client: len(client.out))
    assert longer.out.startswith(shorter.out)
    assert longer.messages[: len(shorter.messages)] == shorter.messages
    if len(shorter.out) < len(longer.out):
        assert shorter.protocol.closing or longer.protocol.closing


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000), places, st.booleans())
def test_noise_alone_never_makes_a_message(noise: bytes, at: list[int], encrypted: bool) -> None:
    client = Client(SETTINGS, iter(()), encrypted=encrypted)
    for piece in cut(noise, at):
        client.say(piece)
    check_replies(client.out)
    assert not client.messages

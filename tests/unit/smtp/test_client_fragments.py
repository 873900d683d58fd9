"""However the peer's bytes are cut, they mean the same; whatever they are, nothing is raised."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from client_dialogue import CODES, CONTENT, EVERYTHING, ehlo, ready, to
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.smtp.auth import Login, Password
from waypost.smtp.client import ClientProtocol, ClientSettings
from waypost.smtp.client_events import ClientEvent, ProtocolBroken, TransactionFinished

Script = list[tuple[Callable[[ClientProtocol], object] | None, bytes]]


def _begin(*addresses: str) -> Callable[[ClientProtocol], object]:
    transaction = to(*addresses)
    return lambda client: client.begin(transaction, CONTENT)


SCRIPT: Script = [
    (None, b"220-mx.example\r\n220 ready\r\n"),
    (ClientProtocol.hello, ehlo(*EVERYTHING, "STARTTLS")),
    (_begin("b@y.example", "c@z.example"), b"250 2.1.0 ok\r\n550-5.1.1 no\r\n550 5.1.1 such\r\n"),
    (None, b"250 ok\n354 go\r\n"),
    (None, b"250 2.0.0 queued as 1\r\n"),
    (_begin("b@y.example"), b"250 ok\r\n452 4.5.3 many\r\n554 none\r\n"),
    (_begin("b@y.example"), b"250 flushed\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
    (_begin("c@z.example"), b"250 first\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
    (None, b"250 second\r\n"),
    (ClientProtocol.noop, "250 ünï \\x01\x01 ok\r\n".encode()),
    (ClientProtocol.quit, b"221-good\r\n221 bye\r\n"),
]


def run(script: Script, cuts: list[int]) -> tuple[list[ClientEvent], bytes, list[str]]:
    """Play the script, each answer cut where `cuts` say; the events, bytes and record it gives."""
    record: list[str] = []
    client = ClientProtocol(
        ClientSettings("client.example"),
        lambda direction, lines: record.extend(direction + line for line in lines.split("\n")),
    )
    events: list[ClientEvent] = []
    sent = b""
    for intent, answer in script:
        if intent is not None:
            intent(client)
        sent += client.take()
        edges = [0, *sorted({cut % len(answer) for cut in cuts}), len(answer)]
        for start, end in pairwise(edges):
            events += client.receive(answer[start:end])
            sent += client.take()
    return events, sent, record


@given(st.lists(st.integers(0, 1000), max_size=12))
def test_any_fragmentation_gives_the_same_events(cuts: list[int]) -> None:
    assert run(SCRIPT, cuts) == run(SCRIPT, [])


def test_one_byte_at_a_time_gives_the_same_events() -> None:
    events, sent, record = run(SCRIPT, list(range(1000)))
    assert (events, sent, record) == run(SCRIPT, [])
    assert len([event for event in events if isinstance(event, TransactionFinished)]) == 4


SITUATIONS: list[Callable[[], ClientProtocol]] = [
    lambda: ClientProtocol(ClientSettings("client.example")),
    ready,
    lambda: _after(lambda client: client.hello()),
    lambda: _after(lambda client: client.start_tls()),
    lambda: _after(lambda client: client.authenticate(Login(Password("user", "secret")))),
    lambda: _after(_begin("b@y.example", "c@z.example")),
    lambda: _after(_begin("b@y.example"), "PIPELINING", "CHUNKING"),
    lambda: _after(lambda client: client.begin(to("b@y.example")), "PIPELINING"),
    lambda: _after(lambda client: client.quit()),
]


def _after(intent: Callable[[ClientProtocol], object], *keywords: str) -> ClientProtocol:
    client = ready("AUTH LOGIN", *keywords, encrypted=False, settings=_CLEAR)
    intent(client)
    client.take()
    return client


_CLEAR = ClientSettings("client.example", auth_in_clear=True)

reply_lines = st.tuples(
    st.sampled_from(CODES), st.sampled_from([" ", "-", ""]), st.text(max_size=12)
).map(lambda parts: f"{parts[0]}{parts[1]}{parts[2]}\r\n".encode("utf-8", "replace"))
garbage = st.lists(st.one_of(st.binary(max_size=20), reply_lines), max_size=12)


@settings(max_examples=300)
@given(st.sampled_from(SITUATIONS), garbage, st.booleans())
def test_garbage_breaks_the_protocol_and_raises_nothing(
    situation: Callable[[], ClientProtocol], pieces: list[bytes], taking: bool
) -> None:
    client = situation()
    for piece in pieces:
        was_over = client.is_over
        events = client.receive(piece)
        assert not (was_over and events)
        if taking:
            client.take()
        if any(isinstance(event, ProtocolBroken) for event in events):
            assert client.is_over
    client.receive_eof()
    assert client.is_over
    for outcome in client.abandon():
        for index in range(len(outcome.recipients)):
            assert not outcome.delivered(index)
    assert client.take() == b""


@given(
    st.sampled_from(SITUATIONS), st.binary(min_size=1).filter(lambda data: data[:1] not in b"2345")
)
def test_what_cannot_begin_a_reply_is_reported_with_its_first_line(
    situation: Callable[[], ClientProtocol], data: bytes
) -> None:
    client = situation()
    events = client.receive(data.replace(b"\n", b"") + b"\r\n")
    assert [type(event) for event in events] == [ProtocolBroken]

"""Every reply code at every step leads to what the table says, and to an event that is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from client_dialogue import CODES, CONTENT, ehlo, greeted, ready, say, to

from waypost.smtp.auth import AuthenticationFailure
from waypost.smtp.client import ClientProtocol, ClientSettings
from waypost.smtp.client_events import (
    Answered,
    Authenticated,
    AuthenticationRefused,
    Capable,
    ClientEvent,
    Closed,
    ContentWanted,
    Greeted,
    GreetingRefused,
    HelloRefused,
    ProtocolBroken,
    ShutdownAnnounced,
    TlsReady,
    TlsRefused,
    TransactionFinished,
)
from waypost.smtp.client_states import (
    DEFAULT_TIMEOUTS,
    EXCEPTIONS,
    STAGE_OF,
    TABLE,
    Reaction,
    Step,
    reaction_to,
)


class Mechanism:
    """Enough of SASL for an exchange of any length."""

    name = "LOGIN"
    complete = True

    def initial_response(self) -> bytes | None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        if challenge == b"bad":
            raise AuthenticationFailure("not a challenge of this mechanism")
        return b"secret"


def _connected() -> ClientProtocol:
    return ClientProtocol(ClientSettings("client.example"))


def _asked(intent: Callable[[ClientProtocol], object], *keywords: str) -> ClientProtocol:
    client = ready(*keywords, encrypted=False)
    intent(client)
    client.take()
    return client


def _ehlo_said() -> ClientProtocol:
    client = greeted()
    client.hello()
    client.take()
    return client


def _helo_said() -> ClientProtocol:
    client = greeted()
    client.hello(extended=False)
    client.take()
    return client


def _auth_said() -> ClientProtocol:
    client = ready("AUTH LOGIN")
    client.authenticate(Mechanism())
    client.take()
    return client


def _auth_cancelled() -> ClientProtocol:
    client = _auth_said()
    say(client, "334 not-base64!")
    assert client.take() == b"*\r\n"
    return client


def _in_transaction(*replies: str, begin_whole: bool = True) -> ClientProtocol:
    """One command at a time, up to where these replies lead."""
    client = ready()
    client.begin(to("b@y.example"), CONTENT if begin_whole else None)
    client.take()
    for line in replies:
        say(client, line)
        client.take()
    return client


def _clearing() -> ClientProtocol:
    client = _in_transaction("250 ok", "550 no")  # leaves the transaction of MAIL open
    client.begin(to("b@y.example"), CONTENT)
    assert client.take() == b"RSET\r\n"
    return client


def _chunk_sent(*, last: bool) -> ClientProtocol:
    settings = ClientSettings("client.example", chunk_size=1)
    client = ready("PIPELINING", "CHUNKING", settings=settings)
    client.begin(to("b@y.example"))
    client.take()
    say(client, "250 ok", "250 ok")
    client.content(b"one\r\n", last=last)
    client.take()
    return client


def _empty_content_sent() -> ClientProtocol:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, "250 ok", "550 no", "354 go")
    assert client.take() == b".\r\n"
    return client


SITUATIONS: dict[Step, Callable[[], ClientProtocol]] = {
    Step.NOTHING: ready,
    Step.GREETING: _connected,
    Step.EHLO: _ehlo_said,
    Step.HELO: _helo_said,
    Step.STARTTLS: lambda: _asked(ClientProtocol.start_tls, "STARTTLS"),
    Step.AUTH: _auth_said,
    Step.AUTH_CANCELLED: _auth_cancelled,
    Step.CLEARING: _clearing,
    Step.MAIL: _in_transaction,
    Step.RCPT: lambda: _in_transaction("250 ok"),
    Step.DATA: lambda: _in_transaction("250 ok", "250 ok"),
    Step.STREAMING: lambda: _in_transaction("250 ok", "250 ok", "354 go", begin_whole=False),
    Step.CHUNK: lambda: _chunk_sent(last=False),
    Step.CONTENT: lambda: _in_transaction("250 ok", "250 ok", "354 go"),
    Step.EMPTY_CONTENT: _empty_content_sent,
    Step.RSET: lambda: _asked(ClientProtocol.reset),
    Step.NOOP: lambda: _asked(ClientProtocol.noop),
    Step.VRFY: lambda: _asked(lambda client: client.verify("b@y.example")),
    Step.HELP: lambda: _asked(ClientProtocol.help),
    Step.QUIT: lambda: _asked(ClientProtocol.quit),
}

TOLD: dict[Reaction, list[type]] = {
    Reaction.BROKEN: [ProtocolBroken],
    Reaction.GREETED: [Greeted],
    Reaction.GREETING_REFUSED: [GreetingRefused],
    Reaction.CAPABLE: [Capable],
    Reaction.FALL_BACK: [],
    Reaction.HELLO_REFUSED: [HelloRefused],
    Reaction.TLS_READY: [TlsReady],
    Reaction.TLS_REFUSED: [TlsRefused],
    Reaction.CHALLENGED: [],
    Reaction.AUTHENTICATED: [Authenticated],
    Reaction.AUTH_REFUSED: [AuthenticationRefused],
    Reaction.GO_AHEAD: [],
    Reaction.CUT_SHORT: [TransactionFinished, ProtocolBroken],
    Reaction.ANSWERED: [Answered],
    Reaction.CLOSED: [Closed],
}
"""What is told for each reaction; those of a transaction depend on the step, see below."""

OVER = {Reaction.BROKEN, Reaction.SHUTDOWN, Reaction.CUT_SHORT, Reaction.CLOSED}
IN_TRANSACTION = {
    *(Step.CLEARING, Step.MAIL, Step.RCPT, Step.DATA, Step.STREAMING, Step.CHUNK, Step.CONTENT),
    Step.EMPTY_CONTENT,
}


def told_at(step: Step, reaction: Reaction) -> list[type]:
    if reaction is Reaction.SHUTDOWN:
        finished: list[type] = [TransactionFinished] if step in IN_TRANSACTION else []
        return [*finished, ShutdownAnnounced]
    if reaction is Reaction.TAKEN:
        return [TransactionFinished] if step is Step.CONTENT else []
    if reaction is Reaction.REFUSED:
        return [TransactionFinished]
    if reaction is Reaction.IGNORED:
        return [TransactionFinished] if step is Step.EMPTY_CONTENT else []
    return TOLD[reaction]


def test_every_step_has_a_row_and_a_stage_and_a_situation() -> None:
    assert set(TABLE) == set(STAGE_OF) == set(SITUATIONS) == set(Step)
    assert set(STAGE_OF.values()) - {"idle"} == set(DEFAULT_TIMEOUTS)
    assert all(seconds > 0 for seconds in DEFAULT_TIMEOUTS.values())


@pytest.mark.parametrize("step", Step)
def test_each_situation_stands_at_its_step(step: Step) -> None:
    client = SITUATIONS[step]()
    assert client.stage == STAGE_OF[step]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("step", Step)
def test_each_cell_tells_what_the_table_says(step: Step, code: int) -> None:
    client = SITUATIONS[step]()
    events: list[ClientEvent] = say(client, f"{code} aGVsbG8=")
    reaction = reaction_to(step, code)
    assert [type(event) for event in events] == told_at(step, reaction)
    assert client.is_over == (reaction in OVER)
    if client.is_over:
        assert client.take() == b""
        assert say(client, "250 more", "garbage") == []
        assert client.stage == "closed"
    for event in events:
        if isinstance(event, (Answered, Closed, ShutdownAnnounced, TlsRefused, HelloRefused)):
            assert event.reply is not None
            assert event.reply.code == code


@pytest.mark.parametrize("step", Step)
def test_a_reply_that_is_none_breaks_every_step(step: Step) -> None:
    client = SITUATIONS[step]()
    events = client.receive(b"HTTP/1.1 400 Bad Request\r\n")
    assert [type(event) for event in events] == [ProtocolBroken]
    assert client.is_over
    assert len(client.abandon()) == (step in IN_TRANSACTION)


@pytest.mark.parametrize("code", [200, 299, 300, 399, 400, 499, 559, 599])
def test_unlisted_codes_are_judged_by_their_first_digit(code: int) -> None:
    for step in Step:
        ordinary = TABLE[step][min(code // 100 - 2, 2)]
        assert reaction_to(step, code) is ordinary


def test_every_exception_differs_from_its_row() -> None:
    for (step, code), reaction in EXCEPTIONS.items():
        assert reaction_to(step, code) is reaction
        assert TABLE[step][min(code // 100 - 2, 2)] is not reaction


def test_a_whole_transaction_needs_one_event_and_a_streamed_one_two() -> None:
    client = _in_transaction("250 ok", "250 ok", begin_whole=False)
    assert [type(event) for event in say(client, "354 go")] == [ContentWanted]
    assert say(_in_transaction("250 ok", "250 ok"), "354 go") == []


def test_helo_follows_where_ehlo_is_not_known() -> None:
    client = _ehlo_said()
    say(client, "502 what")
    assert client.take() == b"HELO client.example\r\n"
    (capable,) = say(client, "250 mx.example PIPELINING")
    assert isinstance(capable, Capable)
    assert not capable.capabilities.pipelining
    assert client.receive(ehlo()) != []

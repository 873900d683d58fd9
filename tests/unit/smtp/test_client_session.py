"""What a client says and believes before, between and after transactions."""

from __future__ import annotations

import pytest
from client_dialogue import CONTENT, ehlo, greeted, ready, say, to

from waypost.smtp.auth import Login, Password
from waypost.smtp.client import ClientProtocol, ClientSettings, WrongState
from waypost.smtp.client_events import (
    Answered,
    Capable,
    Closed,
    Disconnected,
    Greeted,
    GreetingRefused,
    HelloRefused,
    ProtocolBroken,
    ShutdownAnnounced,
    TlsReady,
    TlsRefused,
)

# --- greeting and EHLO ------------------------------------------------------------------------


def test_a_session_opens_with_greeting_and_ehlo_and_ends_with_quit() -> None:
    record: list[str] = []
    client = greeted(record=record)
    client.hello()
    assert client.take() == b"EHLO client.example\r\n"
    (capable,) = client.receive(ehlo("PIPELINING", "SIZE 1000"))
    assert isinstance(capable, Capable)
    assert capable.capabilities.size == 1000
    assert client.stage == "idle"
    client.quit()
    assert client.take() == b"QUIT\r\n"
    (closed,) = say(client, "221 bye")
    assert isinstance(closed, Closed)
    assert client.stage == "closed"
    assert record == [
        "< 220 mx.example ready",
        "> EHLO client.example",
        "< 250-mx.example",
        "< 250-PIPELINING",
        "< 250 SIZE 1000",
        "> QUIT",
        "< 221 bye",
    ]


def test_a_greeting_of_several_lines_counts_when_it_is_whole() -> None:
    client = ClientProtocol(ClientSettings("client.example"))
    assert say(client, "220-mx.example", "220-no spam here") == []
    (event,) = say(client, "220 ready")
    assert isinstance(event, Greeted)
    assert len(event.reply.lines) == 3


def test_after_a_refused_greeting_only_quit_is_left() -> None:
    client = ClientProtocol(ClientSettings("client.example"))
    (event,) = say(client, "554 no service")
    assert isinstance(event, GreetingRefused)
    with pytest.raises(WrongState):
        client.hello()
    client.quit()
    assert client.take() == b"QUIT\r\n"


def test_a_refused_hello_may_be_tried_again_with_helo() -> None:
    client = greeted()
    client.hello()
    client.take()
    (event,) = say(client, "550 not you")
    assert isinstance(event, HelloRefused)
    client.hello(extended=False)
    assert client.take() == b"HELO client.example\r\n"


@pytest.mark.parametrize("hostname", ["", "a b", "a\r\nQUIT", "a\0", "a\udc80", "x" * 256])
def test_a_host_name_that_would_break_out_of_ehlo_is_refused(hostname: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        ClientSettings(hostname)


# --- STARTTLS ---------------------------------------------------------------------------------


def test_after_the_handshake_all_is_forgotten_and_ehlo_is_due_again() -> None:
    client = ready("STARTTLS", "PIPELINING", "AUTH PLAIN", encrypted=False)
    client.start_tls()
    assert client.take() == b"STARTTLS\r\n"
    assert [type(event) for event in say(client, "220 go")] == [TlsReady]
    assert client.stage == "starttls"
    for too_early in (client.hello, client.noop, client.quit):
        with pytest.raises(WrongState):
            too_early()
    client.tls_established()
    assert client.encrypted
    assert client.capabilities is None
    assert not client.can_begin
    with pytest.raises(WrongState):
        client.noop()
    client.hello()
    assert client.take() == b"EHLO client.example\r\n"
    (capable,) = client.receive(ehlo("AUTH PLAIN"))
    assert isinstance(capable, Capable)
    assert not capable.capabilities.pipelining


@pytest.mark.parametrize("injected", [b"250 ok\r\n", b"2", b"\r\n", b"\n", b"250-a\r\n250 PIPEL"])
def test_bytes_in_the_clear_behind_the_220_are_evidence_and_nothing_else(injected: bytes) -> None:
    record: list[str] = []
    client = ready("STARTTLS", record=record, encrypted=False)
    client.start_tls()
    client.take()
    (event,) = client.receive(b"220 go\r\n" + injected)
    assert isinstance(event, ProtocolBroken)
    assert event.evidence == injected
    assert record[-1] == "< 220 go"
    with pytest.raises(WrongState):
        client.tls_established()


def test_bytes_in_the_clear_during_the_handshake_break_it() -> None:
    client = ready("STARTTLS", encrypted=False)
    client.start_tls()
    client.take()
    say(client, "220 go")
    (event,) = say(client, "250 ok")
    assert isinstance(event, ProtocolBroken)


def test_a_refused_starttls_leaves_the_session_in_the_clear() -> None:
    client = ready("STARTTLS", encrypted=False)
    client.start_tls()
    client.take()
    (event,) = say(client, "454 4.7.0 no certificate today")
    assert isinstance(event, TlsRefused)
    assert not client.encrypted
    assert client.can_begin


def test_starttls_under_tls_is_an_error_of_the_program() -> None:
    with pytest.raises(WrongState):
        ready("STARTTLS").start_tls()


# --- small commands and the end ----------------------------------------------------------------


def test_noop_rset_vrfy_and_help_are_told_as_they_are_answered() -> None:
    client = ready()
    for intent, line in (
        (client.noop, b"NOOP\r\n"),
        (client.reset, b"RSET\r\n"),
        (lambda: client.verify("Jones"), b"VRFY Jones\r\n"),
        (client.help, b"HELP\r\n"),
    ):
        intent()
        assert client.take() == line
        (event,) = say(client, "252 perhaps")
        assert isinstance(event, Answered)
        assert event.reply.code == 252


@pytest.mark.parametrize("text", ["", "a\r\nQUIT", "a\nb", "a\0b", "\udcff", "bücher", "x" * 401])
def test_vrfy_refuses_what_is_not_one_argument(text: str) -> None:
    client = ready()
    with pytest.raises(ValueError, match="VRFY"):
        client.verify(text)
    assert client.take() == b""


def test_vrfy_speaks_utf8_where_that_is_offered() -> None:
    client = ready("SMTPUTF8")
    client.verify("bücher")
    assert client.take() == "VRFY bücher SMTPUTF8\r\n".encode()


def test_a_reply_to_nothing_is_not_borne_but_for_421() -> None:
    assert [type(event) for event in say(ready(), "250 hello?")] == [ProtocolBroken]
    assert [type(event) for event in say(ready(), "421 idle too long")] == [ShutdownAnnounced]


def test_a_reply_that_comes_before_its_command_was_handed_out_answers_nothing() -> None:
    client = ready()
    client.noop()
    assert [type(event) for event in say(client, "250 ok")] == [ProtocolBroken]


def test_replies_before_a_malformed_one_are_told() -> None:
    client = ready()
    client.noop()
    client.take()
    events = say(client, "250 ok", "nonsense")
    assert [type(event) for event in events] == [Answered, ProtocolBroken]


def test_a_line_without_end_is_not_kept() -> None:
    client = ready(settings=ClientSettings("client.example", maximum_line=1000))
    client.noop()
    client.take()
    assert client.receive(b"250 " + b"x" * 996 + b"\r") == []
    (event,) = client.receive(b"x")
    assert isinstance(event, ProtocolBroken)
    assert "1000" in event.reason
    assert len(event.evidence) <= 200


def test_a_reply_without_end_is_not_kept() -> None:
    client = ready(settings=ClientSettings("client.example", maximum_lines=10))
    client.noop()
    client.take()
    events = say(client, *["250-more"] * 11)
    assert [type(event) for event in events] == [ProtocolBroken]


def test_control_characters_of_the_peer_are_escaped_in_the_record() -> None:
    record: list[str] = []
    client = ready(record=record)
    client.noop()
    client.take()
    client.receive(b"250 \x1b[2Jok\xff\r\n")
    assert record[-1] == "< 250 \\x1b[2Jok\\\\xff"


@pytest.mark.parametrize("asked", [False, True])
def test_the_end_of_the_connection_is_told_with_its_stage(asked: bool) -> None:
    client = ready()
    if asked:
        client.noop()
        client.take()
    client.receive(b"25")
    (event,) = client.receive_eof()
    assert event == Disconnected("noop" if asked else "idle", b"25")
    assert client.receive_eof() == []


def test_the_end_instead_of_an_answer_to_quit_is_a_proper_end() -> None:
    client = ready()
    client.quit()
    client.take()
    assert client.receive_eof() == [Closed(None)]


def test_intents_at_the_wrong_moment_send_nothing() -> None:
    client = ready("AUTH PLAIN", "STARTTLS", encrypted=False)
    client.noop()
    client.take()
    for intent in (
        client.hello,
        client.start_tls,
        client.tls_established,
        lambda: client.authenticate(Login(Password("user", "secret"))),
        lambda: client.begin(to("b@y.example"), CONTENT),
        lambda: client.content(b"x", last=True),
        client.noop,
        client.reset,
        lambda: client.verify("x"),
        client.help,
        client.quit,
    ):
        with pytest.raises(WrongState):
            intent()
    assert client.take() == b""
    assert [type(event) for event in say(client, "250 ok")] == [Answered]


def test_limits_of_the_server_are_told_to_the_program() -> None:
    client = ready("LIMITS RCPTMAX=20 MAILMAX=5")
    assert client.recipients_per_transaction == 20
    assert client.transactions_per_connection == 5
    assert ready().recipients_per_transaction is None

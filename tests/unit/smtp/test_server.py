"""The server protocol: sequencing, framing, limits, and what it refuses to be fooled by."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.smtp.envelope import Recipient
from waypost.smtp.reply import reply
from waypost.smtp.server import ServerProtocol
from waypost.smtp.server_events import (
    AuthenticationCancelled,
    AuthenticationRequested,
    AuthenticationResponded,
    CommandRefused,
    ContentEnded,
    ContentReceived,
    ContentRequested,
    MailReceived,
    QuitReceived,
    RecipientReceived,
    ServerEvent,
    TlsRequested,
    TransactionDropped,
)
from waypost.smtp.server_settings import ServerSettings

SETTINGS = ServerSettings(
    "mx.test", maximum_size=10_000, starttls=True, auth_mechanisms=("PLAIN", "SCRAM-SHA-256")
)


class Dialogue:
    """Feeds a server protocol, accepts everything that is asked, and keeps what it said."""

    def __init__(self, settings: ServerSettings = SETTINGS, *, encrypted: bool = False) -> None:
        self.protocol = ServerProtocol(settings, encrypted=encrypted)
        self.protocol.greet()
        self.greeting = self.protocol.take()
        self.events: list[ServerEvent] = []
        self.messages: list[bytes] = []
        self._content: list[bytes] = []

    def say(self, data: bytes) -> bytes:
        """Send bytes as the client; returns what the server answers."""
        self.protocol.receive(data)
        while (event := self.protocol.next_event()) is not None:
            self.events.append(event)
            self.react(event)
        return self.protocol.take()

    def react(self, event: ServerEvent) -> None:
        if isinstance(event, ContentRequested | TransactionDropped):
            self._content = []
        if isinstance(event, ContentReceived):
            self._content.append(event.data)
        if isinstance(event, ContentEnded):
            self.messages.append(b"".join(self._content))
        if self.protocol.waiting and not isinstance(
            event, AuthenticationRequested | AuthenticationResponded
        ):
            self.protocol.accept()

    def ready(self) -> Dialogue:
        """Up to the point where DATA may come."""
        self.say(b"EHLO client.test\r\n")
        assert self.say(b"MAIL FROM:<a@x.test>\r\n").startswith(b"250")
        assert self.say(b"RCPT TO:<b@y.test>\r\n").startswith(b"250")
        return self


def codes(answer: bytes) -> list[int]:
    """The codes of the replies in `answer`, one for each reply."""
    return [int(line[:3]) for line in answer.split(b"\r\n") if line[3:4] == b" "]


def test_a_whole_message_passes_and_the_dots_are_taken_off() -> None:
    client = Dialogue().ready()
    assert client.say(b"DATA\r\n").startswith(b"354")
    assert codes(client.say(b"Subject: x\r\n\r\n..leading\r\nend\r\n.\r\n")) == [250]
    assert client.messages == [b"Subject: x\r\n\r\n.leading\r\nend\r\n"]


def test_a_pipelined_group_is_answered_in_one_write() -> None:
    client = Dialogue()
    answer = client.say(
        b"EHLO c\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n"
    )
    assert codes(answer) == [250, 250, 250, 250, 354]


@given(st.data())
def test_any_fragmentation_gives_the_same_answers(data: st.DataObject) -> None:
    stream = (
        b"EHLO c\r\nMAIL FROM:<a@x.test> SIZE=20\r\nRCPT TO:<b@y.test>\r\nDATA\r\n"
        b"A: b\r\n\r\n..\r\n...\r\n\r\n.\r\nNOOP\r\nMAIL FROM:<>\r\nRCPT TO:<b@y.test>\r\n"
        b"BDAT 6 LAST\r\nA: b\r\nQUIT\r\n"
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    whole, pieces = Dialogue(), Dialogue()
    expected = whole.say(stream)
    got = b"".join(
        pieces.say(stream[start:end])
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    )
    assert got == expected
    assert pieces.messages == whole.messages


@given(st.binary(max_size=600), st.booleans())
def test_no_bytes_make_it_raise_or_wait_without_end(noise: bytes, prefixed: bool) -> None:
    client = Dialogue()
    client.say(b"EHLO c\r\n")
    if prefixed:
        client.say(b"MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n")
    client.say(noise)
    client.say(b"\r\n.\r\n")
    assert client.protocol.backlog <= SETTINGS.maximum_command_line


@given(
    st.lists(
        st.sampled_from(
            [
                b"EHLO c\r\n", b"HELO c\r\n", b"MAIL FROM:<a@x>\r\n", b"MAIL FROM:<>\r\n",
                b"RCPT TO:<b@y>\r\n", b"DATA\r\n", b"x\r\n.\r\n", b"RSET\r\n", b"NOOP\r\n",
                b"BDAT 3\r\nabc", b"BDAT 0 LAST\r\n", b"VRFY x\r\n", b"STARTTLS\r\n", b"QUIT\r\n",
            ]
        ),
        max_size=20,
    )
)  # fmt: skip
def test_no_order_of_commands_gives_a_message_without_a_recipient(commands: list[bytes]) -> None:
    client = Dialogue()
    for command in commands:
        client.say(command)
        if client.protocol.in_handshake:
            client.protocol.tls_established()
    for event in client.events:
        if isinstance(event, ContentRequested):
            assert event.envelope.recipients


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (b"MAIL FROM:<a@x>\r\n", b"503 5.5.1"),
        (b"RCPT TO:<a@x>\r\n", b"503 5.5.1"),
        (b"DATA\r\n", b"503 5.5.1"),
        (b"FOO\r\n", b"500 5.5.1"),
        (b"EXPN list\r\n", b"502 5.5.1"),
        (b"VRFY\r\n", b"501 5.5.4"),
        (b"VRFY someone\r\n", b"252 2.5.0"),
        (b"NOOP\r\n", b"250 2.0.0"),
        (b"HELP\r\n", b"214 2.0.0"),
        (b"RSET\r\n", b"250 2.0.0"),
        (b"RSET now\r\n", b"501 5.5.4"),
        (b"EHLO\r\n", b"501 5.5.4"),
        (b"AUTH PLAIN\r\n", b"503 5.5.1"),
        (b"GET / HTTP/1.1\r\n", b"521 5.7.0"),
        (b"Host: localhost\r\n", b"521 5.7.0"),
        (b"QUIT\r\n", b"221 2.0.0"),
        (b"NOOP\n", b"500 5.5.2"),
        (b"NOOP \r \r\n", b"500 5.5.2"),
        (b"\xff\xfe\r\n", b"500 5.5.2"),
    ],
)
def test_before_ehlo(command: bytes, expected: bytes) -> None:
    assert Dialogue().say(command).startswith(expected)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (b"MAIL FROM:<a@x> SIZE=10001\r\n", b"552 5.3.4"),
        (b"MAIL FROM:<a@x> SIZE=abc\r\n", b"501 5.5.4"),
        (b"MAIL FROM:<a@x> BODY=9BIT\r\n", b"501 5.5.4"),
        (b"MAIL FROM:<a@x> BODY=BINARYMIME\r\n", b"555 5.6.1"),
        (b"MAIL FROM:<a@x> BODY=8BITMIME\r\n", b"250 2.1.0"),
        (b"MAIL FROM:<a@x> NEWTHING=1\r\n", b"555 5.5.4"),
        (b"MAIL FROM:<a@x> SIZE=1 SIZE=2\r\n", b"501 5.5.4"),
        (b"MAIL FROM:<a@x> REQUIRETLS\r\n", b"530 5.7.10"),
        (b"MAIL FROM:<a@x> RET=HDRS ENVID=QQ314159\r\n", b"250 2.1.0"),
        (b"MAIL FROM:<a@x> RET=SOME\r\n", b"501 5.5.4"),
        (b"MAIL FROM:<\xc3\xa9@x>\r\n", b"553 5.6.7"),
        (b"MAIL FROM:<\xc3\xa9@x> SMTPUTF8\r\n", b"250 2.1.0"),
        (b"MAIL FROM:<>\r\n", b"250 2.1.0"),
        (b"MAIL FROM: <a@x>\r\n", b"250 2.1.0"),
        (b"mail from:<a@x>\r\n", b"250 2.1.0"),
        (b"MAIL FROM:a@x\r\n", b"501 5.1.7"),
        (b"MAIL FROM:<a@x\r\n", b"501 5.1.7"),
        (b"MAIL FROM:<a b@x>\r\n", b"501 5.1.7"),
        (b'MAIL FROM:<"a b"@x>\r\n', b"250 2.1.0"),
        (b'MAIL FROM:<"a\\"b"@x>\r\n', b"250 2.1.0"),
        (b"MAIL FROM:<@relay.test,@b.test:a@x>\r\n", b"250 2.1.0"),
        (b"MAIL FROM:<" + b"a" * 300 + b"@x>\r\n", b"501 5.1.7"),
        (b"MAIL TO:<a@x>\r\n", b"501 5.5.4"),
        (b"STARTTLS now\r\n", b"501 5.5.4"),
        (b"AUTH PLAIN AGEAYg==\r\n", b"538 5.7.11"),
        (b"RCPT TO:<a@x>\r\n", b"503 5.5.1"),
        (b"BDAT\r\n", b"501 5.5.4"),
        (b"BDAT x LAST\r\n", b"501 5.5.4"),
        (b"BDAT 3 LAST\r\nabc", b"503 5.5.1"),
    ],
)
def test_after_ehlo(command: bytes, expected: bytes) -> None:
    client = Dialogue()
    client.say(b"EHLO c\r\n")
    assert client.say(command).startswith(expected)


def test_the_parameters_reach_the_envelope() -> None:
    client = Dialogue()
    client.say(b"EHLO c\r\n")
    client.say(b"MAIL FROM:<a@x> SIZE=99 BODY=8BITMIME RET=FULL ENVID=a+2Bb SMTPUTF8\r\n")
    client.say(b"RCPT TO:<b@y> NOTIFY=FAILURE,DELAY ORCPT=rfc822;B@Y\r\n")
    client.say(b"DATA\r\n")
    envelope = next(e.envelope for e in client.events if isinstance(e, ContentRequested))
    assert (envelope.declared_size, envelope.body, envelope.returned, envelope.smtputf8) == (
        99, "8BITMIME", "FULL", True,
    )  # fmt: skip
    assert envelope.envelope_id == "a+b"
    assert envelope.recipients == (Recipient("b@y", frozenset({"FAILURE", "DELAY"}), "rfc822;B@Y"),)


def test_helo_gives_no_extensions_and_takes_no_parameters() -> None:
    client = Dialogue()
    assert client.say(b"HELO c\r\n") == b"250 mx.test\r\n"
    assert client.say(b"MAIL FROM:<a@x> BODY=8BITMIME\r\n").startswith(b"555")


def test_a_refused_recipient_leaves_the_transaction_open() -> None:
    class Picky(Dialogue):
        def react(self, event: ServerEvent) -> None:
            if isinstance(event, RecipientReceived) and event.recipient.address == "no@y":
                self.protocol.answer(reply(550, "5.1.1", "No such user"))
            else:
                super().react(event)

    client = Picky()
    client.say(b"EHLO c\r\nMAIL FROM:<a@x>\r\n")
    assert client.say(b"RCPT TO:<no@y>\r\n") == b"550 5.1.1 No such user\r\n"
    assert codes(client.say(b"DATA\r\n")) == [554]
    assert codes(client.say(b"RCPT TO:<yes@y>\r\nDATA\r\n")) == [250, 354]


def test_content_behind_a_refused_data_never_speaks_as_commands() -> None:
    client = Dialogue()
    client.say(b"EHLO c\r\n")
    answer = client.say(b"MAIL FROM:<a@x>\r\nDATA\r\nRSET\r\nMAIL FROM:<evil@x>\r\n.\r\n")
    assert codes(answer) == [250, 554]
    assert client.protocol.closing
    assert [e for e in client.events if isinstance(e, MailReceived)][-1].envelope.reverse_path == (
        "a@x"
    )


SMUGGLED = b"MAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\nDATA\r\nboo\r\n.\r\n"


@pytest.mark.parametrize(
    "false_end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\n.\r",
        b"\r\n\x00.\r\n",
    ],
)
@pytest.mark.parametrize("normalise", [False, True])
def test_only_crlf_dot_crlf_ends_data(false_end: bytes, normalise: bool) -> None:
    settings = ServerSettings("mx.test", normalise_line_ends=normalise)
    client = Dialogue(settings).ready()
    client.say(b"DATA\r\n")
    client.say(b"A: b\r\n\r\nhello" + false_end + SMUGGLED)
    senders = [e.envelope.reverse_path for e in client.events if isinstance(e, MailReceived)]
    assert senders == ["a@x.test"]
    for message in client.messages:
        without_ends = message.replace(b"\r\n", b"")
        assert b"\r" not in without_ends
        assert b"\n" not in without_ends


def test_a_bare_line_feed_refuses_the_message_but_not_the_next() -> None:
    client = Dialogue().ready()
    client.say(b"DATA\r\n")
    assert client.say(b"A: b\r\n\r\none\ntwo\r\n.\r\n").startswith(b"550 5.6.0")
    assert client.messages == []
    client.say(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n")
    assert client.say(b"fine\r\n.\r\n").startswith(b"250")


def test_a_client_that_ends_lines_with_line_feed_alone_is_told_at_once() -> None:
    client = Dialogue().ready()
    client.say(b"DATA\r\n")
    assert client.say(b"A: b\n\nhello\n.\n").startswith(b"550 5.6.0")
    assert client.protocol.closing


@given(st.binary(max_size=200), st.integers(1, 7))
def test_content_survives_stuffing_and_any_cut(content: bytes, step: int) -> None:
    lines = content.replace(b"\r", b"").split(b"\n")
    wanted = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    client = Dialogue().ready()
    client.say(b"DATA\r\n")
    wire = stuffed + b".\r\n"
    for start in range(0, len(wire), step):
        answer = client.say(wire[start : start + step])
    assert answer.startswith(b"250")
    assert client.messages == [wanted]


def test_a_message_over_the_limit_is_refused_at_its_end_and_dropped_at_once() -> None:
    client = Dialogue().ready()
    client.say(b"DATA\r\n")
    client.say(b"x" * 6000 + b"\r\n")
    client.say(b"x" * 6000 + b"\r\n")
    assert any(isinstance(event, TransactionDropped) for event in client.events)
    assert client.say(b".\r\n").startswith(b"552 5.3.4")


def test_endless_content_ends_the_connection() -> None:
    client = Dialogue().ready()
    client.say(b"DATA\r\n")
    for _ in range(20):
        client.say((b"x" * 70 + b"\r\n") * 1000)
    assert client.protocol.closing


def test_an_endless_line_ends_the_connection() -> None:
    client = Dialogue()
    assert client.say(b"EHLO " + b"x" * 5000).startswith(b"500 5.5.6")
    assert client.protocol.closing


def test_errors_are_bounded() -> None:
    client = Dialogue()
    answer = b"".join(client.say(b"FOO\r\n") for _ in range(30))
    assert codes(answer) == [500] * 20 + [421]
    assert sum(isinstance(event, CommandRefused) for event in client.events) >= 20


def test_commands_without_mail_are_bounded() -> None:
    client = Dialogue()
    answer = b"".join(client.say(b"NOOP\r\n") for _ in range(150))
    assert codes(answer)[-1] == 421


def test_recipients_are_bounded_and_the_client_may_go_on_with_those_it_has() -> None:
    client = Dialogue(ServerSettings("mx.test", maximum_recipients=2)).ready()
    assert codes(client.say(b"RCPT TO:<c@y>\r\nRCPT TO:<d@y>\r\nDATA\r\n")) == [250, 452, 354]


def test_bdat_takes_chunks_and_the_last_ends_the_message() -> None:
    client = Dialogue().ready()
    assert client.say(b"BDAT 7\r\nA: b\r\n\r").startswith(b"250 2.0.0")
    assert client.say(b"BDAT 4 LAST\r\n\nhi.").startswith(b"250 2.0.0")
    assert client.messages == [b"A: b\r\n\r\nhi."]


def test_bdat_content_is_checked_like_data() -> None:
    client = Dialogue().ready()
    assert client.say(b"BDAT 7 LAST\r\nA: b\n.\n").startswith(b"550 5.6.0")


def test_a_refused_bdat_chunk_is_read_and_thrown_away() -> None:
    client = Dialogue()
    client.say(b"EHLO c\r\nMAIL FROM:<a@x>\r\n")
    answer = client.say(b"BDAT 6 LAST\r\nRSET\r\nNOOP\r\n")
    assert codes(answer) == [554, 250]
    assert not client.messages


def test_data_cannot_follow_bdat() -> None:
    client = Dialogue().ready()
    client.say(b"BDAT 2\r\nhi")
    assert codes(client.say(b"DATA\r\n")) == [503]


def test_nothing_said_before_tls_survives_it() -> None:
    client = Dialogue().ready()
    assert client.say(b"STARTTLS\r\n").startswith(b"220 2.0.0")
    assert client.say(b"MAIL FROM:<injected@x>\r\n") == b""
    client.protocol.tls_established()
    assert client.say(b"RCPT TO:<b@y>\r\n").startswith(b"503")
    assert client.say(b"MAIL FROM:<a@x>\r\n").startswith(b"503")
    assert b"STARTTLS" not in client.say(b"EHLO c\r\n")


def test_bytes_behind_starttls_end_the_connection() -> None:
    client = Dialogue()
    client.say(b"EHLO c\r\n")
    client.say(b"STARTTLS\r\nEHLO injected\r\n")
    assert client.protocol.closing
    assert not any(isinstance(event, TlsRequested) for event in client.events)


def test_auth_is_not_offered_in_the_clear() -> None:
    assert b"AUTH" not in Dialogue().say(b"EHLO c\r\n")
    assert b"AUTH PLAIN" in Dialogue(encrypted=True).say(b"EHLO c\r\n")


def test_auth_with_challenge_and_cancellation() -> None:
    client = Dialogue(encrypted=True)
    client.say(b"EHLO c\r\n")
    client.say(b"AUTH PLAIN\r\n")
    client.protocol.challenge(b"")
    assert client.protocol.take() == b"334 \r\n"
    assert client.say(b"*\r\n").startswith(b"501 5.7.0")
    assert isinstance(client.events[-1], AuthenticationCancelled)
    client.say(b"AUTH PLAIN " + base64.b64encode(b"\0u\0p") + b"\r\n")
    event = client.events[-1]
    assert isinstance(event, AuthenticationRequested)
    assert event.initial == b"\0u\0p"
    client.protocol.authenticated("u")
    assert client.protocol.take().startswith(b"235 2.7.0")
    assert client.say(b"AUTH PLAIN =\r\n").startswith(b"503")


@pytest.mark.parametrize("response", [b"!!!\r\n", b"a\r\n", b"YWJj=\r\n"])
def test_auth_with_bad_base64(response: bytes) -> None:
    client = Dialogue(encrypted=True)
    client.say(b"EHLO c\r\nAUTH PLAIN\r\n")
    client.protocol.challenge(b"")
    client.protocol.take()
    assert client.say(response).startswith(b"501 5.5.2")


def test_secrets_do_not_show_in_events() -> None:
    assert "secret" not in repr(AuthenticationRequested("PLAIN", b"secret"))
    assert "secret" not in repr(AuthenticationResponded(b"secret"))


def test_quit_drops_the_transaction_and_closes() -> None:
    client = Dialogue().ready()
    assert client.say(b"QUIT\r\nMAIL FROM:<x@x>\r\n") == b"221 2.0.0 Bye\r\n"
    assert client.protocol.closing
    assert any(isinstance(event, QuitReceived) for event in client.events)


def test_messages_of_a_connection_are_bounded_when_asked() -> None:
    client = Dialogue(ServerSettings("mx.test", maximum_messages=1))
    assert b"LIMITS MAILMAX=1" in client.say(b"EHLO c\r\n")
    client.say(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n")
    assert codes(client.say(b"x\r\n.\r\nMAIL FROM:<a@x>\r\n")) == [250, 421]

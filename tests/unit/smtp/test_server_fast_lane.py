"""The fast lane of the server says and takes the same as the careful way, whatever comes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.smtp.reply import reply
from waypost.smtp.server import ServerProtocol
from waypost.smtp.server_events import (
    ContentEnded,
    ContentReceived,
    ContentRequested,
    MailReceived,
    RecipientReceived,
    ServerEvent,
)
from waypost.smtp.server_settings import ServerSettings

SETTINGS = ServerSettings("mx.example", maximum_size=400, maximum_recipients=2)
REFUSED = "refused@example.com"


class Program:
    """What stands around a protocol: takes what is asked for, but for one address."""

    def __init__(self, *, quick: bool) -> None:
        self.protocol = ServerProtocol(SETTINGS)
        self.protocol.greet()
        self.quick = quick
        self.said = b""
        self.seen: list[object] = []
        self.content = b""
        self.on_fast_lane = 0

    def read(self, data: bytes) -> None:
        protocol = self.protocol
        if self.quick:
            content = protocol.whole_content(data)
            if content is not None:
                self.on_fast_lane += 1
                self.content += content
                self.ended()
                self.pump()
                return
            asked = protocol.ask(data)
            if asked is not None:
                self.on_fast_lane += 1
                self.seen.append((protocol.question, asked))
                self.decide(refuse=REFUSED in str(asked) and protocol.question != "data")
                self.pump()
                return
        protocol.receive(data)
        self.pump()

    def pump(self) -> None:
        while (event := self.protocol.next_event()) is not None:
            self.handle(event)
        self.said += self.protocol.take()

    def handle(self, event: ServerEvent) -> None:
        if isinstance(event, MailReceived):
            self.seen.append(("mail", event.envelope))
            self.decide(refuse=event.envelope.reverse_path == REFUSED)
        elif isinstance(event, RecipientReceived):
            self.seen.append(("rcpt", event.recipient))
            self.decide(refuse=event.recipient.address == REFUSED)
        elif isinstance(event, ContentRequested):
            self.seen.append(("data", event.envelope))
            self.decide(refuse=False)
        elif isinstance(event, ContentReceived):
            self.content += event.data
        elif isinstance(event, ContentEnded):
            self.ended()
        elif self.protocol.waiting:
            self.protocol.accept()

    def ended(self) -> None:
        self.seen.append(("end", self.content))
        self.content = b""
        self.protocol.accept("Ok")

    def decide(self, *, refuse: bool) -> None:
        if refuse:
            self.protocol.answer(reply(550, "5.7.1", "no"))
        else:
            self.protocol.accept()


LINES = [
    b"EHLO client.example\r\n",
    b"MAIL FROM:<a@example.com>\r\n",
    b"mail from:<a@example.com>\r\n",
    b"MAIL FROM:<a@example.com> SIZE=10\r\n",
    b"MAIL FROM:<>\r\n",
    b"MAIL FROM:<refused@example.com>\r\n",
    b"RCPT TO:<b@example.org>\r\n",
    b"RCPT TO:<refused@example.com>\r\n",
    b"RCPT TO:<b c@example.org>\r\n",
    b"DATA\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"BDAT 4 LAST\r\nabcd",
    b"BDAT 2\r\nab",
    b"A: b\r\n\r\ntext\r\n.\r\n",
    b"text\r\n..dot\r\n.\r\n",
    b".text\r\n.\r\n",
    b".\r\n",
    b"no end\r\n",
    b"bare\nline\r\n.\r\n",
    b"bare\rline\r\n.\r\n",
    b"x" * 500 + b"\r\n.\r\n",
    b"one\r\n.\r\nMAIL FROM:<a@example.com>\r\n",
    b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n",
    b"MAIL FROM:<a@exam",
    b"ple.com>\r\n",
    b"\r\n",
]


one_read = st.sampled_from(LINES).map(lambda line: [line])
up_to_data = st.just([LINES[1], LINES[6], LINES[9]])


@settings(max_examples=400)
@given(st.lists(one_read | up_to_data, max_size=12))
def test_both_ways_say_and_take_the_same(runs: list[list[bytes]]) -> None:
    quick, careful = Program(quick=True), Program(quick=False)
    for data in [LINES[0], *(data for run in runs for data in run)]:
        quick.read(data)
        careful.read(data)
        assert quick.said == careful.said
        assert quick.seen == careful.seen
        assert quick.content == careful.content
        assert quick.protocol.closing == careful.protocol.closing
        assert quick.protocol.messages == careful.protocol.messages


def test_an_ordinary_message_takes_the_fast_lane() -> None:
    program = Program(quick=True)
    for data in (LINES[0], LINES[1], LINES[6], LINES[9], LINES[14]):
        program.read(data)
    assert program.on_fast_lane == 4
    assert program.seen[-1] == ("end", b"A: b\r\n\r\ntext\r\n")
    assert program.said.endswith(b"250 2.0.0 Ok\r\n")

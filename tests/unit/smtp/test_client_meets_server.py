"""Our client and our server, joined by their bytes alone."""

from __future__ import annotations

import pytest
from client_dialogue import CONTENT, to

from waypost.smtp.client import ClientProtocol, ClientSettings
from waypost.smtp.client_events import Capable, ClientEvent, ContentWanted, TransactionFinished
from waypost.smtp.server import ServerProtocol
from waypost.smtp.server_events import ContentReceived
from waypost.smtp.server_settings import ServerSettings


class Wire:
    """Carries bytes between the two until neither has more to say; accepts every question."""

    def __init__(self, client: ClientSettings, server: ServerSettings) -> None:
        self.client = ClientProtocol(client)
        self.server = ServerProtocol(server)
        self.content = b""

    def settle(self) -> list[ClientEvent]:
        told: list[ClientEvent] = []
        for _ in range(100):
            if sent := self.client.take():
                self.server.receive(sent)
            while (event := self.server.next_event()) is not None:
                if isinstance(event, ContentReceived):
                    self.content += event.data
                if self.server.waiting:
                    self.server.accept()
            answered = self.server.take()
            if not sent and not answered:
                return told
            told += self.client.receive(answered)
        pytest.fail("the two never come to rest")


@pytest.mark.parametrize("pipelining", [False, True])
@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_message_arrives_as_it_was_sent(pipelining: bool, chunking: bool, streamed: bool) -> None:
    wire = Wire(
        ClientSettings(
            "client.example", use_pipelining=pipelining, use_chunking=chunking, chunk_size=7
        ),
        ServerSettings("mx.example"),
    )
    wire.server.greet()
    wire.settle()
    wire.client.hello()
    assert [type(event) for event in wire.settle()] == [Capable]
    for _ in range(2):
        wire.content = b""
        wire.client.begin(to("b@y.example", "c@z.example"), None if streamed else CONTENT)
        events = wire.settle()
        if streamed:
            assert [type(event) for event in events] == [ContentWanted]
            wire.client.content(CONTENT[:9], last=False)
            wire.client.content(CONTENT[9:], last=True)
            events = wire.settle()
        (finished,) = events
        assert isinstance(finished, TransactionFinished)
        assert finished.outcome.delivered(0)
        assert finished.outcome.delivered(1)
        assert wire.content == CONTENT

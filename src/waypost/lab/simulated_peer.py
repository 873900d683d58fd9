"""A receiving server for the simulated network: the real server protocol with faults on cue.

A `Fault` says what goes wrong at which step of a session. A `SimulatedPeer` takes a list of them
by session: the first session meets the first entry and so on, later ones the last. So a test reads
as a story: 421, then a drop, then a stall, then all is well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import Reply, reply
from waypost.smtp.server import ServerProtocol
from waypost.smtp.server_events import (
    ContentEnded,
    ContentReceived,
    ContentRequested,
    HelloReceived,
    MailReceived,
    RecipientReceived,
    ServerEvent,
    TransactionDropped,
    VerifyReceived,
)
from waypost.smtp.server_settings import ServerSettings

Step = Literal["connect", "ehlo", "mail", "rcpt", "data", "content"]
Action = Literal["reply", "drop", "stall", "accept_and_drop"]


@dataclass(frozen=True, slots=True)
class Fault:
    """At `step`, do `action`: give `answer`, drop the connection, or say nothing for ever.

    accept_and_drop, at content only: take the message and drop before saying so.
    """

    step: Step
    action: Action
    answer: Reply | None = None
    after: int = 0
    """Messages that the session takes before anything goes wrong."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that a simulated peer has answered for."""

    moment: float
    """On the loop's clock."""
    envelope: Envelope
    content: bytes
    acknowledged: bool
    """The sender was told."""


class SimulatedPeer:
    """A server at some address; `accept` is its acceptor for SimulatedNetwork.listen."""

    def __init__(
        self,
        faults: Sequence[Fault | None] = (),
        settings: ServerSettings | None = None,
    ) -> None:
        self.faults = list(faults)
        self.settings = settings or ServerSettings("peer.example")
        self.sessions = 0
        self.open_sessions = 0
        self.most_sessions = 0
        """The most that were open at one time."""
        self.received: list[Received] = []

    def accept(self) -> asyncio.Protocol:
        """A new session, with the fault that is its turn."""
        fault: Fault | None = None
        if self.faults:
            fault = self.faults[min(self.sessions, len(self.faults) - 1)]
        self.sessions += 1
        return _PeerSession(self, fault)


class _PeerSession(asyncio.Protocol):
    def __init__(self, peer: SimulatedPeer, fault: Fault | None) -> None:
        self._peer = peer
        self._fault = fault
        self._protocol = ServerProtocol(peer.settings)
        self._transport: asyncio.Transport | None = None
        self._envelope: Envelope | None = None
        self._content: list[bytes] = []
        self._taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer.open_sessions += 1
        self._peer.most_sessions = max(self._peer.most_sessions, self._peer.open_sessions)
        fault = self._fault
        if fault is not None and fault.step == "connect":
            if fault.action == "stall":
                return
            if fault.action == "drop":
                transport.close()
                return
            self._protocol.greet(fault.answer or reply(421, "4.3.2", "Service not available"))
        else:
            self._protocol.greet()
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._peer.open_sessions -= 1
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._protocol.receive(data)
        while self._transport is not None:
            event = self._protocol.next_event()
            if event is None:
                break
            if not self._handle(event):
                return
        self._send()

    def _send(self) -> None:
        transport = self._transport
        if transport is not None:
            data = self._protocol.take()
            if data:
                transport.write(data)
            if self._protocol.closing:
                transport.close()

    def _handle(self, event: ServerEvent) -> bool:
        """Answer an event; False when the session says nothing more."""
        step = _STEPS.get(type(event))
        fault = self._fault if self._fault and self._taken >= self._fault.after else None
        if step is not None and fault is not None and fault.step == step:
            if fault.action == "accept_and_drop":
                self._keep(acknowledged=False)
            if fault.action in ("drop", "accept_and_drop"):
                assert self._transport is not None
                self._transport.close()
                self._transport = None
                return False
            if fault.action == "stall":
                self._send()
                self._transport = None
                return False
            self._protocol.answer(fault.answer or reply(451, "4.3.0", "Try again later"))
            return True
        if isinstance(event, ContentRequested):
            self._envelope = event.envelope
            self._content = []
            self._protocol.accept()
        elif isinstance(event, ContentReceived):
            self._content.append(event.data)
        elif isinstance(event, ContentEnded):
            self._keep(acknowledged=True)
            self._taken += 1
            self._protocol.accept()
        elif isinstance(event, TransactionDropped):
            self._content = []
        elif isinstance(event, HelloReceived | MailReceived | RecipientReceived | VerifyReceived):
            self._protocol.accept()
        return True

    def _keep(self, *, acknowledged: bool) -> None:
        assert self._envelope is not None
        self._peer.received.append(
            Received(
                asyncio.get_running_loop().time(),
                self._envelope,
                b"".join(self._content),
                acknowledged,
            )
        )


_STEPS: dict[type, Step] = {
    HelloReceived: "ehlo",
    MailReceived: "mail",
    RecipientReceived: "rcpt",
    ContentRequested: "data",
    ContentEnded: "content",
}

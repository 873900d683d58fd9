"""One message to the relay of this machine, over a blocking socket."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final, TypeVar

from waypost.smtp.client import ClientProtocol, ClientSettings, Transaction, TransactionOutcome
from waypost.smtp.client_events import (
    Capable,
    ClientEvent,
    Closed,
    Disconnected,
    Greeted,
    GreetingRefused,
    HelloRefused,
    ProtocolBroken,
    ShutdownAnnounced,
    TransactionFinished,
)
from waypost.smtp.envelope import Envelope

CONNECT_SECONDS: Final = 10.0
REPLY_SECONDS: Final = 300.0
"""For each reply (RFC 5321 4.5.3.2); the relay answers when the message is durable."""

RECEIVE_BYTES: Final = 64 * 1024

Event = TypeVar("Event")


class NoRelay(Exception):
    """Nobody takes mail there now: nothing was handed over."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What the relay said. `lost` tells what was waited for when the connection ended."""

    outcome: TransactionOutcome | None
    lost: str


def hand_over(
    host: str, port: int, hostname: str, envelope: Envelope, content: bytes
) -> HandedOver:
    """Give the relay a message. Raises NoRelay."""
    try:
        connection = connect(host, port)
    except OSError as fault:
        raise NoRelay(f"no relay answers on {host}{f':{port}' if port else ''}: {fault}") from fault
    with connection:
        connection.settimeout(REPLY_SECONDS)
        speaking = _Speaking(connection, ClientProtocol(ClientSettings(hostname)))
        try:
            return speaking.send(envelope, content)
        except OSError as fault:  # a timeout is one as well
            return speaking.broken(str(fault) or type(fault).__name__)


def connect(host: str, port: int) -> socket.socket:
    """A connection to the relay. Raises OSError."""
    if not host.startswith("unix:"):
        return socket.create_connection((host, port), CONNECT_SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_SECONDS)
    try:
        connection.connect(host.removeprefix("unix:"))
    except OSError:
        connection.close()
        raise
    return connection


class _Over(Exception):
    """The session ended before the message did."""


class _Speaking:
    """One conversation."""

    def __init__(self, connection: socket.socket, protocol: ClientProtocol) -> None:
        self._connection = connection
        self._protocol = protocol

    def send(self, envelope: Envelope, content: bytes) -> HandedOver:
        protocol = self._protocol
        try:
            self._until(Greeted)
            protocol.hello()
            self._until(Capable)
            transaction = Transaction(envelope, len(content), has_eight_bit=not content.isascii())
            finished = next(
                (one for one in protocol.begin(transaction, content)
                 if isinstance(one, TransactionFinished)),
                None,
            ) or self._until(TransactionFinished)  # fmt: skip
        except _Over as over:
            return self.broken(str(over))
        self._quit()
        return HandedOver(finished.outcome, "")

    def broken(self, why: str) -> HandedOver:
        """The connection is lost: what was open, as far as it came."""
        if self._protocol.transactions == 0:
            raise NoRelay(f"the relay does not take mail now: {why}")
        outcomes = self._protocol.abandon()
        return HandedOver(outcomes[0] if outcomes else None, why)

    def _until(self, wanted: type[Event]) -> Event:
        """Speak and listen until such an event comes. Raises _Over and OSError."""
        protocol = self._protocol
        while True:
            self._connection.sendall(protocol.take())
            data = self._connection.recv(RECEIVE_BYTES)
            for event in protocol.receive(data) if data else protocol.receive_eof():
                if isinstance(event, wanted):
                    return event
                self._check(event)

    def _check(self, event: ClientEvent) -> None:
        if isinstance(event, GreetingRefused | HelloRefused | ShutdownAnnounced):
            raise _Over(str(event.reply))
        if isinstance(event, ProtocolBroken):
            raise _Over(f"what answers is no SMTP server: {event.reason}")
        if isinstance(event, Disconnected | Closed):
            raise _Over("it closed the connection")

    def _quit(self) -> None:
        """Said for politeness; the message has been taken or refused already."""
        try:
            self._connection.settimeout(1.0)
            self._protocol.quit()
            self._until(Closed)
        except (OSError, _Over):
            return

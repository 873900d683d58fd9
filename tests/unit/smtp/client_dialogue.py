"""Short cuts for dialogues with a client protocol, shared by the tests of the client."""

from __future__ import annotations

from collections.abc import Iterable

from waypost.smtp.client import ClientProtocol, ClientSettings, Transaction, TransactionOutcome
from waypost.smtp.client_events import ClientEvent, ContentWanted, TransactionFinished
from waypost.smtp.envelope import Envelope, Recipient

CODES = (
    *(211, 214, 220, 221, 235, 250, 251, 252, 334, 354, 421, 430, 432, 450, 451, 452, 454, 455),
    *(500, 501, 502, 503, 504, 521, 523, 524, 525, 530, 534, 535, 538),
    *(550, 551, 552, 553, 554, 555, 556, 557),
)
"""The codes of RFC 5321 and of what extends it."""

EVERYTHING = ("PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN", "AUTH PLAIN LOGIN")
CONTENT = b"Subject: hello\r\n\r\n.dot\r\n"
WIRE = b"Subject: hello\r\n\r\n..dot\r\n.\r\n"


def ehlo(*keywords: str) -> bytes:
    lines = ["mx.example", *keywords]
    return b"".join(
        f"250{'-' if number < len(lines) else ' '}{line}\r\n".encode()
        for number, line in enumerate(lines, 1)
    )


def greeted(
    settings: ClientSettings | None = None, record: list[str] | None = None, **options: bool
) -> ClientProtocol:
    def remember(direction: str, line: str) -> None:
        if record is not None:
            record.extend(f"{direction} {one}" for one in line.split("\n"))

    client = ClientProtocol(settings or ClientSettings("client.example"), remember, **options)
    client.receive(b"220 mx.example ready\r\n")
    return client


def ready(
    *keywords: str,
    settings: ClientSettings | None = None,
    record: list[str] | None = None,
    encrypted: bool = True,
) -> ClientProtocol:
    """A client that has said EHLO to a server with these extensions."""
    client = greeted(settings, record, encrypted=encrypted)
    client.hello()
    client.take()
    client.receive(ehlo(*keywords))
    return client


def to(*addresses: str, size: int = len(CONTENT), sender: str = "a@x.example") -> Transaction:
    return Transaction(Envelope(sender, tuple(Recipient(one) for one in addresses)), size)


def say(client: ClientProtocol, *replies: str) -> list[ClientEvent]:
    """What the server says, each reply one line, all in one read."""
    return client.receive("".join(f"{line}\r\n" for line in replies).encode())


def outcomes(events: Iterable[ClientEvent]) -> list[TransactionOutcome]:
    return [event.outcome for event in events if isinstance(event, TransactionFinished)]


def outcome(events: Iterable[ClientEvent]) -> TransactionOutcome:
    """The outcome where it is all that was told."""
    told = list(events)
    assert len(told) == 1
    assert isinstance(told[0], TransactionFinished), told
    return told[0].outcome


def wanted(events: Iterable[ClientEvent]) -> bool:
    return [type(event) for event in events] == [ContentWanted]

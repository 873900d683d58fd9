"""Which messages are in memory, so that the spool does not give them out a second time.

A message may be here in several parts: its recipients go different ways. Until the last part of it
that concerns a destination has left, the message is not loaded again for that destination, or a
recipient could be served twice.
"""

from __future__ import annotations

from dataclasses import replace

from waypost.spool.contract import QueuedMessage


def domain_of(address: str) -> str:
    """The destination of an address, as the spool names it."""
    return address[address.rfind("@") + 1 :].lower()


def domains_of(message: QueuedMessage) -> tuple[str, ...]:
    """The destinations of a message's recipients, each once."""
    recipients = message.recipients
    if len(recipients) == 1:
        return (domain_of(recipients[0].address),)
    return tuple({domain_of(recipient.address): None for recipient in recipients})


class InMemory:
    """See the module. Bounds are looked at by the engine; here is only counted."""

    __slots__ = ("_parts", "body_bytes", "messages")

    def __init__(self) -> None:
        self.messages = 0
        """Parts of messages in memory."""
        self.body_bytes = 0
        """Bytes of their contents that are in memory."""
        self._parts: dict[str, dict[int, int]] = {}

    def take(self, message: QueuedMessage) -> None:
        """A part has come into memory."""
        identifier = message.identifier
        for domain in domains_of(message):
            held = self._parts.get(domain)
            if held is None:
                held = self._parts[domain] = {}
            held[identifier] = held.get(identifier, 0) + 1
        self.messages += 1
        self.body_came(message)

    def body_came(self, message: QueuedMessage) -> None:
        """The content of a part that is here has come into memory, if it is one that does."""
        if message.body is not None and message.body.whole is not None:
            self.body_bytes += message.size

    def release(self, message: QueuedMessage) -> None:
        """A part leaves memory."""
        identifier = message.identifier
        for domain in domains_of(message):
            held = self._parts[domain]
            left = held[identifier] - 1
            if left:
                held[identifier] = left
            else:
                del held[identifier]
                if not held:
                    del self._parts[domain]
        self.messages -= 1
        if message.body is not None and message.body.whole is not None:
            self.body_bytes -= message.size

    def holds(self, domain: str, identifier: int) -> bool:
        """Whether a message is here for a destination."""
        return identifier in self._parts.get(domain, ())

    def excluded(self, domain: str) -> frozenset[int]:
        """The messages that the spool must not give out for a destination."""
        return frozenset(self._parts.get(domain, ()))

    def serves(self, domain: str) -> bool:
        """Whether anything for a destination is here."""
        return domain in self._parts

    def identifiers(self) -> frozenset[int]:
        """All messages that are here."""
        return frozenset().union(*self._parts.values()) if self._parts else frozenset()


def part_of(message: QueuedMessage, places: list[int]) -> QueuedMessage:
    """The message with some of its recipients, by their places in it."""
    recipients = message.envelope.recipients
    return replace(
        message,
        envelope=replace(message.envelope, recipients=tuple(recipients[n] for n in places)),
        recipients=[message.recipients[n] for n in places],
    )


def split(message: QueuedMessage, most: int) -> tuple[QueuedMessage, QueuedMessage]:
    """The message with its first recipients, and with the others."""
    count = len(message.recipients)
    return part_of(message, list(range(most))), part_of(message, list(range(most, count)))

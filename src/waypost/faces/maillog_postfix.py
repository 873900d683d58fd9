"""The lines of a mail log in the shapes of Postfix, which pflogsumm and its kind have always read.

    smtpd     ID: client=unknown[192.0.2.7], sasl_username=shop
    cleanup   ID: message-id=<...>
    qmgr      ID: from=<...>, size=4096, nrcpt=1 (queue active)
    smtp      ID: to=<...>, relay=host[address]:25, delay=0.2, delays=0/0.1/0/0.1, dsn=2.0.0,
              status=sent (250 2.0.0 Ok)
    qmgr      ID: removed

An identifier is filled with zeros from the left to twelve places, the least that readers of
Postfix's long identifiers expect; `waypost log` takes it with or without them. Values of peers
cannot begin a line, nor end the brackets they stand in.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from waypost.faces.gathering import Attempted, Happening
from waypost.faces.maillog_lines import Line
from waypost.message_events import SANDBOX_HOP
from waypost.relay.refusals import Refusal
from waypost.spool.contract import NewMessage, RecipientResult, RecipientState
from waypost.spool.identifiers import identifier_text

KNOWN: Final = 100_000
"""Messages that are remembered to say when the last of their recipients is done."""

LONGEST: Final = 500
"""Characters of one value."""

_UNKNOWN_COUNT: Final = -1
_ENHANCED: Final = re.compile(r"(?<![\d.])([245])\.\d{1,3}\.\d{1,3}(?![\d.])")
_STATUS: Final = {
    RecipientState.QUEUED: ("deferred", "4"),
    RecipientState.DELIVERED: ("sent", "2"),
    RecipientState.BOUNCED: ("bounced", "5"),
}


class PostfixLines:
    """See the module."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, int] = OrderedDict()
        """By message, recipients whose end has not been seen."""

    def of(self, happenings: Sequence[Happening]) -> Iterator[Line]:
        """In order."""
        for one in happenings:
            if isinstance(one, NewMessage):
                yield from self._accepted(one)
            elif isinstance(one, Refusal):
                yield _refused(one)
            else:
                yield from self._attempted(one)

    def of_left_out(self, count: int, at: float) -> Iterator[Line]:
        """So many events are not in the log."""
        yield at, "qmgr", f"warning: {count} events are not in this log"

    def _accepted(self, message: NewMessage) -> Iterator[Line]:
        name, at, envelope = _name(message.identifier), message.received_at, message.envelope
        sender = _address(envelope.reverse_path)
        client = message.client
        if client == "notice":
            pass  # bounce(8) makes it; it has not come in from anywhere
        elif client == "unix" or _is_address(client):
            user = f", sasl_username={_text(message.user)}" if message.user else ""
            yield at, "smtpd", f"{name}: client={_host(client)}{user}"
        else:
            yield at, "pickup", f"{name}: uid=0 from=<{sender}>"
        yield at, "cleanup", f"{name}: message-id={_text(message.message_id) or '<>'}"
        yield self._active(message.identifier, at, sender, message.size, len(envelope.recipients))

    def _active(self, identifier: int, at: float, sender: str, size: int, recipients: int) -> Line:
        self._remember(identifier, recipients)
        return (
            at,
            "qmgr",
            f"{_name(identifier)}: from=<{sender}>, size={size}, nrcpt={recipients} (queue active)",
        )

    def _attempted(self, attempted: Attempted) -> Iterator[Line]:
        record, envelope = attempted.record, attempted.envelope
        at = record.started_at + record.seconds
        known = self._open.get(record.message)
        if known is None:
            # Accepted before this log began. How many recipients it has in all is not known.
            sender, count = _address(envelope.reverse_path), len(envelope.recipients)
            yield self._active(record.message, record.started_at, sender, attempted.size, count)
            known = self._open[record.message] = _UNKNOWN_COUNT
        name = _name(record.message)
        ended = 0
        for result, recipient in zip(record.results, envelope.recipients, strict=True):
            ended += result.state.is_final
            yield from _result(name, at, attempted, result, recipient.address)
        if any(result.state is RecipientState.EXPIRED for result in record.results):
            sender = _address(envelope.reverse_path)
            yield at, "qmgr", f"{name}: from=<{sender}>, status=expired, returned to sender"
        if known > 0:
            left = known - ended
            self._remember(record.message, left)
            if left <= 0:
                del self._open[record.message]
                yield at, "qmgr", f"{name}: removed"

    def _remember(self, identifier: int, recipients: int) -> None:
        self._open[identifier] = recipients
        while len(self._open) > KNOWN:
            self._open.popitem(last=False)


def _refused(refusal: Refusal) -> Line:
    """As smtpd says it where there is no message yet."""
    client, reply = _host(refusal.client), refusal.reply
    subject = f"<{_address(refusal.recipient or refusal.sender)}>"
    what = "Recipient" if refusal.recipient else "Sender"
    enhanced = f"{reply.enhanced} " if reply.enhanced else ""
    to = f" to=<{_address(refusal.recipient)}>" if refusal.recipient else ""
    command = "RCPT" if refusal.recipient else "MAIL"
    return (
        refusal.at,
        "smtpd",
        (
            f"NOQUEUE: reject: {command} from {client}: {reply.code} {enhanced}{subject}: "
            f"{what} address rejected: {_text(reply.text).replace(';', ',')}; "
            f"from=<{_address(refusal.sender)}>{to} proto=ESMTP helo=<{_address(refusal.hello)}>"
        ),
    )


def _result(
    name: str, at: float, attempted: Attempted, result: RecipientResult, address: str
) -> Iterator[Line]:
    record = attempted.record
    status, digit = _STATUS.get(result.state, ("deferred", "4"))
    if result.state is RecipientState.EXPIRED and not record.route:
        return  # its time was over before another attempt
    found = _ENHANCED.search(result.reply)
    dsn = found[0] if found and found[1] == digit else f"{digit}.0.0"
    reply = _text(result.reply).replace("(", "[").replace(")", "]")
    if digit != "2" and reply[:3].isdigit():
        reply = f"host {_relay(record.next_hop)} said: {reply}"
    waited = max(0.0, record.started_at - attempted.received_at)
    total = max(0.0, at - attempted.received_at)
    relay = _relay(record.next_hop)
    yield (
        at,
        "smtp" if record.next_hop != SANDBOX_HOP else "virtual",
        (
            f"{name}: to=<{_address(address)}>, relay={relay}, delay={_seconds(total)}, "
            f"delays=0/{_seconds(waited)}/0/{_seconds(record.seconds)}, dsn={dsn}, "
            f"status={status} ({reply})"
        ),
    )


def _relay(next_hop: str) -> str:
    """host[address]:port; a next hop that was given by its address has no other name."""
    text = _text(next_hop).replace(",", "?") or "none"
    return text[1:].partition("]")[0] + text if text.startswith("[") else text


def _name(identifier: int) -> str:
    return identifier_text(identifier).rjust(12, "0")


def _seconds(value: float) -> str:
    """As Postfix: no more digits than mean something."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.2g}" if value >= 0.01 else "0"


def _is_address(client: str) -> bool:
    return bool(client) and all(letter in "0123456789abcdefABCDEF.:" for letter in client)


def _host(client: str) -> str:
    known = {
        "unix": "localhost[unix]",
        "127.0.0.1": "localhost[127.0.0.1]",
        "::1": "localhost[::1]",
    }
    return known.get(client) or f"unknown[{_text(client)}]"


def _text(value: str) -> str:
    """On one line, without what a terminal or a reader would act on."""
    cut = value[:LONGEST]
    return cut if cut.isprintable() else "".join(c if c.isprintable() else "?" for c in cut)


def _address(value: str) -> str:
    return _text(value).replace("<", "?").replace(">", "?")

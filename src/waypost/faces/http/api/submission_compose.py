"""From what a request gives to a message with its envelope."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from waypost.control.templates import RenderedParts
from waypost.faces.documents import time_text
from waypost.faces.http.api.models_sending import MessageToSend
from waypost.faces.http.api.submission_refusals import invalid_message
from waypost.faces.http.problems import Problem, problem_type
from waypost.mail import compose as composing
from waypost.mail.address import InvalidAddress, parse_address
from waypost.mail.compose_addresses import mailbox
from waypost.smtp.envelope import Envelope, Recipient, Return

LONGEST_DELAY: Final = 30 * 86400.0
"""Seconds for which a message may wait until it is sent."""

MAXIMUM_RECIPIENTS: Final = 1000

_PARTS: Final[Mapping[str, str]] = {
    "from_": "from", "to": "to", "cc": "cc", "bcc": "bcc", "reply_to": "reply_to",
    "subject": "subject", "text": "text", "html": "html", "attachments": "attachments",
    "inline": "attachments", "headers": "headers", "list_unsubscribe": "list_unsubscribe",
}  # fmt: skip
"""What a part is called in JSON, by what it is called in mail.compose."""

_RETURNS: Final[Mapping[str, Return]] = {"full": "FULL", "hdrs": "HDRS"}


@dataclass(frozen=True, slots=True)
class Ready:
    """A message that can be handed over."""

    envelope: Envelope
    content: bytes = b""
    """Of a message that comes whole: not here."""
    send_at: float | None = None

    @property
    def send_at_text(self) -> str | None:
        """For the answer."""
        return time_text(self.send_at)


def composed(given: MessageToSend, parts: RenderedParts | None, now: float, hostname: str) -> Ready:
    """The message of its parts, those of a template among them. Raises Problem."""
    send_at = _send_at(given.send_at, now)
    subject = parts.subject if parts else given.subject
    text = parts.text if parts else given.text
    html = parts.html if parts else given.html
    try:
        domain = mailbox(given.sender, "from_").wire.rpartition("@")[2].strip("[]")
        message = composing.compose(
            from_=given.sender,
            to=_several(given.to),
            cc=_several(given.cc),
            bcc=_several(given.bcc),
            reply_to=_several(given.reply_to),
            subject=subject,
            text="" if text is None and html is None else text,
            html=html,
            attachments=[
                (one.name, one.content, one.type) if one.type else (one.name, one.content)
                for one in given.attachments
                if one.content_id is None
            ],
            inline={
                one.content_id: (
                    (one.name, one.content, one.type) if one.type else (one.name, one.content)
                )
                for one in given.attachments
                if one.content_id is not None
            },
            headers=given.headers,
            list_unsubscribe=given.list_unsubscribe,
            date=dt.datetime.fromtimestamp(send_at or now, dt.UTC),
            message_id=f"<{secrets.token_hex(12)}@{domain or hostname}>",
        )
        ready = composing.outgoing(message, seven_bit=True)
    except composing.InvalidMessage as fault:
        raise _invalid(fault) from None
    except UnicodeError as fault:
        raise invalid_message("#", f"the text is not valid Unicode: {fault}", "") from None
    envelope = _with_options(ready.envelope, given, send_at)
    return Ready(envelope, ready.content.read(), send_at)


def _several(given: str | list[str] | None) -> list[str] | None:
    return [given] if isinstance(given, str) else given


def _send_at(given: dt.datetime | None, now: float) -> float | None:
    if given is None:
        return None
    at = given.timestamp()
    if at > now + LONGEST_DELAY:
        raise invalid_message(
            "#/send_at", f"it is more than {LONGEST_DELAY / 86400:.0f} days away",
            "send it nearer to its time",
        )  # fmt: skip
    return at if at > now else None


def _with_options(envelope: Envelope, given: MessageToSend, send_at: float | None) -> Envelope:
    """The envelope with what the request says of it. Raises Problem."""
    notify = None
    if given.notify is not None:
        notify = frozenset(one.upper() for one in given.notify)
    if len(envelope.recipients) > MAXIMUM_RECIPIENTS:
        raise invalid_message(
            "#/to", f"{len(envelope.recipients)} recipients are more than {MAXIMUM_RECIPIENTS}",
            "send it in several messages",
        )  # fmt: skip
    if given.envelope_id is not None and not given.envelope_id.isprintable():
        raise invalid_message("#/envelope_id", "it holds what cannot be printed", "")
    reverse_path = envelope.reverse_path
    if given.envelope_from is not None:
        reverse_path = _address("#/envelope_from", given.envelope_from)
    return replace(
        envelope,
        reverse_path=reverse_path,
        recipients=tuple(replace(one, notify=notify) for one in envelope.recipients),
        smtputf8=envelope.smtputf8 or not reverse_path.isascii(),
        require_tls=given.require_tls,
        returned=_RETURNS.get(given.ret or ""),
        envelope_id=given.envelope_id,
        hold_until=send_at,
    )


def whole(
    sender: str | None, recipients: list[str], send_at: dt.datetime | None, now: float
) -> Ready:
    """The envelope of a message that comes whole. Raises Problem."""
    if sender is None or not recipients:
        missing = "Waypost-From" if sender is None else "Waypost-To"
        raise Problem(
            422,
            f"a whole message needs its envelope beside it: {missing} is not given, neither as a "
            "header nor in the query",
            title="The request is not of the described form",
            type=problem_type("invalid-request"),
            errors=[{"in": "header", "parameter": missing, "detail": "is not given"}],
        )
    if len(recipients) > MAXIMUM_RECIPIENTS:
        raise invalid_message(
            "Waypost-To", f"{len(recipients)} recipients are more than {MAXIMUM_RECIPIENTS}",
            "send it in several messages",
        )  # fmt: skip
    reverse_path = _address("Waypost-From", sender)
    addresses = list(dict.fromkeys(_address("Waypost-To", one) for one in recipients))
    utf8 = not all(one.isascii() for one in (reverse_path, *addresses))
    at = _send_at(send_at, now)
    envelope = Envelope(
        reverse_path, tuple(map(Recipient, addresses)), smtputf8=utf8, hold_until=at
    )
    return Ready(envelope, send_at=at)


def _address(where: str, given: str) -> str:
    if given in ("", "<>") and where != "Waypost-To":
        return ""
    try:
        return (
            mailbox(given, where).wire if "<" in given else str(parse_address(given, smtputf8=True))
        )
    except InvalidAddress as fault:
        raise invalid_message(where, f"it is no address: {fault.reason}", "") from None
    except composing.InvalidMessage as fault:
        raise invalid_message(where, fault.problem, fault.advice) from None


def _invalid(fault: composing.InvalidMessage) -> Problem:
    """What is wrong, in the words of the request."""
    name, bracket, which = fault.field.partition("[")
    pointer = f"#/{_PARTS.get(name, name.lower())}"
    if bracket:
        inner = which.removesuffix("]").strip("'\"")
        pointer += "/" + inner.replace("~", "~0").replace("/", "~1")[:100]
    return invalid_message(pointer, fault.problem, fault.advice)

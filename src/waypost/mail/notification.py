"""Delivery status notifications (RFC 3464 in the multipart/report of RFC 6522; RFC 3461).

A notification goes to the reverse-path of a message, from the null sender, so that it can never
be answered by another. Whether one may be sent at all is decided by `may_notify`; what it says in
words is for the person who sent the mail, what it says in fields for their programs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from waypost.mail.trace import format_date
from waypost.smtp.reply import EnhancedStatus

Action = Literal["failed", "delayed", "delivered", "relayed"]

MAXIMUM_RETURNED: Final = 64 * 1024
"""Bytes of the original that a notification carries; the rest is cut, with a word about it."""

LONGEST_FIELD: Final = 900
"""Characters in US-ASCII of a field for programs; RFC 5322 2.1.1 allows 998 to a line."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_MESSAGE_ID = re.compile(r"<[^<>\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,240}>")
_LONG_WORD = re.compile(r"\S{200}(?=\S)")
_NOT_XTEXT = re.compile(r"[^\x21-\x5b\x5d-\x7e]")


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What became of one recipient. Times in seconds since the epoch."""

    address: str
    action: Action
    status: EnhancedStatus
    diagnostic: str
    """The words of the other server, or ours; untrusted."""
    said_by_server: bool
    """The diagnostic is an SMTP reply."""
    advice: str = ""
    """What the sender can do, in a sentence."""
    original: str | None = None
    """ORCPT, as address-type;address."""
    remote_mta: str = ""
    last_attempt: float | None = None
    will_retry_until: float | None = None


@dataclass(frozen=True, slots=True)
class NotificationRequest:
    """All that a notification is made of."""

    hostname: str
    """Of this relay: the reporting MTA."""
    sender: str
    """The reverse-path of the message, who is told."""
    identifier: str
    """Of this notification; unique."""
    now: float
    arrival: float
    recipients: Sequence[RecipientStatus]
    original: bytes
    """The header block, or the whole message where the sender asked for it (RET=FULL)."""
    original_is_whole: bool = False
    envelope_id: str | None = None
    message_id: str = ""
    """Of the original, with its angle brackets."""
    smtputf8: bool = False


def may_notify(reverse_path: str, notify: frozenset[str] | None, action: Action) -> bool:
    """Whether the sender wants to hear of this (RFC 3461 4.1), and can.

    The null sender is never told anything (RFC 5321 6.1). Without NOTIFY, failures and delays
    are reported.
    """
    if not reverse_path:
        return False
    if notify is None:
        return action in ("failed", "delayed")
    wanted = {"failed": "FAILURE", "delayed": "DELAY"}.get(action, "SUCCESS")
    return wanted in notify


def build_notification(request: NotificationRequest) -> bytes:
    """The whole message, in CRLF lines of at most 998 octets but for those of the original."""
    boundary = f"=_waypost_{request.identifier}"
    action = request.recipients[0].action
    kind, original, is_cut = _returned(request)
    parts = [
        ("text/plain; charset=utf-8", _joined(_words(request, action, is_cut=is_cut))),
        (
            f"message/{'global-' if request.smtputf8 else ''}delivery-status",
            _joined(_fields(request)),
        ),
        (kind, original),
    ]
    body = b"".join(
        b"--%b\r\nContent-Type: %b\r\n%b\r\n%b\r\n"
        % (boundary.encode(), kind.encode(), _encoding(content), content)
        for kind, content in parts
    )
    head = [
        f"From: Mail Delivery System <MAILER-DAEMON@{_clean(request.hostname)}>",
        f"To: <{_clean(request.sender)}>",
        f"Subject: {_SUBJECTS[action]}",
        f"Date: {format_date(request.now)}",
        f"Message-ID: <{request.identifier}@{_clean(request.hostname)}>",
        "Auto-Submitted: auto-replied",
    ]
    reference = request.message_id
    if _MESSAGE_ID.fullmatch(reference) and (request.smtputf8 or reference.isascii()):
        head += [f"In-Reply-To: {reference}", f"References: {reference}"]
    head += [
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
    ]
    # What holds a part with eight bits has eight bits itself (RFC 2045 6.4).
    return b"%b%b\r\n%b--%b--\r\n" % (_joined(head), _encoding(body), body, boundary.encode())


def _joined(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")


def _encoding(content: bytes) -> bytes:
    """The field that says what a part holds; none is needed for US-ASCII."""
    return b"" if content.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"


_SUBJECTS: Final = {
    "failed": "Undelivered mail returned to sender",
    "delayed": "Delayed mail (still being tried)",
    "delivered": "Your mail was delivered",
    "relayed": "Your mail was passed on",
}

_OPENINGS: Final = {
    "failed": "your message could not be delivered to the recipients below. It will not be tried "
    "again.",
    "delayed": "your message has not been delivered to the recipients below yet. You need not "
    "send it again: it is still being tried.",
    "delivered": "your message was delivered to the recipients below.",
    "relayed": "your message was passed on, for the recipients below, to a server that sends no "
    "notices of this kind. You will hear of it only if the delivery fails.",
}


def _words(request: NotificationRequest, action: Action, *, is_cut: bool) -> list[str]:
    """The part for people."""
    lines = [f"This is the mail system at {_clean(request.hostname)}:", _OPENINGS[action], ""]
    for recipient in request.recipients:
        lines.append(f"<{_clean(recipient.address)}>")
        if recipient.diagnostic:
            who = _clean(recipient.remote_mta) if recipient.said_by_server else ""
            said = f"{who or 'The other server'} said" if recipient.said_by_server else "Reason"
            lines += _wrapped(f"  {said}: {_clean(recipient.diagnostic)}")
        if recipient.advice:
            lines += _wrapped(f"  What to do: {_clean(recipient.advice)}")
        if recipient.will_retry_until is not None:
            lines.append(f"  It is tried until {format_date(recipient.will_retry_until)}")
        lines.append("")
    if is_cut:
        lines += ["Your message is too large to be returned whole: its beginning follows.", ""]
    return lines


def _fields(request: NotificationRequest) -> list[str]:
    """The part for programs (RFC 3464 2)."""
    lines = [f"Reporting-MTA: dns; {_clean(request.hostname)}"]
    if request.envelope_id:
        lines.append(f"Original-Envelope-Id: {_field(request.envelope_id)}")
    lines += [f"Arrival-Date: {format_date(request.arrival)}", ""]
    for recipient in request.recipients:
        if recipient.original:
            lines.append(f"Original-Recipient: {_field(recipient.original)}")
        lines += [
            f"Final-Recipient: {_typed_address(recipient.address, smtputf8=request.smtputf8)}",
            f"Action: {recipient.action}",
            f"Status: {recipient.status}",
        ]
        if recipient.remote_mta:
            lines.append(f"Remote-MTA: dns; {_field(recipient.remote_mta)}")
        if recipient.diagnostic:
            kind = "smtp" if recipient.said_by_server else "x-waypost"
            lines.append(f"Diagnostic-Code: {kind}; {_field(recipient.diagnostic)}")
        if recipient.last_attempt is not None:
            lines.append(f"Last-Attempt-Date: {format_date(recipient.last_attempt)}")
        if recipient.will_retry_until is not None:
            lines.append(f"Will-Retry-Until: {format_date(recipient.will_retry_until)}")
        lines.append("")
    return lines


def _returned(request: NotificationRequest) -> tuple[str, bytes, bool]:
    """The original, as a part that its content cannot break out of: type, content, whether what
    should have been there is cut."""
    original = request.original
    is_large = len(original) > MAXIMUM_RETURNED
    if is_large:
        end = original.rfind(b"\r\n", 0, MAXIMUM_RETURNED)
        original = original[: end + 2 if end >= 0 else MAXIMUM_RETURNED]
    # A boundary of ours inside the original could end our part; its identifier is new and
    # unknown to who wrote the original, so this is only a belt to the braces.
    original = original.replace(f"--=_waypost_{request.identifier}".encode(), b"--[boundary]")
    if request.original_is_whole and not is_large:
        return ("message/global" if request.smtputf8 else "message/rfc822"), original, False
    headers, end_of_header, _ = original.partition(b"\r\n\r\n")
    is_cut = is_large and (request.original_is_whole or not end_of_header)
    kind = "message/global-headers" if request.smtputf8 else "text/rfc822-headers"
    return kind, headers.rstrip(b"\r\n") + b"\r\n", is_cut


def _clean(text: str) -> str:
    """Untrusted text on one line."""
    return _CONTROL.sub(" ", text).strip()


def _field(text: str) -> str:
    """Untrusted text as the value of a field for programs, which is US-ASCII (RFC 3464 2.1)."""
    return _clean(text).encode("ascii", "backslashreplace").decode()[:LONGEST_FIELD]


def _typed_address(address: str, *, smtputf8: bool) -> str:
    """An address with its type (RFC 3464 2.1.2). One beyond US-ASCII stands as it is only where
    the notification is international itself, and else as utf-8-addr-xtext (RFC 6533 3)."""
    address = _clean(address)
    if address.isascii():
        return f"rfc822; {address[:LONGEST_FIELD]}"
    if smtputf8:
        return f"utf-8; {address[: LONGEST_FIELD // 4]}"
    encoded = _NOT_XTEXT.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", address)
    return f"utf-8; {encoded[:LONGEST_FIELD]}"


def _wrapped(text: str, width: int = 76) -> list[str]:
    """Break a line at spaces, with the same indent, and a word that is no word anywhere."""
    lines: list[str] = []
    line = ""
    for word in _LONG_WORD.sub(r"\g<0> ", text[:4000]).split():
        if line and len(line) + len(word) + 1 > width:
            lines.append(f"  {line}")
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    return [*lines, f"  {line}"]

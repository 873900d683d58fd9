"""The part of a report that is for programs: message/delivery-status (RFC 3464 2, RFC 6533).

Read as it comes: groups run into each other, fields lack their type or their value, the order is
any. A group about a recipient begins with the empty line or, where that is missing, with the second
field of a name that it already has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from waypost.mail.bounce.addresses import typed_address, unescaped
from waypost.mail.bounce.report import (
    MAXIMUM_DIAGNOSTIC,
    MAXIMUM_RECIPIENTS,
    Action,
    ReportedRecipient,
)
from waypost.mail.bounce.structure import MAXIMUM_LINE
from waypost.mail.encoded_words import decode_encoded_words, displayable

_NAMES: Final = frozenset(
    (
        "reporting-mta", "received-from-mta", "dsn-gateway", "arrival-date", "original-envelope-id",
        "final-recipient", "original-recipient", "action", "status", "remote-mta",
        "diagnostic-code", "last-attempt-date", "will-retry-until", "final-log-id",
        "x-actual-recipient", "x-original-message-id", "x-supplementary-info",
        "localized-diagnostic", "x-display-name", "x-notes", "x-smtp-server",
        "smtp-remote-recipient",
    )
)  # fmt: skip
_FIELD: Final = re.compile(r"[ \t>]{0,8}([A-Za-z][A-Za-z-]{3,40})[ \t]{0,4}[:=][ \t]{0,8}(.*)")
_OPENS: Final = ("final-recipient", "original-recipient", "action")
_STATUS: Final = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_ACTIONS: Final[dict[str, Action]] = {
    "failed": "failed", "failure": "failed", "fail": "failed", "error": "failed",
    "delayed": "delayed", "deferred": "delayed", "delivered": "delivered",
    "deliverable": "delivered",
    "success": "delivered", "relayed": "relayed", "expanded": "expanded",
}  # fmt: skip
_STARTS: Final = re.compile(
    r"(?im)^[ \t>]{0,8}(?:final-recipient|original-recipient|reporting-mta)[ \t]?[:=]"
)

Group = dict[str, str]


def holds_delivery_status(text: str) -> bool:
    """Whether the fields of a delivery status stand in a text, whatever part it is."""
    return _STARTS.search(text) is not None


def read_delivery_status(text: str) -> tuple[str, tuple[ReportedRecipient, ...]]:
    """The reporting MTA and the recipients. Never raises."""
    reporting = ""
    recipients: list[ReportedRecipient] = []
    for group in _groups(text):
        if not reporting and "reporting-mta" in group:
            reporting = _host(group["reporting-mta"])
        if {"final-recipient", "original-recipient", "x-actual-recipient"} & group.keys():
            one = _recipient(group)
            if one is not None and len(recipients) < MAXIMUM_RECIPIENTS:
                recipients.append(one)
    return reporting, tuple(recipients)


def _groups(text: str) -> Iterator[Group]:
    group: Group = {}
    last = ""
    ended = False
    for whole in text.split("\n"):
        line = whole[:MAXIMUM_LINE]
        if not line.strip():
            ended = True
            continue
        found = _FIELD.match(line)
        name = found[1].lower() if found is not None else ""
        if found is None or (name not in _NAMES and not name.startswith("x-")):
            if last and (line[0] in " \t" or not ended) and len(group[last]) < MAXIMUM_DIAGNOSTIC:
                group[last] = f"{group[last]} {line.strip()}".strip()
            continue
        # An empty line ends a group; but some writers put one within, between the recipient and
        # its status, so a group goes on where the next field is none that opens one.
        repeats = name in group
        opens = name in _OPENS and "final-recipient" in group and "action" in group
        if repeats or (ended and (opens or "reporting-mta" in group or name == "reporting-mta")):
            yield group
            group = {}
        ended = False
        group[name] = found[2].strip()
        last = name
    if group:
        yield group


def _recipient(group: Group) -> ReportedRecipient | None:
    final = typed_address(group.get("final-recipient", ""))
    original = unescaped(typed_address(group.get("original-recipient", "")))
    actual = typed_address(group.get("x-actual-recipient", ""))
    if "@" not in final[1:] and "@" in actual:
        final = actual
    elif "@" in actual and actual.lower() != final.lower() and not original:
        final, original = actual, final
    if "@" not in final[1:] and "@" in original:
        final = original
    address = final or original
    if not address:
        return None
    found = _STATUS.search(group.get("status", ""))
    action = _ACTIONS.get(_word(group.get("action", "")))
    if action is None:
        action = (
            "delayed"
            if found is not None and found[1] == "4" and "will-retry-until" in group
            else "failed"
        )
    diagnostic = displayable(decode_encoded_words(group.get("diagnostic-code", "")))
    if not diagnostic and found is not None:
        diagnostic = displayable(group["status"][found.end() :]).strip("() ")  # its comment
    return ReportedRecipient(
        address,
        original if original.lower() != address.lower() else "",
        action,
        found[0] if found is not None else "",
        diagnostic_words(diagnostic),
        _host(group.get("remote-mta", "")),
    )


def diagnostic_words(value: str) -> str:
    """The text of a Diagnostic-Code without its type (RFC 3464 2.3.6)."""
    kind, semicolon, rest = value.partition(";")
    if semicolon and re.fullmatch(r"\s*[\w-]{1,30}\s*", kind) and not kind.strip().isdigit():
        value = rest
    return value.strip()[:MAXIMUM_DIAGNOSTIC]


def _host(value: str) -> str:
    """The name of a host from `dns; mx.example.com (192.0.2.1)`."""
    _, semicolon, rest = value.partition(";")
    words = (rest if semicolon else value).split()
    return displayable(words[0].rstrip(".,"))[:255] if words else ""


def _word(value: str) -> str:
    found = re.match(r"[A-Za-z]+", value.strip())
    return found[0].lower() if found is not None else ""

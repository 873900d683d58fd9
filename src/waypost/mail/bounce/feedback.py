"""Reads complaints (ARF, RFC 5965 and 6591) and receipts (MDN, RFC 8098): nothing failed there."""

from __future__ import annotations

import re
from typing import Final

from waypost.mail.bounce.addresses import addresses_in, typed_address
from waypost.mail.bounce.report import MAXIMUM_RECIPIENTS, ReportedRecipient
from waypost.mail.bounce.structure import Fields, Structure, split_header
from waypost.mail.encoded_words import displayable

_MICROSOFT: Final = re.compile(
    r"(?i)staff@hotmail\.com|complaint about message|email-abuse@amazonses"
)
_TYPE: Final = re.compile(r"[A-Za-z-]{1,40}")


def read_complaint(
    structure: Structure, original: Fields
) -> tuple[tuple[ReportedRecipient, ...], str] | None:
    """Who complained, and the type of feedback; None where the message is no complaint."""
    for part in structure.parts:
        if part.kind != "message/feedback-report":
            continue
        fields, _ = split_header(part.text.lstrip("\n"))
        kind = _TYPE.match(fields.get("feedback-type"))
        named = [
            address
            for name in ("original-rcpt-to", "removal-recipient")
            for value in fields.every(name)
            for address in addresses_in(value)
        ]
        return _complainants(named, original), kind[0].lower() if kind is not None else "abuse"
    if structure.fields.get("x-apple-unsubscribe").lower() == "true":
        return _complainants(addresses_in(structure.fields.get("from")), original), "opt-out"
    subject = structure.fields.shown("subject")
    sender = structure.fields.get("from")
    if "feedback-report" in structure.fields.get("content-type") or (
        _MICROSOFT.search(sender) and _MICROSOFT.search(subject)
    ):
        return _complainants(
            addresses_in(original.get("x-hmxmroriginalrecipient")), original
        ), "abuse"
    return None


def _complainants(named: list[str], original: Fields) -> tuple[ReportedRecipient, ...]:
    """Where the report does not name them, whom the message was for."""
    if not named:
        for name in ("to", "x-original-to", "delivered-to"):
            named = [one for value in original.every(name) for one in addresses_in(value)]
            if named:
                break
    unique = list(dict.fromkeys(named))[:MAXIMUM_RECIPIENTS]
    return tuple(ReportedRecipient(one, action="delivered") for one in unique)


def read_disposition(structure: Structure) -> tuple[ReportedRecipient, ...] | None:
    """Who tells what was done with the message; None where the message is no receipt."""
    for part in structure.parts:
        if part.kind not in (
            "message/disposition-notification",
            "message/global-disposition-notification",
        ):
            continue
        fields, _ = split_header(part.text.lstrip("\n"))
        value = fields.get("final-recipient") or fields.get("original-recipient")
        address = typed_address(value) if value else ""
        words = displayable(fields.get("disposition"))[:300]
        failed = "failed" in words.lower() or "error" in words.lower()
        if not address:
            return ()
        return (
            ReportedRecipient(
                address, action="failed" if failed else "delivered", diagnostic=words
            ),
        )
    return None

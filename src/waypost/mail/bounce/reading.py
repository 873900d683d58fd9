"""Tells what a message that came back is, and reads it.

The part for programs (RFC 3464) counts first, where there is one; the notice for people fills in
what it lacks, and stands alone where there is none, as with many systems. A complaint (RFC 5965), a
receipt (RFC 8098) and an automatic reply (RFC 3834) are told apart from bounces, because nothing
has failed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from waypost.mail.bounce.addresses import address_in, addresses_in, tidied
from waypost.mail.bounce.delivery_status import holds_delivery_status, read_delivery_status
from waypost.mail.bounce.feedback import read_complaint, read_disposition
from waypost.mail.bounce.kinds import is_automatic, is_failure, is_from_system, may_be_bounce
from waypost.mail.bounce.notice import Hints, heard_in, read_notice
from waypost.mail.bounce.notice_end import cut_at_original
from waypost.mail.bounce.report import BounceReport, Kind, ReportedRecipient
from waypost.mail.bounce.steps import host_in, step_in
from waypost.mail.bounce.structure import (
    Fields,
    Part,
    Structure,
    enclosed,
    read_structure,
    split_header,
)
from waypost.mail.encoded_words import displayable
from waypost.mail.html_text import text_of_html

MAXIMUM_HTML: Final = 1 << 17
MAXIMUM_NOTICE: Final = 1 << 17
"""Characters of a notice for people."""
MAXIMUM_WORDS: Final = 3000
MAXIMUM_FORWARDS: Final = 2
"""How often a report may be forwarded in another message."""
MAXIMUM_GUESSED: Final = 5
"""Recipients that are taken from the returned message where the report names none."""


def read_report(raw: bytes | str) -> BounceReport:
    """Read a message that came back; `raw` is a message, or text that was pasted. Never raises.

    A report that somebody forwarded, as an attachment or in the text, is read in its place.
    """
    return _read(read_structure(raw), MAXIMUM_FORWARDS)


def _read(structure: Structure, forwards: int) -> BounceReport:
    fields = structure.fields
    notice, returned = _notice_of(structure)
    original = split_header(returned)[0]
    base = BounceReport(
        "other",
        "message",
        words=displayable(notice)[:MAXIMUM_WORDS],
        subject=displayable(fields.shown("subject"))[:300],
        sender=displayable(fields.shown("from"))[:300],
        original_message_id=displayable(original.get("message-id").strip("<>"))[:300],
        original_subject=displayable(original.shown("subject"))[:300],
        original_sender=address_in(original.get("return-path")) or address_in(original.get("from")),
    )
    complaint = read_complaint(structure, original)
    if complaint is not None:
        recipients, kind = complaint
        return replace(
            base, kind="complaint", form="arf", recipients=recipients, feedback_type=kind
        )
    disposition = read_disposition(structure)
    if disposition is not None:
        return replace(base, kind="disposition", form="mdn", recipients=disposition)
    reporting, told = _told(structure)
    if not told and is_automatic(fields, notice):
        return replace(base, kind="automatic-reply", form="rfc3834")
    hints = _hints(fields, original)
    may_be = bool(told) or may_be_bounce(fields, notice)
    seen = read_notice(notice, hints) if may_be else ()
    if not told and not seen and forwards and is_from_system(original):
        inner = _read(read_structure(returned), forwards - 1)
        if inner.kind != "other" and (inner.recipients or not may_be):
            return inner
    if may_be and not told and not seen and (not fields.all or is_failure(fields, notice)):
        seen = read_notice(notice, replace(hints, original=_recipients_of(original)))
    recipients = _merged(told, seen, heard_in(notice) if told else None)
    kind_found: Kind = (
        "bounce" if recipients or (fields.all and is_failure(fields, notice)) else "other"
    )
    form = "rfc3464" if told else "text" if kind_found == "bounce" else "message"
    return replace(base, kind=kind_found, form=form, recipients=recipients, reporting_mta=reporting)


def _notice_of(structure: Structure) -> tuple[str, str]:
    """What is written for people, and the message that is returned."""
    texts: list[str] = []
    original = ""
    kinds = {part.kind for part in structure.parts}
    for part in structure.parts:
        if enclosed(part):
            original = original or part.text.lstrip("\n")
            continue
        text = _readable(part, plain_too="text/plain" in kinds)
        if not text or original:
            continue
        words, rest = cut_at_original(text[:MAXIMUM_NOTICE])
        texts.append(words)
        if rest:
            original = _unquoted(rest)
    return "\n\n".join(texts)[:MAXIMUM_NOTICE], original


def _readable(part: Part, *, plain_too: bool) -> str:
    if part.kind == "text/html":
        return "" if plain_too else text_of_html(part.text[:MAXIMUM_HTML])
    if part.kind.startswith("text/") or part.kind in ("multipart/report", "multipart/mixed"):
        if re.match(r"(?i)\s*<(?:!doctype|html|p\b|div)", part.text) and part.kind != "text/plain":
            return text_of_html(part.text[:MAXIMUM_HTML])
        return part.text
    return ""


def _unquoted(text: str) -> str:
    """A message without the mark of quotation that somebody's mail program put before its lines."""
    return "\n".join(_QUOTED.sub("", line, count=1) for line in text.split("\n"))


_QUOTED: Final = re.compile(r"^ ?> ?")


def _told(structure: Structure) -> tuple[str, tuple[ReportedRecipient, ...]]:
    """What the delivery status says. Some systems write it as text, or within the notice."""
    statuses = [
        part
        for part in structure.parts
        if part.kind in ("message/delivery-status", "message/global-delivery-status")
    ]
    others = [
        part
        for part in structure.parts
        if not statuses and not enclosed(part) and holds_delivery_status(part.text[:MAXIMUM_NOTICE])
    ]
    if not statuses and not others and structure.fields.get("final-recipient"):
        # The fields were pasted alone, so they were read as the header of a message.
        fields = "\n".join(f"{name}: {value}" for name, value in structure.fields.all)
        return read_delivery_status(f"{fields}\n\n{structure.parts[0].text[:MAXIMUM_NOTICE]}")
    reporting = ""
    recipients: list[ReportedRecipient] = []
    for part in statuses or others:
        text = part.text if part in statuses else cut_at_original(part.text[:MAXIMUM_NOTICE])[0]
        if part.fields.get("content-transfer-encoding").lower() == "" and "=3D" in text:
            text = text.replace("=\n", "").replace("=3D", "=")
        mta, found = read_delivery_status(text[:MAXIMUM_NOTICE])
        reporting = reporting or mta
        recipients += found
    return reporting, tuple(recipients)


def _hints(fields: Fields, original: Fields) -> Hints:
    failed: list[str] = []
    for value in fields.every("x-failed-recipients"):
        failed += addresses_in(value)
    senders = {
        address_in(fields.get("to")),
        address_in(fields.get("from")),
        address_in(original.get("from")),
        address_in(original.get("return-path")),
    }
    return Hints(
        frozenset(one.lower() for one in senders if one),
        tuple(dict.fromkeys(failed)),
        (),
        fields.shown("subject"),
    )


def _recipients_of(original: Fields) -> tuple[str, ...]:
    """Whom a returned message was for: by the servers that had it, else by its own word."""
    for value in original.every("received"):
        found = re.search(r"\bfor <?([^\s<>;]{1,300}@[^\s<>;]{1,255})", value)
        if found is not None:
            return (tidied(found[1]),)
    for name in ("x-original-to", "delivered-to", "to", "cc"):
        named = [one for value in original.every(name) for one in addresses_in(value)]
        if named:
            return tuple(named[:MAXIMUM_GUESSED])
    return ()


def _merged(
    told: tuple[ReportedRecipient, ...],
    seen: tuple[ReportedRecipient, ...],
    heard: ReportedRecipient | None,
) -> tuple[ReportedRecipient, ...]:
    """The recipients of the delivery status, with what only the notice says."""
    if not told:
        return seen
    by_address: dict[str, ReportedRecipient] = {}
    for one in seen:
        by_address.setdefault(one.address.lower(), one)
        if one.original:
            by_address.setdefault(one.original.lower(), one)
    merged = []
    for one in told:
        beside = by_address.get(one.address.lower()) or by_address.get(one.original.lower())
        if beside is None and len(told) == 1 and len(seen) == 1:
            beside = seen[0]
        if beside is None and len(told) == 1:
            beside = heard
        merged.append(_joined(one, beside))
    return tuple({(one.address.lower(), one.action): one for one in reversed(merged)}.values())[
        ::-1
    ]


def _joined(one: ReportedRecipient, beside: ReportedRecipient | None) -> ReportedRecipient:
    words = one.diagnostic
    step = step_in(words)
    host = one.remote_mta
    if beside is not None and one.action in ("failed", "delayed"):
        if beside.diagnostic and _says_little(words):
            words = beside.diagnostic  # an exit status of sendmail's, such as 71, tells nobody much
        elif len(words) > 20 and words[-20:] in beside.diagnostic[:-20]:
            words = beside.diagnostic  # the field holds the first line of a reply, the notice all
        step = step or beside.step
        host = host or beside.remote_mta
    address = one.address
    if beside is not None and "@" not in address[1:] and "@" in beside.address:
        address = beside.address
    return replace(
        one,
        address=address,
        diagnostic=words,
        step=step or step_in(words),
        remote_mta=host or host_in(words),
    )


def is_vague(status: str) -> bool:
    """Whether an enhanced status tells no more than that it failed."""
    return status[1:] in ("", ".0.0")


def _says_little(words: str) -> bool:
    """A diagnostic of codes alone, or none."""
    return len(re.sub(r"[\d.#;()\s-]|smtp|failed|error", "", words, flags=re.IGNORECASE)) < 8

"""Reads the events of providers, as they come to webhooks: JSON of Amazon SES, SendGrid, Mailgun,
Postmark, SparkPost, Brevo, Mandrill.

An event names the recipient and quotes the server, each provider under its own keys, so what counts
is looked for by the names of the keys: an object that holds an address and a word about it is an
event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from waypost.doctor.explanation.heard import MAXIMUM_EVIDENCE, MAXIMUM_FINDINGS, MAXIMUM_TEXT, Heard
from waypost.doctor.explanation.known import OWN_TEXT, of_reason
from waypost.knowledge.classification import Classification, classify_text
from waypost.mail.bounce.addresses import address_in
from waypost.mail.encoded_words import displayable
from waypost.smtp.reply import EnhancedStatus

MAXIMUM_OBJECTS: Final = 2000

_ADDRESSES: Final = (
    "emailaddress", "email", "recipient", "rcpt_to", "raw_rcpt_to", "recipientemail", "to", "rcpt",
)  # fmt: skip
_WORDS: Final = (
    "diagnosticcode", "reason", "response", "details", "description", "message", "raw_reason",
    "diag", "error", "smtp-response", "bounce_description", "smtpresponse", "bouncesubtype",
)  # fmt: skip
_STATUSES: Final = ("status", "enhanced-code", "enhanced_code", "dsn", "enhancedcode")
_CODES: Final = ("code", "error_code", "smtp_code", "responsecode", "smtpcode")
_KINDS: Final = (
    "event",
    "type",
    "bouncetype",
    "recordtype",
    "action",
    "severity",
    "notificationtype",
    "eventtype",
)
_COMPLAINT: Final = re.compile(r"(?i)spam_?(?:report|complaint)|complain")
_DELIVERED: Final = re.compile(
    r"(?i)^(?:delivered|delivery|injection|sent|success|request|processed|accepted)$"
)
_BOUNCE_TYPES: Final = {
    "suppressed": "suppressed", "onaccountsuppressionlist": "suppressed",
    "mailboxfull": "mailbox-full",
    "messagetoolarge": "message-too-large", "contentrejected": "content-refused",
    "attachmentrejected": "attachment-refused", "noemail": "no-such-mailbox",
    "inactiverecipient": "suppressed", "manualsuppression": "suppressed",
}  # fmt: skip

Event = dict[str, Any]


def heard_in_events(text: str) -> tuple[Heard, ...]:
    """What events tell; () where the text is no JSON, or its JSON is no event."""
    at = min((found for found in (text.find("{"), text.find("[")) if found >= 0), default=-1)
    if at < 0 or at > 4000:
        return ()
    document: object
    try:
        document, _ = json.JSONDecoder(strict=False).raw_decode(text[at:MAXIMUM_TEXT])
    except (ValueError, RecursionError):
        return ()
    found: list[Heard] = []
    for event, kinds in _objects(document, (), [0]):
        one = _heard(event, kinds)
        if one is not None and len(found) < MAXIMUM_FINDINGS:
            found.append(one)
    return tuple(found)


def _objects(
    value: object, kinds: tuple[str, ...], count: list[int], depth: int = 0
) -> Iterator[tuple[Event, tuple[str, ...]]]:
    """Every object, each with the words that those around it have for what happened."""
    count[0] += 1
    if depth > 12 or count[0] > MAXIMUM_OBJECTS:
        return
    if isinstance(value, str) and value[:1] == "{":
        try:
            value = json.loads(value[:MAXIMUM_TEXT])  # SNS wraps the event as a text
        except (ValueError, RecursionError):
            return
    if isinstance(value, list):
        for one in value:
            yield from _objects(one, kinds, count, depth + 1)
    elif isinstance(value, dict):
        event = {str(key).lower(): one for key, one in value.items()}
        own = tuple(
            str(event[name])
            for name in (*_KINDS, "bouncesubtype", "name")
            if isinstance(event.get(name), str)
        )
        if isinstance(event.get("destination"), list) and "complain" in " ".join(kinds).lower():
            event.pop("destination")
        yield event, kinds + own
        for key, one in event.items():
            if key in ("headers", "commonheaders", "mail"):
                if key == "mail" and _DELIVERED.match(" ".join(own[:1])) and isinstance(one, dict):
                    for address in one.get("destination", [])[:MAXIMUM_FINDINGS]:
                        yield {"email": address}, kinds + own
                continue
            if isinstance(one, dict | list) or (isinstance(one, str) and one[:1] == "{"):
                inherited = {
                    name: event[name] for name in _ADDRESSES if isinstance(event.get(name), str)
                }
                inner = {**inherited, **one} if isinstance(one, dict) else one
                yield from _objects(inner, kinds + own, count, depth + 1)


def _heard(event: Event, kinds: tuple[str, ...]) -> Heard | None:
    address = next(
        (
            address_in(event[name])
            for name in _ADDRESSES
            if isinstance(event.get(name), str) and "@" in event[name]
        ),
        "",
    )
    if not address:
        return None
    words = " ".join(
        displayable(event[name])[:1000]
        for name in _WORDS
        if isinstance(event.get(name), str) and event[name].strip()
    )
    status = next(
        (
            EnhancedStatus.parse(event[name])
            for name in _STATUSES
            if isinstance(event.get(name), str)
        ),
        None,
    )
    code = next(
        (number for name in _CODES if (number := _number(event.get(name))) is not None), None
    )
    told = " ".join(kinds)
    evidence = f"{' '.join(dict.fromkeys(kinds))}: {words}".strip(" :")[:MAXIMUM_EVIDENCE]
    if _COMPLAINT.search(told):
        return Heard(
            "event",
            evidence,
            words,
            recipient=address,
            side="recipient",
            found=_known("complaint"),
        )
    if any(_DELIVERED.match(kind) for kind in kinds) and not re.search(
        r"(?i)bounce|fail|drop|defer|reject", told
    ):
        return Heard(
            "event",
            evidence,
            words or "250 OK",
            250,
            None,
            "content",
            recipient=address,
            side="recipient",
            delivered=True,
        )
    known = next(
        (_BOUNCE_TYPES[kind.lower()] for kind in kinds if kind.lower() in _BOUNCE_TYPES), ""
    )
    if not words and status is None and code is None and not known:
        return None
    found: Classification | None = None
    if known:
        found = classify_text(words, code=code, enhanced=status)
        found = found if found.confidence >= 0.7 else _known(known)
    return Heard(
        "event", evidence, words, code, status, recipient=address, side="recipient", found=found
    )


def _known(name: str) -> Classification:
    return of_reason(name, f"event-{name}", confidence=OWN_TEXT)


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 200 <= value < 600 else None

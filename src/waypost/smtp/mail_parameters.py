"""The parameters of MAIL and RCPT on the server's side: which are known, offered and well-formed.

SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET, ENVID, NOTIFY and ORCPT (RFC 3461),
AUTH (RFC 4954 5), REQUIRETLS (RFC 8689). A parameter that is not offered earns 555 (RFC 5321
4.1.1.11); a wrong value 501.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from waypost.smtp.envelope import BodyType, Envelope, Recipient
from waypost.smtp.extensions import ExtensionOffer
from waypost.smtp.grammar import CommandFault, number
from waypost.smtp.reply import reply
from waypost.smtp.xtext import decode_xtext

MAXIMUM_ENVELOPE_ID: Final = 100
"""Characters of ENVID before xtext encoding (RFC 3461 4.4)."""

MAXIMUM_ORIGINAL: Final = 500
"""Octets of ORCPT (RFC 3461 4.2)."""

_NOTIFY: Final = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_ORIGINAL = re.compile(r"[A-Za-z0-9-]{1,64};[^\x00-\x20\x7f]+")

Parameters = tuple[tuple[str, str | None], ...]


def envelope_from_mail(
    path: str, parameters: Parameters, offer: ExtensionOffer, *, extended: bool
) -> Envelope:
    """The envelope that MAIL opens. Raises CommandFault."""
    body: BodyType | None = None
    smtputf8 = require_tls = False
    returned: Literal["FULL", "HDRS"] | None = None
    envelope_id: str | None = None
    size: int | None = None
    for keyword, value in parameters:
        if not extended:
            raise CommandFault(reply(555, "5.5.4", f"Parameter {keyword} needs EHLO, not HELO"))
        if keyword == "SIZE":
            size = number("SIZE", value)
        elif keyword == "BODY":
            body = _body(value)
        elif keyword == "SMTPUTF8" and offer.smtputf8:
            _no_value(keyword, value)
            smtputf8 = True
        elif keyword == "REQUIRETLS" and offer.require_tls:
            _no_value(keyword, value)
            require_tls = True
        elif keyword == "REQUIRETLS":
            raise CommandFault(reply(530, "5.7.10", "REQUIRETLS needs TLS: say STARTTLS first"))
        elif keyword == "RET" and offer.dsn:
            returned = _returned(value)
        elif keyword == "ENVID" and offer.dsn:
            envelope_id = _envelope_id(value)
        elif keyword == "AUTH" and offer.auth:
            decode_xtext_or_fault(keyword, value)  # RFC 4954 5: may be taken and not trusted
        else:
            raise CommandFault(reply(555, "5.5.4", f"Parameter {keyword} is not offered"))
    if not smtputf8 and not path.isascii():
        raise CommandFault(reply(553, "5.6.7", "A UTF-8 address needs the parameter SMTPUTF8"))
    return Envelope(path, (), body, smtputf8, require_tls, returned, envelope_id, size)


def recipient_from_rcpt(
    path: str, parameters: Parameters, *, dsn: bool, smtputf8: bool
) -> Recipient:
    """The recipient that RCPT names. Raises CommandFault."""
    if not smtputf8 and not path.isascii():
        raise CommandFault(reply(553, "5.6.7", "A UTF-8 address needs SMTPUTF8 in MAIL"))
    notify: frozenset[str] | None = None
    original: str | None = None
    for keyword, value in parameters:
        if keyword == "NOTIFY" and dsn:
            notify = _notify(value)
        elif keyword == "ORCPT" and dsn:
            if value is None or len(value) > MAXIMUM_ORIGINAL or not _ORIGINAL.fullmatch(value):
                raise CommandFault(reply(501, "5.5.4", "ORCPT= needs address-type;address"))
            original = value
        else:
            raise CommandFault(reply(555, "5.5.4", f"Parameter {keyword} is not offered"))
    return Recipient(path, notify, original)


def _body(value: str | None) -> BodyType:
    wanted = (value or "").upper()
    if wanted == "7BIT":
        return "7BIT"
    if wanted == "8BITMIME":
        return "8BITMIME"
    if wanted == "BINARYMIME":
        raise CommandFault(reply(555, "5.6.1", "BINARYMIME is not offered"))
    raise CommandFault(reply(501, "5.5.4", "BODY= is 7BIT or 8BITMIME"))


def _returned(value: str | None) -> Literal["FULL", "HDRS"]:
    wanted = (value or "").upper()
    if wanted == "FULL":
        return "FULL"
    if wanted == "HDRS":
        return "HDRS"
    raise CommandFault(reply(501, "5.5.4", "RET= is FULL or HDRS"))


def _notify(value: str | None) -> frozenset[str]:
    wanted = frozenset((value or "").upper().split(","))
    if wanted == {"NEVER"} or (wanted and wanted <= _NOTIFY):
        return wanted
    raise CommandFault(reply(501, "5.5.4", "NOTIFY= is NEVER, or some of SUCCESS,FAILURE,DELAY"))


def _envelope_id(value: str | None) -> str:
    decoded = decode_xtext_or_fault("ENVID", value)
    if not decoded or len(decoded) > MAXIMUM_ENVELOPE_ID or not decoded.isprintable():
        raise CommandFault(
            reply(501, "5.5.4", f"ENVID= needs 1 to {MAXIMUM_ENVELOPE_ID} printable characters")
        )
    return decoded


def decode_xtext_or_fault(keyword: str, value: str | None) -> str:
    """Decode a value of xtext (RFC 3461 4). Raises CommandFault."""
    try:
        return decode_xtext(value or "")
    except ValueError as fault:
        raise CommandFault(reply(501, "5.5.4", f"{keyword}= is not xtext")) from fault


def _no_value(keyword: str, value: str | None) -> None:
    if value is not None:
        raise CommandFault(reply(501, "5.5.4", f"{keyword} takes no value"))

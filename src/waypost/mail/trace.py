"""Trace fields: Received, and the Date and Message-ID that a submission may lack.

RFC 5321 4.4, RFC 3848 and RFC 6531 4.3 (protocol names), RFC 6409 8.

A Received field is written for every message and holds words of strangers: what the client called
itself, and a recipient. Whatever they hold, the field stays one field: no control character, line
end or parenthesis of theirs gets into it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

MAXIMUM_HELLO: Final = 255
"""Characters of the client's name that are kept (RFC 5321 4.5.3.1.2)."""

_HARMLESS_PEER = re.compile(r"[A-Za-z0-9._:\[\]-]*+")
_UNSAFE = re.compile(r"[^A-Za-z0-9._:\[\]-]")
_HARMLESS_RECIPIENT = re.compile(r"[!#-'*+\--9=?A-Z^-~]++@[A-Za-z0-9.-]++")
# In quotes a space may stand in a recipient; nothing else of what is left out here may.
_UNSAFE_RECIPIENT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<>]")
_UNSAFE_COMMENT = re.compile(r"[^ -'*-\[\]-~]")


def format_date(moment: float, offset: tzinfo = UTC) -> str:
    """A time (seconds since the epoch) as RFC 5322 3.3 writes it: `Tue, 24 Nov 2026 05:00:00
    +0000`. Fractions are dropped. Raises OverflowError or ValueError outside of the years 1-9999.
    """
    return format_datetime(datetime.fromtimestamp(int(moment), offset))


def message_id(unique: str, hostname: str) -> str:
    """A Message-ID (RFC 5322 3.6.4), angle brackets included. `unique` is a dot-atom that nobody
    else makes with this host name."""
    return f"<{unique}@{hostname}>"


def protocol_name(*, extended: bool, secured: bool, authenticated: bool, smtputf8: bool) -> str:
    """How the message came: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA (RFC 3848), or the like of
    UTF8SMTP where the transaction was international (RFC 6531 4.3)."""
    if not extended:
        return "SMTP"
    name = "UTF8SMTP" if smtputf8 else "ESMTP"
    return f"{name}{'S' if secured else ''}{'A' if authenticated else ''}"


def received_field(
    *,
    hello_name: str,
    client_address: str,
    hostname: str,
    protocol: str,
    identifier: str,
    date: str,
    tls: str = "",
    recipient: str | None = None,
) -> bytes:
    """The Received field, folded, with its final CRLF.

    `hello_name` is what the client called itself: letters, digits and a few signs of it are kept.
    `client_address` is its IP address, or begins with "unix". `tls` goes into a comment:
    "TLSv1.3 TLS_AES_256_GCM_SHA384". `recipient` is only given for a message with a single one, so
    that none learns of another (RFC 5321 7.2). `hostname`, `protocol`, `identifier` and `date`
    are ours and stand as they are.
    """
    wanted = ""
    if recipient is not None:
        if not _HARMLESS_RECIPIENT.fullmatch(recipient):
            recipient = _UNSAFE_RECIPIENT.sub("?", recipient)
        wanted = f"\r\n\tfor <{recipient}>"
    return (
        f"{_received_from(hello_name, client_address, tls)}"
        f"\tby {hostname} with {protocol} id {identifier}{wanted};\r\n\t{date}\r\n"
    ).encode()


@lru_cache(maxsize=256)
def _received_from(hello_name: str, client_address: str, tls: str) -> str:
    """The first lines of the field: the same for all messages of a connection."""
    if not _HARMLESS_PEER.fullmatch(hello_name) or len(hello_name) > MAXIMUM_HELLO:
        hello_name = _UNSAFE.sub("?", hello_name[:MAXIMUM_HELLO])
    if client_address.startswith("unix"):
        client = "local"
    else:
        if not _HARMLESS_PEER.fullmatch(client_address):
            client_address = _UNSAFE.sub("?", client_address)  # a zone: fe80::1%eth0
        client = f"[IPv6:{client_address}]" if ":" in client_address else f"[{client_address}]"
    secured = f"\r\n\t({_UNSAFE_COMMENT.sub('?', tls)})" if tls else ""
    return f"Received: from {hello_name or 'unknown'} ({client}){secured}\r\n"

"""Trace fields: Received, and the Date and Message-ID that a submission may lack.

RFC 5321 4.4, RFC 3848 (protocol names), RFC 6531 4.3, RFC 6409 8.
"""

from __future__ import annotations

import re
from email.utils import formatdate

_UNSAFE = re.compile(r"[^A-Za-z0-9._:\[\]-]")
_UNSAFE_ADDRESS = re.compile(r"[\x00-\x20<>\x7f-\x9f]")


def format_date(moment: float) -> str:
    """A time (seconds since the epoch) as RFC 5322 3.3 writes it, in UTC."""
    return formatdate(moment, localtime=False, usegmt=False)


def message_id(unique: str, hostname: str) -> str:
    """A Message-ID made of a unique text."""
    return f"<{unique}@{hostname}>"


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
    """The Received field with its final CRLF.

    `hello_name` is what the client called itself: letters, digits and a few signs of it are kept.
    `recipient` is only given for a message with a single one, so that none learns of another
    (RFC 5321 7.6).
    """
    name = _UNSAFE.sub("?", hello_name[:255]) or "unknown"
    if client_address.startswith("unix"):
        client = "local"
    else:
        client = f"[IPv6:{client_address}]" if ":" in client_address else f"[{client_address}]"
    secured = f"\r\n\t({tls})" if tls else ""
    wanted = ""
    if recipient is not None:
        wanted = f"\r\n\tfor <{_UNSAFE_ADDRESS.sub('?', recipient)}>"
    return (
        f"Received: from {name} ({client}){secured}\r\n"
        f"\tby {hostname} with {protocol} id {identifier}{wanted};\r\n\t{date}\r\n"
    ).encode()

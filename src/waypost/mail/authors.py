"""Whom From names, as signatures and policies of domains ask it."""

from __future__ import annotations

from email.utils import getaddresses
from typing import Final

from waypost.mail.address import InvalidAddress, domain_to_ascii
from waypost.mail.headers import HeaderBlock

LONGEST_FROM: Final = 2000
"""Bytes of From that are looked at."""


def authors(block: HeaderBlock) -> list[tuple[str, str] | None]:
    """Each mailbox of the first From: its local part as written, and its domain in A-labels and
    lower case. None for one that has no domain, or none that there could be."""
    if not block.has(b"from"):
        return []
    return [_parts(one) for _, one in getaddresses([block.raw_field(b"from", LONGEST_FROM)])]


def _parts(address: str) -> tuple[str, str] | None:
    local, at, domain = address.rpartition("@")
    if not (local and at and domain):
        return None
    try:
        return local, domain_to_ascii(domain).lower()
    except InvalidAddress:
        return None

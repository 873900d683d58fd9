"""What this machine calls itself in EHLO, where nobody says otherwise."""

from __future__ import annotations

import re
import socket
from typing import Final

_PLAIN: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){0,20}[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
"""What most machines are called."""


def machine_name() -> str:
    """The name of this machine; localhost where it has none that is fit for EHLO."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()).strip("-.")
    if len(name) <= 63 and _PLAIN.fullmatch(name.lower()):
        return name.lower()
    from waypost.mail.address import InvalidAddress, domain_to_ascii

    try:
        return domain_to_ascii(name)
    except InvalidAddress:
        return "localhost"

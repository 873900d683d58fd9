"""What this machine calls itself in EHLO, where nobody says otherwise."""

from __future__ import annotations

import re
import socket

from waypost.mail.address import InvalidAddress, domain_to_ascii


def machine_name() -> str:
    """The name of this machine; localhost where it has none that is fit for EHLO."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()).strip("-.")
    try:
        return domain_to_ascii(name)
    except InvalidAddress:
        return "localhost"

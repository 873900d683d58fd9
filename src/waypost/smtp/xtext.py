"""xtext: how values with spaces and signs travel in parameters (RFC 3461 4)."""

from __future__ import annotations

import re

_ENCODED = re.compile(r"\+([0-9A-F]{2})")
_WELL_FORMED = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")


def encode_xtext(text: str) -> str:
    """Encode; what is not printable US-ASCII, "+" and "=" become +HH of their UTF-8 bytes."""
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"+=" else f"+{byte:02X}"
        for byte in text.encode()
    )


def decode_xtext(value: str) -> str:
    """Decode. Raises ValueError where it is not xtext of UTF-8."""
    if _WELL_FORMED.fullmatch(value) is None:
        raise ValueError(f"not xtext: {value[:80]!r}")
    decoded = _ENCODED.sub(lambda found: chr(int(found[1], 16)), value)
    return decoded.encode("latin-1").decode("utf-8")

"""The policy file of MTA-STS (RFC 8461 3.2): which servers take a domain's mail, and only over TLS.

Reading never fails: whoever asks is told what is wrong with the file, and decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LONGEST_AGE: Final = 31_557_600
"""Seconds: one year (RFC 8461 3.2)."""

POLICY_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_PATTERN: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
MODES: Final = ("enforce", "testing", "none")


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy file as read; reading never fails."""

    mode: str
    """enforce, testing, none; "" where it is none of them."""
    exchangers: tuple[str, ...]
    """Names, or *.example.com for all directly below."""
    max_age: int
    faults: tuple[str, ...]

    def allows(self, host: str) -> bool:
        """Whether a mail server is one of them (RFC 8461 4.1)."""
        return names_host(self.exchangers, host)


def names_host(patterns: Iterable[str], host: str) -> bool:
    """Whether one of the patterns, names or *.example.com, is for the host (RFC 8461 4.1)."""
    name = host.rstrip(".").lower()
    for pattern in patterns:
        wanted = pattern.lower()
        if wanted.startswith("*."):
            if name.partition(".")[2] == wanted[2:]:
                return True
        elif name == wanted:
            return True
    return False


def read_policy(body: bytes) -> StsPolicy:
    """Read any bytes as a policy file (RFC 8461 3.2)."""
    faults: list[str] = []
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("utf-8", "replace")
        faults.append("it is no UTF-8 text")
    single: dict[str, str] = {}
    exchangers: list[str] = []
    for line in re.split(r"\r?\n", text):
        if not line.strip():
            continue
        key, colon, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if not colon:
            faults.append(f"the line {line[:80]!r} is no key: value pair")
        elif key == "mx":
            if _PATTERN.fullmatch(value):
                exchangers.append(value)
            else:
                faults.append(f"mx: {value[:80]!r} is no name")
        elif key in single:
            faults.append(f"{key} stands there twice")
        else:
            single[key] = value
    if single.get("version") != "STSv1":
        faults.append("there is no version: STSv1")
    mode = single.get("mode", "")
    if mode not in MODES:
        faults.append(f"mode must be one of {', '.join(MODES)}")
        mode = ""
    age = single.get("max_age", "")
    max_age = int(age) if re.fullmatch(r"[0-9]{1,10}", age) else 0
    if not age or not re.fullmatch(r"[0-9]{1,10}", age) or max_age > LONGEST_AGE:
        faults.append(f"max_age must be a number of seconds up to {LONGEST_AGE}")
    if mode in ("enforce", "testing") and not exchangers:
        faults.append("there is no mx")
    return StsPolicy(mode, tuple(exchangers), max_age, tuple(faults))

"""Sizes and times as people write them, and back: "50 MiB", "5 days", "1 h 30 min"."""

from __future__ import annotations

import math
import re
from typing import Final

_SIZE: Final = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)")
_SIZE_UNITS: Final = {
    "": 1, "b": 1, "byte": 1, "bytes": 1,
    "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4,
    "kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4,
}  # fmt: skip
_TIME: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([a-z]*)\s*")
_TIME_UNITS: Final = {
    "": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
    "w": 604800.0, "week": 604800.0, "weeks": 604800.0,
}  # fmt: skip

MAXIMUM_SIZE: Final = 1024**5
MAXIMUM_SECONDS: Final = 3650 * 86400.0


def parse_size(value: object) -> int:
    """Bytes from a whole number or a text with a unit. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('must be a size: write 52428800 or "50 MiB"')
    size: int | float
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        unit = _SIZE_UNITS.get(found[2].lower()) if found else None
        if found is None or unit is None:
            raise ValueError(
                f'{value[:40]!r} is no size: write a number and KiB, MiB or GiB, such as "50 MiB"'
            )
        size = float(found[1]) * unit if "." in found[1] else int(found[1]) * unit
    else:
        size = value
    if not 0 <= size <= MAXIMUM_SIZE:
        raise ValueError("must be a size from 0 to 1024 TiB")
    return int(size)


def parse_seconds(value: object) -> float:
    """Seconds from a number or a text with units. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('must be a time: write a number of seconds, or "30 s", "5 days"')
    if isinstance(value, str):
        seconds = _seconds_of(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number of seconds")
    else:
        seconds = value
    if not 0 <= seconds <= MAXIMUM_SECONDS:
        raise ValueError("must be a time from 0 to 3650 days")
    return float(seconds)


def _seconds_of(value: str) -> float:
    text = value.strip().lower()
    seconds, at = 0.0, 0
    while at < len(text) or not text:
        found = _TIME.match(text, at)
        unit = _TIME_UNITS.get(found[2]) if found else None
        if found is None or unit is None or (found[2] == "" and (at or found.end() < len(text))):
            raise ValueError(
                f'{value[:40]!r} is no time: write a number and s, min, h or days, such as "5 days"'
            )
        seconds += float(found[1]) * unit
        at = found.end()
    return seconds


def size_text(size: int) -> str:
    """A size in the largest unit that says it exactly."""
    for name, unit in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size and size % unit == 0:
            return f"{size // unit} {name}"
    return str(size)


def seconds_text(seconds: float) -> str:
    """A time in the largest unit that says it exactly."""
    for name, unit in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds and seconds % unit == 0:
            count = int(seconds // unit)
            return f"{count} {'day' if name == 'days' and count == 1 else name}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + " s"

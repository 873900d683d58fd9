"""How pages write times, spans, sizes, numbers and states, and how hostile text is made visible.

Every text that a page shows passes `visible` (it is the `finalize` of the templates): characters
that move the cursor or turn the direction of writing are shown as escapes, so that a subject or a
reply cannot make a page say something else. HTML is escaped after that, by Jinja2.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from waypost.spool.identifiers import identifier_text

DASH: Final = "\N{EN DASH}"
"""In the place of what is not there."""

NOTHING: Final = Markup('<span class="none">{}</span>').format(DASH)

_TROUBLING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"
)
"""Controls other than tab and newline, zero-width and bidirectional characters, surrogates."""


def visible(value: Any) -> Any:
    """A text with its troubling characters as escapes; what is markup of our own is left as is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _TROUBLING.sub(_escape, value)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def moment(at: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> Markup:
    """A `time` element; UTC here, and the reader's own time where scripts run."""
    if at is None:
        return NOTHING
    when = dt.datetime.fromtimestamp(at, dt.UTC)
    exact = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact, f"{when:%Y-%m-%d %H:%M:%S} UTC", f"{when:{form}}"
    )


def relative(at: float | None, now: float) -> Markup:
    """The same as "4 min ago" or "in 2 h"; the moment itself is in its title."""
    if at is None:
        return NOTHING
    when = dt.datetime.fromtimestamp(at, dt.UTC)
    exact = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    distance = at - now
    if abs(distance) < 1:
        words = "now"
    else:
        words = f"in {_coarse(distance)}" if distance > 0 else f"{_coarse(-distance)} ago"
    return Markup('<time class="relative" datetime="{}" title="{}">{}</time>').format(
        exact, f"{when:%Y-%m-%d %H:%M:%S} UTC", words
    )


def span(seconds: float | None) -> str:
    """A length of time in its two largest units: 340 ms, 1.2 s, 4 min, 3 h 20 min, 2 d 4 h."""
    if seconds is None:
        return DASH
    if seconds < 0.001:
        return "0 ms" if seconds <= 0 else "< 1 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for large, small, many, few in (
        ("min", "s", 60, 1), ("h", "min", 3600, 60), ("d", "h", 86400, 3600),
    ):  # fmt: skip
        if whole < many * {"min": 60, "h": 24, "d": 10**9}[large]:
            first, rest = divmod(whole, many)
            second = rest // few
            # Seconds beside many minutes say nothing.
            if second and not (large == "min" and first >= 10):
                return f"{first} {large} {second} {small}"
            return f"{first} {large}"
    raise AssertionError("days take all")


def _coarse(seconds: float) -> str:
    """Whole seconds, and none beside minutes: what changes all the time is hard to read."""
    return span(round(seconds)) if seconds < 60 else span(seconds - seconds % 60)


def size(count: float | None) -> str:
    """Bytes: 512 B, 4.1 KiB, 3.4 MiB."""
    if count is None:
        return DASH
    if count < 1024:
        return f"{count:.0f} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
    raise AssertionError("TiB take all")


def number(count: float | None) -> str:
    """With thin spaces between thousands."""
    if count is None:
        return DASH
    if isinstance(count, float) and count != int(count):
        return f"{count:.1f}" if count < 100 else f"{count:,.0f}".replace(",", "\u202f")
    return f"{int(count):,}".replace(",", "\u202f")


@dataclass(frozen=True, slots=True)
class Badge:
    """How a state is shown: a word, a sign beside it and a tone, so that colour is never all."""

    word: str
    sign: str
    tone: str
    """good, wait, bad, info or quiet."""


BADGES: Final[dict[str, Badge]] = {
    "accepted": Badge("accepted", "→", "info"),
    "queued": Badge("waiting", "◷", "wait"),
    "deferred": Badge("deferred", "↻", "wait"),
    "held": Badge("held", "‖", "info"),
    "delivered": Badge("delivered", "✓", "good"),
    "captured": Badge("captured", "▣", "good"),
    "bounced": Badge("bounced", "✕", "bad"),
    "expired": Badge("expired", "✕", "bad"),
    "damaged": Badge("damaged", "✕", "bad"),
    "cancelled": Badge("cancelled", DASH, "quiet"),
    "removed": Badge("removed", DASH, "quiet"),
    "missed": Badge("missed", "…", "quiet"),
    "paused": Badge("paused", "‖", "wait"),
    "ok": Badge("ok", "✓", "good"),
    "warn": Badge("warning", "!", "wait"),
    "fail": Badge("failed", "✕", "bad"),
    "skipped": Badge("skipped", DASH, "quiet"),
}


def badge(state: Any) -> Badge:
    """For a state by its name, or an enumeration's member; unknown ones are shown as they are."""
    name = str(getattr(state, "name", state)).lower()
    return BADGES.get(name, Badge(name, "•", "quiet"))


def prose(text: str) -> Markup:
    """A text of our own in which `code` stands between backticks."""
    parts = (visible(one) for one in text.split("`"))
    forms = (Markup("{}"), Markup("<code>{}</code>"))
    return Markup("").join(forms[place % 2].format(one) for place, one in enumerate(parts))


FILTERS: Final = {
    "moment": moment,
    "prose": prose,
    "span": span,
    "size": size,
    "number": number,
    "badge": badge,
    "identifier": identifier_text,
    "visible": visible,
}

"""The options behind the question mark of a route URL, and the error that every part reports."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://)?")
_SECRET: Final = re.compile(r"(?i)([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)(?!\s*(?:&|$))[^&]*")
_NAMES_OF_SECRETS: Final = re.compile(r"(?i)[?&]password_(?:env|file)=$")
_TRUTHS: Final = {
    "yes": True, "true": True, "on": True, "1": True,
    "no": False, "false": False, "off": False, "0": False,
}  # fmt: skip


class InvalidRouteUrl(ValueError):
    """A route URL that cannot be used. Its text may be shown: passwords are taken out."""

    def __init__(self, reason: str, url: str, hint: str) -> None:
        self.reason = reason
        self.evidence = redacted(url)
        self.hint = hint
        super().__init__(f"the route {self.evidence} {reason}: {hint}")


def redacted(url: str) -> str:
    """The URL as it may be shown: without its password, in doubt without more than that."""
    found = _SCHEME.match(url)
    start = found.end() if found else 0
    end = url.rfind("@")
    if end > start and ":" in url[start:end]:
        user = url[start:end].partition(":")[0]
        url = f"{url[:start]}{user}:***{url[end:]}"

    def hide(found: re.Match[str]) -> str:
        return found[0] if _NAMES_OF_SECRETS.fullmatch(found[1]) else f"{found[1]}***"

    return _SECRET.sub(hide, url)


def resembling(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    import difflib  # only where somebody has made a slip

    nearest = difflib.get_close_matches(name[:100], list(known), 1, 0.6)
    return nearest[0] if nearest else None


class Options:
    """The options of one URL, each checked when it is asked for."""

    def __init__(self, url: str, query: str, known: Sequence[str]) -> None:
        """Raises InvalidRouteUrl for options that are unknown or given twice."""
        self._url = url
        self._raw: dict[str, str] = {}
        for piece in query.split("&"):
            if not piece:
                continue
            name, equals, value = piece.partition("=")
            name = unquote(name)
            if name not in known:
                nearest = resembling(name, known)
                raise InvalidRouteUrl(
                    f"has an unknown option {name!r}",
                    url,
                    f"did you mean {nearest}?" if nearest else f"known are {', '.join(known)}",
                )
            if name in self._raw:
                raise InvalidRouteUrl(f"gives {name} twice", url, "keep one of them")
            if not equals or not value:
                raise InvalidRouteUrl(f"gives {name} no value", url, f"write {name}=...")
            self._raw[name] = value

    def value(self, name: str, *, decode: bool = True) -> str | None:
        """The text of an option, or None."""
        raw = self._raw.get(name)
        return unquote(raw) if raw is not None and decode else raw

    def truth(self, name: str, *, default: bool) -> bool:
        """Yes or no. Raises InvalidRouteUrl."""
        value = self.value(name)
        if value is None:
            return default
        truth = _TRUTHS.get(value.lower())
        if truth is None:
            raise InvalidRouteUrl(
                f"has a {name} that is neither yes nor no", self._url, f"write {name}=no"
            )
        return truth

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number. Raises InvalidRouteUrl."""
        value = self.value(name)
        if value is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise InvalidRouteUrl(
                f"has a {name} that is no whole number from {least} to {most}",
                self._url,
                f"write {name}={default}",
            )
        return int(value)

    def seconds(self, name: str) -> float | None:
        """A time in seconds, "30" or "30s". Raises InvalidRouteUrl."""
        value = self.value(name)
        if value is None:
            return None
        try:
            seconds = float(value.removesuffix("s"))
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= 86400:
            raise InvalidRouteUrl(
                f"has a {name} that is no number of seconds up to a day",
                self._url,
                f"write {name}=30",
            )
        return seconds

"""What a browser calls itself, in words: Firefox on Linux. Anybody can write anything there, so it
is a help for people who look for their own session, and nothing else.
"""

from __future__ import annotations

from typing import Final

BROWSERS: Final = {
    "Edg": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "CriOS/": "Chrome",
    "FxiOS/": "Firefox", "Safari/": "Safari", "curl/": "curl", "python": "Python",
}  # fmt: skip
"""In this order: those further up call themselves by the names further down too."""

SYSTEMS: Final = {
    "Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad",
    "Mac OS X": "macOS", "CrOS": "ChromeOS", "Linux": "Linux", "BSD": "BSD",
}  # fmt: skip

LONGEST: Final = 60


def browser_words(user_agent: str) -> str:
    """The program, and the system that it runs on, where they can be told."""
    program = next((name for sign, name in BROWSERS.items() if sign in user_agent), "")
    system = next((name for sign, name in SYSTEMS.items() if sign in user_agent), "")
    if program:
        return f"{program} on {system}" if system else program
    return user_agent[:LONGEST] or "unknown"

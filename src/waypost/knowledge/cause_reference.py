"""The page docs/reference/causes.md, made from the table, so that it says what is so.

`python -m waypost.knowledge.cause_reference > docs/reference/causes.md` writes it anew; a test
holds the page against the table.
"""

from __future__ import annotations

import re
import sys
from typing import Final

from waypost.knowledge.causes import Cause, causes

_AHEAD: Final = """\
# Causes

What `waypost check` finds, and what `waypost explain` leads back to. The ids are stable. `fail`:
mail does not go; `warn`: it goes, but not as it should. What is found may make a warning of a
failure, as where a certificate is not insisted on, or a failure of a warning.

Where each fact comes from stands in `src/waypost/knowledge/causes.toml`.
"""

_AREAS: Final = {
    "dns": "Names", "tcp": "The connection", "greeting": "The greeting", "tls": "TLS",
    "auth": "The login", "policy": "Policy", "recipient": "The recipient",
    "capacity": "Capacity", "size": "Size", "smtputf8": "International addresses",
    "eightbit": "8-bit content", "protocol": "The protocol", "latency": "Time",
}  # fmt: skip


def page() -> str:
    """The whole page."""
    parts = [_AHEAD]
    area = ""
    for one in causes().values():
        if one.id.partition(".")[0] != area:
            area = one.id.partition(".")[0]
            parts.append(f"## {_AREAS[area]}\n")
        parts.append(_entry(one))
    return "\n".join(parts)


def _entry(one: Cause) -> str:
    lines = [f"### {one.id}", "", f"{one.title} (`{one.severity}`). {one.meaning}", ""]
    lines += [f"Fix: {re.sub(r'[{]([a-z_]+)[}]', _place, one.fix)}", ""]
    if one.command:
        lines += ["```", re.sub(r"\{([a-z_]+)\}", _place, one.command), "```", ""]
    if one.instead:
        lines += [f"May be mistaken for: {', '.join(f'`{name}`' for name in one.instead)}.", ""]
    return "\n".join(lines)


def _place(found: re.Match[str]) -> str:
    return "" if found[1] == "starttls" else found[1].upper()


if __name__ == "__main__":
    sys.stdout.write(page())

"""Settings: each with its value, where that comes from and what it means; and which rule binds mail
for an address. Secrets are taken out by the configuration itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from waypost.config import Configuration
from waypost.config.explanation import Shown, Way, settings_shown, way_of
from waypost.config.keys import keys
from waypost.control.permissions import Permission
from waypost.faces.http.panel.pages import page
from waypost.faces.http.security import Caller, page_caller
from waypost.mail.address import InvalidAddress, parse_address

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.SETTINGS)]

_PLACE: Final = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One row."""

    name: str
    value: str
    origin: str
    meaning: str

    @property
    def short_origin(self) -> str:
        """Without the folder of a file."""
        return self.origin.rpartition("/")[2]

    @property
    def is_default(self) -> bool:
        """Nobody has set it."""
        return self.origin == "default"


@dataclass(frozen=True, slots=True)
class ShownSection:
    """The settings of one table of the file."""

    title: str
    """As the file has it: [route.limits], [[listener]]; "" for the top."""
    settings: tuple[ShownSetting, ...]


@router.get("/settings")
async def settings(
    request: Request,
    caller: Reader,
    q: str = "",
    only: str = "",
    address: str = "",
    sender: str = "",
    user: str = "",
) -> HTMLResponse:
    """All settings, and the answer to "which rule binds for this address?"."""
    configuration: Configuration | None = request.app.state.configuration
    way: Way | None = None
    fault = ""
    sections: Sequence[ShownSection] = ()
    if configuration is not None:
        shown = [
            one for one in settings_shown(configuration)
            if not (only == "set" and one.origin == "default")
        ]  # fmt: skip
        sections = by_section(shown, q.strip().lower())
        if address.strip():
            try:
                way = _way(configuration, address.strip(), sender.strip(), user.strip())
            except InvalidAddress as invalid:
                fault = invalid.reason
    return page(
        request, "settings.html", caller, sections=sections, q=q, only=only, way=way, fault=fault,
        address=address, sender=sender, user=user, is_known=configuration is not None,
    )  # fmt: skip


def _way(configuration: Configuration, address: str, sender: str, user: str) -> Way:
    """Raises InvalidAddress."""
    recipient = str(parse_address(address, smtputf8=True))
    sender = "" if sender in ("", "<>") else str(parse_address(sender, smtputf8=True))
    return way_of(configuration, recipient, sender, user or None)


def by_section(shown: Sequence[Shown], text: str = "") -> list[ShownSection]:
    """Settings under the heading of their table; with `text` only those that have it somewhere."""
    meanings = _meanings()
    found: dict[str, list[ShownSetting]] = {}
    for one in shown:
        table, _, name = one.key.rpartition(".")
        meaning = meanings.get(_PLACE.sub("", one.key), "")
        if text and not any(text in part.lower() for part in (one.key, one.value, meaning)):
            continue
        found.setdefault(table, []).append(ShownSetting(name, one.value, one.origin, meaning))
    return [ShownSection(table, tuple(rows)) for table, rows in found.items()]


@cache
def _meanings() -> Mapping[str, str]:
    return {key.dotted: key.field.description or "" for key in keys()}

"""What `waypost send --merge` is told. Apart, since most calls of `send` need no more of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from waypost.faces.merge.journal import Again


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """What the command line says."""

    people: Path
    sender: str
    subject: str
    template: Path | None
    html: Path | None
    attach: Sequence[Path]
    header: Sequence[str]
    reply_to: Sequence[str]
    unsubscribe: str | None
    address_column: str | None
    preview: int | None
    dry_run: bool
    journal: Path | None
    again: Again
    rate: str | None
    yes: bool
    json: bool

"""Templates of messages: subject, text and HTML with places to fill in, kept under a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, Final

from waypost.control.database import ControlDatabase
from waypost.control.template_language import Needs, TemplateFault, needs_of, render
from waypost.net.clock import Clock

MAXIMUM_TEMPLATES: Final = 1000

MAXIMUM_VALUES: Final = 256 * 1024
"""Characters of all variables of one rendering."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS template (
    name TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    text TEXT,
    html TEXT,
    changed_at REAL NOT NULL,
    changed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

_COLUMNS: Final = "name, subject, text, html, changed_at, changed_by"


class NoSuchTemplate(Exception):
    """There is no template of this name."""


class TooManyTemplates(Exception):
    """No more can be kept."""


class InvalidPart(ValueError):
    """A part of a template, or a variable of it, is not as it must be; `part` says which."""

    def __init__(self, part: str, problem: str) -> None:
        self.part = part
        self.problem = problem
        super().__init__(f"{part}: {problem}")


@dataclass(frozen=True, slots=True)
class MailTemplate:
    """A template as it is kept."""

    name: str
    subject: str
    text: str | None
    html: str | None
    changed_at: float = 0.0
    changed_by: str = ""

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The parts that there are, by name."""
        given = (("subject", self.subject), ("text", self.text), ("html", self.html))
        return tuple((name, source) for name, source in given if source is not None)

    def needs(self) -> Needs:
        """The variables of all parts. Raises InvalidPart."""
        required: frozenset[str] = frozenset()
        optional: frozenset[str] = frozenset()
        for name, source in self.parts:
            try:
                found = needs_of(source)
            except TemplateFault as fault:
                raise InvalidPart(name, str(fault)) from fault
            required |= found.required
            optional |= found.optional
        return Needs(required, optional - required)

    def rendered(self, variables: Mapping[str, Any]) -> RenderedParts:
        """The parts with the variables put in. Raises InvalidPart."""
        needs = self.needs()
        missing = sorted(needs.required - variables.keys())
        if missing:
            raise InvalidPart("variables", f"not given: {', '.join(missing)[:300]}")
        unknown = sorted(variables.keys() - needs.required - needs.optional)
        if unknown:
            raise InvalidPart(
                "variables", f"not in the template {self.name}: {', '.join(unknown)[:300]}"
            )
        if _size(variables) > MAXIMUM_VALUES:
            raise InvalidPart("variables", f"more than {MAXIMUM_VALUES} characters together")
        made: dict[str, str] = {}
        for name, source in self.parts:
            try:
                made[name] = render(source, variables, html=name == "html")
            except TemplateFault as fault:
                raise InvalidPart(name, str(fault)) from fault
        return RenderedParts(made["subject"], made.get("text"), made.get("html"))


@dataclass(frozen=True, slots=True)
class RenderedParts:
    """What a template makes."""

    subject: str
    text: str | None
    html: str | None


class Templates:
    """All templates."""

    def __init__(self, database: ControlDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def open(self) -> None:
        """Make the table. Raises sqlite3.Error."""
        self._database.add_tables(_SCHEMA)

    async def all(self) -> list[MailTemplate]:
        """By name."""
        return await self._database.read(lambda c: _select(c, "ORDER BY name"))

    async def get(self, name: str) -> MailTemplate:
        """Raises NoSuchTemplate."""
        found = await self._database.read(lambda c: _select(c, "WHERE name = ?", name))
        if not found:
            raise NoSuchTemplate(name)
        return found[0]

    async def store(self, template: MailTemplate, by: str) -> bool:
        """Keep a template; whether it is new. Raises InvalidPart, TooManyTemplates."""
        if template.text is None and template.html is None:
            raise InvalidPart("text", "a template has a text, or HTML, or both")
        template.needs()
        now = self._clock.now()

        def work(connection: Connection) -> bool:
            known = connection.execute(
                "SELECT 1 FROM template WHERE name = ?", (template.name,)
            ).fetchone()
            (count,) = connection.execute("SELECT count(*) FROM template").fetchone()
            if known is None and count >= MAXIMUM_TEMPLATES:
                raise TooManyTemplates
            connection.execute(
                "INSERT OR REPLACE INTO template VALUES (?, ?, ?, ?, ?, ?)",
                (template.name, template.subject, template.text, template.html, now, by),
            )
            return known is None

        return await self._database.run(work)

    async def remove(self, name: str) -> None:
        """Raises NoSuchTemplate."""
        removed = await self._database.run(
            lambda c: c.execute("DELETE FROM template WHERE name = ?", (name,)).rowcount
        )
        if not removed:
            raise NoSuchTemplate(name)


def _select(connection: Connection, clause: str, *values: object) -> list[MailTemplate]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM template {clause}", values)  # noqa: S608
    return [MailTemplate(*row) for row in rows]


def _size(value: Any) -> int:
    """Characters of a value and of what is in it; JSON bounds how deep it goes."""
    if isinstance(value, Mapping):
        return sum(len(name) + _size(one) for name, one in value.items()) + 1
    if isinstance(value, list):
        return sum(map(_size, value)) + 1
    return len(str(value))

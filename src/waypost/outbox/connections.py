"""Whose connection it is: what the driver behind an application's connection is called and wants.

An application hands over what it has: a connection of sqlite3, psycopg or psycopg2, Django's
`connection`, a connection or session of SQLAlchemy, or a connection of asyncpg, of psycopg's async
half or of aiosqlite. None of them is imported here; each is known by the module that it is of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from waypost.outbox.statements import POSTGRESQL, SQLITE, Dialect, Style

MAXIMUM_WRAPPINGS: Final = 5
"""Pools and mappers around a connection that are looked through."""


class UnknownConnection(TypeError):
    """Nothing is known about a connection of this kind."""

    def __init__(self, connection: object) -> None:
        kind = type(connection)
        super().__init__(
            f"the outbox does not know a connection of type {kind.__module__}.{kind.__qualname__}. "
            "Give one of sqlite3, psycopg, psycopg2, Django, SQLAlchemy; or, to add_async, of "
            "asyncpg, psycopg.AsyncConnection or aiosqlite. For others, run the statement of "
            "insertion() yourself"
        )


@dataclass(frozen=True, slots=True)
class Database:
    """How to talk over one connection."""

    driver: Any
    """What statements are run on."""
    dialect: Dialect
    style: Style
    asynchronous: bool


_DRIVERS: Final[dict[str, tuple[Dialect, Style]]] = {
    "sqlite3": (SQLITE, "qmark"),
    "aiosqlite": (SQLITE, "qmark"),
    "psycopg": (POSTGRESQL, "format"),
    "psycopg2": (POSTGRESQL, "format"),
    "asyncpg": (POSTGRESQL, "numeric"),
}
_DJANGO: Final = {"sqlite": SQLITE, "postgresql": POSTGRESQL}


def database_of(connection: Any) -> Database:
    """How to talk over this connection. Raises UnknownConnection."""
    given = connection
    for _ in range(MAXIMUM_WRAPPINGS):
        module = type(given).__module__.partition(".")[0]
        for ancestor in type(given).__mro__:  # a subclass of a driver's connection is one
            known = _DRIVERS.get(ancestor.__module__.partition(".")[0])
            if known is not None:
                asynchronous = module in ("asyncpg", "aiosqlite") or "Async" in type(given).__name__
                return Database(given, *known, asynchronous)
        vendor = getattr(given, "vendor", None)
        if isinstance(vendor, str) and vendor in _DJANGO:
            return Database(given, _DJANGO[vendor], "format", asynchronous=False)
        if module != "sqlalchemy":
            break
        given = _inside(given)
        if given is None:
            break
    raise UnknownConnection(connection)


def _inside(wrapped: Any) -> Any:
    """One layer of SQLAlchemy off: session, connection, pooled connection, driver's."""
    driver = getattr(wrapped, "driver_connection", None)
    if driver is not None:
        return driver
    inner = getattr(wrapped, "connection", None)
    return inner() if callable(inner) else inner


def run(database: Database, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Run one statement; the rows that it gives back, if it does."""
    cursor = database.driver.cursor()
    try:
        cursor.execute(statement, values)
        return _tuples(cursor.fetchall()) if cursor.description is not None else []
    finally:
        cursor.close()


def count(database: Database, statement: str, values: tuple[Any, ...]) -> int:
    """Run one statement; how many rows it has changed."""
    cursor = database.driver.cursor()
    try:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
    finally:
        cursor.close()


async def run_async(
    database: Database, statement: str, values: tuple[Any, ...]
) -> list[tuple[Any, ...]]:
    """`run`, over a connection of asyncio."""
    if database.style == "numeric":
        return _tuples(await database.driver.fetch(statement, *values))
    cursor = await database.driver.execute(statement, values)
    try:
        return _tuples(await cursor.fetchall()) if cursor.description is not None else []
    finally:
        await cursor.close()


def _tuples(rows: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Rows in the order of their columns, whatever the application has its connection make."""
    return [tuple(row.values() if isinstance(row, Mapping) else row) for row in rows]

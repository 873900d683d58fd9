"""How SQLite goes about the questions that come often: by an index, however long the log is."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from spool_world import SqliteWorld

from waypost.spool import sqlite_events, sqlite_reading
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.operations import _update_statement
from waypost.spool.sqlite_filter import matching


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An empty spool."""

    async def make() -> Path:
        world = SqliteWorld(tmp_path)
        await world.open()
        await world.close()
        return world.directory / "spool.sqlite"

    return asyncio.run(make())


def plan(database: Path, query: str, values: object = ()) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {query}", values)  # type: ignore[arg-type]
        return [row[3] for row in rows]


def test_what_is_due_comes_in_the_order_of_the_index_and_needs_no_sorting(database: Path) -> None:
    (step,) = plan(database, sqlite_reading._DUE, ("one.example", 0.0))
    assert step.startswith("SEARCH recipient USING")
    assert step.endswith("INDEX recipient_due (domain=? AND due_at<?)")


def test_destinations_are_found_by_one_seek_each(database: Path) -> None:
    steps = plan(database, sqlite_reading._DUE_QUEUES, {"after": "", "limit": 10})
    touching = [step for step in steps if "recipient" in step and "SUBQUERY" not in step]
    assert touching
    assert all("SEARCH recipient USING" in step and "recipient_due" in step for step in touching)


@pytest.mark.parametrize(
    "wanted",
    [
        MessageFilter(states=(RecipientState.QUEUED,)),
        MessageFilter(states=(RecipientState.QUEUED, RecipientState.HELD)),
        MessageFilter(states=(RecipientState.HELD,), recipient="@one.example"),
        MessageFilter(identifiers=(1, 2), recipient="a"),
    ],
)
def test_what_waits_is_listed_without_a_walk_through_the_log(
    database: Path, wanted: MessageFilter
) -> None:
    where, values = matching(wanted)
    steps = plan(
        database, f"SELECT id FROM message WHERE {where} ORDER BY id DESC LIMIT 10", values
    )
    assert "SEARCH message USING INTEGER PRIMARY KEY (rowid=?)" in steps
    assert not any(step.startswith("SCAN") and "USING" not in step for step in steps)


def test_an_outcome_is_written_by_primary_key(database: Path) -> None:
    steps = plan(database, _update_statement(2), [1, 0, 2, 0.0, "", ""] * 2)
    assert "SEARCH recipient USING PRIMARY KEY (message=? AND number=?)" in steps


def test_the_event_log_is_read_by_primary_keys(database: Path) -> None:
    steps = plan(database, sqlite_events.ENTRIES, (0, 10))
    assert len(steps) == 3
    assert all(step.startswith("SEARCH") and "PRIMARY KEY" in step for step in steps)
    steps = plan(database, sqlite_events.single_recipients(2), [1, 0, 2, 0])
    assert any("SEARCH r USING PRIMARY KEY (message=? AND number=?)" in step for step in steps)

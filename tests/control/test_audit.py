"""The audit log: in the transaction of what it tells of, never changed, bounded."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from waypost.control import audit
from waypost.control.audit import KEPT_SECONDS, AuditFilter, AuditLog, acting_from
from waypost.control.database import ControlDatabase
from waypost.net.clock import SystemClock

NOW = 1_700_000_000.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[ControlDatabase]:
    made = ControlDatabase(tmp_path / "control.sqlite")
    made.add_tables(audit.SCHEMA)
    yield made
    made.close()


def write(database: ControlDatabase, *entries: tuple[str, ...], now: float = NOW) -> None:
    for entry in entries:
        database.now(lambda c, entry=entry: audit.append(c, now, *entry, address="::1"))


def found(database: ControlDatabase, **wanted: object) -> list[str]:
    filtered = AuditFilter(**wanted)  # type: ignore[arg-type]
    return [one.subject for one in database.now(lambda c: audit.entries(c, filtered))]


def test_entries_come_latest_first_a_page_at_a_time(database: ControlDatabase) -> None:
    write(database, *[("ada", "key added", str(n)) for n in range(7)])
    first = database.now(lambda c: audit.entries(c, AuditFilter(limit=3)))
    assert [one.subject for one in first] == ["6", "5", "4"]
    assert found(database, limit=3, before=first[-1].id) == ["3", "2", "1"]
    assert found(database, limit=0) == ["6"], "a page has one entry at least"


def test_entries_are_found_by_who_what_when_and_text(database: ControlDatabase) -> None:
    write(
        database,
        ("Ada", "key added", "one", "messages:send"),
        ("key:shop", "queue retried", "two", "100% of _all_"),
        ("", "login failed", "three"),
    )
    write(database, ("Ada", "login", "four"), now=NOW + 100)
    assert found(database, who="ada") == ["four", "one"]
    assert found(database, action="log") == ["four", "three"]
    assert found(database, action="%") == [], "a pattern is text"
    assert found(database, text="SEND") == ["one"]
    assert found(database, text="100%") == ["two"]
    assert found(database, text="' OR 1 --") == []
    assert found(database, since=NOW + 50) == ["four"]
    assert found(database, until=NOW + 50) == ["three", "two", "one"]
    assert found(database, who="ada", action="key", text="one") == ["one"]


def test_an_entry_is_never_changed(database: ControlDatabase) -> None:
    write(database, ("ada", "login", "ada"))
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        database.now(lambda c: c.execute("UPDATE audit SET who = 'eve'"))


def test_what_comes_from_outside_is_one_line_and_cut(database: ControlDatabase) -> None:
    write(database, ("a" * 999, "x\r\ny", "s\ud800" * 999, "line\none\ttwo" + "d" * 9999))
    (one,) = database.now(lambda c: audit.entries(c, AuditFilter()))
    assert one.action == "x y"
    assert (len(one.who), len(one.subject), len(one.detail)) == (100, 500, 1000)
    assert one.detail.startswith("line one two")


def test_old_entries_leave_and_so_do_too_many(
    database: ControlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "KEPT_ENTRIES", 5)
    write(database, ("ada", "login", "old"))
    write(database, ("ada", "login", "new"), now=NOW + KEPT_SECONDS + 1)
    assert found(database) == ["new"]
    write(database, *[("ada", "x", str(n)) for n in range(9)], now=NOW + KEPT_SECONDS + 2)
    assert found(database) == ["8", "7", "6", "5", "4"]


def test_strangers_push_nothing_out(
    database: ControlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "KEPT_ENTRIES", 50)
    monkeypatch.setattr(audit, "KEPT_OF_NOBODY", 3)
    write(database, ("ada", "key added", "kept"))
    write(database, *[("", "login failed", str(n)) for n in range(40)])
    assert found(database) == ["39", "38", "37", "kept"]


def test_the_entry_is_there_only_with_what_it_tells_of(database: ControlDatabase) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        audit.append(connection, NOW, "ada", "key added", "never")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        database.now(fails)
    assert found(database) == []


def test_a_request_tells_its_address(database: ControlDatabase) -> None:
    log = AuditLog(database, SystemClock())

    async def work() -> None:
        await log.record("ada", "outside a request")
        acting_from.set("192.0.2.1")
        await log.record("ada", "inside one", "it", "how")
        last, first = await log.entries(AuditFilter())
        assert (last.address, last.action, last.subject, last.detail) == (
            "192.0.2.1", "inside one", "it", "how",
        )  # fmt: skip
        assert first.address == ""

    asyncio.run(work())

"""A damaged file of the control room is named, with what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from waypost.control.database import ControlDatabase


def test_a_file_that_is_no_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    database = ControlDatabase(tmp_path / "control.sqlite")
    database.path.write_bytes(b"no database " * 1000)
    with pytest.raises(sqlite3.DatabaseError, match=r"is damaged.*backup") as told:
        database.add_tables("CREATE TABLE IF NOT EXISTS a (b INTEGER)")
    assert str(database.path) in str(told.value)
    database.close()

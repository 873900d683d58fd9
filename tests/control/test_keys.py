"""API keys: shown once, found by their hash, bounded by permissions and time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from waypost.control import keys
from waypost.control.accounts_access import SCHEMAS
from waypost.control.database import ControlDatabase
from waypost.control.keys import KeyExists, NoSuchKey
from waypost.control.permissions import Permission

NOW = 1_700_000_000.0


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    database = ControlDatabase(tmp_path / "control.sqlite")
    database.add_tables(SCHEMAS)
    yield database.now(lambda c: c)
    database.close()


def made(connection: sqlite3.Connection, name: str = "shop", **options: float | str | None) -> str:
    expires = options.get("expires_at")
    _, secret = keys.add(
        connection, name, [Permission.SEND], NOW, created_by="ada",
        expires_at=expires if isinstance(expires, float) else None,
    )  # fmt: skip
    return secret


def test_a_key_is_found_by_its_secret_alone(connection: sqlite3.Connection) -> None:
    secret = made(connection)
    assert secret.startswith("wpk_")
    assert len(secret) == 47
    found = keys.find(connection, secret, NOW)
    assert found is not None
    assert (found.name, found.permissions, found.created_by) == ("shop", {Permission.SEND}, "ada")
    assert secret.startswith(found.hint)
    assert len(found.hint) == 10
    for wrong in (
        secret[:-1],
        secret + "x",
        secret[4:],
        "wpk_",
        "",
        "wpk_" + "x" * 500,
        "wpk_\ud800",
    ):
        assert keys.find(connection, wrong, NOW) is None


def test_the_secret_is_not_kept(connection: sqlite3.Connection) -> None:
    secret = made(connection)
    kept = repr(connection.execute("SELECT * FROM api_key").fetchall())
    assert secret not in kept
    assert secret[4:] not in kept


def test_a_key_expires(connection: sqlite3.Connection) -> None:
    secret = made(connection, expires_at=NOW + 60)
    assert keys.find(connection, secret, NOW + 59) is not None
    assert keys.find(connection, secret, NOW + 60) is None
    assert keys.keys(connection)[0].has_expired(NOW + 60)
    with pytest.raises(ValueError, match="would have expired already"):
        made(connection, "late", expires_at=NOW)


def test_a_revoked_key_is_gone_and_its_name_free(connection: sqlite3.Connection) -> None:
    secret = made(connection)
    with pytest.raises(KeyExists):
        made(connection, "SHOP")
    assert keys.revoke(connection, "shop").name == "shop"
    assert keys.find(connection, secret, NOW) is None
    with pytest.raises(NoSuchKey):
        keys.revoke(connection, "shop")
    assert keys.find(connection, made(connection), NOW) is not None


@pytest.mark.parametrize("name", ["", " ", "a:b", "a/b", "x" * 65, "a\0b"])
def test_some_names_cannot_be(connection: sqlite3.Connection, name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a key"):
        made(connection, name)


def test_a_key_without_permissions_is_none(connection: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="good for nothing"):
        keys.add(connection, "x", [], NOW, created_by="")


def test_a_permission_of_another_version_gives_nothing(connection: sqlite3.Connection) -> None:
    secret = made(connection)
    given = json.dumps(["messages:send", "moon:fly"])
    connection.execute("UPDATE api_key SET permissions = ?", (given,))
    found = keys.find(connection, secret, NOW)
    assert found is not None
    assert found.permissions == {Permission.SEND}


def test_the_last_use_is_remembered_not_too_often(connection: sqlite3.Connection) -> None:
    secret = made(connection)
    found = keys.find(connection, secret, NOW)
    assert found is not None
    assert found.needs_use_written(NOW)
    keys.used(connection, found, NOW, "192.0.2.1")
    again = keys.find(connection, secret, NOW + 1)
    assert again is not None
    assert (again.last_used_at, again.last_used_from) == (NOW, "192.0.2.1")
    assert not again.needs_use_written(NOW + 59)
    assert again.needs_use_written(NOW + 60)

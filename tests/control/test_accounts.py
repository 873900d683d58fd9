"""The rules of accounts: names, roles, the last admin, one-time links, what ends sessions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from waypost.control import accounts, accounts_links, sessions
from waypost.control.accounts import LastAdmin, NoSuchOperator, OperatorExists
from waypost.control.accounts_access import SCHEMAS
from waypost.control.accounts_links import LINK_SECONDS, LinkInvalid
from waypost.control.accounts_secrets import hash_of, new_secret, token_bound_to
from waypost.control.database import ControlDatabase
from waypost.control.permissions import PERMISSION_MEANINGS, ROLE_PERMISSIONS, Permission, Role
from waypost.control.sessions import SESSIONS_EACH, SessionLifetimes

NOW = 1_700_000_000.0
LIFETIMES = SessionLifetimes(600, 6000)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    database = ControlDatabase(tmp_path / "control.sqlite")
    database.add_tables(SCHEMAS)
    yield database.now(lambda c: c)
    database.close()


def person(connection: sqlite3.Connection, name: str, role: Role = Role.ADMIN) -> None:
    accounts.add(connection, name, role, NOW)
    accounts.set_password(connection, name, "a hash")


def session(connection: sqlite3.Connection, name: str, now: float = NOW) -> str:
    return sessions.begin(connection, name, now, LIFETIMES, address="::1", browser="b" * 999)


def goes_on(connection: sqlite3.Connection, token: str, now: float = NOW) -> bool:
    return sessions.find(connection, token, now, LIFETIMES) is not None


def test_each_role_may_what_the_one_below_may_and_more() -> None:
    viewer, operator, admin = (ROLE_PERMISSIONS[role] for role in Role)
    assert viewer < operator < admin
    assert admin == set(Permission) == set(PERMISSION_MEANINGS)
    changing = {one for one in Permission if one.endswith((":write", ":send", ":run"))}
    assert not viewer & (changing | {Permission.CONTENT})


@pytest.mark.parametrize("name", ["", "  ", "a:b", "a/b", "a\\b", "a\nb", "x" * 65, "a\u202eb"])
def test_some_names_cannot_be(connection: sqlite3.Connection, name: str) -> None:
    with pytest.raises(ValueError, match="is no name for an operator"):
        accounts.add(connection, name, Role.VIEWER, NOW)


def test_a_name_is_one_person_in_any_case(connection: sqlite3.Connection) -> None:
    person(connection, "Ada")
    with pytest.raises(OperatorExists):
        accounts.add(connection, "ADA", Role.VIEWER, NOW)
    assert accounts.known(connection, "ada").name == "Ada"
    with pytest.raises(NoSuchOperator):
        accounts.known(connection, "Eve")


@pytest.mark.parametrize("way", ["removed", "disabled", "made operator"])
def test_the_last_admin_stays(connection: sqlite3.Connection, way: str) -> None:
    person(connection, "Ada")
    person(connection, "Olga", Role.OPERATOR)
    accounts.add(connection, "invited", Role.ADMIN, NOW)

    def leave(name: str) -> Any:
        if way == "removed":
            return accounts.remove(connection, name)
        if way == "disabled":
            return accounts.set_disabled(connection, name, disabled=True)
        return accounts.set_role(connection, name, Role.OPERATOR)

    with pytest.raises(LastAdmin, match=f"the last admin who can log in and cannot be {way}"):
        leave("Ada")
    person(connection, "Nina")
    leave("Ada")
    with pytest.raises(LastAdmin):
        leave("Nina")


def test_a_person_before_the_first_password(connection: sqlite3.Connection) -> None:
    assert accounts.nobody_can_log_in(connection)
    made = accounts.add(connection, "Ada", Role.ADMIN, NOW)
    assert (made.state, made.is_active) == ("invited", False)
    assert accounts.nobody_can_log_in(connection)
    assert accounts.set_password(connection, "Ada", "a hash").state == "active"
    assert not accounts.nobody_can_log_in(connection)
    assert "a hash" not in repr(accounts.known(connection, "Ada"))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: accounts.set_role(c, "Olga", Role.VIEWER),
        lambda c: accounts.set_disabled(c, "Olga", disabled=True),
        lambda c: accounts.set_password(c, "Olga", "another"),
        lambda c: accounts.remove(c, "Olga"),
        lambda c: sessions.end_all(c, "Olga"),
    ],
)
def test_sessions_end_with_what_they_were_given_for(
    connection: sqlite3.Connection, change: Any
) -> None:
    person(connection, "Ada")
    person(connection, "Olga", Role.OPERATOR)
    hers, other = session(connection, "olga"), session(connection, "Ada")
    assert goes_on(connection, hers)
    change(connection)
    assert not goes_on(connection, hers)
    assert goes_on(connection, other)


def test_the_same_role_again_ends_nothing(connection: sqlite3.Connection) -> None:
    person(connection, "Olga", Role.OPERATOR)
    hers = session(connection, "Olga")
    accounts.set_role(connection, "Olga", Role.OPERATOR)
    assert goes_on(connection, hers)


def test_a_session_ends_by_idleness_and_by_age(connection: sqlite3.Connection) -> None:
    person(connection, "Ada")
    token = session(connection, "Ada")
    assert goes_on(connection, token, NOW + 599)
    assert not goes_on(connection, token, NOW + 600)
    at = NOW
    while at < NOW + 5900:
        at += 500
        found = sessions.find(connection, token, at, LIFETIMES)
        if found is None:
            break
        assert found.needs_touch(at)
        sessions.touch(connection, found, at)
    assert not goes_on(connection, token, NOW + 6000)


def test_there_are_only_so_many_sessions_of_one_person(connection: sqlite3.Connection) -> None:
    person(connection, "Ada")
    tokens = [session(connection, "Ada", NOW + n) for n in range(SESSIONS_EACH + 2)]
    now = NOW + SESSIONS_EACH + 2
    assert [goes_on(connection, one, now) for one in tokens[:3]] == [False, False, True]
    found = sessions.of_operator(connection, "Ada", now, LIFETIMES)
    assert len(found) == SESSIONS_EACH
    assert found[0].hash == hash_of(tokens[-1])
    assert len(found[0].browser) == 200, "what a browser says of itself is cut"


def test_old_sessions_are_swept_away(connection: sqlite3.Connection) -> None:
    person(connection, "Ada")
    session(connection, "Ada")
    session(connection, "Ada", NOW + 601)
    assert connection.execute("SELECT count(*) FROM session").fetchone() == (1,)


def test_a_link_sets_one_password_once(connection: sqlite3.Connection) -> None:
    person(connection, "Olga", Role.OPERATOR)
    token = session(connection, "Olga")
    secret = accounts_links.make(connection, "Olga", NOW)
    assert accounts_links.look(connection, secret, NOW + LINK_SECONDS - 1).operator == "Olga"
    done = accounts_links.redeem(connection, secret, "ignored", "new hash", NOW + 1)
    assert (done.name, done.role, done.password_hash) == ("Olga", Role.OPERATOR, "new hash")
    assert not goes_on(connection, token)
    with pytest.raises(LinkInvalid):
        accounts_links.redeem(connection, secret, "", "again", NOW + 1)


def test_a_link_runs_out_and_a_new_one_replaces_it(connection: sqlite3.Connection) -> None:
    person(connection, "Ada")
    first = accounts_links.make(connection, "Ada", NOW)
    with pytest.raises(LinkInvalid):
        accounts_links.look(connection, first, NOW + LINK_SECONDS)
    second = accounts_links.make(connection, "Ada", NOW)
    for secret in (first, "", "x"):
        with pytest.raises(LinkInvalid):
            accounts_links.look(connection, secret, NOW)
    assert accounts_links.look(connection, second, NOW)
    accounts.set_password(connection, "Ada", "changed otherwise")
    with pytest.raises(LinkInvalid):
        accounts_links.look(connection, second, NOW)


def test_a_link_lets_nobody_in_who_is_kept_out(connection: sqlite3.Connection) -> None:
    person(connection, "Ada")
    person(connection, "Olga", Role.OPERATOR)
    secret = accounts_links.make(connection, "Olga", NOW)
    accounts.set_disabled(connection, "Olga", disabled=True)
    with pytest.raises(LinkInvalid):
        accounts_links.redeem(connection, secret, "", "new hash", NOW)
    accounts.set_disabled(connection, "Olga", disabled=False)
    assert accounts_links.redeem(connection, secret, "", "new hash", NOW).is_active


def test_a_link_goes_with_its_person(connection: sqlite3.Connection) -> None:
    person(connection, "Ada")
    accounts.add(connection, "Olga", Role.ADMIN, NOW)
    secret = accounts_links.make(connection, "Olga", NOW)
    accounts.remove(connection, "Olga")
    with pytest.raises(LinkInvalid):
        accounts_links.look(connection, secret, NOW)


def test_the_first_run_makes_an_admin_even_of_who_was_invited_as_less(
    connection: sqlite3.Connection,
) -> None:
    accounts.add(connection, "Ada", Role.VIEWER, NOW)
    secret = accounts_links.make(connection, None, NOW)
    done = accounts_links.redeem(connection, secret, "ada", "a hash", NOW)
    assert (done.name, done.role, done.state) == ("Ada", Role.ADMIN, "active")


def test_secrets_are_long_different_and_fit_for_a_url() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 43 and one.replace("-", "").replace("_", "").isalnum() for one in made)
    one, other = list(made)[:2]
    assert token_bound_to(one, "csrf") != token_bound_to(other, "csrf")
    assert one not in token_bound_to(one, "csrf")

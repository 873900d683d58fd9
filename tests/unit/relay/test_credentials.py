"""Users: their passwords, the senders they may use, and what another process changes meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from waypost.relay import credentials
from waypost.relay.credentials import (
    REMEMBERED_SECONDS,
    CredentialStore,
    NoSuchUser,
    UserExists,
)
from waypost.smtp.scram import ScramVerifier


class World:
    """Two stores on one file, as the relay and the command have; time stands where it is put."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.monotonic = 0.0
        self._salt = itertools.count(1)
        self.relay = self.store()
        self.command = self.store()

    def store(self) -> CredentialStore:
        return CredentialStore(
            self.place,
            lambda length: next(self._salt).to_bytes(length, "big"),
            lambda: self.monotonic,
            lambda: 1_795_500_000.0,
        )

    def verify(self, name: str, password: str) -> bool:
        return asyncio.run(self.relay.verify(name, password))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(credentials, "_HASHER", cheap)
    world = World(tmp_path / "data" / "users.sqlite")
    yield world
    world.relay.close()
    world.command.close()


def test_the_right_password_and_no_other(world: World) -> None:
    world.command.add("ada", "secret")
    assert world.verify("ada", "secret")
    for wrong in ("Secret", "secret ", "", "\0", "\ud800"):
        assert not world.verify("ada", wrong)
    assert not world.verify("bob", "secret")


def test_a_password_is_compared_in_its_prepared_form(world: World) -> None:
    """RFC 4013: what looks the same is the same, however a keyboard writes it."""
    world.command.add("ada", "Gru\u0308n")
    assert world.verify("ada", "Gr\u00fcn")


def test_what_a_command_changes_counts_at_the_next_login(world: World) -> None:
    assert not world.verify("ada", "secret")
    world.command.add("ada", "secret")
    assert world.verify("ada", "secret")
    world.command.set_password("ada", "other")
    assert not world.verify("ada", "secret")
    assert world.verify("ada", "other")
    world.command.set_disabled("ada", True)
    assert not world.verify("ada", "other")
    world.command.set_disabled("ada", False)
    assert world.verify("ada", "other")
    world.command.remove("ada")
    assert not world.verify("ada", "other")


def test_a_right_password_is_remembered_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.command.add("ada", "secret")
    asked: list[str] = []
    check = credentials._check

    def counted(stored: str, password: bytes) -> bool:
        asked.append(stored)
        return check(stored, password)

    monkeypatch.setattr(credentials, "_check", counted)
    for _ in range(3):
        assert world.verify("ada", "secret")
    assert len(asked) == 1
    assert not world.verify("ada", "wrong")
    assert not world.verify("ada", "wrong")
    assert len(asked) == 3  # a wrong one never
    world.monotonic += REMEMBERED_SECONDS
    assert world.verify("ada", "secret")
    assert len(asked) == 4


def test_who_does_not_exist_takes_as_much_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(credentials, "_check", lambda stored, _: bool(asked.append(stored)))
    assert not world.verify("nobody", "secret")
    assert len(asked) == 1
    assert asked[0].startswith("$argon2id$")


def test_scram_has_a_verifier_for_everybody_the_same_each_time(world: World) -> None:
    world.command.add("ada", "secret")
    assert isinstance(world.relay.scram_verifier("ada"), ScramVerifier)
    pretended = world.relay.scram_verifier("nobody")
    assert pretended == world.relay.scram_verifier("nobody")
    assert pretended != world.relay.scram_verifier("nobody else")
    assert pretended.iterations == world.relay.scram_verifier("ada").iterations


def test_a_user_may_use_the_senders_that_are_given(world: World) -> None:
    world.command.add("ada", "secret", ("ada@example.com",))
    world.command.add("bob", "secret")
    world.relay.find("ada")
    owned = world.relay.owned_senders("ada")
    assert owned is not None
    assert owned.match("ada@example.com", "example.com")
    assert not owned.match("bob@example.com", "example.com")
    assert world.relay.owned_senders("bob") is None  # any
    world.command.set_senders("ada", ())
    world.relay.find("ada")
    assert world.relay.owned_senders("ada") is None


def test_a_user_who_was_removed_within_a_session_may_use_no_sender(world: World) -> None:
    world.command.add("ada", "secret", ("ada@example.com",))
    assert world.verify("ada", "secret")
    world.command.remove("ada")
    world.relay.find("somebody else who logs in")
    owned = world.relay.owned_senders("ada")
    assert owned is not None
    assert not owned.match("ada@example.com", "example.com")


def test_the_operator_sees_all_users_and_no_secret(world: World) -> None:
    world.command.add("bob", "secret")
    world.command.add("ada", "secret", ("example.com",))
    world.command.set_disabled("bob", True)
    ada, bob = world.relay.users()
    assert (ada.name, ada.senders, ada.disabled) == ("ada", ("example.com",), False)
    assert (bob.name, bob.senders, bob.disabled) == ("bob", (), True)
    assert ada.created_at == 1_795_500_000.0
    assert "argon2" not in repr(ada)
    assert world.relay.find("bob") is None


def test_what_cannot_be_is_said(world: World) -> None:
    world.command.add("ada", "secret")
    with pytest.raises(UserExists, match="'ada'"):
        world.command.add("ada", "other")
    for act in (
        lambda: world.command.set_password("bob", "x"),
        lambda: world.command.set_senders("bob", ()),
        lambda: world.command.set_disabled("bob", True),
        lambda: world.command.remove("bob"),
    ):
        with pytest.raises(NoSuchUser, match="'bob'"):
            act()
    for name in ("", " ada", "ada\n", "a\0b", "a" * 256):
        with pytest.raises(ValueError, match="no user name"):
            world.command.add(name, "secret")
    with pytest.raises(ValueError, match="empty"):
        world.command.add("bob", "")
    with pytest.raises(ValueError, match="pattern"):
        world.command.add("bob", "secret", ("",))
    assert [user.name for user in world.relay.users()] == ["ada"]


def test_the_file_is_for_its_owner_alone(world: World) -> None:
    world.command.add("ada", "secret")
    assert stat.S_IMODE(world.place.stat().st_mode) == 0o600
    assert stat.S_IMODE(world.place.parent.stat().st_mode) == 0o700
    assert b"secret" not in world.place.read_bytes()


def test_it_is_there_after_a_restart(world: World) -> None:
    world.command.add("ada", "secret")
    world.relay.close()
    world.relay = world.store()
    assert world.verify("ada", "secret")

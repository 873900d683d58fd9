"""Passwords: argon2id, the same cost for nobody, a bounded number at a time."""

from __future__ import annotations

import asyncio

import pytest

from waypost.control import accounts_passwords
from waypost.control.accounts_passwords import (
    PasswordRefused,
    Passwords,
    TooManyLogins,
    acceptable,
)


def test_a_password_is_checked_in_any_form_of_its_letters() -> None:
    async def work() -> None:
        passwords = Passwords()
        stored = await passwords.hash(acceptable("cafe\u0301 au lait", "ada"))
        assert stored.startswith("$argon2id$")
        assert await passwords.verify(stored, "caf\u00e9 au lait")
        for wrong in ("cafe au lait", "", "x" * 10_000, "\ud800"):
            assert not await passwords.verify(stored, wrong)
        assert not await passwords.verify("", "anything")
        assert not await passwords.verify("no hash", "anything")
        passwords.close()

    asyncio.run(work())


def test_nobody_costs_what_somebody_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    is_right = accounts_passwords._is_right

    def watched(stored: str, password: str) -> bool:
        checked.append(stored.partition("$m=")[2].partition("$")[0])
        return is_right(stored, password)

    monkeypatch.setattr(accounts_passwords, "_is_right", watched)

    async def work() -> None:
        passwords = Passwords()
        stored = await passwords.hash("a long password")
        await passwords.verify(stored, "wrong")
        await passwords.verify("", "wrong")
        passwords.close()

    asyncio.run(work())
    assert len(checked) == 2
    assert checked[0] == checked[1] != ""


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("eleven char", "it must have at least 12"),
        ("x" * 1025, "longer than 1024"),
        ("abababababababab", "too easy"),
        ("administrator", "too easy"),
        ("Administrator", "too easy"),
    ],
)
def test_some_passwords_cannot_be(password: str, why: str) -> None:
    with pytest.raises(PasswordRefused, match=why):
        acceptable(password, "administrator")


def test_a_flood_is_refused_and_not_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_passwords, "WAITING", 3)

    async def work() -> list[object]:
        passwords = Passwords()
        await passwords.verify("", "first")
        ended = await asyncio.gather(
            *(passwords.verify("", "x") for _ in range(10)), return_exceptions=True
        )
        assert await passwords.verify("", "later") is False
        passwords.close()
        return list(ended)

    ended = asyncio.run(work())
    assert sum(isinstance(one, TooManyLogins) for one in ended) == 7
    assert sum(one is False for one in ended) == 3

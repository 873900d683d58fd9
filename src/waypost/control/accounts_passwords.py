"""Passwords of people: argon2id, one at a time, in a thread.

A check takes some 30 ms and 19 MiB on purpose. So one runs at a time, outside the event loop, and
at most WAITING wait for it: a flood of logins holds up other logins, and takes one core at most.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST: Final = 12
LONGEST: Final = 1024
"""Characters of a password. NIST SP 800-63B: length counts, rules of composition do not."""

THREADS: Final = 1

WAITING: Final = 32

# OWASP's recommendation for argon2id: 19 MiB, two passes, one lane.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

_Result = TypeVar("_Result")


class PasswordRefused(ValueError):
    """The password cannot be one; the text says why."""


class TooManyLogins(Exception):
    """More checks of passwords wait already than may."""


def acceptable(password: str, name: str) -> str:
    """The password as it is hashed. Raises PasswordRefused."""
    normal = unicodedata.normalize("NFKC", password)
    if len(normal) < SHORTEST:
        raise PasswordRefused(
            f"the password has {len(normal)} characters; it must have at least {SHORTEST}"
        )
    if len(normal) > LONGEST:
        raise PasswordRefused(f"the password is longer than {LONGEST} characters")
    if len(set(normal)) < 4 or normal.casefold().strip() in (name.casefold(), name.casefold() * 2):
        raise PasswordRefused("the password is too easy to guess; four unrelated words are better")
    return normal


class Passwords:
    """Makes and checks hashes."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "waypost-panel-passwords")
        self._waiting = 0
        self._nobody = ""

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False)

    async def hash(self, password: str) -> str:
        """What is kept of a password that is `acceptable`. Raises TooManyLogins."""
        return await self._run(_HASHER.hash, password)

    async def verify(self, stored: str, password: str) -> bool:
        """Whether it is the password of a hash; "" stands for nobody's, and takes as long.

        Raises TooManyLogins.
        """
        if not self._nobody:
            self._nobody = await self._run(_HASHER.hash, secrets.token_urlsafe(24))
        right = await self._run(
            _is_right, stored or self._nobody,
            unicodedata.normalize("NFKC", password[: LONGEST + 1]),
        )  # fmt: skip
        return right and bool(stored)

    async def _run(self, work: Callable[..., _Result], *values: str) -> _Result:
        if self._waiting >= WAITING:
            raise TooManyLogins("too many passwords are being checked at this moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *values)
        finally:
            self._waiting -= 1


def _is_right(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False

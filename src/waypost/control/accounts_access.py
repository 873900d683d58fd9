"""Who may come in: logins, sessions, one-time links and API keys of a running relay.

Each thing that is done is written to the audit log in the same transaction, so that neither is
there without the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Final, TypeVar

from waypost.control import accounts, accounts_links, audit, keys, sessions
from waypost.control.accounts import AccountFault, Operator
from waypost.control.accounts_passwords import Passwords, acceptable
from waypost.control.database import ControlDatabase
from waypost.control.keys import ApiKey
from waypost.control.login_throttle import LoginThrottle
from waypost.control.sessions import Session, SessionLifetimes
from waypost.net.clock import Clock

SCHEMAS: Final = (
    accounts.SCHEMA + sessions.SCHEMA + accounts_links.SCHEMA + keys.SCHEMA + audit.SCHEMA
)

LONGEST_TOKEN: Final = 100
"""Characters of a cookie or key that are looked up at all."""

_Result = TypeVar("_Result")


class LoginRefused(AccountFault):
    """Name or password is wrong; which, is not told."""

    def __init__(self) -> None:
        super().__init__("name or password is wrong")


class LoginThrottled(AccountFault):
    """There were too many failures; after `wait` seconds another attempt is looked at."""

    def __init__(self, wait: float) -> None:
        self.wait = wait
        super().__init__(f"too many failed logins; try again in {max(1, round(wait))} s")


@dataclass(frozen=True, slots=True)
class From:
    """Where a request comes from."""

    address: str
    browser: str = ""


class Accounts:
    """See the module."""

    def __init__(
        self, database: ControlDatabase, clock: Clock, lifetimes: SessionLifetimes
    ) -> None:
        self._database = database
        self._clock = clock
        self.lifetimes = lifetimes
        self.passwords = Passwords()
        self.throttle = LoginThrottle()

    def open(self) -> None:
        """Make the tables where they are missing. Raises sqlite3.Error."""
        self._database.add_tables(SCHEMAS)

    def close(self) -> None:
        """Let the threads end."""
        self.passwords.close()

    # --- to come in -------------------------------------------------------------------------

    async def login(
        self, name: str, password: str, place: From, replaces: str = ""
    ) -> tuple[Operator, str]:
        """The operator and the token of a new session; the session `replaces` ends.

        Raises LoginRefused, LoginThrottled, TooManyLogins.
        """
        now = self._clock.monotonic()
        wait = self.throttle.wait(place.address, name, now)
        if wait > 0:
            raise LoginThrottled(wait)
        # Counted before the answer is known: attempts at the same time are attempts too.
        self.throttle.failed(place.address, name, now)
        found = await self._database.read(lambda c: accounts.find(c, name))
        stored = found.password_hash if found is not None and found.is_active else ""
        if not await self.passwords.verify(stored, password):
            # An unknown name may be a password in the wrong field, so it is not written down.
            subject = found.name if found is not None else "an unknown name"
            await self.change("", "login failed", subject, lambda _: None, place.address)
            raise LoginRefused
        assert found is not None
        self.throttle.succeeded(place.address, name)

        def enter(connection: Connection) -> str:
            current = accounts.find(connection, found.name)
            if current is None or not current.is_active or current.password_hash != stored:
                raise LoginRefused  # changed while the password was checked
            return self._begin(connection, found.name, place, replaces)

        token = await self.change(found.name, "login", found.name, enter, place.address)
        return found, token

    async def follow_link(
        self, secret: str, name: str, password: str, place: From
    ) -> tuple[Operator, str]:
        """Choose a password with a one-time link, and be logged in.

        Raises LinkInvalid, PasswordRefused, OperatorExists, ValueError, TooManyLogins.
        """
        link = await self.link(secret)
        name = link.operator if link.operator is not None else accounts.checked_name(name)
        made = await self.passwords.hash(acceptable(password, name))

        def redeem(connection: Connection) -> tuple[Operator, str]:
            now = self._clock.now()
            operator = accounts_links.redeem(connection, secret, name, made, now)
            return operator, self._begin(connection, operator.name, place)

        return await self.change(name, "password chosen", name, redeem, place.address)

    async def link(self, secret: str) -> accounts_links.OneTimeLink:
        """What a one-time link is for. Raises LinkInvalid."""
        if len(secret) > LONGEST_TOKEN:
            raise accounts_links.LinkInvalid
        now = self._clock.now()
        return await self._database.read(lambda c: accounts_links.look(c, secret, now))

    async def first_run_link(self, served_at: str = "") -> str | None:
        """The secret of a link for the first admin; None where somebody can log in. `served_at` is
        the panel's address, for the links that commands print."""

        def make(connection: Connection) -> str | None:
            if served_at:
                accounts_links.serve_at(connection, served_at)
            if not accounts.nobody_can_log_in(connection):
                return None
            return accounts_links.make(connection, None, self._clock.now())

        return await self._database.run(make)

    async def change_password(self, operator: str, current: str, wanted: str, place: From) -> str:
        """The token of a new session; all others of this person end.

        Raises LoginRefused (the current one is wrong), LoginThrottled, PasswordRefused,
        TooManyLogins.
        """
        now = self._clock.monotonic()
        wait = self.throttle.wait(place.address, operator, now)
        if wait > 0:
            raise LoginThrottled(wait)
        new = acceptable(wanted, operator)
        self.throttle.failed(place.address, operator, now)
        found = await self._database.read(lambda c: accounts.known(c, operator))
        if not await self.passwords.verify(found.password_hash, current):
            await self.change(operator, "password change failed", operator, lambda _: None)
            raise LoginRefused
        self.throttle.succeeded(place.address, operator)
        made = await self.passwords.hash(new)

        def store(connection: Connection) -> str:
            accounts.set_password(connection, operator, made)
            return self._begin(connection, operator, place)

        return await self.change(operator, "password changed", operator, store, place.address)

    # --- to be known ------------------------------------------------------------------------

    async def session(self, token: str, *, is_request: bool = True) -> Session | None:
        """The session of a cookie, if it goes on; a request of it keeps it from being idle."""
        if not token or len(token) > LONGEST_TOKEN:
            return None
        now = self._clock.now()
        found = await self._database.read(lambda c: sessions.find(c, token, now, self.lifetimes))
        if is_request and found is not None and found.needs_touch(now):
            await self._database.run(lambda c: sessions.touch(c, found, now))
        return found

    async def key(self, secret: str, address: str) -> ApiKey | None:
        """The key of a secret, if it is good."""
        if len(secret) > LONGEST_TOKEN:
            return None
        now = self._clock.now()
        found = await self._database.read(lambda c: keys.find(c, secret, now))
        if found is not None and found.needs_use_written(now):
            await self._database.run(lambda c: keys.used(c, found, now, address))
        return found

    async def logout(self, operator: str, token: str, *, everywhere: bool = False) -> None:
        """End a session, or all of this person."""

        def end(connection: Connection) -> None:
            if everywhere:
                sessions.end_all(connection, operator)
            sessions.end(connection, token)

        what = "logout everywhere" if everywhere else "logout"
        await self.change(operator, what, operator, end)

    # --- to change --------------------------------------------------------------------------

    async def change(
        self,
        who: str,
        action: str,
        subject: str,
        work: Callable[[Connection], _Result],
        address: str | None = None,
        detail: str = "",
    ) -> _Result:
        """Run work and write it to the audit log, both or neither.

        Raises sqlite3.Error, and what the work raises.
        """
        now = self._clock.now()
        place = audit.acting_from.get() if address is None else address

        def both(connection: Connection) -> _Result:
            result = work(connection)
            audit.append(connection, now, who, action, subject, detail, address=place)
            return result

        return await self._database.run(both)

    async def read(self, work: Callable[[Connection], _Result]) -> _Result:
        """Run work that changes nothing."""
        return await self._database.read(work)

    def _begin(self, connection: Connection, operator: str, place: From, replaces: str = "") -> str:
        now = self._clock.now()
        if replaces:
            sessions.end(connection, replaces)
        accounts.logged_in(connection, operator, now, place.address)
        return sessions.begin(
            connection, operator, now, self.lifetimes, address=place.address,
            browser=place.browser,
        )  # fmt: skip

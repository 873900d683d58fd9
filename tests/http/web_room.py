"""A running room without a socket: the whole web application over a real service on a spool of its
own, and callers who are logged in already.

    async with web_room(tmp_path) as room:
        admin = await room.person(Role.ADMIN)        # httpx.AsyncClient: cookie and CSRF header set
        answer = await admin.get("/api/v1/me")
        key = await room.key(Permission.SEND)        # the same with an API key
        nobody = await room.visitor()                # and without any
        await admin.post("/queues/...", data={"csrf": csrf_of(admin)})

`configuration` is TOML, as in a file, without `data`; keywords change ControlSettings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from waypost.administration import Administration
from waypost.config import Flags, load
from waypost.control import accounts, keys, sessions
from waypost.control.accounts_secrets import token_bound_to
from waypost.control.permissions import Permission, Role
from waypost.control.room import ControlRoom
from waypost.control.settings import ControlSettings
from waypost.faces.http.application import create_application
from waypost.faces.http.security_cookies import PLAIN
from waypost.service import Service

BASE = "http://127.0.0.1:8025"


class WebRoom:
    """See the module. Everything that it gives out is closed with it."""

    def __init__(self, service: Service, room: ControlRoom, stack: AsyncExitStack) -> None:
        self.service = service
        self.room = room
        self.administration = room.administration
        self.application: FastAPI = create_application(room)
        self._stack = stack
        self._made = 0

    @property
    def smtp_port(self) -> int:
        """Of the submission listener."""
        return int(self.service.listeners[0].bound[0].rpartition(":")[2])

    async def client(
        self, address: str = "127.0.0.1", base: str = BASE, **options: Any
    ) -> httpx.AsyncClient:
        """A client that comes from an address; redirects are not followed."""
        transport = httpx.ASGITransport(
            self.application, client=(address, 40000), raise_app_exceptions=False
        )
        return await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=base, **options)
        )

    async def visitor(self, **options: Any) -> httpx.AsyncClient:
        """Somebody who has not logged in."""
        return await self.client(**options)

    def operator(self, name: str, role: Role, password_hash: str = "(none)") -> None:
        """Add somebody; with the hash as it is nobody can log in by password."""
        now = self.service.clock.now()

        def work(connection: Any) -> None:
            accounts.add(connection, name, role, now)
            accounts.set_password(connection, name, password_hash)

        self.room.database.now(work)

    def session_of(self, name: str) -> str:
        """The token of a new session."""
        now = self.service.clock.now()
        lifetimes = self.room.accounts.lifetimes
        return self.room.database.now(
            lambda c: sessions.begin(c, name, now, lifetimes, address="127.0.0.1", browser="test")
        )

    async def person(
        self, role: Role = Role.ADMIN, name: str = "", **options: Any
    ) -> httpx.AsyncClient:
        """Somebody of a role, logged in. `csrf_of` gives what forms need."""
        self._made += 1
        name = name or f"{role}{self._made}"
        self.operator(name, role)
        return await self.browser(self.session_of(name), **options)

    async def browser(self, token: str, **options: Any) -> httpx.AsyncClient:
        """A client with the cookie of a session and its CSRF header."""
        headers = {"X-CSRF-Token": token_bound_to(token, "csrf")}
        return await self.client(cookies={PLAIN: token}, headers=headers, **options)

    async def key(
        self, *permissions: Permission, user: str | None = None, **options: Any
    ) -> httpx.AsyncClient:
        """A program with an API key."""
        self._made += 1
        now, name = self.service.clock.now(), f"key {self._made}"
        _, secret = self.room.database.now(
            lambda c: keys.add(c, name, permissions, now, created_by="test", user=user)
        )
        return await self.client(headers={"Authorization": f"Bearer {secret}"}, **options)


def csrf_of(client: httpx.AsyncClient) -> str:
    """What a form of this person brings in its hidden field."""
    return client.headers["X-CSRF-Token"]


@asynccontextmanager
async def web_room(folder: Path, configuration: str = "", **changes: Any) -> AsyncIterator[WebRoom]:
    """See the module."""
    path = folder / "waypost.toml"
    path.write_text(f'hostname = "relay.example"\ndata = "{folder / "data"}"\n{configuration}')
    listen = () if "[[listener]]" in configuration else ("127.0.0.1:0",)
    loaded = load(path, {"HOME": str(folder)}, Flags(listen=listen))
    settings = loaded.control_settings()
    assert isinstance(settings, ControlSettings)
    service = Service(loaded.service_settings())
    await service.start()
    try:
        room = ControlRoom(service, Administration(service), replace(settings, **changes))
        await room.open()
        try:
            async with AsyncExitStack() as stack:
                yield WebRoom(service, room, stack)
        finally:
            await room.close()
    finally:
        await service.stop(0.1)

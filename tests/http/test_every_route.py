"""Every route there is, one by one: what it asks of its callers.

New routes are found by themselves. One that changes something and lets a viewer do it, or that
takes a form without its token, fails here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from web_room import WebRoom, web_room

from waypost.control.permissions import Permission, Role
from waypost.faces.http.security import SAFE_METHODS

OWN = {"/logout", "/account/password", "/account/sessions"}
"""What everybody may do to themselves."""

OPEN = {"/login", "/first-run/{secret}", "/theme"}
"""For people who are not known yet."""

ASKING = {"/api/v1/doctor/explain", "/api/v1/templates/{name}/render"}
"""Take a body and change nothing."""

FOR_EVERY_KEY = ASKING | {
    "/api/v1/me", "/api/v1/openapi.json", "/api/v1/templates", "/api/v1/templates/{name}",
}  # fmt: skip
"""What a reply means, and templates, which whoever sends fills in."""


class One(NamedTuple):
    method: str
    path: str

    @property
    def filled(self) -> str:
        """With something in the place of its parameters."""
        return re.sub(r"\{[^}]*\}", "1g3k9x2m4n5", self.path)

    @property
    def is_api(self) -> bool:
        return self.path.startswith("/api/")


def routes_of(routes: Iterable[Any], prefix: str = "") -> Iterator[One]:
    for one in routes:
        inner = getattr(one, "original_router", None)
        if inner is not None:
            yield from routes_of(inner.routes, prefix + one.include_context.prefix)
            continue
        for method in sorted(one.methods or ()):
            yield One(method, prefix + one.path)


def in_room(folder: Path, work: Callable[[WebRoom, list[One]], Awaitable[list[str]]]) -> None:
    """Run the work; it gives what is wrong."""

    async def run() -> list[str]:
        async with web_room(folder) as room:
            found = list(routes_of(room.application.routes))
            assert len(found) > 40
            return await work(room, found)

    wrong = asyncio.run(run())
    assert not wrong, "\n".join(wrong)


def changing(found: list[One]) -> list[One]:
    return [
        one
        for one in found
        if one.method not in SAFE_METHODS and one.path not in OPEN | OWN | ASKING
    ]


def test_a_viewer_changes_nothing(tmp_path: Path) -> None:
    async def work(room: WebRoom, found: list[One]) -> list[str]:
        viewer = await room.person(Role.VIEWER)
        wrong = []
        for one in changing(found):
            answer = await viewer.request(one.method, one.filled)
            if answer.status_code != 403:
                wrong.append(f"{one.method} {one.path}: {answer.status_code}")
        return wrong

    in_room(tmp_path, work)


def test_a_key_that_may_something_else_may_nothing_here(tmp_path: Path) -> None:
    async def work(room: WebRoom, found: list[One]) -> list[str]:
        auditor = await room.key(Permission.AUDIT)
        wrong = []
        for one in found:
            open_to_all = one.path in FOR_EVERY_KEY and one not in changing(found)
            if not one.is_api or open_to_all or one.path == "/api/v1/audit":
                continue
            answer = await auditor.request(one.method, one.filled)
            if answer.status_code != 403 and one.method != "HEAD":
                wrong.append(f"{one.method} {one.path}: {answer.status_code}")
        return wrong

    in_room(tmp_path, work)


def test_no_change_without_the_token_of_the_session(tmp_path: Path) -> None:
    async def work(room: WebRoom, found: list[One]) -> list[str]:
        admin = await room.person(Role.ADMIN)
        del admin.headers["X-CSRF-Token"]
        wrong = []
        for one in found:
            if one.method in SAFE_METHODS or one.path in OPEN:
                continue
            answer = await admin.request(one.method, one.filled)
            if answer.status_code != 403:
                wrong.append(f"{one.method} {one.path}: {answer.status_code}")
        return wrong

    in_room(tmp_path, work)


def test_no_page_is_opened_by_a_key(tmp_path: Path) -> None:
    async def work(room: WebRoom, found: list[One]) -> list[str]:
        program = await room.key(*Permission)
        wrong = []
        for one in found:
            public = one.path.startswith(("/static", "/health")) or one.path in OPEN
            if one.is_api or public or one.path == "/metrics" or one.method == "HEAD":
                continue
            answer = await program.request(one.method, one.filled)
            if answer.status_code != 401:
                wrong.append(f"{one.method} {one.path}: {answer.status_code}")
        return wrong

    in_room(tmp_path, work)

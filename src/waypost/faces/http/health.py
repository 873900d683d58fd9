"""/health: whether the relay lives, and whether it can do its work; for supervisors and balancers.

Live: the event loop answers. Ready: every listener is open, the spool has room, and it has really
written something not long ago. Why it is not is told to this machine alone.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from waypost.control.room import ControlRoom
from waypost.faces.http.security_perimeter import is_loopback
from waypost.spool.contract import SpoolRefusal

router = APIRouter(prefix="/health")

WRITTEN_SECONDS: Final = 10.0
"""For which a successful writing counts, so that nobody can keep the disk busy with questions."""

WRITE_SECONDS: Final = 5.0
"""How long a disk may take."""

REMEMBERED: Final = "health"
"""The name under which the spool keeps what is written."""


class Readiness:
    """Finds out whether a relay can do its work."""

    def __init__(self, room: ControlRoom) -> None:
        self._room = room
        self._written_at = float("-inf")
        self._writing: asyncio.Task[None] | None = None

    async def problems(self) -> list[str]:
        """What keeps it from its work; none: it is ready."""
        service = self._room.service
        found = [
            f"listener {one.settings.address.text} is not open"
            for one in service.listeners
            if one.stopping or not one.bound
        ]
        refusal = service.spool.admission(0)
        if refusal is not None:
            return [*found, refusal.text]
        clock = self._room.clock
        if clock.monotonic() - self._written_at < WRITTEN_SECONDS:
            return found
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())
        try:
            await asyncio.wait_for(asyncio.shield(self._writing), WRITE_SECONDS)
        except TimeoutError:
            found.append(f"the spool has not written anything for {WRITE_SECONDS:g} s")
        except SpoolRefusal as fault:
            found.append(f"the spool cannot be written: {fault.text}")
        return found

    async def _write(self) -> None:
        clock = self._room.clock
        await self._room.service.spool.remember(REMEMBERED, f"{clock.now():.0f}")
        self._written_at = clock.monotonic()


@router.get("", include_in_schema=False)
@router.get("/ready", include_in_schema=False)
async def ready(request: Request) -> JSONResponse:
    """200 where the relay can do its work, else 503."""
    state = request.app.state
    if getattr(state, "readiness", None) is None:
        state.readiness = Readiness(state.room)
    problems = await state.readiness.problems()
    document: dict[str, Any] = {"status": "unavailable" if problems else "ready"}
    if problems and is_loopback(request.client.host if request.client else ""):
        document["problems"] = problems
    return JSONResponse(document, 503 if problems else 200, {"Cache-Control": "no-store"})


@router.get("/live", include_in_schema=False)
async def live() -> JSONResponse:
    """200: the event loop answers."""
    return JSONResponse({"status": "live"}, 200, {"Cache-Control": "no-store"})

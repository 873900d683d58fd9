"""The control room of a relay and what serves it, started and stopped as one."""

from __future__ import annotations

import structlog

from waypost.administration import Administration
from waypost.control.room import ControlRoom
from waypost.control.settings import ControlSettings
from waypost.faces.http.application import create_application
from waypost.faces.http.server import HttpServer
from waypost.relay.listener_address import ListenerAddress
from waypost.service import Service


class WebFace:
    """See the module."""

    def __init__(
        self, service: Service, administration: Administration, settings: ControlSettings
    ) -> None:
        self.room = ControlRoom(service, administration, settings)
        self._required = settings.is_required
        self._server = HttpServer(
            create_application(self.room), ListenerAddress.parse(settings.address)
        )
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.panel")

    @property
    def places(self) -> tuple[str, ...]:
        """The addresses of the panel for people to open, once started."""
        return tuple(f"http://{place}/" for place in self._server.bound)

    async def start(self) -> None:
        """Open the room and listen. Raises OSError, sqlite3.Error.

        Where nobody asked for a panel and its port is taken, the relay does without.
        """
        await self.room.open()
        try:
            await self._server.start()
        except OSError as fault:
            if self._required:
                raise
            self._log.warning(
                "no panel", why=f"{self.room.settings.address}: {fault.strerror or fault}",
                fix="give another address with --panel HOST:PORT, or --panel off",
            )  # fmt: skip

    async def stop(self) -> None:
        """Stop listening and close the room."""
        try:
            await self._server.stop()
        finally:
            await self.room.close()

"""The control room of a relay and what serves it, started and stopped as one."""

from __future__ import annotations

import sqlite3

import structlog

from waypost.administration import Administration
from waypost.config import Configuration
from waypost.control.room import ControlRoom
from waypost.control.settings import ControlSettings
from waypost.faces.http.application import create_application
from waypost.faces.http.server import HttpServer
from waypost.relay.listener_address import ListenerAddress
from waypost.service import Service


class WebFace:
    """See the module."""

    def __init__(
        self,
        service: Service,
        administration: Administration,
        settings: ControlSettings,
        configuration: Configuration | None = None,
    ) -> None:
        """`configuration` is for the page that shows it."""
        self.room = ControlRoom(service, administration, settings)
        self._required = settings.is_required
        certificates = service.certificates
        assert certificates is not None, "the service has started"
        self._application = create_application(self.room, configuration)
        self._server = HttpServer(
            self._application, ListenerAddress.parse(settings.address),
            certificates.context if settings.tls else None,
        )  # fmt: skip
        self.first_run = ""
        """A link with which the first person makes an account; "" where there is one."""
        self._opened = True
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.panel")

    @property
    def places(self) -> tuple[str, ...]:
        """The addresses of the panel for people to open, once started."""
        settings = self.room.settings
        if settings.public_url and self._server.bound:
            return (f"{settings.public_url}/",)
        scheme = "https" if settings.tls else "http"
        name = self.room.service.settings.hostname
        # All addresses of this machine are none that anybody could open.
        places = (
            place.replace("[::]:", f"{name}:").replace("0.0.0.0:", f"{name}:")
            for place in self._server.bound
        )
        return tuple(f"{scheme}://{place}/" for place in places)

    def reconfigured(self, configuration: Configuration) -> None:
        """Another configuration is in force."""
        self._application.state.configuration = configuration

    async def start(self) -> None:
        """Open the room and listen. Raises OSError, sqlite3.Error.

        Where nobody asked for a panel and its port is taken, the relay does without; and so it does
        where the room's file is damaged: mail does not stop for it.
        """
        try:
            self.room.accounts.open()
        except sqlite3.DatabaseError as fault:
            if not self.room.database.is_damaged(fault):
                raise
            self._log.error("no panel", why=str(fault))
            self._opened = False
            return
        await self.room.open()
        try:
            await self._server.start()
            secret = await self.room.accounts.first_run_link(self.places[0])
            if secret is not None:
                self.first_run = f"{self.places[0]}first-run/{secret}"
        except OSError as fault:
            if self._required:
                raise
            self._log.warning(
                "no panel", why=f"{self.room.settings.address}: {fault.strerror or fault}",
                fix="give another address with --panel HOST:PORT, or --panel off",
            )  # fmt: skip

    async def stop(self) -> None:
        """Stop listening and close the room. Streams of events end first, as nothing else ends
        them."""
        if not self._opened:
            self.room.database.close()
            return
        self.room.events.close()
        try:
            await self._server.stop()
        finally:
            await self.room.close()

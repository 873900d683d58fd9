"""`waypost serve`: the relay in the foreground, until a signal ends it.

`ready` on one line of standard error says that all listeners are up; programs wait for it. SIGTERM
and SIGINT finish what is in flight and stop; a second one stops at once. SIGHUP reads the
configuration again: routes and certificates change, listeners stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import json
import os
import signal
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import structlog
import typer

from waypost.administration import Administration
from waypost.config import Configuration, ConfigurationError, Flags, load
from waypost.config.sharing import Assignment, CannotShare, settings_of
from waypost.delivery.routing import InvalidRouting
from waypost.faces.cli.relay import control_socket
from waypost.faces.cli.start_faults import start_fault
from waypost.faces.cli.supervisor import Supervisor
from waypost.faces.cli.welcome import options_for, own_name, welcome
from waypost.faces.control_server import ControlServer
from waypost.faces.following import Following
from waypost.faces.logging import configure_logging
from waypost.net.clock import SystemClock
from waypost.net.service_manager import ServiceManager
from waypost.relay.activation import activated_sockets
from waypost.relay.certificates import CertificateFault, self_signed
from waypost.service import Service, ServiceSettings
from waypost.spool.sqlite import SpoolInUse

if TYPE_CHECKING:
    from waypost.faces.http.web import WebFace

WRONG_CONFIGURATION: Final = 2
CANNOT_START: Final = 1

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def serve(
    config: Annotated[
        Path | None, typer.Option(help="The configuration, a TOML file.", metavar="FILE")
    ] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(help="Where to listen; may be given several times.", metavar="HOST:PORT"),
    ] = None,
    route: Annotated[
        str | None,
        typer.Option(
            help="Where all mail goes: smtp://user:password@host:587, mx:, sandbox:, a provider.",
            metavar="URL",
        ),
    ] = None,
    spool: Annotated[
        str | None, typer.Option(help="Where mail is kept: sqlite:PATH.", metavar="URL")
    ] = None,
    hostname: Annotated[
        str | None, typer.Option(help="The name to greet with.", metavar="NAME")
    ] = None,
    panel: Annotated[
        str | None,
        typer.Option(help="Where the web panel and the HTTP API listen.", metavar="HOST:PORT|off"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the work.", metavar="N", min=1)
    ] = None,
    assignment: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Accept mail, keep it, deliver it.

    With nothing given it listens on 127.0.0.1:2525 and captures every message: nothing leaves this
    machine until a route is set.
    """
    flags = Flags(
        listen=tuple(listen or ()), route=route, spool=spool, hostname=hostname,
        panel=panel, workers=workers,
    )  # fmt: skip
    try:
        configuration = load(config, os.environ, flags)
    except ConfigurationError as fault:
        typer.echo(str(fault), err=True)
        raise typer.Exit(WRONG_CONFIGURATION) from None
    mine = _Assigned.read(assignment) if assignment is not None else None
    configure_logging(
        configuration.log_format, configuration.log_level, mine.assignment.name if mine else ""
    )
    if mine is None and len(configuration.processes) > 1:
        raise typer.Exit(_supervise(configuration))
    try:
        _run(_Process(configuration, config, flags, mine))
    except (SpoolInUse, sqlite3.Error, OSError, CertificateFault) as fault:
        typer.echo(f"waypost cannot start: {start_fault(fault)}", err=True)
        raise typer.Exit(CANNOT_START) from None


@dataclass(frozen=True, slots=True)
class _Assigned:
    """What the supervisor has told a worker: its part, and the ends of two pipes."""

    assignment: Assignment
    ready: int
    """Written to when all listeners are up."""
    lifeline: int
    """At its end when the supervisor is gone."""

    @classmethod
    def read(cls, text: str) -> _Assigned:
        told = json.loads(text)
        ready, lifeline = told.pop("ready"), told.pop("lifeline")
        return cls(Assignment(**told), ready, lifeline)


def _supervise(configuration: Configuration) -> int:
    """Run several workers; the exit code."""
    service = configuration.service
    if service.certificate is None:
        # Made once, and not by each worker at the same time.
        now = dt.datetime.fromtimestamp(SystemClock().now(), dt.UTC)
        self_signed(service.data / "tls", service.hostname, now)
    given = sys.argv[sys.argv.index("serve") + 1 :]
    return Supervisor(given, configuration.processes).run(
        lambda: print("ready", file=sys.stderr, flush=True)
    )


def _run(process: _Process) -> None:
    # Objects of a message live until its reply; collecting cycles among them finds nothing. A
    # rarer collection of the youngest saves a tenth of the time of a busy relay.
    gc.set_threshold(50_000, 20, 50)
    try:
        import uvloop
    except ImportError:  # Windows, or another Python than CPython
        asyncio.run(process.main())
        return
    uvloop.run(process.main())


class _Process:
    """The relay as a process: signals, reload, the control socket."""

    def __init__(
        self,
        configuration: Configuration,
        path: Path | None,
        flags: Flags,
        mine: _Assigned | None = None,
    ) -> None:
        self._configuration = configuration
        self._mine = mine
        self._path = path
        self._flags = flags
        self._stop = asyncio.Event()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost")
        self._service: Service | None = None
        self._web_face: WebFace | None = None
        self._following: Following | None = None
        self._manager = ServiceManager(
            # Of workers, the supervisor is the one that tells.
            {} if mine is not None else os.environ,
            SystemClock.monotonic,
            lambda text: self._log.warning("service manager", why=text),
        )

    async def main(self) -> None:
        """Run until a signal. Raises what keeps it from starting."""
        settings = self._settings(self._configuration)
        service = self._service = Service(settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await service.start(activated_sockets(os.environ))
        administration = Administration(service)
        control = ControlServer(administration, control_socket(settings.spool.directory))
        worker = self._mine.assignment.name if self._mine else ""
        following = self._following = Following(
            self._configuration, worker, service.clock, administration
        )
        watched: asyncio.Task[None] | None = None
        web = self._web(service, administration)
        try:
            await control.start()
            if web is not None:
                await web.start()
            self._tell_ready(service, web)
            watched = self._keep_telling(administration)
            await self._stop.wait()
        finally:
            self._log.info("stopping")
            self._manager.stopping()
            if watched is not None:
                watched.cancel()
            if web is not None:
                await web.stop()
            await control.stop()
            await service.stop()
            await asyncio.to_thread(following.close)
            self._log.info("stopped")

    def _web(self, service: Service, administration: Administration) -> WebFace | None:
        """The panel and the API, where they are wanted."""
        settings = self._configuration.control_settings()
        if settings is None:
            return None
        if self._mine is not None:
            if self._mine.assignment.share == 1 and "panel" in self._configuration.origins:
                self._log.warning("no panel", why="several workers have none yet; use workers = 1")
            return None
        from waypost.faces.http.web import WebFace

        self._web_face = WebFace(service, administration, settings, self._configuration)
        return self._web_face

    def _settings(self, configuration: Configuration) -> ServiceSettings:
        settings = configuration.service_settings()
        return settings if self._mine is None else settings_of(settings, self._mine.assignment)

    def _tell_ready(self, service: Service, web: WebFace | None) -> None:
        mine = self._mine
        if mine is None or mine.assignment.share == 1:
            options = options_for(self._path, self._flags.spool)
            spool = self._configuration.service.spool.directory
            places = web.places if web is not None else ()
            first_run = web.first_run if web is not None else ""
            for line in welcome(service, spool, own_name(), options, places, first_run):
                typer.echo(line)
            sys.stdout.flush()
        if mine is None:
            print("ready", file=sys.stderr, flush=True)
            return
        with contextlib.suppress(BrokenPipeError):  # nobody waits for one that was started again
            os.write(mine.ready, b"ready")
        os.close(mine.ready)
        asyncio.get_running_loop().add_reader(mine.lifeline, self._orphaned)

    def _keep_telling(self, administration: Administration) -> asyncio.Task[None] | None:
        """Tell the service manager that the relay is ready and, where it wants that, alive."""

        def status() -> str:
            memory, connections = administration.under_way
            return f"{memory} messages under way, {connections} connections"

        self._manager.ready(status())
        seconds = self._manager.watchdog_seconds
        if seconds is None:
            return None

        async def tell() -> None:
            while True:
                await SystemClock().sleep(seconds)
                self._manager.alive(status())

        return asyncio.get_running_loop().create_task(tell())

    def _orphaned(self) -> None:
        assert self._mine is not None
        asyncio.get_running_loop().remove_reader(self._mine.lifeline)
        self._log.error("the supervisor is gone; stopping")
        self._end()

    def _end(self) -> None:
        if self._stop.is_set():
            os._exit(1)  # asked twice: what is accepted is durable anyway
        self._stop.set()

    def _reload(self) -> None:
        """SIGHUP. A configuration that is wrong changes nothing."""
        if self._following is not None:
            self._following.reopen()
        self._manager.reloading()
        try:
            self._read_again()
        finally:
            self._manager.ready("the configuration was read again")

    def _read_again(self) -> None:
        assert self._service is not None
        try:
            configuration = load(self._path, os.environ, self._flags)
            self._service.reload(self._settings(configuration))
        except (
            ConfigurationError, CannotShare, InvalidRouting, CertificateFault, OSError,
        ) as fault:  # fmt: skip
            self._log.error("the new configuration is not used", why=str(fault))
            return
        self._configuration = configuration
        if self._web_face is not None:
            self._web_face.reconfigured(configuration)
        self._log.info("configuration read again")

"""`waypost serve`: the relay in the foreground, until a signal ends it.

`ready` on one line of standard error says that all listeners are up; programs wait for it. SIGTERM
and SIGINT finish what is in flight and stop; a second one stops at once. SIGHUP reads the
configuration again: routes and certificates change, listeners stay.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer

from waypost.administration import Administration
from waypost.config import Configuration, ConfigurationError, Flags, load
from waypost.delivery.routing import InvalidRouting
from waypost.faces.cli.relay import control_socket
from waypost.faces.cli.start_faults import start_fault
from waypost.faces.cli.welcome import options_for, own_name, welcome
from waypost.faces.control_server import ControlServer
from waypost.faces.logging import configure_logging
from waypost.relay.activation import activated_sockets
from waypost.relay.certificates import CertificateFault
from waypost.service import Service
from waypost.spool.sqlite import SpoolInUse

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
) -> None:
    """Accept mail, keep it, deliver it.

    With nothing given it listens on 127.0.0.1:2525 and captures every message: nothing leaves this
    machine until a route is set.
    """
    flags = Flags(
        listen=tuple(listen or ()), route=route, spool=spool, hostname=hostname,
        panel=None, workers=None,
    )  # fmt: skip
    try:
        configuration = load(config, os.environ, flags)
    except ConfigurationError as fault:
        typer.echo(str(fault), err=True)
        raise typer.Exit(WRONG_CONFIGURATION) from None
    configure_logging(configuration.log_format, configuration.log_level)
    try:
        _run(_Process(configuration, config, flags))
    except (SpoolInUse, sqlite3.Error, OSError, CertificateFault) as fault:
        typer.echo(f"waypost cannot start: {start_fault(fault)}", err=True)
        raise typer.Exit(CANNOT_START) from None


def _run(process: _Process) -> None:
    # Objects of a message live until its reply; collecting cycles among them finds nothing. A
    # rarer collection of the youngest saves a tenth of the time of a busy relay.
    gc.set_threshold(50_000, 20, 50)
    if sys.platform == "win32":
        asyncio.run(process.main())
        return
    import uvloop

    uvloop.run(process.main())


class _Process:
    """The relay as a process: signals, reload, the control socket."""

    def __init__(self, configuration: Configuration, path: Path | None, flags: Flags) -> None:
        self._configuration = configuration
        self._path = path
        self._flags = flags
        self._stop = asyncio.Event()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost")
        self._service: Service | None = None

    async def main(self) -> None:
        """Run until a signal. Raises what keeps it from starting."""
        configuration = self._configuration
        service = self._service = Service(configuration.service_settings())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await service.start(activated_sockets(os.environ))
        control = ControlServer(
            Administration(service), control_socket(configuration.service.spool.directory)
        )
        try:
            await control.start()
            options = options_for(self._path, self._flags.spool)
            for line in welcome(service, own_name(), options):
                typer.echo(line)
            sys.stdout.flush()
            print("ready", file=sys.stderr, flush=True)
            await self._stop.wait()
        finally:
            self._log.info("stopping")
            await control.stop()
            await service.stop()
            self._log.info("stopped")

    def _end(self) -> None:
        if self._stop.is_set():
            os._exit(1)  # asked twice: what is accepted is durable anyway
        self._stop.set()

    def _reload(self) -> None:
        """SIGHUP. A configuration that is wrong changes nothing."""
        assert self._service is not None
        try:
            configuration = load(self._path, os.environ, self._flags)
            self._service.reload(configuration.service_settings().routes)
        except (ConfigurationError, InvalidRouting, CertificateFault, OSError) as fault:
            self._log.error("the new configuration is not used", why=str(fault))
            return
        self._configuration = configuration
        self._log.info("configuration read again")

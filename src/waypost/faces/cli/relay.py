"""The relay that a command is for: the one that runs, or its spool while none does.

Where the relay is follows from the same configuration that `serve` reads: its control socket stands
in its spool, so that two relays with the same data folder are told apart. To be quick, only the
spool's folder is looked up first, which is all that a running relay needs to be found; the whole
configuration is loaded when none answers.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from waypost.faces.cli.failure import TEMPORARY, UNREACHABLE, WRONG_USAGE, Failure, fail, say
from waypost.faces.control_client import ControlClient, NoRelay

if TYPE_CHECKING:
    import asyncio

    from waypost.config import Configuration
    from waypost.faces.control_requests import Replies
    from waypost.spool.sqlite import SqliteSpool

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The relay's configuration, as for serve.", metavar="FILE"),
]
SpoolOption = Annotated[
    str | None,
    typer.Option("--spool", help="The relay's spool, as for serve.", metavar="URL"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Give one JSON object.")]


class Relay(Protocol):
    """What commands ask."""

    @property
    def is_running(self) -> bool:
        """Whether a relay answers; else its spool does."""

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The one reply to a request."""

    def stream(
        self, do: str, *, for_ever: bool = False, **arguments: Any
    ) -> Iterator[dict[str, Any]]:
        """The replies to a request as they come."""


class RunningRelay(ControlClient):
    """A relay that answers on its control socket."""

    is_running = True


class IdleRelay:
    """The spool of a relay that does not run; nothing is delivered meanwhile."""

    is_running = False

    def __init__(
        self, configuration: Configuration, runner: asyncio.Runner, directory: Path
    ) -> None:
        from waypost.administration import Administration
        from waypost.delivery.routing import RoutingTable
        from waypost.net.clock import SystemClock
        from waypost.spool.sqlite import SqliteSpool

        settings = configuration.service_settings()
        now = SystemClock().now
        self._runner = runner
        self.spool: SqliteSpool = SqliteSpool(replace(settings.spool, directory=directory), now)
        self._administration = Administration.over_spool(
            self.spool, now, RoutingTable(settings.routes)
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The one reply to a request. Raises Failure."""
        (reply,) = self.stream(do, **arguments)
        return reply

    def stream(
        self, do: str, *, for_ever: bool = False, **arguments: Any
    ) -> Iterator[dict[str, Any]]:
        """The replies to a request. Raises Failure."""
        from waypost.faces.control_requests import RequestFault, answer

        if for_ever:
            fail("no relay is running, so nothing happens that could be followed", UNREACHABLE)
        replies = answer(self._administration, {"do": do, **arguments})
        try:
            while True:
                reply = self._runner.run(_next(replies))
                if reply is None:
                    return
                yield reply
        except RequestFault as fault:
            raise Failure(str(fault), fault.code) from fault
        finally:
            self._runner.run(replies.aclose())


async def _next(replies: Replies) -> dict[str, Any] | None:
    return await anext(replies, None)


@contextmanager
def open_relay(config: Path | None, spool: str | None) -> Iterator[Relay]:
    """The relay of a configuration: running, or its spool. Raises Failure."""
    from waypost.faces.cli.shards import Shards, shard_folders

    folder = None if spool else spool_folder(config, os.environ)
    configuration = None
    if folder is None:
        configuration = load_configuration(config, spool)
        folder = configuration.service.spool.directory
    shards = shard_folders(folder) or [folder]
    running = {shard: found for shard in shards if (found := _running(shard)) is not None}
    if len(shards) == 1 and running:
        yield running[folder] if folder in running else running[shards[0]]
        return
    with ExitStack() as opened:
        relays: list[Relay] = []
        for shard in shards:
            if shard in running:
                relays.append(running[shard])
                continue
            configuration = configuration or load_configuration(config, spool)
            idle = _open_spool(configuration, shard, quietly=bool(running))
            relays.append(opened.enter_context(idle))
        yield relays[0] if len(relays) == 1 else Shards(relays)


def _running(shard: Path) -> RunningRelay | None:
    """The relay that works on a shard, if it answers."""
    relay = RunningRelay(control_socket(shard))
    try:
        relay.ask("about")
    except NoRelay:
        return None
    return relay


@contextmanager
def _open_spool(
    configuration: Configuration, directory: Path, *, quietly: bool
) -> Iterator[IdleRelay]:
    import asyncio
    import sqlite3

    from waypost.spool.sqlite import SpoolInUse

    if not (directory / "spool.sqlite").exists():
        fail(
            f"no relay is running, and there is no spool in {directory} yet; start one with "
            "`waypost serve`, or name another with --config or --spool",
            UNREACHABLE,
        )
    with asyncio.Runner() as runner:
        idle = IdleRelay(configuration, runner, directory)
        try:
            runner.run(idle.spool.open())
        except SpoolInUse as fault:
            fail(
                f"{fault}. Its relay does not answer on {control_socket(directory)}; "
                "it may be starting or stopping",
                TEMPORARY,
            )
        except sqlite3.Error as fault:
            fail(f"the spool {directory} cannot be opened: {fault}", TEMPORARY)
        if not quietly:
            say(f"waypost: no relay is running; working on the spool {directory}")
        try:
            yield idle
        finally:
            runner.run(idle.spool.close())


def load_configuration(config: Path | None, spool: str | None = None) -> Configuration:
    """The whole configuration. Raises Failure."""
    from waypost.config import ConfigurationError, Flags, load

    try:
        return load(config, os.environ, Flags(spool=spool))
    except ConfigurationError as fault:
        raise Failure(f"the configuration cannot be used:\n{fault}", WRONG_USAGE) from fault


def own_name() -> str:
    """What to say in EHLO: as configured, without loading the configuration where there is none.

    Raises Failure.
    """
    if any(os.environ.get(name) for name in ("WAYPOST_HOSTNAME", "WAYPOST_CONFIG")):
        return load_configuration(None, None).hostname
    from waypost.net.own_name import machine_name

    return machine_name()


def control_socket(spool: Path) -> Path:
    """The control socket of the relay that works on this spool."""
    return spool / "control.sock"


def spool_folder(config: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The spool's folder without loading the configuration; None where that must decide."""
    if environment.get("WAYPOST_SPOOL"):
        return None
    file = _file(config, environment)
    section = None if file is None else file.get("spool", {})
    if file is None or not isinstance(section, dict) or "url" in section:
        return None
    folder = _data_folder(file, environment)
    return None if folder is None else folder / "spool"


def data_folder(config: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The data folder, likewise."""
    file = _file(config, environment)
    return None if file is None else _data_folder(file, environment)


def _file(config: Path | None, environment: Mapping[str, str]) -> Mapping[str, object] | None:
    """What the file holds; nothing where there is none, None where it cannot be read."""
    if config is None and environment.get("WAYPOST_CONFIG"):
        config = Path(environment["WAYPOST_CONFIG"])
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _data_folder(file: Mapping[str, object], environment: Mapping[str, str]) -> Path | None:
    given = environment.get("WAYPOST_DATA") or file.get("data")
    if given is not None:
        return Path(given) if isinstance(given, str) and given.startswith("/") else None
    base = environment.get("XDG_DATA_HOME", "")
    if base.startswith("/"):
        return Path(base) / "waypost"
    home = environment.get("HOME")
    return Path(home) / ".local" / "share" / "waypost" if home else None

"""`waypost ping`: how long a server takes, stage by stage, once or again and again."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Coroutine
from typing import Annotated

import typer

from waypost.doctor.latency import LatencySettings, Measured, measure
from waypost.doctor.latency_figures import WATCHED, is_past
from waypost.faces.cli.dns_option import DnsOption
from waypost.faces.cli.failure import WRONG_USAGE, Failure, fail, failures_shown
from waypost.faces.cli.ping_connections import find_connections
from waypost.faces.cli.ping_result import KEPT, Display, Judged, display_for
from waypost.faces.cli.relay import JsonOption, own_name
from waypost.faces.cli.server_target import (
    AuthoritiesOption,
    InsecureOption,
    PasswordOption,
    TargetArgument,
    UserOption,
    named_target,
    real_world,
)
from waypost.knowledge.response_times import response_limit
from waypost.mail.address import InvalidAddress, parse_address

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

DEFAULT_COUNT = 5
HOPELESS = 2
"""Sessions in which nobody spoke with us; where these are the first ones, no more are tried."""

PAUSE_SECONDS = 0.2
"""Between two sessions where no interval is given: a server is not to be run over."""


@app.command()
def ping(
    target: TargetArgument,
    count: Annotated[
        int | None,
        typer.Option(
            help="Sessions; 5, or with --interval without end.", min=1, max=1_000_000, metavar="N"
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(help="Keep watching: seconds from one session to the next.", metavar="S"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Seconds that the median of the totals may have; by default 1. With --interval, "
            "ends with 1 as soon as the median of the last three is past it.",
            metavar="S",
        ),
    ] = None,
    user: UserOption = None,
    password_env: PasswordOption = None,
    rcpt: Annotated[
        str | None,
        typer.Option(help="Ask for this recipient as well; no mail is sent.", metavar="ADDRESS"),
    ] = None,
    sender: Annotated[
        str,
        typer.Option(
            "--from", help="The sender for --rcpt; by default the null sender.", metavar="ADDRESS"
        ),
    ] = "",
    timeout: Annotated[float, typer.Option(help="Seconds for each stage.", metavar="S")] = 30.0,
    ca_file: AuthoritiesOption = None,
    insecure: InsecureOption = False,
    dns: DnsOption = None,
    connections: Annotated[
        bool,
        typer.Option(
            "--connections",
            help="Find how many parallel connections your own server takes.",
        ),
    ] = False,
    maximum: Annotated[
        int, typer.Option(help="With --connections: open no more.", min=2, max=10_000, metavar="N")
    ] = 50,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --connections: do not ask.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Measure the response time of a server by stage: DNS, connection, greeting, EHLO, TLS, login.

    A session is opened as mail would open it, and left; no mail is sent. A lost session counts as
    infinitely slow. Ends with 0 where the median is within the threshold and none was lost, 1
    where not, 69 where no session got through.
    """
    with failures_shown():
        for name, value in (("--interval", interval), ("--threshold", threshold)):
            if value is not None and not 0 < value <= 86400:
                fail(f"{name} is a number of seconds above 0, up to a day", WRONG_USAGE)
        if not 0 < timeout <= 600:
            fail("--timeout is a number of seconds above 0, up to 600", WRONG_USAGE)
        named = named_target(target, user, password_env, insecure=insecure, ca_file=ca_file)
        hostname = own_name()
        if connections:
            code = find_connections(
                named, hostname, real_world(dns), maximum, timeout, asked=yes, json=json
            )
        else:
            settings = LatencySettings(
                named.hop, hostname, lambda: secrets.token_urlsafe(18), timeout,
                _address("--from", sender) if sender else "",
                _address("--rcpt", rcpt) if rcpt is not None else None,
            )  # fmt: skip
            limit = threshold or response_limit("session").seconds
            display = display_for(named, limit, watching=interval is not None, json=json)
            sessions: list[Measured] = []
            watch = _watch(settings, dns, sessions, count, interval, threshold, display)
            code = _run(watch, sessions, display)
    raise typer.Exit(code)


def _address(option: str, text: str) -> str:
    try:
        return str(parse_address(text, smtputf8=True))
    except InvalidAddress as fault:
        raise Failure(f"{option}: {text!r} is no address: {fault}", WRONG_USAGE) from fault


def _run(watch: Coroutine[object, object, None], sessions: list[Measured], display: Display) -> int:
    with display:
        try:
            asyncio.run(watch)
        except KeyboardInterrupt:
            if not sessions:
                raise
    judged = Judged(tuple(sessions), display.threshold)
    display.result(judged)
    return judged.exit_code


async def _watch(
    settings: LatencySettings,
    dns: str | None,
    sessions: list[Measured],
    count: int | None,
    interval: float | None,
    threshold: float | None,
    display: Display,
) -> None:
    """Measure until the count is reached or, while watching, the threshold is passed."""
    if count is None and interval is None:
        count = DEFAULT_COUNT
    for number in itertools.count(1):
        world = real_world(dns)  # each time anew: an answer that is known already takes no time
        begun = world.clock.monotonic()
        sessions.append(await measure(settings, world, number))
        del sessions[:-KEPT]
        display.session(sessions)
        if number == count or (interval is None and _is_hopeless(sessions)):
            return
        if interval is not None and threshold is not None and number >= WATCHED:
            last = sessions[-WATCHED:]
            if is_past(last, threshold):
                return
        took = world.clock.monotonic() - begun
        await world.clock.sleep(max(0.0, interval - took) if interval else PAUSE_SECONDS)


def _is_hopeless(sessions: list[Measured]) -> bool:
    """Nobody has spoken with us from the beginning: more of it would only take time."""
    losses = [one.loss for one in sessions]
    return len(losses) >= HOPELESS and not any(loss is None or loss.answered for loss in losses)

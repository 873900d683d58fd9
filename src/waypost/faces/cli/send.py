"""`waypost send`: a message from the command line, to the running relay or directly."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from waypost.config import Configuration
from waypost.delivery.backoff import Circuits
from waypost.delivery.exchangers import Exchangers
from waypost.delivery.opening import Opener
from waypost.delivery.route import MxDelivery, NextHop, Route, Sandbox, Smarthost, TlsMode
from waypost.delivery.route_url import InvalidRouteUrl, UrlContext, parse_route_url
from waypost.delivery.single import SingleOutcome, deliver_once
from waypost.faces.cli.failure import UNREACHABLE, WRONG_USAGE, Failure, fail, failures_shown
from waypost.faces.cli.merge_options import MergeOptions
from waypost.faces.cli.output import print_json, print_line, shown
from waypost.faces.cli.relay import (
    ConfigOption,
    JsonOption,
    SpoolOption,
    control_socket,
    load_configuration,
)
from waypost.faces.cli.send_result import exit_code, print_outcomes, result_document
from waypost.faces.cli.shards import shard_folders
from waypost.faces.control_client import ControlClient, NoRelay, Refused
from waypost.faces.merge.journal import Again
from waypost.faces.message import Composed, InvalidMessage, Parts, compose
from waypost.net.clock import SystemClock
from waypost.net.deadlines import Deadlines
from waypost.net.dns import DnsResolver
from waypost.net.network import AsyncioNetwork
from waypost.relay.listener_address import InvalidListenerAddress, ListenerAddress

MERGE = "A letter to many"

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def send(
    sender: Annotated[
        str, typer.Option("--from", help="Who sends: A or 'Name <A>'.", metavar="ADDRESS")
    ],
    to: Annotated[
        list[str] | None, typer.Option(help="Who receives; several times.", metavar="ADDRESS")
    ] = None,
    cc: Annotated[
        list[str] | None, typer.Option(help="Likewise, named as a copy.", metavar="ADDRESS")
    ] = None,
    bcc: Annotated[
        list[str] | None, typer.Option(help="Likewise, not named.", metavar="ADDRESS")
    ] = None,
    subject: Annotated[str, typer.Option(help="The subject.", metavar="TEXT")] = "",
    text: Annotated[
        str | None, typer.Option(help="The text; - for standard input.", metavar="TEXT")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="A file with the HTML form.", metavar="FILE")
    ] = None,
    attach: Annotated[
        list[Path] | None, typer.Option(help="A file; several times.", metavar="FILE")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="'Name: value'; several times.", metavar="FIELD")
    ] = None,
    via: Annotated[
        str | None,
        typer.Option(
            help="Deliver directly and show each step: smtp://user:pass@host:587, smtps://host, "
            "smtp+plain://host:25, mx:, or a provider.",
            metavar="URL",
        ),
    ] = None,
    reply_to: Annotated[
        list[str] | None, typer.Option(help="Where answers go.", metavar="ADDRESS")
    ] = None,
    merge: Annotated[
        Path | None,
        typer.Option(
            help="A letter to many: a CSV file, a person to a row.",
            metavar="PEOPLE",
            rich_help_panel=MERGE,
        ),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            help="The text, a Jinja2 template with {{ column }}; --html and --subject are, too.",
            metavar="FILE",
            rich_help_panel=MERGE,
        ),
    ] = None,
    unsubscribe: Annotated[
        str | None,
        typer.Option(
            help="Where each unsubscribes: https://.../{{ token }} or mailto:...",
            metavar="URL",
            rich_help_panel=MERGE,
        ),
    ] = None,
    address_column: Annotated[
        str | None,
        typer.Option(help="The column with the address.", metavar="NAME", rich_help_panel=MERGE),
    ] = None,
    preview: Annotated[
        int | None,
        typer.Option(
            help="Show the first copies, send nothing.", metavar="N", min=1, rich_help_panel=MERGE
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Look at every row, send nothing.", rich_help_panel=MERGE),
    ] = False,
    journal: Annotated[
        Path | None,
        typer.Option(
            help="Who has it already; by default PEOPLE.sent.",
            metavar="FILE",
            rich_help_panel=MERGE,
        ),
    ] = None,
    resend_uncertain: Annotated[
        bool,
        typer.Option(
            "--resend-uncertain",
            help="Send again to those who may have it, as the answer was lost.",
            rich_help_panel=MERGE,
        ),
    ] = False,
    retry_refused: Annotated[
        bool,
        typer.Option(
            "--retry-refused", help="Send again to those who were refused.", rich_help_panel=MERGE
        ),
    ] = False,
    rate: Annotated[
        str | None,
        typer.Option(help='Not faster than "10/second".', metavar="RATE", rich_help_panel=MERGE),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask.", rich_help_panel=MERGE)
    ] = False,
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """Send a message. It goes to the running relay, which keeps it and delivers it.

    With --via it is delivered directly, without a relay, and every step is shown. With --merge
    everybody on a list gets a copy in their own words.
    """
    if merge is not None:
        with failures_shown():
            if to or cc or bcc or text is not None:
                fail(
                    "--merge takes the recipients of its list and the text of --template; leave "
                    "out --to, --cc, --bcc and --text",
                    WRONG_USAGE,
                )
            options = MergeOptions(
                merge, sender, subject, template, html, attach or (), header or (), reply_to or (),
                unsubscribe, address_column, preview, dry_run, journal,
                Again(retry_refused, resend_uncertain), rate, yes, json,
            )  # fmt: skip
            code = _merge(options, via, load_configuration(config, spool))
        raise typer.Exit(code)
    with failures_shown():
        if template is not None or unsubscribe is not None or preview is not None or dry_run:
            fail("--template, --unsubscribe, --preview and --dry-run need --merge", WRONG_USAGE)
        hop = _next_hop(via) if via is not None else None
        configuration = load_configuration(config, spool)
        parts = Parts(
            sender, to or (), cc or (), bcc or (), subject, _text(text), _html(html), attach or (),
            header or (), reply_to or (),
        )  # fmt: skip
        message = _composed(parts, configuration.hostname)
        if hop is None:
            code = _to_relay(message, configuration, json)
        else:
            code = _directly(message, hop, configuration.hostname, json)
    raise typer.Exit(code)


def _merge(options: MergeOptions, via: str | None, configuration: Configuration) -> int:
    from waypost.faces.cli.merge import merge

    own_relay = ""
    if via is None and not options.dry_run and options.preview is None:
        hop = _submission(configuration)
        if hop.host.startswith("unix:"):
            fail("--merge needs a listener of the relay on TCP, or --via", WRONG_USAGE)
        scheme = "smtps" if hop.tls is TlsMode.IMPLICIT else "smtp+plain"
        host = f"[{hop.host}]" if ":" in hop.host else hop.host
        own_relay = f"{scheme}://{host}:{hop.port}"
    return merge(options, via, own_relay, configuration.hostname)


def _text(given: str | None) -> str | None:
    if given != "-":
        return given
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as fault:
        fail(f"standard input is no text: {fault}", WRONG_USAGE)


def _html(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        fail(f"--html: {path} cannot be read: {fault}", WRONG_USAGE)


def _composed(parts: Parts, hostname: str) -> Composed:
    now = dt.datetime.now().astimezone()
    try:
        return compose(parts, now, hostname)
    except InvalidMessage as fault:
        raise Failure(str(fault), WRONG_USAGE) from fault
    except OSError as fault:
        text = f"--attach: {fault.filename} cannot be read: {fault.strerror}; nothing was sent"
        raise Failure(text, WRONG_USAGE) from fault


def _next_hop(url: str) -> NextHop:
    context = UrlContext(environment=os.environ, read_file=lambda name: Path(name).read_text())
    try:
        hop = parse_route_url(url, context)
    except InvalidRouteUrl as fault:
        raise Failure(f"--via: {fault}", WRONG_USAGE) from fault
    if isinstance(hop, Sandbox):
        fail(
            "--via sandbox: needs a relay; start `waypost serve`, and send without --via",
            WRONG_USAGE,
        )
    return hop


# --- to the running relay -----------------------------------------------------------------------


def _to_relay(message: Composed, configuration: Configuration, json: bool) -> int:
    """Hand it over by SMTP; the relay has it durably when it says so."""
    hop = _submission(configuration)
    outcomes = asyncio.run(_deliver(message, hop, configuration.hostname, None))
    if not any(one.reached for one in outcomes):
        fail(
            f"no relay answers on {hop.identity}: {shown(outcomes[0].outcome.text)}. Start one "
            "with `waypost serve`, or deliver directly with --via",
            UNREACHABLE,
        )
    if json:
        print_json(result_document(message, outcomes, None))
    else:
        print_outcomes(outcomes, "the relay has it")
    return exit_code(outcomes)


def _submission(configuration: Configuration) -> Smarthost:
    """The first listener that takes mail from applications: as bound where the relay tells it,
    else as the configuration says. Raises Failure."""
    kinds = [(one.kind, one.address.text) for one in configuration.service.listeners]
    spool = configuration.service.spool.directory
    for shard in shard_folders(spool) or [spool]:
        with suppress(NoRelay, Refused):  # the attempt to connect will tell
            about = ControlClient(control_socket(shard)).ask("about")
            if about["listeners"]:
                kinds = [(one["kind"], one["address"]) for one in about["listeners"]]
                break
    # One in the clear first: on this machine nobody listens, and every relay has its certificate
    # made for another name than localhost.
    for wanted in ("submission", "submissions"):
        for kind, text in kinds:
            hop = _listener_hop(text, implicit=kind == "submissions") if kind == wanted else None
            if hop is not None:
                return hop
    raise Failure(
        "the relay has no listener of kind submission that can be connected to; add one, such as "
        "127.0.0.1:2525, or deliver directly with --via",
        WRONG_USAGE,
    )


def _listener_hop(text: str, *, implicit: bool) -> Smarthost | None:
    try:
        address = ListenerAddress.parse(text)
    except InvalidListenerAddress:
        return None
    tls = TlsMode.IMPLICIT if implicit else TlsMode.NONE
    if address.path is not None:
        return Smarthost(f"unix:{address.path}", 0, tls, verify=False)
    if address.activation is not None:
        return None
    host = address.hosts[0] if address.hosts else "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound to
    if not (address.is_loopback or implicit or host in ("127.0.0.1", "::1")):
        tls = TlsMode.OPPORTUNISTIC
    return Smarthost(host, address.port, tls, verify=False)


# --- directly -----------------------------------------------------------------------------------


def _directly(message: Composed, hop: NextHop, hostname: str, json: bool) -> int:
    steps: list[dict[str, Any]] = []

    def observe(seconds: float, direction: str, line: str) -> None:
        steps.append({"milliseconds": round(seconds * 1000, 1), "who": _WHO[direction],
                      "text": line})  # fmt: skip
        if not json:
            print_line(f"{seconds * 1000:9.1f} ms  {_WHO[direction]:<4}  {shown(line, 400)}")
            sys.stdout.flush()

    outcomes = asyncio.run(_deliver(message, hop, hostname, observe))
    if json:
        print_json(result_document(message, outcomes, steps))
    else:
        print_line()
        print_outcomes(outcomes, "accepted")
    return exit_code(outcomes)


_WHO = {">": "we", "<": "they", "*": "note"}


async def _deliver(
    message: Composed, hop: NextHop, hostname: str, observe: Any
) -> list[SingleOutcome]:
    assert isinstance(hop, Smarthost | MxDelivery)
    clock, chance = SystemClock(), random.SystemRandom()
    deadlines, resolver = Deadlines(clock), DnsResolver(clock)
    opener = Opener(
        hostname, AsyncioNetwork(), resolver, Exchangers(resolver, chance), Circuits(chance),
        chance, lambda: secrets.token_urlsafe(18), clock, deadlines,
    )  # fmt: skip
    route = Route("send", (hop,))
    return await deliver_once(message.envelope, message.content, route, opener, clock, observe)

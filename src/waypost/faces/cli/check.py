"""`waypost check`: what is wrong with a mail server, shown while it is found out."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from waypost.delivery.next_hop import TlsMode
from waypost.delivery.route_url import UrlContext
from waypost.doctor.check.encryption import InvalidAuthorities
from waypost.doctor.check.run import Checked, CheckSettings, Watch, check
from waypost.doctor.check.subject import DomainTarget, Subject, parse_subject, with_port
from waypost.doctor.line_opening import World
from waypost.doctor.target import InvalidTarget, ServerTarget
from waypost.faces.cli.check_result import Display, display_for, exit_code
from waypost.faces.cli.dns_option import DnsOption, is_on_loopback, resolver_for
from waypost.faces.cli.failure import WRONG_USAGE, Failure, fail, failures_shown
from waypost.faces.cli.relay import JsonOption, own_name
from waypost.faces.cli.server_target import (
    InsecureOption,
    PasswordOption,
    UserOption,
    credentials_given,
)
from waypost.net.clock import SystemClock
from waypost.net.network import AsyncioNetwork

if TYPE_CHECKING:
    from waypost.doctor.check.health import HealthLook
    from waypost.doctor.domain_health import HealthReport

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

SECONDS: Final = 10.0
"""For each step, where nothing else is said."""

TLS_MODES: Final = {
    "starttls": TlsMode.REQUIRED,
    "if-offered": TlsMode.OPPORTUNISTIC,
    "implicit": TlsMode.IMPLICIT,
    "none": TlsMode.NONE,
}


@app.command("check")
def check_command(
    target: Annotated[
        str,
        typer.Argument(
            help="A server (host, host:port, smtp://, smtps://, a provider such as gmail), a "
            "domain, or a mail address.",
            metavar="TARGET",
        ),
    ],
    user: UserOption = None,
    password_env: PasswordOption = None,
    sender: Annotated[
        str | None,
        typer.Option("--from", help="Ask with this sender.", metavar="ADDRESS"),
    ] = None,
    recipient: Annotated[
        str | None,
        typer.Option("--to", help="Ask for this recipient; no mail is sent.", metavar="ADDRESS"),
    ] = None,
    send_to: Annotated[
        str | None,
        typer.Option(help="Send a test message to this address.", metavar="ADDRESS"),
    ] = None,
    size: Annotated[
        int, typer.Option(help="Ask for a message of so many bytes.", min=0, metavar="BYTES")
    ] = 0,
    port: Annotated[
        int | None, typer.Option(help="In place of the target's.", min=1, max=65535, metavar="N")
    ] = None,
    tls: Annotated[
        str | None,
        typer.Option(
            help="In place of the target's: starttls, if-offered, implicit or none.",
            metavar="MODE",
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="Trust these certificates (PEM) in place of the system's.", metavar="FILE"
        ),
    ] = None,
    insecure: InsecureOption = False,
    timeout: Annotated[float, typer.Option(help="Seconds for each step.", metavar="S")] = SECONDS,
    source: Annotated[
        str | None, typer.Option(help="Connect from this address.", metavar="ADDRESS")
    ] = None,
    selector: Annotated[
        list[str] | None,
        typer.Option(help="Of a domain: look for this DKIM key as well.", metavar="NAME"),
    ] = None,
    sending: Annotated[
        list[str] | None,
        typer.Option(
            "--sender", help="Of a domain: this address sends for it.", metavar="IP-ADDRESS"
        ),
    ] = None,
    blocklist: Annotated[
        list[str] | None,
        typer.Option(help="Of a domain: ask only this list; none for no list.", metavar="ZONE"),
    ] = None,
    dns: DnsOption = None,
    json: JsonOption = False,
) -> None:
    """Find out what is wrong with a mail server or domain: one cause, its evidence and its fix.

    Walks from the DNS over the connection, the greeting, TLS and the login to MAIL and RCPT. Of a
    domain its exchangers are asked on port 25, and its records (SPF, DKIM, DMARC, ...) are looked
    at. No mail is sent without --send-to. Ends with 0 where mail goes, 1 where it does not.
    """
    with failures_shown():
        if not 0 < timeout <= 600:
            fail("--timeout is a number of seconds above 0, up to 600", WRONG_USAGE)
        if tls is not None and tls not in TLS_MODES:
            fail(f"--tls is one of {', '.join(TLS_MODES)}, not {tls!r}", WRONG_USAGE)
        subject = _subject(target, user, password_env)
        mode = TLS_MODES[tls] if tls is not None else None
        subject = _with_port(subject, port, mode)
        hostname = own_name()
        to = _address("--send-to", send_to) or _address("--to", recipient)
        from_ = _address("--from", sender)
        given = _given({
            "--dns": dns, "--port": port, "--tls": tls, "--user": user,
            "--password-env": password_env, "--ca-file": ca_file, "--insecure": insecure,
            "--source": source, "--from": sender, "--to": recipient, "--size": size,
            "--timeout": f"{timeout:g}" if timeout != SECONDS else None,
        })  # fmt: skip
        settings = CheckSettings(
            hostname, lambda: secrets.token_urlsafe(18), timeout, from_, to, size,
            _message(subject, from_, to, hostname) if send_to is not None else None,
            insecure, _readable(ca_file), _source(source), port or 25,
            mode or TlsMode.OPPORTUNISTIC, given,
        )  # fmt: skip
        display = display_for(json=json)
        records = _RecordsToCheck(selector or (), sending or (), blocklist)
        checked = _run(subject, settings, dns, display, records)
        display.result(checked)
    raise typer.Exit(exit_code(checked))


def _given(options: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """The options that were given, for the commands that are suggested next."""
    return tuple(
        (name, "" if value is True else str(value)) for name, value in options.items() if value
    )


def _subject(text: str, user: str | None, password_env: str | None) -> Subject:
    context = UrlContext(environment=os.environ, read_file=lambda name: Path(name).read_text())
    try:
        return parse_subject(text, context, credentials_given(user, password_env))
    except InvalidTarget as fault:
        raise Failure(str(fault), WRONG_USAGE) from fault


def _with_port(subject: Subject, port: int | None, mode: TlsMode | None) -> Subject:
    if isinstance(subject, ServerTarget):
        return with_port(subject, port, mode)
    if subject.server is not None:
        return replace(subject, server=with_port(subject.server, port, mode))
    return subject


def _address(option: str, text: str | None) -> str | None:
    if text is None:
        return None
    if text in ("", "<>") and option == "--from":
        return ""
    from waypost.mail.address import InvalidAddress, parse_address

    try:
        return str(parse_address(text, smtputf8=True))
    except InvalidAddress as fault:
        raise Failure(f"{option}: {text!r} is no address: {fault}", WRONG_USAGE) from fault


def _readable(path: Path | None) -> str | None:
    """A file of certificates that can be used. Raises Failure."""
    if path is None:
        return None
    import ssl

    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as fault:  # ssl.SSLError is one
        text = f"--ca-file: {path} cannot be used: {fault}; give a file of PEM certificates"
        raise Failure(text, WRONG_USAGE) from fault
    return str(path)


def _source(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError as fault:
        raise Failure(f"--source: {text!r} is no IP address", WRONG_USAGE) from fault


def _message(subject: Subject, sender: str | None, to: str | None, hostname: str) -> bytes:
    """The test message. Raises Failure where nobody is there to send it."""
    from waypost.faces.message import InvalidMessage, Parts, compose

    hop = subject.hop if isinstance(subject, ServerTarget) else None
    login = hop.credentials.user if hop is not None and hop.credentials is not None else ""
    sender = sender or (login if "@" in login else None)
    if not sender:
        fail("--send-to needs --from, as whom it is sent", WRONG_USAGE)
    text = "This is a test message of `waypost check`. It arrived, so sending works.\n"
    assert to is not None, "--send-to was given"
    try:
        parts = Parts(sender, (to,), (), (), "Test message of waypost check", text, None, (), ())
        return compose(parts, dt.datetime.now().astimezone(), hostname).content
    except InvalidMessage as fault:
        raise Failure(f"--send-to: {fault}", WRONG_USAGE) from fault


@dataclass(frozen=True, slots=True)
class _RecordsToCheck:
    """What is asked of a domain's records, as given."""

    selectors: Sequence[str]
    senders: Sequence[str]
    lists: Sequence[str] | None

    def look(self, world: World, dns: str | None, hostname: str) -> HealthLook:
        """How to look at them. Raises Failure where what was given cannot be used."""
        from waypost.doctor.domain_health import HealthRequest, Live, health_report
        from waypost.faces.cli.domain_report import chosen_lists, sender_addresses
        from waypost.net.web import HttpxWeb

        inside = is_on_loopback(dns)
        senders, lists = sender_addresses(self.senders), chosen_lists(self.lists)
        web = HttpxWeb(world.resolver, inside=inside)

        async def look(domain: str) -> HealthReport:
            request = HealthRequest(domain, tuple(self.selectors), senders, lists)
            live = Live(world, inside, hostname)
            return await health_report(request, world.resolver, web, live)

        return look


def _run(
    subject: Subject,
    settings: CheckSettings,
    dns: str | None,
    display: Display,
    records: _RecordsToCheck,
) -> Checked:
    clock = SystemClock()
    world = World(clock, AsyncioNetwork(), resolver_for(dns, clock, settings.seconds))
    bare = isinstance(subject, DomainTarget) and subject.recipient is None
    look = records.look(world, dns, settings.hostname) if bare else None
    watch = Watch(display.host, display.begun, display.ended)
    try:
        with display:
            return asyncio.run(check(subject, settings, world, watch, look))
    except InvalidAuthorities as fault:
        raise Failure(f"ca_file: {fault}; give a file of PEM certificates", WRONG_USAGE) from fault

"""`waypost discover`: the server to send over, found from an address, a domain or a server."""

from __future__ import annotations

import asyncio
import shlex
from typing import Annotated, Any

import typer

from waypost.doctor.discovery import (
    Discovery,
    DiscoveryOptions,
    InvalidSubject,
    Setting,
    Source,
    discover,
    parse_subject,
)
from waypost.doctor.line_opening import World
from waypost.faces.cli.dns_option import DnsOption, is_on_loopback, resolver_for
from waypost.faces.cli.failure import CHECKED_BAD, UNREACHABLE, WRONG_USAGE, Failure, failures_shown
from waypost.faces.cli.output import print_json, print_line, shown
from waypost.faces.cli.relay import JsonOption
from waypost.knowledge.provider_reference import figures
from waypost.net.clock import SystemClock
from waypost.net.network import AsyncioNetwork
from waypost.net.web import HttpxWeb

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

QUESTION_SECONDS = 6.0
"""For one question to the name servers; a person waits."""

_SECURITY = {
    "starttls": "STARTTLS",
    "tls": "TLS from the first byte",
    "none": "no TLS",
}


@app.command("discover")
def discover_command(
    subject: Annotated[
        str,
        typer.Argument(
            help="you@example.com, example.com, or a server such as imap.example.com:993.",
            metavar="ADDRESS|DOMAIN",
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Ask everybody and try the usual names, in any case.")
    ] = False,
    inside: Annotated[
        bool, typer.Option("--inside", help="Ask servers with private addresses, too.")
    ] = False,
    dns: DnsOption = None,
    json: JsonOption = False,
) -> None:
    """Find the server to send over for an address or a domain, and print a route ready for use.

    Asked are the presets of known providers, SRV records, the domain's autoconfig and autodiscover
    files, then servers by their usual names. No login is tried and no mail is sent.
    """
    with failures_shown():
        try:
            wanted = parse_subject(subject)
        except InvalidSubject as fault:
            raise Failure(str(fault), WRONG_USAGE) from fault
        clock = SystemClock()
        resolver = resolver_for(dns, clock, QUESTION_SECONDS)
        inside = inside or is_on_loopback(dns)
        web = HttpxWeb(resolver, inside=inside)
        options = DiscoveryOptions(inside, everything)
        found = asyncio.run(
            discover(wanted, World(clock, AsyncioNetwork(), resolver), web, options)
        )
        if json:
            print_json(document(found))
        else:
            print_discovery(found)
    if found.best is None:
        raise typer.Exit(UNREACHABLE if found.nobody_answered else CHECKED_BAD)


def document(found: Discovery) -> dict[str, Any]:
    """What was found, as one JSON object."""
    best, subject = found.best, found.subject
    return {
        "subject": subject.text,
        "domain": subject.domain,
        "address": subject.address,
        "route": best.route(subject.user) if best is not None else None,
        "config": config_lines(found, best) if best is not None else None,
        "send": send_line(found, best) if best is not None else None,
        "settings": [_setting(one, subject.user) for one in found.settings],
        "conflicts": list(found.conflicts),
        "notes": list(found.notes),
        "reading": [
            {"protocol": one.protocol, "host": one.host, "port": one.port}
            for one in found.reading
        ],
        "asked": [
            {"source": one.source.value, "what": one.what, "outcome": one.outcome,
             "answered": one.reached}
            for one in found.attempts
        ],
    }  # fmt: skip


def _setting(one: Setting, user: str) -> dict[str, Any]:
    return {
        "host": one.host,
        "port": one.port,
        "security": one.security,
        "user": one.user,
        "authentication": list(one.authentication),
        "provider": one.provider,
        "confidence": one.confidence,
        "problem": one.problem,
        "route": one.route(user),
        "sources": [
            {"source": s.source.value, "evidence": s.evidence, "confidence": s.confidence}
            for s in one.statements
        ],
    }


def config_lines(found: Discovery, best: Setting) -> str:
    """The table for the configuration file."""
    return f'[[route]]\nname = "{found.subject.domain}"\nvia = ["{best.route(found.subject.user)}"]'


def send_line(found: Discovery, best: Setting) -> str:
    """The command that sends a first message."""
    user = found.subject.user
    via = shlex.quote(best.route(user))
    return (
        f"waypost send --from {shlex.quote(user)} --to {shlex.quote(user)} "
        f"--subject Test --text Hello --via {via}"
    )


def print_discovery(found: Discovery) -> None:
    """For people: what to use first, then who said so, and who was asked in vain."""
    for text in found.notes:
        print_line(shown(text, 400))
    if found.notes:
        print_line()
    best = found.best
    if best is None:
        _print_nothing(found)
        return
    _print_best(found, best)
    others = [one for one in found.settings if one is not best]
    if others:
        print_line()
        print_line("Also possible")
        for one in others:
            _print_other(one)
    for text in found.conflicts:
        print_line()
        print_line(f"The sources disagree: {shown(text, 400)}.")
    if found.reading:
        print_line()
        print_line("For reading, not for sending")
        for server in found.reading:
            print_line(f"  {server.protocol:<5} {shown(server.host)}:{server.port}")


def _print_best(found: Discovery, best: Setting) -> None:
    subject = found.subject
    print_line(f"To send as {shown(subject.address or 'an address at ' + subject.domain)}")
    print_line(f"  server    {shown(best.host)}:{best.port}, {_SECURITY[best.security]}")
    print_line(f"  user      {shown(best.user or subject.user)}")
    provider = found.provider
    if provider is not None:
        print_line(f"  login     {shown(provider.credentials)}")
        if provider.credentials_url:
            print_line(f"            {provider.credentials_url}")
        if provider.limits.source:
            note = f" ({provider.limits.note})" if provider.limits.note else ""
            print_line(f"  limits    {figures(provider.limits)}{note}")
    elif best.authentication:
        print_line(f"  login     {shown(', '.join(best.authentication))}")
    for statement in best.statements:
        print_line(f"  source    {statement.source.value}: {shown(statement.evidence, 300)}")
    print_line(f"  certainty {best.confidence:.0%}")
    if best.problem:
        print_line(f"  PROBLEM   {shown(best.problem, 300)}")
    print_line()
    print_line("Route, with the password in the variable SMTP_PASSWORD")
    print_line(f"  {best.route(subject.user)}")
    print_line()
    print_line("In the configuration file")
    for line in config_lines(found, best).splitlines():
        print_line(f"  {line}")
    print_line()
    print_line("To try it")
    print_line(f"  {send_line(found, best)}")


def _print_other(one: Setting) -> None:
    text = f"  {shown(one.host)}:{one.port}, {_SECURITY[one.security]}, {one.confidence:.0%}"
    print_line(f"{text} ({', '.join(s.source.value for s in one.statements)})")
    if one.problem:
        print_line(f"    {shown(one.problem, 300)}")


def _print_nothing(found: Discovery) -> None:
    print_line(f"No server for sending was found for {shown(found.subject.domain)}.")
    for one in sorted(found.attempts, key=lambda one: list(Source).index(one.source)):
        print_line(f"  {one.source.value:<18} {shown(one.what, 120)}: {shown(one.outcome, 200)}")
    if found.nobody_answered:
        print_line("Nobody answered: is this machine on the network? See --dns.")
    elif found.attempts:
        print_line("Ask whoever runs the mail of the domain for the name of its SMTP server.")

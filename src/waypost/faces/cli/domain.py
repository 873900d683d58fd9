"""`waypost domain`: the domains that mail is sent for, their DKIM keys and their DNS records.

Works whether or not the relay runs; a running one takes a change within a second.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from waypost.faces.cli.dns_option import DnsOption, resolver_for
from waypost.faces.cli.failure import CHECKED_BAD, WRONG_USAGE, fail, failures_shown
from waypost.faces.cli.output import print_json, print_line, print_table, shown
from waypost.faces.cli.relay import (
    ConfigOption,
    JsonOption,
    data_folder,
    load_configuration,
    own_name,
)

if TYPE_CHECKING:
    from waypost.doctor.domain_setup import DomainSetup, WantedRecord
    from waypost.relay.domain_keys import Domain, DomainKey, DomainKeys

app = typer.Typer(
    help="Domains that mail is sent for: DKIM keys and DNS records.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ALGORITHMS: Final = ("rsa", "ed25519")
"""A key of each is made: every verifier knows RSA, and not all know Ed25519 (RFC 8463)."""

NameArgument = Annotated[str, typer.Argument(metavar="DOMAIN")]
SenderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sender",
        help="An IP address that mail leaves from; several times. Without it, those of the relay.",
        metavar="IP-ADDRESS",
    ),
]
ReportOption = Annotated[
    str | None,
    typer.Option("--report-to", help="Where receivers send reports of DMARC.", metavar="ADDRESS"),
]


@contextmanager
def _keys(config: Path | None) -> Iterator[DomainKeys]:
    from waypost.mail.dkim_keys import InvalidKey
    from waypost.net.clock import SystemClock
    from waypost.relay.domain_keys import NAME, DomainExists, DomainKeys, NoSuchDomain

    folder = data_folder(config, os.environ) or load_configuration(config).data
    clock = SystemClock()
    keys = DomainKeys(folder / NAME, clock.now, clock.monotonic)
    try:
        yield keys
    except NoSuchDomain as fault:
        fail(f"there is no {fault} here; `waypost domain list` shows what is", CHECKED_BAD)
    except DomainExists as fault:
        fail(
            f"{fault} is there already; `waypost domain records {fault}` shows what to publish",
            CHECKED_BAD,
        )
    except InvalidKey as fault:
        fail(str(fault), WRONG_USAGE)
    except sqlite3.Error as fault:
        fail(f"the domains in {folder} cannot be read or written: {fault}", CHECKED_BAD)
    finally:
        keys.close()


def _name(text: str) -> str:
    from waypost.doctor.domain_health import NotADomain, domain_name

    try:
        return domain_name(text)
    except NotADomain as fault:
        fail(str(fault), WRONG_USAGE)


@app.command()
def add(
    domain: NameArgument,
    sender: SenderOption = None,
    report_to: ReportOption = None,
    only_exactly: Annotated[
        bool,
        typer.Option("--only-exactly", help="Sign for this domain, and not for those below it."),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Add a domain: make its keys, and say which DNS records it needs.

    Nothing is signed until `waypost domain verify` has seen them.
    """
    with failures_shown(), _keys(config) as keys:
        _check(sender, report_to)
        name = _name(domain)
        keys.add(name, subdomains=not only_exactly)
        made = _make_keys(keys, name)
        _show_records(keys.domain(name), made, _wanted(name, made, sender, report_to), json)


@app.command()
def records(
    domain: NameArgument,
    sender: SenderOption = None,
    report_to: ReportOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the DNS records that a domain needs."""
    with failures_shown(), _keys(config) as keys:
        _check(sender, report_to)
        found = keys.domain(_name(domain))
        standing = _standing(found)
        _show_records(found, standing, _wanted(found.name, standing, sender, report_to), json)


@app.command()
def verify(
    domain: NameArgument,
    sender: SenderOption = None,
    dns: DnsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Look whether the DNS has what it needs, and begin to sign with keys that are there."""
    from waypost.doctor.domain_setup import look_at_setup
    from waypost.faces.cli.domain_report import sender_addresses
    from waypost.net.clock import SystemClock

    with failures_shown(), _keys(config) as keys:
        found = keys.domain(_name(domain))
        wanted = [key.signer.record for key in _standing(found)]
        resolver = resolver_for(dns, SystemClock())
        setup = asyncio.run(
            look_at_setup(resolver, found.name, wanted, sender_addresses(sender or ()))
        )
        activated, retired = _begin_to_sign(keys, found, setup.published)
        _show_setup(setup, keys.domain(found.name), activated, retired, json)
    if setup.verdict == "fail":
        raise typer.Exit(CHECKED_BAD)


@app.command()
def rotate(domain: NameArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Make new keys for a domain. The old ones sign until the new ones are in the DNS."""
    with failures_shown(), _keys(config) as keys:
        name = _name(domain)
        waiting = [key for key in keys.domain(name).keys if key.state == "new"]
        if waiting:
            fail(
                f"{name} has new keys that are not in the DNS yet: "
                f"{', '.join(key.selector for key in waiting)}. Publish them "
                f"(`waypost domain records {name}`), then `waypost domain verify {name}`",
                CHECKED_BAD,
            )
        made = _make_keys(keys, name)
        wanted = [
            one for one in _wanted(name, made, None, None) if "._domainkey." in one.record.name
        ]
        _show_records(keys.domain(name), made, wanted, json)


@app.command("list")
def list_domains(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the domains with their keys."""
    with failures_shown(), _keys(config) as keys:
        domains = keys.domains()
        if json:
            print_json({"domains": [_document(one) for one in domains]})
        elif not domains:
            print_line("no domains; add one with `waypost domain add example.com`")
        else:
            print_table(
                ("DOMAIN", "SELECTOR", "KIND", "STATE", "MADE"),
                [
                    (one.name, key.selector, key.signer.algorithm, key.state.value, _day(key))
                    for one in domains
                    for key in one.keys
                ],
            )


@app.command()
def remove(
    domain: NameArgument,
    key: Annotated[
        str | None,
        typer.Option(help="Only this key, by its selector.", metavar="SELECTOR"),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Remove a domain with its keys, or one key. What is sent is no longer signed with them."""
    with failures_shown(), _keys(config) as keys:
        name = _name(domain)
        if key is None:
            keys.remove(name)
        else:
            keys.remove_key(name, key)
        gone = name if key is None else f"{key}._domainkey.{name}"
        if json:
            print_json({"domain": name, "removed": gone})
        else:
            print_line(f"{shown(gone)}: removed")


# --- what they do -------------------------------------------------------------------------------


def _make_keys(keys: DomainKeys, domain: str) -> list[DomainKey]:
    """One of each algorithm, under names that are free."""
    from waypost.net.clock import SystemClock

    month = dt.datetime.fromtimestamp(SystemClock().now(), dt.UTC).strftime("%Y%m")
    taken = {key.selector for key in keys.domain(domain).keys}
    made = []
    for algorithm in ALGORITHMS:
        names = (f"wp{month}{algorithm}{number or ''}" for number in range(len(taken) + 1))
        selector = next(name for name in names if name not in taken)
        made.append(keys.add_key(domain, selector, algorithm))
    return made


def _standing(domain: Domain) -> list[DomainKey]:
    """Those whose records have to be in the DNS."""
    return [key for key in domain.keys if key.state != "retired"]


def _begin_to_sign(
    keys: DomainKeys, domain: Domain, published: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Activate new keys that are published, and retire the older ones of their algorithm."""
    from waypost.relay.domain_keys import KeyState

    activated: list[str] = []
    retired: list[str] = []
    for key in domain.keys:
        if key.state is not KeyState.NEW or key.signer.record.name not in published:
            continue
        keys.set_state(domain.name, key.selector, KeyState.ACTIVE)
        activated.append(key.selector)
        for other in domain.keys:
            same = other.signer.algorithm == key.signer.algorithm
            if other.state is KeyState.ACTIVE and same:
                keys.set_state(domain.name, other.selector, KeyState.RETIRED)
                retired.append(other.selector)
    return activated, retired


def _check(sender: list[str] | None, report_to: str | None) -> None:
    """Before anything is changed. Raises Failure."""
    from waypost.faces.cli.domain_report import sender_addresses
    from waypost.mail.address import InvalidAddress, parse_address

    sender_addresses(sender or ())
    if report_to is not None:
        try:
            parse_address(report_to, smtputf8=False)
        except InvalidAddress as fault:
            fail(f"--report-to: {fault}", WRONG_USAGE)


def _wanted(
    domain: str, keys: Sequence[DomainKey], sender: list[str] | None, report_to: str | None
) -> Sequence[WantedRecord]:
    from waypost.doctor.domain_setup import wanted_records
    from waypost.faces.cli.domain_report import sender_addresses

    return wanted_records(
        domain,
        [key.signer.record for key in keys],
        senders=sender_addresses(sender or ()),
        relay=own_name(),
        report_to=report_to or "",
    )


# --- how it is shown ----------------------------------------------------------------------------


def _day(key: DomainKey) -> str:
    return dt.datetime.fromtimestamp(key.made_at, dt.UTC).date().isoformat()


def _document(domain: Domain) -> dict[str, Any]:
    from waypost.faces.documents import time_text

    return {
        "domain": domain.name,
        "subdomains": domain.subdomains,
        "keys": [
            {
                "selector": key.selector,
                "algorithm": key.signer.algorithm,
                "state": key.state.value,
                "made": time_text(key.made_at),
            }
            for key in domain.keys
        ],
    }


def _show_records(
    domain: Domain, keys: Sequence[DomainKey], wanted: Sequence[WantedRecord], json: bool
) -> None:
    if json:
        print_json(
            _document(domain)
            | {
                "records": [
                    {
                        "name": one.record.name,
                        "type": one.record.record_type,
                        "value": one.record.value,
                        "zone_line": one.record.zone_line,
                        "purpose": one.purpose,
                    }
                    for one in wanted
                ]
            }
        )
        return
    print_line(f"Publish these records in the DNS of {domain.name}:")
    for one in wanted:
        print_line()
        print_line(f"  {one.purpose}.")
        print_line(f"    {one.record.zone_line}")
    print_line()
    if any(key.state == "new" for key in keys):
        print_line(
            f"Then run `waypost domain verify {domain.name}`: mail is signed from then on, and "
            "not before."
        )


def _show_setup(
    setup: DomainSetup,
    domain: Domain,
    activated: Sequence[str],
    retired: Sequence[str],
    json: bool,
) -> None:
    from waypost.faces.cli.domain_report import finding_documents, print_findings

    signs = any(key.state == "active" for key in domain.keys)
    if json:
        print_json(
            _document(domain)
            | {
                "verdict": setup.verdict.value,
                "signs": signs,
                "activated": list(activated),
                "retired": list(retired),
                "findings": finding_documents(setup.findings),
            }
        )
        return
    print_findings(setup.findings)
    for selector in activated:
        print_line(f"{selector} signs from now on.")
    for selector in retired:
        print_line(
            f"{selector} is retired. Leave its record in the DNS for a week, while mail that it "
            f"has signed is under way; then `waypost domain remove {domain.name} --key {selector}`."
        )
    if not signs:
        print_line(f"Mail from {domain.name} is not signed yet.")

"""The server that a command of the doctor is about, and the login for it."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from waypost.delivery.next_hop import Credentials
from waypost.delivery.route_url import UrlContext
from waypost.doctor.line_opening import World
from waypost.doctor.target import InvalidTarget, ServerTarget, parse_target
from waypost.faces.cli.dns_option import resolver_for
from waypost.faces.cli.failure import WRONG_USAGE, Failure, fail
from waypost.net.clock import SystemClock
from waypost.net.network import AsyncioNetwork

TargetArgument = Annotated[
    str,
    typer.Argument(
        help="host, host:port, smtp://host:587, smtps://host, or a provider such as gmail.",
        metavar="TARGET",
    ),
]
UserOption = Annotated[
    str | None, typer.Option("--user", help="Log in as.", metavar="NAME", show_default=False)
]
PasswordOption = Annotated[
    str | None,
    typer.Option(
        "--password-env",
        help="The variable of the environment that holds the password; else it is asked for.",
        metavar="VARIABLE",
    ),
]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Take any certificate. What is said may be read.")
]
AuthoritiesOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file", help="Trust these certificates (PEM) in place of the system's.", metavar="FILE"
    ),
]


def named_target(
    text: str,
    user: str | None,
    password_env: str | None,
    *,
    insecure: bool,
    ca_file: Path | None = None,
) -> ServerTarget:
    """The target with its credentials. Raises Failure."""
    context = UrlContext(environment=os.environ, read_file=lambda name: Path(name).read_text())
    try:
        target = parse_target(text, context, credentials_given(user, password_env))
    except InvalidTarget as fault:
        raise Failure(str(fault), WRONG_USAGE) from fault
    hop = target.hop
    if ca_file is not None:
        hop = replace(hop, ca_file=str(ca_file))
    if insecure:
        hop = replace(hop, verify=False)
    if hop.ca_file is not None:
        from waypost.net.tls import client_context

        try:
            client_context(verify=hop.verify, ca_file=hop.ca_file)
        except OSError as fault:  # ssl.SSLError among them
            reason = fault.strerror or fault
            text = f"the certificates in {hop.ca_file} cannot be used: {reason}; give a PEM file"
            raise Failure(text, WRONG_USAGE) from fault
    return replace(target, hop=hop)


def real_world(dns: str | None = None) -> World:
    """The clock and network of this machine, and its name servers or that of --dns; no answer of
    theirs is known yet. Raises Failure."""
    clock = SystemClock()
    return World(clock, AsyncioNetwork(), resolver_for(dns, clock))


def credentials_given(user: str | None, variable: str | None) -> Credentials | None:
    """What --user and --password-env give; asks for the password. Raises Failure."""
    if user is None:
        if variable is not None:
            fail("--password-env needs --user, whose password it is", WRONG_USAGE)
        return None
    if variable is not None:
        password = os.environ.get(variable, "")
        if not password:
            fail(f"--password-env: {variable} is not set; set it to the password", WRONG_USAGE)
    elif sys.stdin.isatty():
        password = getpass.getpass(f"Password of {user}: ")
    else:
        fail("--user needs --password-env where nobody can be asked for a password", WRONG_USAGE)
    if not user or not password or "\0" in user or "\0" in password:
        fail("a user name and a password are needed, both without NUL", WRONG_USAGE)
    return Credentials(user, password)

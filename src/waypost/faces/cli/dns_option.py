"""`--dns`: the name server that a command of the doctor asks, in place of the system's."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from waypost.faces.cli.failure import WRONG_USAGE, Failure
from waypost.knowledge.special_addresses import is_loopback

if TYPE_CHECKING:
    from waypost.net.clock import Clock
    from waypost.net.dns import DnsResolver

DnsOption = Annotated[
    str | None,
    typer.Option(
        "--dns",
        help="Ask this name server, in place of the system's: ADDRESS or ADDRESS:PORT.",
        metavar="ADDRESS",
    ),
]

SERVER_SECONDS: Final = 3.0
"""For one name server; a person waits."""

_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::(\d{1,5}))?|([^:]+):(\d{1,5})")

QUESTION_SECONDS: Final = 15.0
"""For a question, over all name servers and tries, where nothing else is said."""


def resolver_for(text: str | None, clock: Clock, seconds: float = QUESTION_SECONDS) -> DnsResolver:
    """The resolver that asks the given name server, or the system's. Raises Failure.

    `seconds` bounds a question.
    """
    from waypost.net.dns import DnsResolver

    server = min(SERVER_SECONDS, seconds)
    try:
        if text is None:
            return DnsResolver(clock, server_seconds=server, question_seconds=seconds)
        address, port = _place(text)
        return DnsResolver(
            clock, nameservers=(address,), port=port, server_seconds=server,
            question_seconds=seconds,
        )  # fmt: skip
    except OSError as fault:
        raise Failure(f"the hosts file cannot be read: {fault}", WRONG_USAGE) from fault


def is_on_loopback(text: str | None) -> bool:
    """Whether the name server is this machine; what it names may be so as well. Raises Failure."""
    return text is not None and is_loopback(_place(text)[0])


def _place(text: str) -> tuple[str, int]:
    found = _WITH_PORT.fullmatch(text)
    address, port = (text, "53") if found is None else (
        found[1] or found[3], found[2] or found[4] or "53",
    )  # fmt: skip
    try:
        address = str(ipaddress.ip_address(address))
    except ValueError:
        port = "0"
    if not 1 <= int(port) <= 65535:
        raise Failure(
            f"--dns: {text!r} is no name server; write its IP address, as in 9.9.9.9 or "
            "127.0.0.1:5353",
            WRONG_USAGE,
        )
    return address, int(port)

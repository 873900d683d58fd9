"""What a mailer is made of: servers, connections, limits and patience, checked when it is made.

The servers are URLs, the same ones that routes have (delivery/route_url.py). Without any, the
environment's WAYPOST_URL is taken, and without that the relay of this machine
(smtp+plain://127.0.0.1:2525, where `waypost serve` listens): so a program need not know whether it
runs on a laptop, where the relay's sandbox shows its mail, or in production.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from waypost.delivery.route import MxDelivery, Rate, Sandbox, Smarthost, Strategy
from waypost.delivery.route_url import InvalidRouteUrl, UrlContext, parse_route_url
from waypost.errors import ConfigurationError
from waypost.faces.library.retry import Retry
from waypost.faces.library.signing import Signing
from waypost.net.proxy import InvalidProxyUrl, Proxy, parse_proxy_url
from waypost.net.tls import client_context

VARIABLE: Final = "WAYPOST_URL"
"""Of the environment: the URL of a mailer that is given none. Several stand apart by spaces."""

OWN_RELAY: Final = "smtp+plain://127.0.0.1:2525"

DEFAULT_TIMEOUTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "connect": 20.0,
        "greeting": 60.0,
        "ehlo": 60.0,
        "starttls": 60.0,
        "auth": 60.0,
        "mail": 60.0,
        "rcpt": 60.0,
        "data": 60.0,
        "content": 120.0,
        "content_reply": 600.0,
        "rset": 20.0,
        "noop": 10.0,
        "quit": 5.0,
    }
)
"""Seconds to wait at each stage. Shorter than RFC 5321 4.5.3.2 asks of a relay, as somebody waits;
but for the reply to the content, where giving up early makes duplicates."""

Server = Smarthost | MxDelivery


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a mailer, read and checked. Times in seconds."""

    servers: tuple[Server, ...]
    strategy: Strategy = Strategy.FAILOVER
    pool_size: int = 10
    """Connections open at once, over all servers."""
    max_age: float = 600.0
    """Of a connection; it then gets no further message. 0: no limit."""
    messages_per_connection: int = 0
    """0: as many as come."""
    idle_seconds: float = 30.0
    """A connection without work is closed after this."""
    check_after: float = 5.0
    """A connection that was idle for this long is asked (NOOP) before it is used again."""
    recipients_per_transaction: int = 100
    rates: tuple[Rate, ...] = ()
    """Messages, over all servers; all of them are kept."""
    retry: Retry = Retry()
    patience: float = 60.0
    """The longest that a message waits for a free connection."""
    timeouts: Mapping[str, float] = field(default_factory=lambda: DEFAULT_TIMEOUTS)
    hostname: str = "localhost"
    """Said in EHLO, and in Message-IDs where the sender's domain cannot serve."""
    proxy: Proxy | None = None
    pipelining: bool = True
    chunking: bool = True
    signing: Signing | None = None
    """What signs each message."""
    avoid_after: float = 5.0
    """A server that fails while there are others is left alone for this long at first; the time
    doubles up to ten minutes while it fails."""

    @property
    def is_direct(self) -> bool:
        """Each recipient's domain is delivered to by itself."""
        return isinstance(self.servers[0], MxDelivery)


def read_settings(
    url: str | Sequence[str] | None,
    *,
    strategy: str = "failover",
    rate: str | Sequence[str] | None = None,
    retry: Retry | int | None = None,
    timeout: float | None = None,
    timeouts: Mapping[str, float] | None = None,
    source: str | None = None,
    proxy: str | None = None,
    ca_file: str | None = None,
    verify: bool | None = None,
    hostname: str | None = None,
    environment: Mapping[str, str] | None = None,
    **plain: object,
) -> Settings:
    """Settings of what a caller gives. Raises ConfigurationError."""
    environment = os.environ if environment is None else environment
    servers = tuple(
        _server(one, environment, source, ca_file, verify) for one in _urls(url, environment)
    )
    if len(servers) > 1 and any(isinstance(one, MxDelivery) for one in servers):
        raise ConfigurationError(
            "mx: cannot stand beside other URLs",
            fix="make a mailer of each, and choose between them in the program",
        )
    try:
        order = Strategy(strategy)
    except ValueError:
        raise ConfigurationError(
            f"strategy is {strategy!r}", fix="give 'failover' or 'weighted'"
        ) from None
    settings = Settings(
        servers,
        order,
        rates=_rates(rate),
        retry=Retry(attempts=retry) if isinstance(retry, int) else retry or Retry(),
        timeouts=_timeouts(timeout, timeouts),
        hostname=hostname or machine_name(),
        proxy=_proxy(proxy),
    )
    return _with_plain(settings, plain)


def _with_plain(settings: Settings, plain: dict[str, object]) -> Settings:
    """Set numbers and switches by their names."""
    kinds = {one.name: getattr(settings, one.name) for one in fields(Settings)}
    for name, value in plain.items():
        default = kinds.get(name)
        if not isinstance(default, int | float):
            raise ConfigurationError(
                f"a mailer has no setting {name!r}", fix=f"known are {', '.join(sorted(kinds))}"
            )
        if isinstance(default, bool):
            fits = isinstance(value, bool)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            if isinstance(default, int):
                fits = fits and isinstance(value, int)
        least = 1 if name in ("pool_size", "recipients_per_transaction") else 0
        if not fits or (least and isinstance(value, int) and value < least):
            raise ConfigurationError(
                f"{name} is {value!r}",
                fix="give True or False" if isinstance(default, bool)
                else f"give a number of at least {least}; by default it is {default}",
            )  # fmt: skip
    return replace(settings, **plain)  # type: ignore[arg-type]


def _urls(url: str | Sequence[str] | None, environment: Mapping[str, str]) -> list[str]:
    if url is None:
        given = environment.get(VARIABLE, "").split()
        return given or [OWN_RELAY]
    if isinstance(url, str):
        return [url]
    if not isinstance(url, Sequence) or not all(isinstance(one, str) for one in url):
        raise ConfigurationError(
            f"a {type(url).__name__} is no URL", fix='give "smtp://user:password@host:587"'
        )
    if not url:
        raise ConfigurationError(
            "the list of URLs is empty", fix='give at least one, "smtp://user:password@host:587"'
        )
    return list(url)


def _server(
    url: str,
    environment: Mapping[str, str],
    source: str | None,
    ca_file: str | None,
    verify: bool | None,
) -> Server:
    context = UrlContext(environment=environment, read_file=lambda name: Path(name).read_text())
    try:
        hop = parse_route_url(url, context)
    except InvalidRouteUrl as fault:
        raise ConfigurationError(
            f"the URL {fault.evidence} {fault.reason}", fix=fault.hint, reason="invalid-url"
        ) from fault
    if isinstance(hop, Sandbox):
        raise ConfigurationError(
            "sandbox: is part of a running relay, and not a place to connect to",
            fix=f"start `waypost serve`, and send to {OWN_RELAY}: without a route it keeps "
            "every message in its sandbox",
            reason="invalid-url",
        )
    if source is not None and hop.source is None:
        hop = replace(hop, source=source)
    if ca_file is not None and hop.ca_file is None:
        hop = replace(hop, ca_file=ca_file)
    if verify is not None:
        hop = replace(hop, verify=verify)
    if hop.ca_file is not None:
        try:
            client_context(ca_file=hop.ca_file)
        except OSError as fault:  # ssl.SSLError is one
            raise ConfigurationError(
                f"ca_file {hop.ca_file} cannot be used: {fault}",
                fix="give the path of a file of certificates in PEM format",
            ) from fault
    return hop


def _rates(given: str | Sequence[str] | None) -> tuple[Rate, ...]:
    several = [given] if isinstance(given, str) else list(given or ())
    try:
        return tuple(Rate.parse(one) for one in several)
    except (ValueError, AttributeError) as fault:
        raise ConfigurationError(f"rate: {fault}", fix='write it as "10/second"') from fault


def _timeouts(every: float | None, given: Mapping[str, float] | None) -> Mapping[str, float]:
    timeouts = dict(DEFAULT_TIMEOUTS)
    if every is not None:
        timeouts = dict.fromkeys(timeouts, every)
    for stage, seconds in (given or {}).items():
        if stage not in timeouts:
            raise ConfigurationError(
                f"there is no stage {stage!r} to have a timeout",
                fix=f"stages are {', '.join(timeouts)}",
            )
        timeouts[stage] = seconds
    for stage, seconds in timeouts.items():
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
            raise ConfigurationError(
                f"the timeout of {stage} is {seconds!r}", fix="give seconds, more than 0"
            )
    return timeouts


def _proxy(url: str | None) -> Proxy | None:
    if url is None:
        return None
    try:
        return parse_proxy_url(url)
    except InvalidProxyUrl as fault:
        raise ConfigurationError(f"proxy: {fault.problem}", fix=fault.advice) from fault


def machine_name() -> str:
    """What this machine says in EHLO: its name where that is a full one, else the address literal
    of loopback (RFC 5321 4.1.4), which no server can find unknown. Asks no name server."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()).strip("-.").lower()
    return name if "." in name and len(name) <= 255 else "[127.0.0.1]"

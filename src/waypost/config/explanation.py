"""Answers for people: every setting with its origin, and what holds for one recipient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from waypost.config.delivering import RouteSection
from waypost.config.keys import Key, keys, section_of
from waypost.config.kinds import toml_text
from waypost.config.loading import Configuration
from waypost.config.section import Section
from waypost.config.units import seconds_text, size_text
from waypost.delivery.route import MxDelivery, NextHop, Route, Sandbox, Smarthost
from waypost.delivery.routing import RoutingTable
from waypost.delivery.slots import MAXIMUM_CONNECTIONS


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as it is in force. Passwords are taken out."""

    key: str
    value: str
    """As the file would have it."""
    origin: str


@dataclass(frozen=True, slots=True)
class Way:
    """Where mail for a recipient goes, and what binds it."""

    route: Route
    origin: str
    why: str
    hops: tuple[str, ...]
    limits: tuple[str, ...]


def settings_shown(configuration: Configuration) -> list[Shown]:
    """Every setting with its value and where it came from."""
    return [
        Shown(dotted, value, configuration.origins[dotted])
        for dotted, value in _values(configuration)
    ]


def _values(configuration: Configuration) -> Iterator[tuple[str, str]]:
    by_path = {key.path: key for key in keys()}
    service = configuration.service
    standing = {"spool.url": f'"sqlite:{service.spool.directory}"'}
    for number, listener in enumerate(service.listeners):
        server, here = listener.server, f"listener[{number}]"
        standing[f"{here}.kind"] = toml_text(listener.kind)
        standing[f"{here}.starttls"] = toml_text(server.starttls)
        standing[f"{here}.authentication"] = toml_text(bool(server.auth_mechanisms))
        standing[f"{here}.maximum_size"] = toml_text(size_text(server.maximum_size))
    for number, route in enumerate(service.routes):
        standing[f"route[{number}].expire_after"] = toml_text(seconds_text(route.expire_after))

    def walk(section: Section, dotted: str, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for name, field in type(section).model_fields.items():
            value = getattr(section, name)
            here = f"{dotted}.{name}" if dotted else name
            if section_of(field.annotation) is None:
                if value is None and here in standing:
                    yield here, standing[here]
                else:
                    yield here, _written(by_path[*path, name], value)
            elif isinstance(value, tuple):
                for number, one in enumerate(value):
                    yield from walk(one, f"{here}[{number}]", (*path, name))
            else:
                yield from walk(value, here, (*path, name))

    yield from walk(configuration.settings, "", ())


def _written(key: Key, value: object) -> str:
    """A value, or in words what holds in its place."""
    if value is None and key.unset:
        return f"({key.unset})"
    return key.kind.write(value)


def way_of(configuration: Configuration, recipient: str, sender: str, user: str | None) -> Way:
    """Which route takes mail for a recipient, and the limits that bind it."""
    service = configuration.service
    route = RoutingTable(service.routes).resolve(sender, recipient, user)
    number = next(n for n, one in enumerate(service.routes) if one.name == route.name)
    section = configuration.settings.route[number]
    origin = configuration.origins[f"route[{number}].via"]
    return Way(
        route,
        origin,
        _why(section),
        tuple(_hop(hop) for hop in route.via),
        tuple(_limits(configuration, route, recipient, user)),
    )


def _why(section: RouteSection) -> str:
    match = section.match
    asked = [
        f"{name} {', '.join(patterns)}"
        for name, patterns in (
            ("recipients", match.recipients),
            ("senders", match.senders),
            ("users", match.users),
        )
        if patterns
    ]
    if not asked:
        return "it takes all mail that no other route takes"
    return "it is the first that matches: " + "; ".join(asked)


def _hop(hop: NextHop) -> str:
    if isinstance(hop, Sandbox):
        return "sandbox: it is captured here; nothing leaves the machine"
    if isinstance(hop, MxDelivery):
        return f"the mail exchangers of the recipient's domain, port {hop.port}, TLS {hop.tls}"
    assert isinstance(hop, Smarthost)
    checked = (
        "" if hop.tls == "none" else ", certificate verified" if hop.verify else ", unverified"
    )
    return f"{hop.identity}, TLS {hop.tls}{checked}"


def _limits(
    configuration: Configuration, route: Route, recipient: str, user: str | None
) -> Iterator[str]:
    service, limits, quotas = configuration.service, route.limits, route.quotas
    if not route.is_sandbox:
        destination = recipient.rpartition("@")[2] if route.is_direct else "its next hops"
        yield (
            f"at most {limits.connections_per_destination} connections to {destination}, "
            f"{limits.connections} over the whole route, {MAXIMUM_CONNECTIONS} over all routes"
        )
        if limits.messages_per_connection:
            yield f"a new connection after every {limits.messages_per_connection} messages"
    if limits.rate is not None:
        yield f"at most {limits.rate} on the route"
    if limits.rate_per_destination is not None:
        yield f"at most {limits.rate_per_destination} to one destination"
    used_up = f"then mail takes the route {route.overflow}" if route.overflow else "then mail waits"
    for count, window in (
        (quotas.per_minute, "minute"),
        (quotas.per_hour, "hour"),
        (quotas.per_day, "day"),
    ):
        if count is not None:
            spread = ", spread evenly" if quotas.spread else ""
            yield f"a quota of {count} in a {window}{spread}; {used_up}"
    peers = service.limits
    if user is not None:
        if peers.user_messages_per_hour:
            yield f"at most {peers.user_messages_per_hour} messages an hour from {user}"
        if peers.user_recipients_per_hour:
            yield f"at most {peers.user_recipients_per_hour} recipients an hour from {user}"
    yield f"given back after {seconds_text(route.expire_after)} without success"

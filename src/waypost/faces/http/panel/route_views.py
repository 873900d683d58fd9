"""What the page of routes shows of one: where it leads, its limits and their use, its health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from waypost.delivery.route import MxDelivery, NextHop, Route, Sandbox, Smarthost, TlsMode
from waypost.delivery.slots import DestinationView
from waypost.service import Service

TLS_WORDS: Final = {
    TlsMode.REQUIRED: "STARTTLS, required",
    TlsMode.OPPORTUNISTIC: "STARTTLS where offered",
    TlsMode.NONE: "never",
    TlsMode.IMPLICIT: "from the first byte",
}

LEFT_ALONE_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class HopView:
    """One next hop."""

    place: str
    tls: str
    user: str
    """Who logs in there; "": nobody. Passwords are never shown."""
    order: str
    """Its priority and weight, in words, where there is a choice."""
    until: float | None
    """It is left alone until then (seconds since the epoch)."""
    why: str


@dataclass(frozen=True, slots=True)
class LimitView:
    """A limit; `used` and `most` where its use can be counted."""

    name: str
    text: str
    used: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class RouteView:
    """One route as it is now."""

    name: str
    kind: str
    """smarthost, direct or sandbox."""
    matches: tuple[str, ...]
    hops: tuple[HopView, ...]
    limits: tuple[LimitView, ...]
    left_alone: tuple[DestinationView, ...]
    left_alone_count: int
    overflow: str
    retries: str
    pause: str
    """By whom the whole of it is paused, and why; ""."""

    @property
    def state(self) -> str:
        """ok, warn, fail or paused, as badges have it."""
        if self.pause:
            return "paused"
        suspended = [hop for hop in self.hops if hop.until is not None]
        if suspended and len(suspended) == len(self.hops):
            return "fail"
        whole = any(one.destination == "" for one in self.left_alone)
        if whole:
            return "fail"
        return "warn" if suspended or self.left_alone_count else "ok"


def route_views(service: Service) -> list[RouteView]:
    """All routes, in the order in which they are asked."""
    now = service.clock.now()
    left_alone: dict[str, list[DestinationView]] = {}
    for one in service.slots.left_alone(now):
        left_alone.setdefault(one.route, []).append(one)
    return [
        _view(service, route, left_alone.get(route.name, []), now)
        for route in service.engine.routing.routes
    ]


def _view(
    service: Service, route: Route, left_alone: list[DestinationView], now: float
) -> RouteView:
    pause = service.slots.pauses.of(route.name, "")
    kind = "sandbox" if route.is_sandbox else "direct" if route.is_direct else "smarthost"
    return RouteView(
        route.name, kind, _matches(route),
        tuple(_hop(service, route, hop, now) for hop in route.via),
        tuple(_limits(service, route, now)),
        tuple(left_alone[:LEFT_ALONE_SHOWN]), len(left_alone), route.overflow or "",
        f"given back after {_days(route.expire_after)}", pause.text if pause is not None else "",
    )  # fmt: skip


def _matches(route: Route) -> tuple[str, ...]:
    match = route.match
    named = (("to", match.recipients), ("from", match.senders), ("user", match.users))
    return tuple(f"{name} {', '.join(patterns)}" for name, patterns in named if patterns)


def _hop(service: Service, route: Route, hop: NextHop, now: float) -> HopView:
    if isinstance(hop, Sandbox):
        return HopView(
            "the sandbox: captured here, nothing leaves the machine", "", "", "", None, ""
        )
    if isinstance(hop, MxDelivery):
        checked = ", certificate verified" if hop.verify else ""
        tls = f"{TLS_WORDS[hop.tls]}{checked}"
        place = f"the mail exchangers of each domain, port {hop.port}"
        return HopView(place, tls, "", "", None, "")
    assert isinstance(hop, Smarthost)
    tls = TLS_WORDS[hop.tls]
    if hop.tls is not TlsMode.NONE:
        tls += ", certificate verified" if hop.verify else ", certificate not verified"
    order = ""
    if len(route.via) > 1:
        order = f"priority {hop.priority}, weight {hop.weight} ({route.strategy})"
    suspended = service.circuits.why(hop, service.clock.monotonic())
    until = None
    if suspended is not None:  # counted on the other clock
        until = now + suspended[0] - service.clock.monotonic()
    user = hop.credentials.user if hop.credentials else ""
    place = hop.host if hop.is_unix else hop.identity.removeprefix(f"{user} at ")
    return HopView(place, tls, user, order, until, suspended[1] if suspended else "")


def _limits(service: Service, route: Route, now: float) -> list[LimitView]:
    if route.is_sandbox:
        return []
    limits, quotas = route.limits, route.quotas
    used = service.slots.connections_of(route)
    each = limits.connections_per_destination
    to = "to one domain" if route.is_direct else "to the next hops"
    found = [
        LimitView("Connections", f"{used} of {limits.connections}", used, limits.connections),
        LimitView("Connections " + to, f"at most {each}"),
    ]
    if limits.messages_per_connection:
        found.append(
            LimitView("Messages a connection", f"at most {limits.messages_per_connection}")
        )
    if limits.rate is not None:
        found.append(LimitView("Rate", f"at most {limits.rate}"))
    if limits.rate_per_destination is not None:
        found.append(LimitView("Rate to one destination", f"at most {limits.rate_per_destination}"))
    if quotas.are_set:
        left = service.slots.quotas_left(route, now)
        for window, most in (
            ("minute", quotas.per_minute), ("hour", quotas.per_hour), ("day", quotas.per_day),
        ):  # fmt: skip
            if most is not None:
                gone = most - left.get(window, most)
                found.append(LimitView(f"Quota a {window}", f"{gone} of {most}", gone, most))
    return found


def _days(seconds: float) -> str:
    days, rest = divmod(seconds, 86400)
    if days and not rest:
        return f"{days:.0f} day{'' if days == 1 else 's'}"
    return f"{seconds / 3600:.3g} hours"

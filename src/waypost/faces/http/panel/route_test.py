"""Testing the connection of a route: `waypost check`, with the route's own next hops and login,
told step by step while it goes on.

One test at a time for each route, and few at all: each opens connections to the servers of others.
Nothing of the credentials comes back but whose they are.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from waypost.delivery.route import MxDelivery, Route, Smarthost
from waypost.doctor.check.encryption import InvalidAuthorities
from waypost.doctor.check.run import Checked, CheckSettings, Watch, check
from waypost.doctor.check.steps import Step
from waypost.doctor.check.subject import DomainTarget, Subject
from waypost.doctor.line_opening import World
from waypost.doctor.target import ServerTarget
from waypost.mail.address import InvalidAddress, domain_to_ascii, parse_address
from waypost.service import Service

STEP_SECONDS: Final = 10.0
"""For each step."""

AT_ONCE: Final = 3
"""Tests over all routes."""

Event = str | Step | Checked
"""A host is begun; a step is done; all of a next hop is done."""


class CannotTest(Exception):
    """A route cannot be tested, or not now; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class RouteTest:
    """What is to be tested."""

    route: Route
    subjects: tuple[Subject, ...]


class RouteTests:
    """The tests of one relay that are under way."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._under_way: set[str] = set()

    def prepare(self, name: str, target: str) -> RouteTest:
        """What to test: the next hops of a route; of direct delivery, the servers of `target`, a
        domain or an address. Raises CannotTest."""
        route = self._service.engine.routing.by_name.get(name)
        if route is None:
            raise CannotTest(f"there is no route {name[:80]!r} any more; load the page again")
        if route.is_sandbox:
            raise CannotTest("the sandbox is in the relay itself, there is no connection to test")
        if route.is_direct:
            return RouteTest(route, (_domain(target),))
        subjects = tuple(
            ServerTarget(_place(hop), hop, port_given=True, tls_given=True)
            for hop in route.via
            if isinstance(hop, Smarthost)
        )
        return RouteTest(route, subjects)

    async def run(self, test: RouteTest) -> AsyncGenerator[Event, None]:
        """Do it and tell what happens. Raises CannotTest.

        Who stops listening ends the test.
        """
        name = test.route.name
        if name in self._under_way:
            raise CannotTest("this route is being tested already; wait for its result")
        if len(self._under_way) >= AT_ONCE:
            raise CannotTest(f"{AT_ONCE} tests are under way; wait for one to end")
        self._under_way.add(name)
        try:
            for subject in test.subjects:
                async with aclosing(self._check(test.route, subject)) as events:
                    async for event in events:
                        yield event
        finally:
            self._under_way.discard(name)

    async def _check(self, route: Route, subject: Subject) -> AsyncGenerator[Event, None]:
        service, hop = self._service, route.via[0]
        if isinstance(subject, ServerTarget):
            hop = subject.hop
        assert isinstance(hop, Smarthost | MxDelivery), "the sandbox is not tested"
        settings = CheckSettings(
            hop.ehlo or service.settings.hostname, lambda: secrets.token_urlsafe(18), STEP_SECONDS,
            ca_file=hop.ca_file, source=hop.source,
            port=hop.port if isinstance(hop, MxDelivery) else 25,
        )  # fmt: skip
        if isinstance(hop, MxDelivery):
            settings = CheckSettings(
                settings.hostname, settings.nonce, STEP_SECONDS, ca_file=hop.ca_file,
                source=hop.source, port=hop.port, tls=hop.tls,
            )  # fmt: skip
        world = World(service.clock, service.network, service.resolver)
        told: asyncio.Queue[Event | None] = asyncio.Queue()
        watch = Watch(host=told.put_nowait, ended=told.put_nowait)
        checking = asyncio.ensure_future(check(subject, settings, world, watch))
        checking.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (event := await told.get()) is not None:
                yield event
            yield await checking
        except InvalidAuthorities as fault:
            raise CannotTest(
                f"ca_file of the route: {fault}; give a file of PEM certificates"
            ) from fault
        finally:
            checking.cancel()


def _domain(target: str) -> DomainTarget:
    text = target.strip()
    try:
        if "@" in text:
            address = parse_address(text, smtputf8=True)
            return DomainTarget(domain_to_ascii(address.domain), str(address))
        domain = parse_address(f"postmaster@{text}", smtputf8=True).domain
    except InvalidAddress as fault:
        raise CannotTest(
            f"{text[:80]!r} is no domain or address: {fault.reason}; this route delivers to the "
            "servers of each domain, so say whose to test, such as example.com"
        ) from fault
    return DomainTarget(domain_to_ascii(domain))


def _place(hop: Smarthost) -> str:
    if hop.is_unix:
        return hop.host
    return f"[{hop.host}]:{hop.port}" if ":" in hop.host else f"{hop.host}:{hop.port}"

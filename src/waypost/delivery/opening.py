"""Opening a connection: from a route to a session that takes mail.

The next hops of the route are tried in their order, and every address of a host, until one is
ready (RFC 5321 5.1). What each said stands in the transcript, so that the last failure does not
hide the first. TLS follows the next hop's mode: `required` and `implicit` never fall back;
`opportunistic` goes on in the clear where TLS is not offered, and, only where nothing is verified,
also where the handshake fails (RFC 7435): the bytes are no less safe than without the offer.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from waypost.delivery.backoff import Circuits
from waypost.delivery.chance import Chance
from waypost.delivery.courier import ConnectionBroken, Courier, CourierSettings, Dispatcher
from waypost.delivery.exchangers import (
    DestinationFailure,
    Exchanger,
    Exchangers,
    ascii_domain,
)
from waypost.delivery.lane import Lane
from waypost.delivery.outcome import (
    Outcome,
    outcome_of_break,
    outcome_of_error,
    outcome_of_failure,
    outcome_of_reply,
)
from waypost.delivery.route import Credentials, MxDelivery, NextHop, Smarthost, TlsMode
from waypost.delivery.routing import next_hops
from waypost.delivery.transcript import Transcript
from waypost.knowledge.outcomes import Through
from waypost.net.clock import Clock
from waypost.net.deadlines import Deadlines
from waypost.net.happy_eyeballs import ConnectFailure, Target, connect_first
from waypost.net.network import Network
from waypost.net.resolver import ResolutionFailure, Resolver
from waypost.net.tls import client_context, describe_tls, explain_tls_error
from waypost.smtp.auth import (
    AuthenticationFailure,
    BearerToken,
    NoCommonMechanism,
    Password,
    choose_mechanism,
)
from waypost.smtp.client_events import (
    Authenticated,
    AuthenticationRefused,
    Capable,
    ClientEvent,
    Greeted,
    GreetingRefused,
    HelloRefused,
    ShutdownAnnounced,
    TlsReady,
    TlsRefused,
)
from waypost.smtp.client_states import DEFAULT_TIMEOUTS
from waypost.smtp.reply import Reply

if TYPE_CHECKING:  # a program that only sends over a smarthost loads none of it
    from waypost.delivery.tls_policy import Demand, TlsPolicies

CONNECT_SECONDS: Final = 30.0
"""For one host, over all its addresses."""

MAXIMUM_HOSTS: Final = 8
"""Hosts tried in one opening."""

_WITH_A_TOKEN: Final = frozenset({"XOAUTH2", "OAUTHBEARER"})
"""Mechanisms whose password is an access token of OAuth 2.0."""


@dataclass(frozen=True, slots=True)
class HostFailure:
    """Why one host could not be used, and what that means."""

    host: str
    outcome: Outcome
    handshake: bool = False
    """TLS was offered and its handshake failed."""
    reply: Reply | None = None
    """What the host said, where it was that."""


class Logins(Protocol):
    """Where credentials come from that do not stand in the route, as tokens do not."""

    async def credentials(self, hop: Smarthost) -> Credentials | None:
        """What to log in with now; None for no login. Raises AuthenticationFailure."""

    async def refused(self, hop: Smarthost, given: Credentials) -> Credentials | None:
        """The server did not take it: other ones to try once, as a token may have ended early.
        Raises AuthenticationFailure."""


class OpeningFailed(Exception):
    """No next hop could be used. `failures` in the order in which they were tried."""

    def __init__(
        self, failures: tuple[HostFailure, ...], destination: DestinationFailure | None = None
    ) -> None:
        self.failures = failures
        self.destination = destination
        """The DNS says that there is nowhere to deliver to, or could not be asked."""
        last = failures[-1] if failures else None
        self.next_hop = last.host if last else ""
        super().__init__(last.outcome.text if last else str(destination))


class _HostUnusable(Exception):
    def __init__(self, failure: HostFailure) -> None:
        self.failure = failure
        super().__init__(failure.outcome.text)


class Opener:
    """Makes couriers and opens their connections."""

    def __init__(
        self,
        hostname: str,
        network: Network,
        resolver: Resolver,
        exchangers: Exchangers,
        circuits: Circuits,
        chance: Chance,
        nonce: Callable[[], str],
        clock: Clock,
        deadlines: Deadlines,
        idle_seconds: float = 10.0,
        timeouts: Mapping[str, float] | None = None,
        logins: Logins | None = None,
        eager: bool = True,
        tls_policies: TlsPolicies | None = None,
    ) -> None:
        """`timeouts` by stage, and "connect" for one host; what is not there is as by default."""
        self._hostname = hostname
        self._network = network
        self._resolver = resolver
        self._exchangers = exchangers
        self._circuits = circuits
        self._chance = chance
        self._nonce = nonce
        self._clock = clock
        self._deadlines = deadlines
        self._idle_seconds = idle_seconds
        self._timeouts: dict[str, float] = {str(s): t for s, t in DEFAULT_TIMEOUTS.items()}
        self._timeouts.update(timeouts or {})
        self._connect_seconds = self._timeouts.pop("connect", CONNECT_SECONDS)
        self._logins = logins
        self._eager = eager
        self.tls_policies = tls_policies
        """For direct delivery; None: what the route says, for every destination."""

    def courier(self, lane: Lane, dispatcher: Dispatcher) -> Courier:
        """A courier without a connection."""
        route = lane.route
        settings = CourierSettings(
            hostname=self._hostname,
            messages_per_connection=route.limits.messages_per_connection,
            idle_seconds=self._idle_seconds,
            pipelining=route.pipelining,
            chunking=route.chunking,
            eager=self._eager,
        )
        return self._new(settings, lane, dispatcher, route.via[0])

    def _new(
        self, settings: CourierSettings, lane: Lane, dispatcher: Dispatcher, hop: NextHop
    ) -> Courier:
        timeouts = self._timeouts
        if isinstance(hop, Smarthost | MxDelivery):
            if hop.timeout is not None:
                timeouts = dict.fromkeys(timeouts, hop.timeout)
            if hop.ehlo is not None:
                settings = replace(settings, hostname=hop.ehlo)
        return Courier(settings, lane, dispatcher, self._clock, self._deadlines, timeouts)

    async def open(self, courier: Courier, transcript: Transcript) -> None:
        """Connect the courier to the first next hop that is ready. Raises OpeningFailed."""
        route = courier.lane.route
        now = self._clock.monotonic()
        hops = next_hops(route, self._chance, lambda hop: self._circuits.is_suspended(hop, now))
        hops = hops or route.via  # all are suspended: the lane's own back-off has let us try
        failures: list[HostFailure] = []
        tried = 0
        for hop in hops:
            try:
                candidates = await self._candidates(courier, hop)
            except ResolutionFailure as fault:
                failures.append(HostFailure(fault.name, outcome_of_error(fault)))
                self._note(transcript, str(fault))
                continue
            except DestinationFailure as fault:
                self._note(transcript, str(fault))
                raise OpeningFailed(tuple(failures), fault) from fault
            demand = await self._demand(courier, hop)
            for candidate in candidates:
                if demand is not None and not demand.allows(candidate.host):
                    refusal = demand.refusal(candidate.host)
                    failures.append(HostFailure(candidate.host, refusal))
                    self._note(transcript, refusal.text)
                    continue
                tried += 1
                if tried > MAXIMUM_HOSTS:
                    break
                way = hop
                if demand is not None and isinstance(hop, MxDelivery):
                    way = demand.applied(hop)
                failure = await self._try(courier, way, candidate, transcript)
                if failure is None:
                    courier.open()
                    return
                if demand is not None:
                    failure = replace(failure, outcome=demand.explained(failure.outcome))
                failures.append(failure)
        raise OpeningFailed(tuple(failures))

    async def _try(
        self, courier: Courier, hop: NextHop, candidate: Exchanger, transcript: Transcript
    ) -> HostFailure | None:
        """Try one host, a second time without TLS where that may be; None when it is ready."""
        assert isinstance(hop, Smarthost | MxDelivery)
        failure: HostFailure | None = None
        for mode in (hop.tls, TlsMode.NONE):
            courier.renew(
                encrypted=hop.tls is TlsMode.IMPLICIT,
                clear_text_auth=isinstance(hop, Smarthost) and hop.clear_text_auth,
            )
            try:
                await self._session(courier, hop, candidate, mode)
            except _HostUnusable as unusable:
                failure = unusable.failure
                self._note(transcript, failure.outcome.text)
                courier.renew()
                if not (failure.handshake and mode is TlsMode.OPPORTUNISTIC and not hop.verify):
                    break
            else:
                if isinstance(hop, Smarthost):
                    self._circuits.succeeded(hop)
                return None
        assert failure is not None
        if isinstance(hop, Smarthost):
            self._circuits.failed(hop, self._clock.monotonic(), failure.outcome.text)
        return failure

    def _note(self, transcript: Transcript, text: str) -> None:
        transcript.add(self._clock.monotonic(), "*", text)

    async def _demand(self, courier: Courier, hop: NextHop) -> Demand | None:
        """What is asked of the way to the destination, beyond the route."""
        destination = courier.lane.destination
        if (
            self.tls_policies is None
            or not isinstance(hop, MxDelivery)
            or destination.startswith("[")
        ):
            return None
        demand, note = await self.tls_policies.demand(ascii_domain(destination), hop)
        if note:
            courier.recorder.note(note)
        return demand

    async def _candidates(self, courier: Courier, hop: NextHop) -> tuple[Exchanger, ...]:
        if isinstance(hop, MxDelivery):
            found = await self._exchangers.find(
                courier.lane.destination,
                port=hop.port,
                allow_private_addresses=courier.lane.route.allow_private_addresses,
            )
            for note in found.notes:
                courier.recorder.note(note)
            return found.hosts
        assert isinstance(hop, Smarthost), "the sandbox needs no connection"
        if hop.is_unix:
            return (Exchanger(hop.host, 0, (hop.host,)),)
        return (Exchanger(hop.host, 0, await self._resolver.addresses(hop.host)),)

    async def _session(
        self, courier: Courier, hop: Smarthost | MxDelivery, candidate: Exchanger, mode: TlsMode
    ) -> None:
        """Connect, greet, encrypt, authenticate. Raises _HostUnusable."""
        place = f"{candidate.host}:{hop.port}"
        peer: Through = "mx" if isinstance(hop, MxDelivery) else "smarthost"
        try:
            await self._connect(courier, hop, candidate, place)
            await self._greeting(courier, place, peer)
            capable = await self._hello(courier, place, peer)
            if mode in (TlsMode.REQUIRED, TlsMode.OPPORTUNISTIC):
                capable = await self._start_tls(courier, hop, candidate, place, capable)
            client = courier.client
            if client.capabilities is not None and not (client.encrypted and hop.verify):
                # RFC 8689 4.2.1: the offer counts only of a server that is known to be the one.
                client.capabilities = replace(client.capabilities, require_tls=False)
            if isinstance(hop, Smarthost):
                await self._log_in(courier, hop, place, capable)
            if courier.transport is None:  # it answered and hung up, before we came to know
                raise ConnectionBroken("idle", "the peer closed the connection")
        except ConnectionBroken as broken:
            outcome = outcome_of_break(f"{place}: {broken}", timed_out=broken.timed_out)
            raise _HostUnusable(HostFailure(place, outcome)) from broken

    async def _connect(
        self, courier: Courier, hop: Smarthost | MxDelivery, candidate: Exchanger, place: str
    ) -> None:
        implicit = hop.tls is TlsMode.IMPLICIT
        name = (hop.server_name if isinstance(hop, Smarthost) else None) or candidate.host
        try:
            connected = await connect_first(
                self._network,
                self._clock,
                lambda: courier,
                tuple(Target(candidate.host, address, hop.port) for address in candidate.addresses),
                tls=self._context(hop) if implicit else None,
                server_name=name if implicit else None,
                source=hop.source,
                attempt_seconds=self._connect_seconds,
            )
        except ConnectFailure as fault:
            text = f"cannot connect: {fault}"
            for _, error in fault.attempts:
                if isinstance(error, ssl.SSLError):
                    text = _handshake_text(place, error, name)
            outcome = outcome_of_error(fault, text)
            raise _HostUnusable(HostFailure(place, outcome)) from fault
        courier.connected_to(str(connected.target))
        if implicit:
            courier.secured(_tls_text(courier))

    async def _greeting(self, courier: Courier, place: str, peer: Through) -> None:
        event = await courier.step()
        if not isinstance(event, Greeted):
            raise _unusable(place, "greeting", event, peer)

    async def _hello(self, courier: Courier, place: str, peer: Through) -> Capable:
        event = await courier.step(courier.client.hello)
        if not isinstance(event, Capable):
            raise _unusable(place, "ehlo", event, peer)
        return event

    async def _start_tls(
        self,
        courier: Courier,
        hop: Smarthost | MxDelivery,
        candidate: Exchanger,
        place: str,
        capable: Capable,
    ) -> Capable:
        required = hop.tls is TlsMode.REQUIRED
        peer: Through = "mx" if isinstance(hop, MxDelivery) else "smarthost"
        if not capable.capabilities.starttls:
            if required:
                raise _HostUnusable(
                    HostFailure(
                        place,
                        outcome_of_failure(
                            "tls-not-offered",
                            f"{place} does not offer STARTTLS, and the route requires TLS",
                        ),
                    )
                )
            return capable
        event = await courier.step(courier.client.start_tls)
        if not isinstance(event, TlsReady):
            if required or not isinstance(event, TlsRefused):
                raise _unusable(place, "starttls", event, peer)
            return capable
        name = (hop.server_name if isinstance(hop, Smarthost) else None) or candidate.host
        try:
            await courier.upgrade(self._network, self._context(hop), name)
        except (OSError, EOFError) as fault:
            outcome = outcome_of_error(fault, _handshake_text(place, fault, name))
            raise _HostUnusable(HostFailure(place, outcome, handshake=True)) from fault
        courier.secured(_tls_text(courier))
        return await self._hello(courier, place, peer)

    def _context(self, hop: Smarthost | MxDelivery) -> ssl.SSLContext:
        return client_context(verify=hop.verify, ca_file=hop.ca_file)

    async def _log_in(self, courier: Courier, hop: Smarthost, place: str, capable: Capable) -> None:
        logins = self._logins
        try:
            given = hop.credentials if logins is None else await logins.credentials(hop)
            if given is None:
                return
            event = await self._authenticate(courier, hop, capable, given)
            if logins is not None and isinstance(event, AuthenticationRefused):
                again = await logins.refused(hop, given)
                if again is not None:
                    event = await self._authenticate(courier, hop, capable, again)
        except AuthenticationFailure as fault:
            outcome = outcome_of_failure(_reason_of(fault), f"{place}: {fault}")
            raise _HostUnusable(HostFailure(place, outcome)) from fault
        if not isinstance(event, Authenticated):
            raise _unusable(place, "auth", event, "smarthost")

    async def _authenticate(
        self,
        courier: Courier,
        hop: Smarthost,
        capable: Capable,
        given: Credentials,
    ) -> ClientEvent:
        """What the server answered. Raises AuthenticationFailure, where nothing was said."""
        kind = BearerToken if given.mechanism in _WITH_A_TOKEN else Password
        mechanism = choose_mechanism(
            kind(given.user, given.password),
            capable.capabilities.auth,
            encrypted=courier.client.encrypted,
            nonce=self._nonce(),
            allowed=(given.mechanism,) if given.mechanism else None,
            allow_clear_text=hop.clear_text_auth,
        )
        return await courier.step(lambda: courier.client.authenticate(mechanism))


def _reason_of(fault: AuthenticationFailure) -> str:
    """The name, in outcomes.toml, of a login that was not even tried."""
    if isinstance(fault, NoCommonMechanism):
        return "no-common-mechanism"
    temporary = getattr(fault, "temporary", False)  # a source of tokens that cannot be reached
    return "authentication-temporary" if temporary else "authentication-refused"


def _handshake_text(place: str, fault: Exception, name: str) -> str:
    """What a failed handshake means, and what to do."""
    problem = explain_tls_error(fault, name)
    return f"{place}: TLS failed: {problem.text}; {problem.fix}"


def _tls_text(courier: Courier) -> str:
    transport = courier.transport
    connection = transport.get_extra_info("ssl_object") if transport is not None else None
    return str(describe_tls(connection)) if connection is not None else "TLS"


def _unusable(place: str, stage: str, event: ClientEvent, through: Through) -> _HostUnusable:
    """The failure that an event means which is not the one hoped for."""
    if isinstance(
        event,
        GreetingRefused | HelloRefused | TlsRefused | AuthenticationRefused | ShutdownAnnounced,
    ):
        text = f"{place} said {event.reply} (at {stage})"
        outcome = replace(outcome_of_reply(stage, event.reply, through), text=text)
        return _HostUnusable(HostFailure(place, outcome, reply=event.reply))
    outcome = outcome_of_break(
        f"{place}: {type(event).__name__} (at {stage})", timed_out=False, malformed=True
    )
    return _HostUnusable(HostFailure(place, outcome))

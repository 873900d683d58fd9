"""The engine among peers that misbehave: virtual days in real milliseconds."""

from __future__ import annotations

import itertools

import pytest
from world import ADDRESS, World, in_virtual_time, smarthost

from waypost.delivery.engine import EngineSettings
from waypost.delivery.retry import RetrySchedule
from waypost.delivery.route import (
    MxDelivery,
    Quotas,
    Rate,
    Route,
    RouteLimits,
    RouteMatch,
    Sandbox,
)
from waypost.delivery.routing import RoutingTable
from waypost.lab.simulated_peer import Fault
from waypost.lab.virtual_time import VirtualClock
from waypost.net.resolver import ResolutionTemporaryFailure
from waypost.net.static_resolver import StaticResolver
from waypost.smtp.reply import reply
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.contract import MessageFilter, RecipientState

DELIVERED, QUEUED = RecipientState.DELIVERED, RecipientState.QUEUED
BOUNCED, EXPIRED = RecipientState.BOUNCED, RecipientState.EXPIRED
DAY = 86400.0
STEADY = RetrySchedule(jitter=0.0)


def route(**changes: object) -> Route:
    return Route("out", (smarthost(),), retry=STEADY, **changes)  # type: ignore[arg-type]


class TestOneMessage:
    def test_is_delivered_as_it_came_with_a_transcript(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            peer = world.peer()
            await world.start()
            message = await world.submit("b@example.org", content=b"Subject: x\r\n\r\n.dot\r\n")
            await world.settled(message, 10.0)
            assert await world.states(message) == [DELIVERED]
            (received,) = peer.received
            assert received.content == b"Subject: x\r\n\r\n.dot\r\n"
            assert received.envelope.reverse_path == "a@example.com"
            (attempt,) = await world.attempts(message)
            for line in ("< 220 ", "> EHLO relay.example", "> MAIL FROM:<a@example.com>", "LAST"):
                assert line in attempt.transcript
            assert attempt.next_hop == f"[{ADDRESS}]:25"
            assert world.engine.in_flight() == frozenset()

        in_virtual_time(story)

    def test_survives_421_a_drop_and_a_stall_before_it_is_taken(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            peer = world.peer(
                Fault("mail", "reply", reply(421, "4.3.2", "Not now")),
                Fault("content", "drop"),
                Fault("rcpt", "stall"),
                Fault("connect", "drop"),
                None,
            )
            await world.start()
            message = await world.submit("b@example.org")
            seconds = await world.settled(message)
            assert await world.states(message) == [DELIVERED]
            assert len(peer.received) == 1
            attempts = await world.attempts(message)
            assert [one.results[0].state for one in attempts] == [QUEUED] * 4 + [DELIVERED]
            assert "421 4.3.2 Not now" in attempts[0].results[0].reply
            assert "rcpt" in attempts[2].results[0].reply
            # 1, 5, 15 and 30 minutes after each failure: the stall costs its timeout besides.
            assert 51 * 60 <= seconds <= 75 * 60
            for earlier, later in itertools.pairwise(attempts):
                assert later.started_at >= earlier.results[0].due_at

        in_virtual_time(story)

    def test_is_given_back_when_its_time_is_over_with_a_warning_on_the_way(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route(expire_after=DAY)])
            world.peer(Fault("connect", "reply", reply(421, "4.3.2", "Closed for ever")))
            await world.start()
            message = await world.submit("b@example.org")
            await world.settled(message)
            assert await world.states(message) == [EXPIRED]
            assert clock.monotonic() <= DAY + 120
            notices = [
                row
                for row in await world.spool.messages(MessageFilter())
                if not row.reverse_path and row.client == "notice"
            ]
            assert [row.recipients[0].address for row in notices] == ["a@example.com"] * 2

        in_virtual_time(story)

    def test_that_is_refused_for_good_bounces_at_once_and_is_never_tried_again(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route(limits=RouteLimits(messages_per_connection=1))])
            peer = world.peer(Fault("rcpt", "reply", reply(550, "5.1.1", "No such user")), None)
            await world.start()
            message = await world.submit("nobody@example.org")
            await world.settled(message, 10.0)
            assert await world.states(message) == [BOUNCED]
            notice, original = await world.spool.messages(MessageFilter())
            assert original.identifier == message
            assert notice.reverse_path == ""
            await world.settled(notice.identifier)
            await clock.sleep(2 * DAY)
            assert len(await world.attempts(message)) == 1
            (bounce,) = peer.received
            assert b"Status: 5.1.1" in bounce.content
            assert bounce.envelope.recipients[0].address == "a@example.com"

        in_virtual_time(story)

    def test_from_the_null_sender_makes_no_notice(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            world.peer(Fault("rcpt", "reply", reply(550, "5.1.1", "No such user")))
            await world.start()
            message = await world.submit("nobody@example.org", sender="")
            await world.settled(message, 10.0)
            await clock.sleep(60.0)
            assert len(await world.spool.messages(MessageFilter())) == 1

        in_virtual_time(story)

    def test_taken_without_a_word_is_sent_again_and_counted_as_uncertain(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            peer = world.peer(Fault("content", "accept_and_drop"), None)
            await world.start()
            message = await world.submit("b@example.org")
            await world.settled(message)
            assert [one.acknowledged for one in peer.received] == [False, True]
            assert [one.uncertain for one in await world.attempts(message)] == [True, False]

        in_virtual_time(story)


class TestSeveralRecipients:
    def test_each_has_an_outcome_of_its_own(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            peer = world.peer(settings=ServerSettings("peer.example", maximum_recipients=2))
            await world.start()
            message = await world.submit("b@example.org", "c@example.org", "d@example.net")
            await world.settled(message, 60.0)
            assert await world.states(message) == [DELIVERED] * 3
            assert [len(one.envelope.recipients) for one in peer.received] == [2, 1]

        in_virtual_time(story)

    def test_of_several_domains_share_a_transaction_through_a_smarthost(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            peer = world.peer()
            await world.start()
            message = await world.submit("b@example.org", "c@example.net", "d@example.com")
            await world.settled(message, 10.0)
            assert [len(one.envelope.recipients) for one in peer.received] == [3]
            assert len(await world.attempts(message)) == 1

        in_virtual_time(story)

    def test_more_than_a_transaction_takes_go_in_several(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route(limits=RouteLimits(recipients_per_transaction=10))])
            peer = world.peer()
            await world.start()
            message = await world.submit(*(f"u{n}@example.org" for n in range(25)))
            await world.settled(message, 10.0)
            assert sorted(len(one.envelope.recipients) for one in peer.received) == [5, 10, 10]
            told = [r.address for one in peer.received for r in one.envelope.recipients]
            assert sorted(told) == sorted(f"u{n}@example.org" for n in range(25))

        in_virtual_time(story)


class TestConnections:
    def test_are_used_again_and_end_with_quit(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route(limits=RouteLimits(connections_per_destination=2))])
            peer = world.peer()
            await world.start()
            for _ in range(20):
                await world.submit("b@example.org")
            await clock.sleep(5.0)
            assert len(peer.received) == 20
            assert peer.sessions <= 2
            await clock.sleep(30.0)
            assert peer.open_sessions == 0
            assert world.slots.connections == 0
            assert not world.engine.lanes

        in_virtual_time(story)

    def test_never_exceed_their_limit_and_grow_towards_it_under_load(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route(limits=RouteLimits(connections_per_destination=7))])
            world.network.latency = 0.3
            peer = world.peer()
            await world.start()
            for _ in range(200):
                await world.submit("b@example.org")
            await clock.sleep(120.0)
            assert len(peer.received) == 200
            assert peer.most_sessions == 7

        in_virtual_time(story)

    def test_are_few_for_a_quick_peer_and_idle_ones_join_for_a_slow_one(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route(limits=RouteLimits(connections_per_destination=8))])
            world.network.latency = 0.001
            peer = world.peer()
            await world.start()
            for _ in range(100):
                await world.submit("b@example.org")
            await clock.sleep(1.0)
            assert len(peer.received) == 100
            assert peer.sessions <= 2
            world.network.latency = 0.2
            for _ in range(30):
                await world.submit("b@example.org")
            await clock.sleep(8.0)
            assert len(peer.received) == 130
            assert peer.most_sessions > 2

        in_virtual_time(story)

    def test_content_is_not_sent_blindly_over_one_that_was_idle(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            peer = world.peer(Fault("mail", "drop", after=1), None)
            await world.start()
            await world.settled(await world.submit("b@example.org"), 5.0)
            await clock.sleep(5.0)
            second = await world.submit("b@example.org")
            await world.settled(second, 5.0)
            # The peer ended the connection: it goes over another at once, and in no doubt.
            (attempt,) = await world.attempts(second)
            assert not attempt.uncertain
            assert len(peer.received) == 2

        in_virtual_time(story)

    def test_that_the_peer_closed_while_idle_cost_no_attempt(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            peer = world.peer(settings=ServerSettings("peer.example", maximum_messages=1))
            await world.start()
            first = await world.submit("b@example.org")
            await world.settled(first, 5.0)
            second = await world.submit("b@example.org")
            third = await world.submit("b@example.org")
            await world.settled(second, 5.0)
            await world.settled(third, 5.0)
            assert len(peer.received) == 3
            assert len(await world.attempts(third)) == 1

        in_virtual_time(story)

    def test_of_many_destinations_share_the_slots_of_a_route(self) -> None:
        async def story(clock: VirtualClock) -> None:
            names = [f"d{n}.example" for n in range(60)]
            resolver = StaticResolver(
                mail_exchangers={name: ((10, f"mx.{name}"),) for name in names},
                addresses={f"mx.{name}": (ADDRESS,) for name in names},
            )
            direct = Route("direct", (MxDelivery(),), limits=RouteLimits(connections=5))
            world = World(clock, [direct], resolver=resolver)
            peer = world.peer()
            await world.start()
            messages = [await world.submit(f"b@{name}") for name in names]
            for message in messages:
                await world.settled(message, 60.0)
            # An idle connection gives its slot to who waits: far less than 10 s idle for each 5.
            assert clock.monotonic() < 30.0
            assert peer.most_sessions <= 5

        in_virtual_time(story)

    def test_rate_and_quota_let_no_more_through_than_they_say(self) -> None:
        async def story(clock: VirtualClock) -> None:
            limits = RouteLimits(rate=Rate(10, 60.0))
            world = World(clock, [route(limits=limits, quotas=Quotas(per_hour=40))])
            peer = world.peer()
            await world.start()
            for _ in range(100):
                await world.submit("b@example.org")
            await clock.sleep(4 * 3600.0)
            assert len(peer.received) == 100
            moments = [one.moment for one in peer.received]
            for at in moments:
                assert sum(at <= other < at + 59.9 for other in moments) <= 10
            hours = [
                int((moment + world.clock.now() - clock.monotonic()) // 3600) for moment in moments
            ]
            assert max(hours.count(hour) for hour in set(hours)) <= 40

        in_virtual_time(story)


class TestDestinations:
    def test_that_fail_are_left_alone_as_a_whole(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            world.network.listen(ADDRESS, 25, lambda: None)
            await world.start()
            for _ in range(100):
                await world.submit("b@example.org")
            await clock.sleep(600.0)
            attempts = 0
            for row in await world.spool.messages(MessageFilter(limit=200)):
                attempts += len(await world.attempts(row.identifier))
            assert 1 < attempts < 20
            peer = world.peer()
            await clock.sleep(2 * 3600.0)
            assert len(peer.received) == 100

        in_virtual_time(story)

    def test_fail_over_to_the_second_exchanger(self) -> None:
        async def story(clock: VirtualClock) -> None:
            resolver = StaticResolver(
                mail_exchangers={"example.org": ((10, "one.example"), (20, "two.example"))},
                addresses={"one.example": ("192.0.2.1",), "two.example": ("192.0.2.2",)},
            )
            world = World(clock, [Route("direct", (MxDelivery(),))], resolver=resolver)
            second = world.peer(address="192.0.2.2")
            await world.start()
            message = await world.submit("b@example.org")
            await world.settled(message, 60.0)
            assert len(second.received) == 1

        in_virtual_time(story)

    def test_whose_names_cannot_be_asked_wait_for_the_dns(self) -> None:
        async def story(clock: VirtualClock) -> None:
            answers: dict[str, object] = {
                "example.org": ResolutionTemporaryFailure("example.org", "MX", "SERVFAIL")
            }
            resolver = StaticResolver(
                mail_exchangers=answers,  # type: ignore[arg-type]
                addresses={"one.example": (ADDRESS,)},
            )
            world = World(clock, [Route("direct", (MxDelivery(),))], resolver=resolver)
            peer = world.peer()
            await world.start()
            message = await world.submit("b@example.org")
            await clock.sleep(300.0)
            assert await world.states(message) == [QUEUED]
            answers["example.org"] = ((10, "one.example"),)
            await world.settled(message, DAY)
            assert len(peer.received) == 1

        in_virtual_time(story)

    def test_one_that_is_left_alone_does_not_hold_up_another_route_to_it(self) -> None:
        async def story(clock: VirtualClock) -> None:
            good = "192.0.2.2"
            routes = [
                Route("bulk", (smarthost(),), match=RouteMatch(senders=("bulk@example.com",))),
                Route("rest", (smarthost(good),)),
            ]
            world = World(clock, routes, settings=EngineSettings("relay.example", load_at_once=10))
            flaky = world.peer(
                Fault("rcpt", "reply", reply(451, "4.7.1", "later")), None, address=good
            )
            await world.start()
            for _ in range(60):
                await world.submit("b@example.org", sender="bulk@example.com")
            message = await world.submit("b@example.org")
            await world.settled(message, 900.0)
            assert len(flaky.received) == 1

        in_virtual_time(story)


class TestRoutes:
    def test_are_resolved_anew_when_the_configuration_changes(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            await world.start()
            messages = [await world.submit("b@example.org") for _ in range(60)]
            await clock.sleep(120.0)
            other = world.peer(address="192.0.2.7")
            world.engine.reroute(RoutingTable([Route("new", (smarthost("192.0.2.7"),))]))
            for message in messages:
                await world.settled(message, 3600.0)
            assert len(other.received) == 60

        in_virtual_time(story)

    def test_overflow_when_the_quota_is_used_up_and_come_back(self) -> None:
        async def story(clock: VirtualClock) -> None:
            routes = [
                Route("main", (smarthost(),), quotas=Quotas(per_minute=10), overflow="second",
                      match=RouteMatch(recipients=("*",))),
                Route("second", (smarthost("192.0.2.2"),), match=RouteMatch(users=("none",))),
                Route("rest", (Sandbox(),)),
            ]  # fmt: skip
            world = World(clock, routes)
            first = world.peer()
            second = world.peer(address="192.0.2.2")
            await world.start()
            messages = [await world.submit("b@example.org") for _ in range(30)]
            for message in messages:
                await world.settled(message, 30.0)
            assert (len(first.received), len(second.received)) == (10, 20)
            await clock.sleep(61.0)
            message = await world.submit("b@example.org")
            await world.settled(message, 30.0)
            assert len(first.received) == 11

        in_virtual_time(story)

    def test_a_tee_shows_each_delivered_message_in_the_sandbox_as_well(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route(tee_sandbox=True)])
            peer = world.peer()
            await world.start()
            message = await world.submit("b@example.org")
            await world.settled(message, 10.0)
            assert len(peer.received) == 1
            (captured,) = await world.spool.captured(10)
            assert captured.identifier == message

        in_virtual_time(story)

    def test_the_sandbox_lets_nothing_out(self) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [Route("sandbox", (Sandbox(),))])
            peer = world.peer()
            await world.start()
            message = await world.submit("b@example.org", "c@example.net")
            await world.settled(message, 10.0)
            assert await world.states(message) == [DELIVERED] * 2
            assert world.network.connections == 0
            assert not peer.received
            assert [one.recipients for one in await world.spool.captured(10)] == [
                ("b@example.org", "c@example.net")
            ]

        in_virtual_time(story)


class TestBounds:
    def test_what_is_in_memory_stays_within_the_window(self) -> None:
        async def story(clock: VirtualClock) -> None:
            settings = EngineSettings("relay.example", window=50, lane_window=30, load_at_once=10)
            world = World(clock, [route()], settings=settings)
            world.network.silent.add((ADDRESS, 25))
            await world.start()
            messages = []
            for number in range(300):
                messages.append(await world.submit(f"b@d{number % 7}.example"))
                assert len(world.engine.in_flight()) <= 50
            world.network.silent.clear()
            peer = world.peer()
            await clock.sleep(4 * 3600.0)
            assert len(peer.received) == 300
            assert len({one.envelope.recipients for one in peer.received}) == 7
            assert world.engine.in_flight() == frozenset()

        in_virtual_time(story)

    @pytest.mark.parametrize("stop_after", [0.0, 0.015, 0.05, 0.2, 1.0])
    def test_a_stop_at_any_moment_loses_and_doubles_nothing(self, stop_after: float) -> None:
        async def story(clock: VirtualClock) -> None:
            world = World(clock, [route()])
            peer = world.peer()
            await world.start()
            messages = [await world.submit("b@example.org") for _ in range(30)]
            await clock.sleep(stop_after)
            await world.engine.stop(8.0)
            again = World(clock, [route()], spool=world.spool)
            again.network = world.network
            recovery = await world.spool.open()
            assert recovery.uncertain == 0
            second = World(clock, [route()], spool=world.spool)
            second.network.listen(ADDRESS, 25, peer.accept)
            await second.engine.start()
            for message in messages:
                await second.settled(message, 3600.0)
            assert len(peer.received) == 30

        in_virtual_time(story)

"""One message, delivered once: every recipient has one outcome, whatever the peer does."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from waypost.delivery.backoff import Circuits
from waypost.delivery.exchangers import Exchangers
from waypost.delivery.opening import Opener
from waypost.delivery.route import Credentials, MxDelivery, Route, Sandbox, Smarthost, TlsMode
from waypost.delivery.single import SingleOutcome, deliver_once
from waypost.lab.simulated_network import SimulatedNetwork
from waypost.lab.simulated_peer import Fault, SimulatedPeer
from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.net.deadlines import Deadlines
from waypost.net.static_resolver import StaticResolver
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import reply
from waypost.smtp.server_settings import ServerSettings

HOST = "192.0.2.25"
CONTENT = b"Subject: x\r\n\r\n.body\r\n"
SMARTHOST = Route("send", (Smarthost(HOST, 25, TlsMode.NONE),))

RESOLVER = StaticResolver(
    mail_exchangers={
        "one.example": ((10, "mx.one.example"),),
        "two.example": ((10, "mx.two.example"),),
    },
    addresses={HOST: (HOST,), "mx.one.example": ("192.0.2.1",), "mx.two.example": ("192.0.2.2",)},
)  # fmt: skip


class Post:
    """A network with peers, and one message to deliver over it."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.network = SimulatedNetwork()
        self.lines: list[tuple[float, str, str]] = []

    def peer(
        self, *faults: Fault | None, address: str = HOST, settings: ServerSettings | None = None
    ) -> SimulatedPeer:
        made = SimulatedPeer(faults, settings)
        self.network.listen(address, 25, made.accept)
        return made

    async def deliver(self, route: Route, *to: str) -> list[SingleOutcome]:
        chance = random.Random(1)
        opener = Opener(
            "here.example", self.network, RESOLVER, Exchangers(RESOLVER, chance), Circuits(chance),
            chance, lambda: "nonce", self.clock, Deadlines(self.clock),
        )  # fmt: skip
        envelope = Envelope("a@example.com", tuple(map(Recipient, to)))
        return await deliver_once(
            envelope, CONTENT, route, opener, self.clock, lambda *line: self.lines.append(line)
        )


def told(story: Callable[[Post], Awaitable[None]]) -> None:
    run_virtual(lambda clock: story(Post(clock)))


def kinds(outcomes: list[SingleOutcome]) -> list[str]:
    return [one.outcome.kind for one in outcomes]


def test_a_message_arrives_and_its_steps_were_seen_in_order() -> None:
    async def story(post: Post) -> None:
        peer = post.peer()
        (outcome,) = await post.deliver(SMARTHOST, "b@example.org")
        assert outcome.outcome.is_delivered
        assert outcome.reached
        assert peer.received[0].content == CONTENT
        moments = [moment for moment, _, _ in post.lines]
        assert moments == sorted(moments)
        words = " ".join(f"{direction}{line}" for _, direction, line in post.lines)
        for step in ("*connected to", "<220 ", ">EHLO here.example", ">MAIL FROM:", ">RCPT TO:"):
            assert step in words
        assert peer.open_sessions == 0, "it said QUIT"

    told(story)


def test_direct_delivery_goes_to_each_domain_and_one_failure_harms_no_other() -> None:
    async def story(post: Post) -> None:
        one = post.peer(address="192.0.2.1")
        two = post.peer(
            Fault("rcpt", "reply", reply(550, "5.1.1", "No such user")), address="192.0.2.2"
        )
        outcomes = await post.deliver(
            Route("send", (MxDelivery(),)),
            "a@two.example", "b@one.example", "c@nowhere.example", "d@one.example",
        )  # fmt: skip
        assert [one.address[0] for one in outcomes] == ["a", "b", "c", "d"]
        assert kinds(outcomes) == ["permanent", "delivered", "permanent", "delivered"]
        assert outcomes[2].outcome.reason == "no-such-domain"
        assert not outcomes[2].reached
        assert len(one.received) == 1
        assert two.received == []

    told(story)


def test_a_peer_with_a_limit_of_recipients_is_given_the_rest_on_the_same_connection() -> None:
    async def story(post: Post) -> None:
        peer = post.peer(settings=ServerSettings("peer.example", maximum_recipients=2))
        outcomes = await post.deliver(SMARTHOST, *(f"r{n}@example.org" for n in range(5)))
        assert kinds(outcomes) == ["delivered"] * 5
        assert [len(one.envelope.recipients) for one in peer.received] == [2, 2, 1]
        assert peer.sessions == 1

    told(story)


def test_a_peer_that_takes_one_message_for_each_connection_leaves_the_rest_deferred() -> None:
    async def story(post: Post) -> None:
        settings = ServerSettings("peer.example", maximum_recipients=2, maximum_messages=1)
        post.peer(settings=settings)
        outcomes = await post.deliver(SMARTHOST, *(f"r{n}@example.org" for n in range(3)))
        assert kinds(outcomes) == ["delivered", "delivered", "temporary"]

    told(story)


@pytest.mark.parametrize("step", ["connect", "ehlo", "mail", "rcpt", "data", "content"])
@pytest.mark.parametrize("action", ["drop", "stall", "reply"])
def test_whatever_the_peer_does_there_is_an_outcome_in_bounded_time(step: str, action: str) -> None:
    async def story(post: Post) -> None:
        fault = Fault(step, action, reply(451, "4.3.0", "Busy") if action == "reply" else None)  # type: ignore[arg-type]
        peer = post.peer(fault)
        (outcome,) = await post.deliver(SMARTHOST, "b@example.org")
        assert outcome.outcome.kind == "temporary"
        assert peer.received == []
        assert post.clock.monotonic() < 3600.0

    told(story)


def test_a_reply_that_was_lost_after_the_end_of_the_content_is_uncertain() -> None:
    async def story(post: Post) -> None:
        post.peer(Fault("content", "accept_and_drop"))
        (outcome,) = await post.deliver(SMARTHOST, "b@example.org")
        assert outcome.uncertain
        assert not outcome.outcome.is_delivered

    told(story)


def test_the_sandbox_is_not_delivered_to() -> None:
    async def story(post: Post) -> None:
        with pytest.raises(ValueError, match="sandbox"):
            await post.deliver(Route("send", (Sandbox(),)), "b@example.org")

    told(story)


def test_a_host_that_was_given_up_says_nothing_after_that() -> None:
    async def story(post: Post) -> None:
        post.peer()
        secret = Route("send", (Smarthost(HOST, 25, TlsMode.REQUIRED),))
        (outcome,) = await post.deliver(secret, "b@example.org")
        assert outcome.outcome.reason == "tls-not-offered"
        await post.clock.sleep(10.0)
        notes = [line for _, direction, line in post.lines if direction == "*"]
        assert notes[0] == f"connected to [{HOST}]:25"
        assert "does not offer STARTTLS" in notes[-1]
        assert len(notes) == 2

    told(story)


def test_a_host_that_stood_still_says_nothing_after_that() -> None:
    async def story(post: Post) -> None:
        post.peer(Fault("connect", "stall"))
        await post.deliver(SMARTHOST, "b@example.org")
        await post.clock.sleep(10.0)
        assert not [line for _, _, line in post.lines if "closed the connection" in line]

    told(story)


@pytest.mark.parametrize(
    ("mechanism", "offered", "said"),
    [
        ("XOAUTH2", ("XOAUTH2", "PLAIN"), "AUTH XOAUTH2 [redacted]"),
        (None, ("XOAUTH2", "PLAIN"), "AUTH PLAIN [redacted]"),
    ],
)
def test_a_route_that_allows_it_logs_in_without_tls(
    mechanism: str | None, offered: tuple[str, ...], said: str
) -> None:
    async def story(post: Post) -> None:
        settings = ServerSettings("mx.test", auth_mechanisms=offered, auth_in_clear=True)
        post.peer(settings=settings)
        hop = Smarthost(
            HOST, 25, TlsMode.NONE, credentials=Credentials("joe", "secret", mechanism),
            clear_text_auth=True,
        )  # fmt: skip
        await post.deliver(Route("send", (hop,)), "b@example.org")
        assert said in [line for _, _, line in post.lines]

    told(story)

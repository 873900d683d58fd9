"""What becomes of a message: every recipient has one outcome, nothing is lost, nothing doubled."""

from __future__ import annotations

import email
from email.policy import default

import pytest
from library_world import FIRST, PlainServer, World, busy, told

from waypost import errors
from waypost.lab.simulated_peer import Fault
from waypost.smtp.reply import reply
from waypost.smtp.server_settings import ServerSettings

STEPS = ("connect", "ehlo", "mail", "rcpt", "data", "content")


def test_a_message_arrives_and_says_who_took_it() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        result = await world.send(world.engine(), "b@one.example", "c@two.example")
        assert result
        assert [one.address for one in result.accepted] == ["b@one.example", "c@two.example"]
        assert result.accepted[0].server == f"[{FIRST}]:25"
        assert str(result.accepted[0].reply).startswith("250")
        assert result.message_id == "<1@example.com>"
        assert result.attempts == 1
        for step in ("< 220", "> EHLO here.example", "> MAIL FROM:<a@example.com>", "> RCPT TO:"):
            assert step in result.transcript
        assert len(peer.received) == 1

    told(story)


@pytest.mark.parametrize("offers", [(), ("PIPELINING",)])
def test_some_refused_is_no_error_and_each_has_its_own(offers: tuple[str, ...]) -> None:
    async def story(world: World) -> None:
        refusals = {"c@one.example": "550 5.1.1 User unknown", "d@one.example": "450 4.2.0 Later"}
        server = PlainServer(*offers, recipients=refusals)
        world.network.listen(FIRST, 25, server.accept)
        result = await world.send(
            world.engine(retry=2), "b@one.example", "c@one.example", "d@one.example"
        )
        assert result.error is None
        assert not result
        assert [one.state for one in result.recipients] == ["accepted", "refused", "refused"]
        _, unknown, later = result.recipients
        assert isinstance(unknown.error, errors.RecipientRefused)
        assert (unknown.error.cause, unknown.error.temporary) == ("recipient.unknown", False)
        assert later.error is not None
        assert later.error.temporary
        assert [to for to, _ in server.received] == [["b@one.example"]], "it is not sent twice"
        with pytest.raises(errors.RecipientsRefused, match="2 recipients"):
            result.raise_for_refused()

    told(story)


def test_all_refused_is_an_error_that_has_the_result() -> None:
    async def story(world: World) -> None:
        world.peer(Fault("rcpt", "reply", reply(550, "5.1.1", "User unknown")))
        result = await world.send(world.engine(), "b@one.example")
        assert isinstance(result.error, errors.RecipientRefused)
        with pytest.raises(errors.RecipientRefused) as raised:
            result.raise_for_refused()
        assert raised.value.result is result

    told(story)


@pytest.mark.parametrize("step", STEPS)
def test_what_is_refused_for_now_is_tried_again_and_arrives_once(step: str) -> None:
    async def story(world: World) -> None:
        peer = world.peer(Fault(step, "reply", busy()), None)
        peer.faults = [Fault(step, "reply", busy(421)), None]
        result = await world.send(world.engine())
        assert result, result.error
        assert [one.acknowledged for one in peer.received] == [True]

    told(story)


@pytest.mark.parametrize("step", STEPS)
def test_a_connection_that_drops_before_the_content_is_over_costs_an_attempt(step: str) -> None:
    async def story(world: World) -> None:
        chunking_hides_data = ServerSettings("peer.example", chunking=False)
        peer = world.peer(Fault(step, "drop"), None, settings=chunking_hides_data)
        result = await world.send(world.engine())
        if step == "content":
            # The final dot was sent: nobody can tell, so it is not sent again.
            assert [one.state for one in result.recipients] == ["uncertain"]
            assert peer.received == []
            return
        assert result, result.error
        assert result.attempts == 2
        assert len(peer.received) == 1

    told(story)


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_stands_still_is_given_up_after_the_stages_timeout(step: str) -> None:
    async def story(world: World) -> None:
        no_chunks = ServerSettings("peer.example", chunking=False)
        world.peer(Fault(step, "stall"), settings=no_chunks)
        result = await world.send(world.engine(retry=1, timeout=3))
        assert world.clock.monotonic() < 10
        error = result.error
        assert error is not None
        if step == "content":
            assert isinstance(error, errors.DeliveryUncertain)
        else:
            assert isinstance(error, errors.ConnectionFailed | errors.ConnectionLost)
            assert error.temporary
            assert "3 seconds" in str(error)

    told(story)


def test_a_lost_answer_to_the_content_is_uncertain_and_never_sent_again() -> None:
    async def story(world: World) -> None:
        peer = world.peer(Fault("content", "accept_and_drop"), None)
        result = await world.send(world.engine())
        assert [one.state for one in result.recipients] == ["uncertain"]
        assert isinstance(result.error, errors.DeliveryUncertain)
        assert not result.error.temporary
        assert "may have been delivered" in str(result.error)
        assert len(peer.received) == 1

    told(story)


@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "content"])
def test_a_refusal_for_good_is_not_tried_again(step: str) -> None:
    async def story(world: World) -> None:
        peer = world.peer(
            Fault(step, "reply", reply(554, "5.6.0", "No")),
            settings=ServerSettings("peer.example", chunking=False),
        )
        result = await world.send(world.engine())
        kinds = {
            "mail": errors.SenderRefused, "rcpt": errors.RecipientRefused,
            "data": errors.MessageRefused, "content": errors.MessageRefused,
        }  # fmt: skip
        assert type(result.error) is kinds[step]
        assert not result.error.temporary
        assert result.error.reply is not None
        assert result.error.reply.code == 554
        assert result.attempts == 1
        assert peer.sessions == 1

    told(story)


def test_patience_with_a_busy_server_ends_by_the_policy() -> None:
    async def story(world: World) -> None:
        peer = world.peer(Fault("rcpt", "reply", busy(450)))
        result = await world.send(world.engine(retry=4))
        assert isinstance(result.error, errors.RecipientRefused)
        assert result.error.temporary
        assert result.attempts == 4
        assert 7 <= world.clock.monotonic() < 10, "after 1, 2 and 4 seconds, and a little chance"
        assert peer.sessions == 1, "the connection was kept"

    told(story)


def test_more_recipients_than_a_transaction_takes_go_in_several() -> None:
    async def story(world: World) -> None:
        peer = world.peer()
        to = [f"r{number}@one.example" for number in range(250)]
        result = await world.send(world.engine(), *to)
        assert len(result.accepted) == 250
        assert [len(one.envelope.recipients) for one in peer.received] == [100, 100, 50]

    told(story)


def test_a_server_that_takes_few_recipients_is_given_the_rest_at_once() -> None:
    async def story(world: World) -> None:
        peer = world.peer(settings=ServerSettings("peer.example", maximum_recipients=7))
        to = [f"r{number}@one.example" for number in range(20)]
        result = await world.send(world.engine(), *to)
        assert len(result.accepted) == 20, result.transcript
        assert sorted(
            recipient.address for one in peer.received for recipient in one.envelope.recipients
        ) == sorted(to)
        assert world.clock.monotonic() < 1

    told(story)


def test_letters_that_the_server_cannot_take_are_a_clear_error() -> None:
    async def story(world: World) -> None:
        world.peer(settings=ServerSettings("peer.example", smtputf8=False))
        result = await world.send(world.engine(), "jürgen@one.example")
        assert isinstance(result.error, errors.MessageRefused)
        assert "SMTPUTF8" in str(result.error)
        assert result.attempts == 1

    told(story)


def test_an_international_domain_needs_nothing_of_the_server() -> None:
    async def story(world: World) -> None:
        peer = world.peer(settings=ServerSettings("peer.example", smtputf8=False))
        assert await world.send(world.engine(), "info@bücher.example")
        assert peer.received[0].envelope.recipients[0].address == "info@xn--bcher-kva.example"

    told(story)


def test_eight_bits_are_encoded_for_a_server_that_takes_seven() -> None:
    async def story(world: World) -> None:
        server = PlainServer("PIPELINING")
        world.network.listen(FIRST, 25, server.accept)
        text = "Grüße aus Köln"
        result = await world.send(world.engine(), "b@one.example", subject="x", text=text)
        assert result
        content = server.received[0][1]
        assert content.isascii()
        assert email.message_from_bytes(content, policy=default).get_content().strip() == text

    told(story)


def test_a_message_beyond_the_servers_size_is_not_even_begun() -> None:
    async def story(world: World) -> None:
        peer = world.peer(settings=ServerSettings("peer.example", maximum_size=2000))
        result = await world.send(world.engine(), "b@one.example", subject="x", text="y" * 3000)
        assert isinstance(result.error, errors.MessageRefused)
        assert result.error.cause == "size.message_too_big"
        assert "MAIL" not in result.transcript
        assert peer.received == []

    told(story)


def test_each_domain_is_delivered_to_by_itself_with_mx() -> None:
    async def story(world: World) -> None:
        first = world.peer()
        second = world.peer(Fault("connect", "drop"), address="192.0.2.2")
        result = await world.send(
            world.engine("mx:", retry=1), "b@one.example", "c@two.example", "d@one.example"
        )
        assert [one.state for one in result.recipients] == ["accepted", "refused", "accepted"]
        assert result.error is None
        assert len(first.received) == 1
        assert second.received == []

    told(story)

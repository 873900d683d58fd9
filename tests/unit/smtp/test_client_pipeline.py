"""Transactions one behind the other, and what is known of them when a session breaks off."""

from __future__ import annotations

import pytest
from client_dialogue import CONTENT, WIRE, outcome, outcomes, ready, say, to

from waypost.smtp.client import WrongState
from waypost.smtp.client_events import (
    Closed,
    Disconnected,
    ShutdownAnnounced,
    TransactionFinished,
)


def test_421_ends_every_open_transaction_with_itself() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example", "c@z.example"), CONTENT)
    client.take()
    events = say(client, "250 ok", "250 ok", "421 4.3.2 shutting down", "354 go")
    finished, announced = events
    assert isinstance(finished, TransactionFinished)
    assert isinstance(announced, ShutdownAnnounced)
    for index in (0, 1):
        decision = finished.outcome.final_for(index)
        assert decision.reply == announced.reply
    assert not finished.outcome.uncertain


@pytest.mark.parametrize(
    ("answers", "stage", "decided_at", "sent"),
    [
        ((), "mail", "MAIL", False),
        (("250 ok",), "rcpt", "RCPT", False),
        (("250 ok", "250 ok"), "data", "DATA", False),
        (("250 ok", "250 ok", "354 go"), "content_reply", "content", True),
    ],
)
def test_what_is_known_when_the_connection_is_lost(
    answers: tuple[str, ...], stage: str, decided_at: str, sent: bool
) -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    for answer in answers:
        say(client, answer)
    client.take()
    assert [type(event) for event in client.receive_eof()] == [Disconnected]
    (result,) = client.abandon()
    assert result.lost_at == stage
    assert result.final_for(0).stage == decided_at
    assert result.final_for(0).reply is None
    assert result.content_sent is result.uncertain is sent
    assert client.abandon() == ()


def test_content_that_was_made_and_never_handed_out_leaves_no_doubt() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, "250 ok", "250 ok", "354 go")
    (result,) = client.abandon()
    assert not result.content_sent
    assert not result.uncertain


def test_the_next_transaction_may_follow_the_content_of_the_one_before() -> None:
    client = ready("PIPELINING")
    first, second = to("b@y.example"), to("c@z.example")
    client.begin(first, CONTENT)
    assert not client.can_begin
    client.take()
    say(client, "250 ok", "250 ok", "354 go")
    assert client.can_begin
    client.begin(second, CONTENT)
    assert not client.can_begin
    assert client.take() == (WIRE + b"MAIL FROM:<a@x.example>\r\nRCPT TO:<c@z.example>\r\nDATA\r\n")
    result = outcome(say(client, "250 first", "250 ok", "250 ok", "354 go"))
    assert result.transaction is first
    assert client.take() == WIRE
    result = outcome(say(client, "250 second"))
    assert result.transaction is second
    assert result.delivered(0)


def test_a_refused_first_leaves_the_second_alone() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, "250 ok", "250 ok", "354 go")
    client.begin(to("c@z.example"), CONTENT)
    client.take()
    result = outcome(say(client, "554 spam", "250 ok", "250 ok", "354 go"))
    assert not result.delivered(0)
    assert client.take() == WIRE
    assert outcome(say(client, "250 ok")).delivered(0)


def test_of_two_only_the_one_whose_content_went_is_in_doubt() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, "250 ok", "250 ok", "354 go")
    client.begin(to("c@z.example"), CONTENT)
    client.take()
    first, second = client.abandon()
    assert first.uncertain
    assert not second.uncertain
    assert second.lost_at == "mail"


def test_421_for_the_first_ends_both() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, "250 ok", "250 ok", "354 go")
    client.begin(to("c@z.example"), CONTENT)
    client.take()
    events = say(client, "421 bye")
    first, second = outcomes(events)
    assert first.final_for(0).stage == "content"
    assert second.final_for(0).stage == "MAIL"
    for result in (first, second):
        decision = result.final_for(0)
        assert decision.reply is not None
        assert decision.reply.code == 421
    assert isinstance(events[-1], ShutdownAnnounced)


def test_without_pipelining_nothing_follows_before_the_reply() -> None:
    client = ready()
    client.begin(to("b@y.example"), CONTENT)
    for answer in ("250 ok", "250 ok", "354 go"):
        client.take()
        say(client, answer)
    client.take()
    assert not client.can_begin
    with pytest.raises(WrongState):
        client.begin(to("c@z.example"), CONTENT)
    with pytest.raises(WrongState):
        client.quit()


def test_quit_may_follow_the_content_and_ends_the_pipeline() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, "250 ok", "250 ok", "354 go")
    client.quit()
    assert client.take() == WIRE + b"QUIT\r\n"
    with pytest.raises(WrongState):
        client.begin(to("c@z.example"), CONTENT)
    events = say(client, "250 ok", "221 bye")
    assert [type(event) for event in events] == [TransactionFinished, Closed]

"""Transactions as they go over the wire, and who is refused at which step."""

from __future__ import annotations

import pytest
from client_dialogue import CONTENT, WIRE, outcome, ready, say, to, wanted

from waypost.smtp.client import ClientSettings, WrongState
from waypost.smtp.client_events import (
    ProtocolBroken,
    TransactionFinished,
)
from waypost.smtp.stuffing import BareLineEnd


def test_with_pipelining_a_message_needs_two_writes_and_tells_one_event() -> None:
    record: list[str] = []
    client = ready("PIPELINING", record=record)
    del record[:]
    assert client.begin(to("b@y.example", "c@z.example"), CONTENT) == []
    assert client.take() == (
        b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@z.example>\r\nDATA\r\n"
    )
    assert say(client, "250 2.1.0 ok", "250 2.1.5 ok", "251 2.1.5 will forward", "354 go") == []
    assert client.take() == WIRE
    result = outcome(say(client, "250 2.0.0 queued as 1"))
    assert [result.final_for(n).stage for n in (0, 1)] == ["content", "content"]
    assert result.delivered(0)
    assert result.delivered(1)
    assert result.content_sent
    assert not result.uncertain
    assert client.stage == "idle"
    assert record == [
        "> MAIL FROM:<a@x.example>",
        "> RCPT TO:<b@y.example>",
        "> RCPT TO:<c@z.example>",
        "> DATA",
        "< 250 2.1.0 ok",
        "< 250 2.1.5 ok",
        "< 251 2.1.5 will forward",
        "< 354 go",
        f"> [{len(CONTENT)} bytes of content]",
        "< 250 2.0.0 queued as 1",
    ]


@pytest.mark.parametrize("offered", [False, True])
def test_without_pipelining_each_command_waits_for_its_reply(offered: bool) -> None:
    settings = ClientSettings("client.example", use_pipelining=False)
    client = ready(*(("PIPELINING",) if offered else ()), settings=settings)
    client.begin(to("b@y.example", "c@z.example"), CONTENT)
    for line, stage, answer in (
        (b"MAIL FROM:<a@x.example>\r\n", "mail", "250 ok"),
        (b"RCPT TO:<b@y.example>\r\n", "rcpt", "250 ok"),
        (b"RCPT TO:<c@z.example>\r\n", "rcpt", "250 ok"),
        (b"DATA\r\n", "data", "354 go"),
    ):
        assert client.take() == line
        assert client.stage == stage
        assert say(client, answer) == []
    assert client.take() == WIRE
    assert client.stage == "content_reply"
    assert outcome(say(client, "250 ok")).delivered(1)


def test_recipients_go_out_in_windows_that_wait_for_their_replies() -> None:
    settings = ClientSettings("client.example", recipients_window=2)
    client = ready("PIPELINING", settings=settings)
    client.begin(to(*(f"r{n}@y.example" for n in range(5))), CONTENT)
    assert client.take().count(b"RCPT") == 2
    say(client, "250 ok", "250 ok")
    assert client.take() == b""
    say(client, "550 no")
    second = client.take()
    assert second.count(b"RCPT") == 3
    assert second.endswith(b"DATA\r\n")
    say(client, "250 ok", "250 ok", "250 ok", "354 go")
    assert client.take() == WIRE
    result = outcome(say(client, "250 ok"))
    assert [result.delivered(n) for n in range(5)] == [True, False, True, True, True]


def test_a_window_after_a_refused_mail_is_not_sent() -> None:
    settings = ClientSettings("client.example", recipients_window=1)
    client = ready("PIPELINING", settings=settings)
    client.begin(to("b@y.example", "c@z.example"), CONTENT)
    client.take()
    result = outcome(say(client, "550 not from you", "503 MAIL first"))
    assert client.take() == b""
    assert result.recipients[1] is None
    assert result.final_for(1).stage == "MAIL"


def test_streamed_content_is_asked_for_and_stuffed() -> None:
    record: list[str] = []
    client = ready("PIPELINING", record=record)
    client.begin(to("b@y.example"))
    client.take()
    assert wanted(say(client, "250 ok", "250 ok", "354 go"))
    assert client.stage == "content"
    sent = b""
    for start in range(len(CONTENT)):
        assert client.wants_content
        client.content(CONTENT[start : start + 1], last=start == len(CONTENT) - 1)
        sent += client.take()
    assert sent == WIRE
    assert not client.wants_content
    assert client.stage == "content_reply"
    assert outcome(say(client, "250 ok")).delivered(0)
    assert f"> [{len(CONTENT)} bytes of content]" in record
    assert len([line for line in record if "content" in line]) == 1


def test_bare_line_ends_never_leave() -> None:
    client = ready("PIPELINING")
    with pytest.raises(BareLineEnd):
        client.begin(to("b@y.example"), b"a\n.\nMAIL FROM:<evil@x>\r\n")
    assert client.take() == b""
    assert client.can_begin
    client.begin(to("b@y.example"))
    client.take()
    say(client, "250 ok", "250 ok", "354 go")
    client.content(b"a\r\n", last=False)
    with pytest.raises(BareLineEnd):
        client.content(b"a\n.\n", last=False)
    assert client.take() == b"a\r\n"
    (result,) = client.abandon()
    assert not result.uncertain


def test_bare_line_ends_become_crlf_where_the_settings_ask() -> None:
    settings = ClientSettings("client.example", normalise_line_ends=True)
    client = ready("PIPELINING", settings=settings)
    client.begin(to("b@y.example"), b"a\n.\nb\r")
    client.take()
    say(client, "250 ok", "250 ok", "354 go")
    assert client.take() == b"a\r\n..\r\nb\r\n.\r\n"


def test_partial_success_goes_on_with_who_is_left() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example", "c@z.example"), CONTENT)
    client.take()
    say(client, "250 ok", "550 5.1.1 unknown", "250 ok", "354 go")
    assert client.take() == WIRE
    result = outcome(say(client, "250 ok"))
    decision = result.final_for(0)
    assert decision.stage == "RCPT"
    assert decision.reply is not None
    assert decision.reply.code == 550
    assert not result.delivered(0)
    assert result.delivered(1)


def test_a_354_for_nobody_is_ended_by_a_lone_dot_whose_reply_means_nothing() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, "250 ok", "550 no", "354 go")
    assert client.take() == b".\r\n"
    result = outcome(say(client, "250 ok"))
    assert result.content is None
    assert not result.started_content
    assert result.final_for(0).stage == "RCPT"
    client.begin(to("b@y.example"), CONTENT)
    assert client.take().startswith(b"MAIL ")


def test_a_refused_mail_decides_whatever_follows() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, "550 5.7.1 not from you", "250 ok", "354 go")
    assert client.take() == b".\r\n"
    result = outcome(say(client, "250 ok"))
    assert result.final_for(0).stage == "MAIL"
    assert not result.delivered(0)


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_transaction_that_stopped_before_its_content_is_cleared_before_the_next(
    pipelining: bool,
) -> None:
    client = ready(*(("PIPELINING",) if pipelining else ()))
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    if pipelining:
        outcome(say(client, "250 ok", "550 no", "554 no valid recipients"))
    else:
        say(client, "250 ok")
        client.take()
        outcome(say(client, "550 no"))
    assert client.take() == b""
    client.begin(to("b@y.example"), CONTENT)
    sent = client.take()
    assert sent.startswith(b"RSET\r\n")
    assert (b"MAIL" in sent) == pipelining
    assert client.stage == "rset"
    if pipelining:
        say(client, "250 flushed", "250 ok", "250 ok", "354 go")
    else:
        for answer in ("250 flushed", "250 ok", "250 ok", "354 go"):
            say(client, answer)
            if answer != "354 go":
                client.take()
    assert client.take() == WIRE
    assert outcome(say(client, "250 ok")).delivered(0)


def test_rset_by_hand_or_a_new_ehlo_clears_too() -> None:
    client = ready()
    for clear in (client.reset, client.hello):
        client.begin(to("b@y.example"), CONTENT)
        client.take()
        say(client, "250 ok")
        client.take()
        outcome(say(client, "550 no"))
        clear()
        client.take()
        say(client, "250 cleared")
        client.begin(to("b@y.example"), CONTENT)
        assert client.take().startswith(b"MAIL ")
        outcome(say(client, "550 no"))


def test_refused_data_decides_the_accepted_recipients() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    result = outcome(say(client, "250 ok", "250 ok", "451 4.3.0 not now"))
    assert result.final_for(0).stage == "DATA"
    assert not result.started_content


def test_a_refusal_while_content_streams_counts_and_ends_the_session() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"))
    client.take()
    say(client, "250 ok", "250 ok", "354 go")
    client.content(b"much\r\n", last=False)
    client.take()
    finished, broken = say(client, "552 5.3.4 too much")
    assert isinstance(finished, TransactionFinished)
    assert isinstance(broken, ProtocolBroken)
    decision = finished.outcome.final_for(0)
    assert decision.stage == "content"
    assert decision.reply is not None
    assert decision.reply.code == 552
    assert not client.wants_content
    with pytest.raises(WrongState):
        client.content(b"x", last=True)


def test_an_acceptance_of_content_that_was_not_handed_out_is_not_believed() -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    events = say(client, "250 ok", "250 ok", "354 go", "250 queued, trust me")
    assert [type(event) for event in events] == [ProtocolBroken]
    (result,) = client.abandon()
    assert not result.delivered(0)
    assert not result.uncertain


@pytest.mark.parametrize(
    ("answers", "flagged"),
    [
        (("250 ok", "452 4.5.3 too many"), True),
        (("250 ok", "452 too many"), True),
        (("250 ok", "552 too many"), True),
        (("250 ok", "452 4.3.1 disk full"), False),
        (("250 ok", "550 5.1.1 unknown"), False),
        (("452 disk full", "452 disk full"), False),
        (("250 ok", "250 ok"), False),
    ],
)
def test_too_many_recipients_is_told_from_other_refusals(
    answers: tuple[str, str], flagged: bool
) -> None:
    client = ready("PIPELINING")
    client.begin(to("b@y.example", "c@z.example"), CONTENT)
    client.take()
    events = say(client, "250 ok", *answers, "354 go")
    client.take()
    events += say(client, "250 ok")
    assert outcome(events).too_many_recipients(1) is flagged

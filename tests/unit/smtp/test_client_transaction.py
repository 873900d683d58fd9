"""Transactions as they go over the wire, and what is known of them at any end."""

from __future__ import annotations

import pytest
from client_dialogue import CONTENT, EVERYTHING, WIRE, outcome, outcomes, ready, say, to, wanted

from waypost.smtp.client import ClientSettings, Transaction, WrongState, refusal_before_sending
from waypost.smtp.client_events import (
    Answered,
    Closed,
    Disconnected,
    ProtocolBroken,
    ShutdownAnnounced,
    TransactionFinished,
)
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.stuffing import BareLineEnd

SMALL_CHUNKS = ClientSettings("client.example", chunk_size=10, immediate_chunk=0)


# --- the order of things ------------------------------------------------------------------------


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


# --- refusals -----------------------------------------------------------------------------------


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


# --- the end of the connection ------------------------------------------------------------------


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


# --- one transaction behind the other ------------------------------------------------------------


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


# --- BDAT ---------------------------------------------------------------------------------------


def test_small_content_goes_by_bdat_in_the_first_write() -> None:
    record: list[str] = []
    client = ready("PIPELINING", "CHUNKING", record=record)
    client.begin(to("b@y.example"), CONTENT)
    assert client.take() == (
        b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n"
        + f"BDAT {len(CONTENT)} LAST\r\n".encode()
        + CONTENT
    )
    assert record[-2:] == [f"> BDAT {len(CONTENT)} LAST", f"> [{len(CONTENT)} bytes of content]"]
    result = outcome(say(client, "250 ok", "250 ok", "250 queued"))
    assert result.delivered(0)
    assert result.data is None


@pytest.mark.parametrize(
    ("answers", "in_doubt"),
    [((), True), (("250 ok",), True), (("550 no",), False), (("250 ok", "550 no"), False)],
)
def test_bdat_in_the_first_write_is_in_doubt_until_a_refusal_rules_it_out(
    answers: tuple[str, ...], in_doubt: bool
) -> None:
    client = ready("PIPELINING", "CHUNKING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, *answers)
    (result,) = client.abandon()
    assert result.content_sent
    assert result.uncertain is in_doubt


def test_bdat_for_nobody_means_nothing_and_is_cleared() -> None:
    client = ready("PIPELINING", "CHUNKING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    result = outcome(say(client, "250 ok", "550 no", "503 no recipients"))
    assert result.content is None
    assert result.final_for(0).stage == "RCPT"
    client.begin(to("b@y.example"), CONTENT)
    assert client.take().startswith(b"RSET\r\nMAIL ")


def test_larger_content_waits_for_the_recipients_before_bdat() -> None:
    client = ready("PIPELINING", "CHUNKING", settings=SMALL_CHUNKS)
    client.begin(to("b@y.example"), CONTENT)
    assert b"BDAT" not in client.take()
    assert say(client, "250 ok", "250 ok") == []
    assert client.take() == f"BDAT {len(CONTENT)} LAST\r\n".encode() + CONTENT
    assert outcome(say(client, "250 ok")).delivered(0)


def test_without_pipelining_whole_content_still_goes_by_bdat() -> None:
    client = ready("CHUNKING")
    client.begin(to("b@y.example"), CONTENT)
    for answer in ("250 ok", "250 ok"):
        client.take()
        assert say(client, answer) == []
    assert client.take().startswith(b"BDAT ")
    assert outcome(say(client, "250 ok")).delivered(0)


def test_streamed_content_is_gathered_into_chunks() -> None:
    client = ready("PIPELINING", "CHUNKING", settings=SMALL_CHUNKS)
    client.begin(to("b@y.example"))
    client.take()
    assert wanted(say(client, "250 ok", "250 ok"))
    client.content(b".2345\r", last=False)
    assert client.take() == b""
    client.content(b"\n.9", last=False)
    assert client.take() == b""
    client.content(b"abc", last=False)
    assert client.take() == b"BDAT 12\r\n.2345\r\n.9abc"
    client.content(b"", last=True)
    assert client.take() == b"BDAT 2 LAST\r\n\r\n"
    assert client.stage == "content"
    assert say(client, "250 12 octets") == []
    assert outcome(say(client, "250 ok")).delivered(0)


def test_a_refused_chunk_decides_and_the_rest_is_not_wanted() -> None:
    client = ready("PIPELINING", "CHUNKING", settings=SMALL_CHUNKS)
    client.begin(to("b@y.example"))
    client.take()
    say(client, "250 ok", "250 ok")
    client.content(b"0123456789", last=False)
    client.content(b"0123456789", last=False)
    client.take()
    assert say(client, "452 4.3.1 full") == []
    assert not client.wants_content
    result = outcome(say(client, "503 5.5.1 not any more"))
    decision = result.final_for(0)
    assert decision.stage == "content"
    assert decision.reply is not None
    assert decision.reply.code == 452
    client.begin(to("b@y.example"), CONTENT)
    assert client.take().startswith(b"RSET\r\n")


def test_behind_bdat_the_next_transaction_starts_clean_and_keeps_its_content() -> None:
    client = ready("PIPELINING", "CHUNKING")
    client.begin(to("b@y.example"), CONTENT)
    client.take()
    say(client, "250 ok", "250 ok")
    client.begin(to("c@z.example"), CONTENT)
    sent = client.take()
    assert sent.startswith(b"RSET\r\nMAIL ")
    assert b"BDAT" not in sent
    result = outcome(say(client, "554 spam", "250 flushed", "250 ok", "250 ok"))
    assert not result.delivered(0)
    assert client.take().startswith(b"BDAT ")
    assert outcome(say(client, "250 ok")).delivered(0)
    client.noop()
    client.take()
    assert [type(event) for event in say(client, "250 ok")] == [Answered]


# --- what is known beforehand ---------------------------------------------------------------------

EVERY = Envelope(
    "a@x.example",
    (Recipient("b@y.example", frozenset({"FAILURE", "DELAY"}), "rfc822;b+2Bc@y.example"),),
    body="8BITMIME",
    require_tls=True,
    returned="HDRS",
    envelope_id="id=1 +",
    parameters=(("MT-PRIORITY", "3"), ("HOLD", None)),
)


def test_each_parameter_goes_where_it_is_offered() -> None:
    client = ready(*EVERYTHING, "REQUIRETLS", "MT-PRIORITY MIXER")
    client.begin(Transaction(EVERY, 100, has_eight_bit=True, submitter=""), CONTENT)
    assert client.take() == (
        b"MAIL FROM:<a@x.example> SIZE=100 BODY=8BITMIME REQUIRETLS RET=HDRS"
        b" ENVID=id+3D1+20+2B AUTH=<> MT-PRIORITY=3\r\n"
        b"RCPT TO:<b@y.example> NOTIFY=DELAY,FAILURE ORCPT=rfc822;b+2Bc@y.example\r\nDATA\r\n"
    )


def test_no_parameter_goes_where_it_is_not_offered() -> None:
    client = ready()
    envelope = Envelope(
        EVERY.reverse_path,
        EVERY.recipients,
        body="8BITMIME",
        returned="HDRS",
        envelope_id="id",
        parameters=EVERY.parameters,
    )
    client.begin(Transaction(envelope, 100, has_eight_bit=True, submitter="me"), CONTENT)
    assert client.take() == b"MAIL FROM:<a@x.example>\r\n"
    say(client, "250 ok")
    assert client.take() == b"RCPT TO:<b@y.example>\r\n"


def test_utf8_addresses_go_with_smtputf8_and_the_null_sender_as_it_is() -> None:
    client = ready("SMTPUTF8", "PIPELINING")
    client.begin(to("bücher@y.example", sender=""), CONTENT)
    assert client.take() == (
        "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<bücher@y.example>\r\nDATA\r\n".encode()
    )


@pytest.mark.parametrize(
    ("transaction", "keywords", "code", "enhanced"),
    [
        (to("b@y.example", size=1001), ("SIZE 1000",), 552, "5.3.4"),
        (to("bücher@y.example"), (), 553, "5.6.7"),
        (to("b@y.example", sender="ä@x.example"), (), 553, "5.6.7"),
        (
            Transaction(Envelope("", (Recipient("b@y.example"),), smtputf8=True), 1),
            ("SIZE",),
            553,
            "5.6.7",
        ),
        (
            Transaction(Envelope("", (Recipient("b@y.example"),), require_tls=True), 1),
            (),
            550,
            "5.7.30",
        ),
        (
            Transaction(Envelope("", (Recipient("b@y.example"),), body="BINARYMIME"), 1),
            ("CHUNKING", "BINARYMIME"),
            554,
            "5.6.1",
        ),
    ],
)
def test_what_the_server_cannot_take_is_known_before_anything_is_sent(
    transaction: Transaction, keywords: tuple[str, ...], code: int, enhanced: str
) -> None:
    client = ready(*keywords)
    result = outcome(client.begin(transaction, CONTENT))
    assert client.take() == b""
    assert client.can_begin
    assert client.transactions == 0
    assert result.local
    decision = result.final_for(0)
    assert decision.stage == "MAIL"
    assert decision.reply is not None
    assert decision.reply.code == code
    assert str(decision.reply.enhanced) == enhanced
    assert client.capabilities is not None
    assert refusal_before_sending(transaction, client.capabilities) == decision.reply


@pytest.mark.parametrize("keyword", ["SIZE", "SIZE 0", "SIZE 1000000"])
def test_a_size_without_limit_refuses_nothing(keyword: str) -> None:
    client = ready(keyword)
    assert client.begin(to("b@y.example", size=999_999), CONTENT) == []
    assert client.take().endswith(b" SIZE=999999\r\n")


# --- nothing breaks out of its command -----------------------------------------------------------

BREAKING = ["\r\nQUIT", "\n", "\r", "\0", "\x85", "\udc80", " ", ">", "<"]


@pytest.mark.parametrize("breaking", BREAKING)
@pytest.mark.parametrize("extensions", [(), EVERYTHING])
def test_no_value_can_speak_a_command_or_a_parameter(
    breaking: str, extensions: tuple[str, ...]
) -> None:
    ordinary = (Recipient("b@y.example"),)
    envelopes = [
        Envelope(f"a{breaking}@x.example", ordinary),
        Envelope(f"a@x{breaking}.example", ordinary),
        Envelope("", (Recipient(f"b{breaking}@y.example"),)),
        Envelope("", (Recipient(f"b@y.example{breaking}"),)),
        Envelope("", (*ordinary, Recipient(f"b@y.example{breaking}"))),
        Envelope("", ordinary, parameters=((f"KEY{breaking}", None),)),
    ]
    if breaking not in "<>":  # a value may hold brackets: AUTH=<>
        envelopes += [
            Envelope("", (Recipient("b@y.example", None, f"rfc822;b{breaking}"),)),
            Envelope("", ordinary, parameters=(("KEY", f"value{breaking}"),)),
        ]
    client = ready(*extensions)
    for envelope in envelopes:
        with pytest.raises(ValueError, match="not a"):
            client.begin(Transaction(envelope, 1), CONTENT)
        assert client.take() == b""
        assert client.can_begin


@pytest.mark.parametrize(
    "address",
    ["postmaster", '"a b"@x.example', '"a\\"b>"@x.example', "a@[IPv6:::1]", "ü@ü.example"],
)
def test_unusual_addresses_are_sent_as_they_are(address: str) -> None:
    client = ready("SMTPUTF8")
    client.begin(to("b@y.example", sender=address), CONTENT)
    assert client.take().startswith(f"MAIL FROM:<{address}>".encode())


def test_a_transaction_without_recipients_is_an_error() -> None:
    client = ready()
    with pytest.raises(ValueError, match="recipient"):
        client.begin(to(), CONTENT)


def test_notify_takes_only_its_own_words() -> None:
    client = ready("DSN")
    envelope = Envelope("", (Recipient("b@y.example", frozenset({"SUCCESS\r\nQUIT"})),))
    with pytest.raises(ValueError, match="NOTIFY"):
        client.begin(Transaction(envelope, 1), CONTENT)

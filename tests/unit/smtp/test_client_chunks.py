"""Content by BDAT instead of DATA (RFC 3030)."""

from __future__ import annotations

import pytest
from client_dialogue import CONTENT, outcome, ready, say, to, wanted

from waypost.smtp.client import ClientSettings
from waypost.smtp.client_events import (
    Answered,
)

SMALL_CHUNKS = ClientSettings("client.example", chunk_size=10, immediate_chunk=0)


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

"""The mail log: which lines an event makes, that no peer can forge one, that mail never waits."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.faces.gathering import Attempted, Gathering
from waypost.faces.logging import renderer
from waypost.faces.maillog import MailLog, MailLogSettings
from waypost.faces.maillog_lines import Line, NamedValues
from waypost.faces.maillog_postfix import PostfixLines
from waypost.faces.maillog_sinks import FileSink, Heading, SyslogSink
from waypost.relay.refusals import Refusal
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import reply
from waypost.spool.contract import (
    AttemptRecord,
    NewMessage,
    QueuedMessage,
    RecipientResult,
    RecipientState,
)

NOW = 1_790_000_000.0


class HandClock:
    """Time moves when it is told to."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], object]]] = []
        self.at = 0.0

    def now(self) -> float:
        return NOW + self.at

    def monotonic(self) -> float:
        return self.at

    def call_later(self, delay: float, callback: Callable[[], object]) -> HandClock:
        self.timers.append((self.at + delay, callback))
        return self

    def cancel(self) -> None:
        self.timers.clear()

    async def sleep(self, delay: float) -> None:
        raise AssertionError(delay)

    def advance(self, seconds: float) -> None:
        self.at += seconds
        due = [one for when, one in self.timers if when <= self.at]
        self.timers = [one for one in self.timers if one[0] > self.at]
        for one in due:
            one()


def envelope(*recipients: str, sender: str = "a@here.example") -> Envelope:
    return Envelope(sender, tuple(Recipient(one) for one in recipients))


def accepted(*recipients: str, identifier: int = 1 << 50, **changed: object) -> NewMessage:
    values: dict[str, object] = {
        "envelope": envelope(*recipients), "received_at": NOW, "expires_at": NOW + 9, "due_at": NOW,
        "user": None, "client": "192.0.2.7", "size": 4096, "subject": "s", "message_id": "<1@x>",
        "started": True,
    }  # fmt: skip
    return NewMessage(identifier, **(values | changed))  # type: ignore[arg-type]


def attempted(
    state: RecipientState,
    said: str,
    *recipients: str,
    identifier: int = 1 << 50,
    next_hop: str = "mx.there.example[203.0.113.9]:25",
) -> Attempted:
    results = tuple(
        RecipientResult(number, state, NOW + 300, said, "") for number, _ in enumerate(recipients)
    )
    record = AttemptRecord(identifier, NOW + 1, 0.25, "default", next_hop, "", results, "")
    return Attempted(envelope(*recipients), NOW, 4096, record)


def texts(lines: list[Line]) -> list[str]:
    return [f"{program} {text.partition(': ')[2]}" for _, program, text in lines]


def test_a_delivered_message_reads_as_in_postfix() -> None:
    shape = PostfixLines()
    lines = list(
        shape.of(
            [
                accepted("b@there.example", user="shop"),
                attempted(RecipientState.DELIVERED, "250 2.6.0 Ok (queued)", "b@there.example"),
            ]
        )
    )
    assert texts(lines) == [
        "smtpd client=unknown[192.0.2.7], sasl_username=shop",
        "cleanup message-id=<1@x>",
        "qmgr from=<a@here.example>, size=4096, nrcpt=1 (queue active)",
        (
            "smtp to=<b@there.example>, relay=mx.there.example[203.0.113.9]:25, delay=1.2, "
            "delays=0/1/0/0.25, dsn=2.6.0, status=sent (250 2.6.0 Ok [queued])"
        ),
        "qmgr removed",
    ]
    names = {text.partition(":")[0] for _, _, text in lines}
    (name,) = names
    assert len(name) == 12


def test_what_waits_and_what_fails() -> None:
    shape = PostfixLines()
    list(shape.of([accepted("b@there.example", "c@there.example")]))
    waits = attempted(RecipientState.QUEUED, "450 4.7.1 Later", "b@there.example")
    fails = attempted(RecipientState.BOUNCED, "550 5.1.1 Unknown", "c@there.example")
    ends = attempted(RecipientState.EXPIRED, "450 4.7.1 Later", "b@there.example")
    lines = texts(list(shape.of([waits, fails, ends])))
    said = "(host mx.there.example[203.0.113.9]:25 said:"
    assert lines[0].endswith(f"dsn=4.7.1, status=deferred {said} 450 4.7.1 Later)")
    assert lines[1].endswith(f"dsn=5.1.1, status=bounced {said} 550 5.1.1 Unknown)")
    assert lines[2].endswith(f"dsn=4.7.1, status=deferred {said} 450 4.7.1 Later)")
    assert lines[3:] == [
        "qmgr from=<a@here.example>, status=expired, returned to sender",
        "qmgr removed",
    ]


def test_a_message_of_before_the_start_is_introduced() -> None:
    late = attempted(RecipientState.DELIVERED, "250 Ok", "b@there.example")
    lines = texts(list(PostfixLines().of([late])))
    assert lines[0] == "qmgr from=<a@here.example>, size=4096, nrcpt=1 (queue active)"
    assert "status=sent" in lines[1]
    assert len(lines) == 2  # nobody knows whether it has other recipients


def test_where_a_message_comes_from() -> None:
    def first(client: str) -> str:
        return texts(list(PostfixLines().of([accepted("b@there.example", client=client)])))[0]

    assert first("127.0.0.1") == "smtpd client=localhost[127.0.0.1]"
    assert first("2001:db8::1") == "smtpd client=unknown[2001:db8::1]"
    assert first("waypost-sendmail") == "pickup uid=0 from=<a@here.example>"
    assert first("notice") == "cleanup message-id=<1@x>"


def test_a_refused_recipient_is_told() -> None:
    refusal = Refusal(
        NOW, "192.0.2.7", "client.example", "a@here.example", "b@there.example",
        reply(550, "5.7.1", "No relaying; log in"),
    )  # fmt: skip
    (line,) = PostfixLines().of([refusal])
    assert line[1:] == (
        "smtpd",
        (
            "NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.7.1 <b@there.example>: "
            "Recipient address rejected: No relaying, log in; from=<a@here.example> "
            "to=<b@there.example> proto=ESMTP helo=<client.example>"
        ),
    )


HOSTILE = st.text(
    st.sampled_from("ab <>(),;:=[]\r\n\t\0\x1b\x85\u2028\u202e%\"'\\") | st.characters(),
    max_size=60,
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_nothing_that_a_peer_says_makes_a_line_of_its_own(
    address: str, said: str, name: str, host: str
) -> None:
    happenings = [
        accepted(address, message_id=name, client=host, user=name),
        attempted(RecipientState.BOUNCED, said, address, next_hop=host),
        Refusal(NOW, host, name, address, address, reply(550, None, said)),
    ]
    heading = Heading("relay.example", "postfix")
    for form in ("json", "console"):
        for line in NamedValues(renderer(form)).of(happenings):  # type: ignore[arg-type]
            assert line[2].isprintable(), line
    lines = list(PostfixLines().of(happenings))
    for line in lines:
        assert heading.of(line).isprintable(), line
    (outcome,) = [text for _, _, text in lines if "status=" in text]
    assert outcome.count(">, relay=") == 1
    assert outcome.partition(">, relay=")[0].count("<") == 1


def test_json_has_every_value() -> None:
    shape = NamedValues(renderer("json"))
    late = attempted(RecipientState.QUEUED, "450 Later", "B@There.example")
    first, second = map(json.loads, (line[2] for line in shape.of([accepted("b@x.example"), late])))
    assert first == {
        "event": "accepted", "level": "info", "timestamp": "2026-09-21T14:13:20.000000Z",
        "message": "10000000000", "sender": "a@here.example", "recipients": ["b@x.example"],
        "size": 4096, "client": "192.0.2.7", "message_id": "<1@x>",
    }  # fmt: skip
    assert second["event"] == "deferred"
    assert second["queue"] == "default/there.example"
    assert second["reply"] == "450 Later"
    assert second["next_attempt"] == "2026-09-21T14:18:20.000000Z"


# --- places ---------------------------------------------------------------------------------------


def test_a_file_that_was_moved_is_left(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "mail.log", Heading("relay.example", "postfix"))
    sink.write([(NOW, "smtpd", "one")])
    (tmp_path / "mail.log").rename(tmp_path / "mail.log.1")
    sink.write([(NOW, "smtpd", "two")])
    sink.reopen()
    sink.write([(NOW, "smtpd", "three")])
    sink.close()
    assert (tmp_path / "mail.log.1").read_text().endswith(" one\n")
    after = (tmp_path / "mail.log").read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in after] == ["two", "three"]
    assert f" relay.example postfix/smtpd[{os.getpid()}]: two" in after[0]
    assert (tmp_path / "mail.log").stat().st_mode & 0o777 & ~0o640 == 0


def test_syslog_gets_packets_also_after_it_was_started_again(tmp_path: Path) -> None:
    place = tmp_path / "log"
    sink = SyslogSink(Heading("relay.example", "postfix"), (str(tmp_path / "none"), str(place)))
    with pytest.raises(FileNotFoundError):
        sink.write([(NOW, "smtp", "lost")])
    for text in ("first", "second"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as logger:
            logger.bind(str(place))
            logger.settimeout(60)
            sink.write([(NOW, "smtp", text)])
            packet = logger.recv(1000).decode()
        place.unlink()
        assert packet.startswith("<22>Sep 21 ")
        assert packet.endswith(f" postfix/smtp[{os.getpid()}]: {text}")
    sink.close()


# --- mail never waits for it ----------------------------------------------------------------------


def queued(*recipients: str) -> QueuedMessage:
    return QueuedMessage(7, envelope(*recipients), [], NOW, NOW + 9, None, 4096, False)


def test_events_gather_while_the_thread_is_busy_and_are_bounded() -> None:
    clock = HandClock()
    free, seen = threading.Event(), []
    begun = threading.Event()

    def work(happenings: object, left_out: int) -> None:
        begun.set()
        assert free.wait(60)
        seen.append((len(happenings), left_out))  # type: ignore[arg-type]

    gathering = Gathering(clock, work, "test", most=5000)
    gathering.take(accepted("b@there.example"), None)
    clock.advance(1.0)
    assert begun.wait(60)
    for _ in range(10):
        gathering.take(accepted("b@there.example"), None)
    clock.advance(1.0)  # still busy: nobody waits
    free.set()
    gathering.finish()
    assert seen == [(1, 0), (4, 6)]


def test_an_attempt_is_kept_without_its_content() -> None:
    kept: list[object] = []
    gathering = Gathering(HandClock(), lambda many, _: kept.extend(many), "test")
    late = attempted(RecipientState.DELIVERED, "250 Ok", "b@there.example")
    gathering.take(queued("b@there.example"), late.record)
    gathering.finish()
    assert kept == [late]


def test_a_place_that_cannot_be_written_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "logs"
    settings = MailLogSettings("relay.example", "maillog", folder / "mail.log")
    log = MailLog(settings, HandClock())
    write: Callable[..., None] = log._write
    for _ in range(3):
        write([accepted("b@there.example")], 0)
    folder.mkdir()
    write([accepted("c@there.example")], 2)
    log.close()
    said = capsys.readouterr()
    assert (said.out + said.err).count("the mail log cannot be written") == 1
    assert (said.out + said.err).count("is written again") == 1
    assert "2 events are not in this log" in (folder / "mail.log").read_text()

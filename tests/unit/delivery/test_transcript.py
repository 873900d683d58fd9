"""Transcripts: what is kept of what was said, and to which attempt it belongs."""

from __future__ import annotations

from itertools import count

from waypost.delivery.transcript import (
    MAXIMUM_LINE,
    MAXIMUM_LINES,
    ConnectionRecorder,
    Transcript,
)


def milliseconds() -> ConnectionRecorder:
    """A recorder whose clock goes on by a millisecond with each look."""
    ticks = count()
    return ConnectionRecorder(lambda: next(ticks) / 1000)


def test_each_line_has_its_time_and_its_direction() -> None:
    transcript = Transcript(0.0)
    recorder = milliseconds()
    recorder.begin(transcript)
    recorder.note("connected")
    recorder.record(">", "MAIL FROM:<a@example.com>\nRCPT TO:<b@example.org>")
    recorder.record("<", "250 2.1.0 Ok")
    assert transcript.text() == (
        "0.0 * connected\n"
        "1.0 > MAIL FROM:<a@example.com>\n"
        "1.0 > RCPT TO:<b@example.org>\n"
        "2.0 < 250 2.1.0 Ok"
    )


def test_with_two_attempts_open_a_reply_is_of_the_older_and_ends_it() -> None:
    older, newer = Transcript(0.0), Transcript(0.0)
    recorder = milliseconds()
    recorder.begin(older)
    recorder.begin(newer)
    recorder.record(">", "MAIL FROM:<a@example.com>")
    for line in ("250-it is", "250 queued", "250 2.1.0 Ok"):
        recorder.record("<", line)
    assert older.text() == "1.0 < 250-it is\n2.0 < 250 queued"
    assert newer.text() == "0.0 > MAIL FROM:<a@example.com>\n3.0 < 250 2.1.0 Ok"


def test_a_long_line_is_cut() -> None:
    transcript = Transcript(0.0)
    transcript.add(0.0, "<", "250 " + "x" * 4000)
    line = transcript.text()
    assert line.endswith("xxx[...]")
    assert len(line) <= MAXIMUM_LINE + 20


def test_of_a_talkative_peer_only_so_many_lines_are_kept() -> None:
    transcript = Transcript(0.0)
    for number in range(2000):
        transcript.add(0.0, "<", f"250-{number}\n250 {number}")
    lines = transcript.text().split("\n")
    assert lines[-1] == f"- * further lines are not kept (limit {MAXIMUM_LINES})"
    assert lines[:-1] == [
        f"0.0 < 250{mark}{number}" for number in range(MAXIMUM_LINES // 2) for mark in ("-", " ")
    ]

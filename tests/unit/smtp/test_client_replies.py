"""The reader knows usual lines again, and never by mistake or without end."""

from __future__ import annotations

import pytest

from waypost.smtp.client_replies import ReplyReader
from waypost.smtp.reply import MalformedReply, Reply


def read_all(reader: ReplyReader, data: bytes) -> list[Reply]:
    replies = [reader.read(line) for line in reader.lines(data)]
    return [one for one in replies if one is not None]


def test_a_line_known_from_before_gives_the_same_reply_and_record() -> None:
    record: list[tuple[str, str]] = []
    reader = ReplyReader(512, 10, lambda direction, line: record.append((direction, line)))
    first, second = read_all(reader, b"250 2.1.0 ok\r\n250 2.1.0 ok\r\n")
    assert first == second
    assert record == [("<", "250 2.1.0 ok")] * 2


def test_a_known_line_at_the_end_of_a_longer_reply_belongs_to_it() -> None:
    reader = ReplyReader(512, 10, None)
    (alone,) = read_all(reader, b"250 ok\r\n")
    assert alone.lines == ("ok",)
    (longer,) = read_all(reader, b"250-first\r\n250 ok\r\n")
    assert longer.lines == ("first", "ok")
    assert read_all(reader, b"250 ok\r\n") == [alone]


def test_the_end_of_a_longer_reply_is_not_remembered_as_a_whole_one() -> None:
    reader = ReplyReader(512, 10, None)
    read_all(reader, b"250-first\r\n250 ok\r\n")
    (alone,) = read_all(reader, b"250 ok\r\n")
    assert alone.lines == ("ok",)


def test_the_memory_is_bounded_in_lines_and_in_bytes() -> None:
    reader = ReplyReader(4096, 10, None)
    for number in range(1000):
        read_all(reader, b"250 queued as %d\r\n250 %d %s\r\n" % (number, number, b"x" * 1000))
        assert len(reader._known) <= 64
    assert all(len(line) <= 128 for line in reader._known)


def test_a_line_that_just_fits_may_wait_for_its_end() -> None:
    reader = ReplyReader(100, 10, None)
    assert reader.lines(b"250 " + b"x" * 96 + b"\r") == []
    reader.check_rest()
    assert len(read_all(reader, b"\n")) == 1
    reader.lines(b"x" * 102)
    with pytest.raises(MalformedReply, match="100 bytes"):
        reader.check_rest()

"""How much of a transcript is kept, and of whom."""

from __future__ import annotations

import pytest
import structlog

from waypost.delivery.lane import Lane
from waypost.delivery.route import Route
from waypost.delivery.route_url import parse_route_url
from waypost.delivery.transcript import MAXIMUM_LINE
from waypost.delivery.verbosity import (
    MAXIMUM_LENGTH,
    MAXIMUM_RULES,
    MAXIMUM_TOLD,
    BriefTranscript,
    FullTranscript,
    Level,
    TooManyRules,
    Verbosity,
)
from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.contract import QueuedMessage, QueuedRecipient


class Hour:
    """A clock on the wall that is moved by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


@pytest.fixture
def hour() -> Hour:
    return Hour()


@pytest.fixture
def verbosity(hour: Hour) -> Verbosity:
    return Verbosity(hour.now, lambda: 0.0)


LANE = Lane(Route("Bulk", (parse_route_url("smtp+plain://Smart.example:25"),)), "")
DIRECT = Lane(Route("direct", (parse_route_url("mx:"),)), "there.example")


def message(*domains: str) -> QueuedMessage:
    recipients = [QueuedRecipient(n, f"b@{one}", 0, 0.0) for n, one in enumerate(domains)]
    envelope = Envelope("", tuple(Recipient(one.address) for one in recipients))
    return QueuedMessage(1 << 50, envelope, recipients, 0.0, 0.0, None, 1, False)


def kind(verbosity: Verbosity, lane: Lane, of: QueuedMessage | None = None) -> str:
    return type(verbosity.transcript(lane, of)).__name__


def test_without_rules_all_is_normal(verbosity: Verbosity) -> None:
    assert kind(verbosity, LANE, message("there.example")) == "Transcript"
    assert verbosity.rules() == ()


@pytest.mark.parametrize(
    ("name", "lane", "of", "fits"),
    [
        ("bulk", LANE, None, True),
        ("BULK", LANE, None, True),
        ("smart.example", LANE, None, True),
        ("there.example", LANE, message("there.example"), True),
        ("there.example", LANE, message("a.example", "there.example"), True),
        ("there.example", LANE, message("a.example"), False),
        ("there.example", LANE, None, False),
        ("there.example", DIRECT, None, True),
        ("example", DIRECT, message("there.example"), False),
    ],
)
def test_a_rule_is_for_a_route_a_next_hop_or_a_domain(
    verbosity: Verbosity, name: str, lane: Lane, of: QueuedMessage | None, fits: bool
) -> None:
    verbosity.set(name, Level.FULL, None)
    assert (kind(verbosity, lane, of) == "FullTranscript") is fits


def test_the_rule_that_asks_for_most_counts(verbosity: Verbosity) -> None:
    verbosity.set("bulk", Level.BRIEF, None)
    assert kind(verbosity, LANE) == "BriefTranscript"
    verbosity.set("smart.example", Level.FULL, None)
    assert kind(verbosity, LANE) == "FullTranscript"
    verbosity.set("smart.example", Level.NORMAL, None)
    assert [(one.destination, one.level) for one in verbosity.rules()] == [("bulk", "brief")]


def test_a_rule_ends_at_its_time(verbosity: Verbosity, hour: Hour) -> None:
    verbosity.set("bulk", Level.FULL, hour.at + 60)
    hour.at += 59
    assert kind(verbosity, LANE) == "FullTranscript"
    hour.at += 1
    assert kind(verbosity, LANE) == "Transcript"
    assert verbosity.rules() == ()


def test_rules_are_bounded_and_make_sense(verbosity: Verbosity) -> None:
    for number in range(MAXIMUM_RULES):
        verbosity.set(f"d{number}.example", Level.BRIEF, None)
    verbosity.set("d1.example", Level.FULL, None)
    with pytest.raises(TooManyRules):
        verbosity.set("more.example", Level.FULL, None)
    for wrong in ("", "  ", "a\nb", "x" * 300):
        with pytest.raises(ValueError, match="no domain"):
            verbosity.set(wrong, Level.FULL, None)


def test_a_full_transcript_is_whole_told_and_bounded() -> None:
    with structlog.testing.capture_logs() as told:
        full = FullTranscript(0.0, structlog.get_logger())
        long = "250-" + "x" * MAXIMUM_LINE * 3
        full.add(0.001, "<", f"{long}\n250 Ok")
        assert full.text() == f"1.0 < {long}\n1.0 < 250 Ok"
        assert [(one["by"], one["line"]) for one in told] == [("peer", long), ("peer", "250 Ok")]
        for _ in range(20_000):
            full.add(0.002, ">", "y" * 100)
    assert len(full.text()) < MAXIMUM_LENGTH * 1.2
    assert "further lines are not kept" in full.text()
    assert len(told) == MAXIMUM_TOLD


def test_a_brief_transcript_keeps_its_lines_until_the_end_is_known() -> None:
    brief = BriefTranscript(0.0)
    brief.add(0.001, "<", "550 No")
    assert brief.text() == "1.0 < 550 No"
    assert not brief.keeps_deliveries

"""What `waypost ping` shows: a line for each session, a picture while it watches, the figures."""

from __future__ import annotations

import datetime as dt
import json as jsons
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from waypost.doctor.latency import STAGES, Measured
from waypost.doctor.latency_figures import (
    Spread,
    Verdict,
    by_stage,
    slowest_stage,
    sparkline,
    spread,
    totals,
    verdict,
)
from waypost.doctor.target import ServerTarget
from waypost.faces.cli.failure import CHECKED_BAD, UNREACHABLE
from waypost.faces.cli.output import on_terminal, print_json, print_line, print_table, shown

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

KEPT: Final = 10_000
"""Sessions of a watch that the figures are of: the last so many."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The sessions and what they come to."""

    sessions: Sequence[Measured]
    threshold: float

    @property
    def verdict(self) -> Verdict:
        """ok, slow, lossy or lost."""
        return verdict(self.sessions, self.threshold)

    @property
    def total(self) -> Spread | None:
        """The spread of the totals; None where all were lost."""
        return spread(totals(self.sessions))

    @property
    def exit_code(self) -> int:
        """By the contract: 69 only where no server spoke with us."""
        if self.verdict == "ok":
            return 0
        losses = [one.loss for one in self.sessions if one.loss is not None]
        nobody = self.verdict == "lost" and not any(loss.answered for loss in losses)
        return UNREACHABLE if nobody else CHECKED_BAD

    def sentence(self) -> str:
        """The verdict in words."""
        limit = _time(self.threshold)
        lost = sum(one.loss is not None for one in self.sessions)
        count = len(self.sessions)
        total = self.total
        if total is None:
            said = self.sessions[-1].loss
            assert said is not None, "all were lost"
            return f"no session got through. {said.fix}".rstrip()
        median = f"the median of {_time(total.median)}"
        if self.verdict == "ok":
            return f"good: {median} is within {limit}"
        losses = f"{lost} of {count} sessions were lost"
        if self.verdict == "lossy":
            return f"{losses}; otherwise {median} is within {limit}"
        if total.median <= self.threshold:
            return f"slow: {losses}, and a lost one counts as infinitely slow"
        stage = slowest_stage(self.sessions)
        return f"slow: {median} is past {limit}; most of it is {stage}" + (
            f", and {losses}" if lost else ""
        )


class Display(Protocol):
    """Where sessions are shown."""

    threshold: float

    def __enter__(self) -> object:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End, also where something went wrong."""

    def session(self, sessions: Sequence[Measured]) -> None:
        """The last of these is new."""

    def result(self, judged: Judged) -> None:
        """All is measured."""


def display_for(target: ServerTarget, threshold: float, *, watching: bool, json: bool) -> Display:
    """The display that fits who reads."""
    if json:
        return _Json(target, threshold, each=watching)
    if watching and on_terminal():
        return _Picture(target, threshold)
    return _Lines(target, threshold)


class _Lines:
    """A line for each session, then a table."""

    def __init__(self, target: ServerTarget, threshold: float) -> None:
        self._target = target
        self.threshold = threshold

    def __enter__(self) -> None:
        print_line(f"{shown(self._target.place)}")

    def __exit__(self, *_: object) -> None:
        pass

    def session(self, sessions: Sequence[Measured]) -> None:
        one = sessions[-1]
        print_line(f"{one.number:4d}  {session_words(one)}")
        sys.stdout.flush()

    def result(self, judged: Judged) -> None:
        print_line()
        rows: list[tuple[str, ...]] = [
            (stage, *_cells(one)) for stage, one in by_stage(judged.sessions).items()
        ]
        total = judged.total
        if total is not None:
            rows.append(("total", *_cells(total)))
        if rows:
            print_table(("stage", "min", "median", "p95"), rows)
            print_line()
        print_line(judged.sentence())
        if judged.verdict == "lost":
            print_line(f"`waypost check {shown(self._target.place)}` looks closer")


class _Picture(_Lines):
    """A sparkline with the figures, renewed in place."""

    def __enter__(self) -> None:
        from rich.live import Live

        self._live: Live = Live(transient=True, auto_refresh=False)
        self._live.start()

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def session(self, sessions: Sequence[Measured]) -> None:
        self._live.update(self._picture(Judged(sessions, self.threshold)), refresh=True)

    def result(self, judged: Judged) -> None:
        print_line(shown(self._target.place))
        print_line(sparkline(judged.sessions[-self._width :]))
        super().result(judged)

    @property
    def _width(self) -> int:
        return max(10, self._live.console.width - 20)

    def _picture(self, judged: Judged) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        sessions, total = judged.sessions, judged.total
        lost = sum(one.loss is not None for one in sessions)
        head = Text(shown(self._target.place), style="bold")
        last_ones = sessions[-self._width :]
        bars = Text()
        for bar, one in zip(sparkline(last_ones), last_ones, strict=True):
            quick = one.total is not None and one.total <= self.threshold
            bars.append(bar, "green" if quick else "red")
        highest = max(totals(last_ones), default=0.0)
        if highest:
            bars.append(f" up to {_time(highest)}", "dim")
        figures = f"{len(sessions)} sessions, {lost} lost"
        if total is not None:
            figures += (
                f"; min {_time(total.least)}, median {_time(total.median)}, p95 {_time(total.p95)}"
            )
        last = Text(f"last: {session_words(sessions[-1])}", overflow="ellipsis", no_wrap=True)
        foot = Text("Ctrl-C ends", style="dim")
        return Group(head, bars, Text(figures), last, foot)


class _Json:
    """One object; while watching, an object on each line and the figures on the last."""

    def __init__(self, target: ServerTarget, threshold: float, *, each: bool) -> None:
        self._target = target
        self.threshold = threshold
        self._each = each

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def session(self, sessions: Sequence[Measured]) -> None:
        if self._each:
            print_line(jsons.dumps({"session": session_document(sessions[-1])}))
            sys.stdout.flush()

    def result(self, judged: Judged) -> None:
        document = result_document(self._target, judged)
        if self._each:
            print_line(jsons.dumps({**document, "sessions": None}))
        else:
            print_json(document)


def session_words(one: Measured) -> str:
    """A session on one line."""
    if one.loss is not None:
        return f"lost at {one.loss.stage}: {shown(one.loss.text, 300)}"
    total = one.total
    assert total is not None, "it was not lost"
    stages = "  ".join(
        f"{name} {one.stages[name] * 1000:.1f}" for name in STAGES if name in one.stages
    )
    return f"{_time(total):>9}   {stages}"


def session_document(one: Measured) -> dict[str, Any]:
    """A session as JSON. Times in milliseconds."""
    loss = one.loss
    return {
        "number": one.number,
        "at": dt.datetime.fromtimestamp(one.at, dt.UTC).isoformat(timespec="milliseconds")[:-6]
        + "Z",
        "address": one.address,
        "tls": one.tls,
        "total": None if one.total is None else _milliseconds(one.total),
        "stages": {name: _milliseconds(seconds) for name, seconds in one.stages.items()},
        "lost": None
        if loss is None
        else {"stage": loss.stage, "reason": loss.reason, "text": loss.text, "advice": loss.fix},
    }


def result_document(target: ServerTarget, judged: Judged) -> dict[str, Any]:
    """All as JSON. Times in milliseconds."""
    spreads: list[tuple[str, Spread]] = list(by_stage(judged.sessions).items())
    total = judged.total
    if total is not None:
        spreads.append(("total", total))
    return {
        "target": target.text,
        "place": target.place,
        "verdict": judged.verdict,
        "words": judged.sentence(),
        "threshold": _milliseconds(judged.threshold),
        "count": len(judged.sessions),
        "losses": sum(one.loss is not None for one in judged.sessions),
        "spreads": {
            name: {
                "count": one.count,
                "min": _milliseconds(one.least),
                "median": _milliseconds(one.median),
                "p95": _milliseconds(one.p95),
            }
            for name, one in spreads
        },
        "sessions": [session_document(one) for one in judged.sessions],
    }


def _cells(one: Spread) -> tuple[str, str, str]:
    return _time(one.least), _time(one.median), _time(one.p95)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _time(seconds: float) -> str:
    """Milliseconds up to a second, then seconds."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.3g} s"

"""`make bench-panel`: what the panel answers and what it costs, with a million messages in the log.

Three relays have the same long log: one without a panel, one with a panel that nobody looks at, and
one that somebody watches. Each round gives the same load to each of them. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from statistics import median
from types import FrameType

from rich.console import Console
from rich.table import Table

from goals import Goal
from load import Load, Sink, free_port, sink_in
from panel_reader import Asked, Browser, Reader
from panel_spool import Made, make_index, make_spool
from processes import MIB, BenchError, cpu_seconds
from relay import COMMAND, Waypost, WaypostStarter
from table import show_goals
from throughput import Figures, measure

OFF, UNSEEN, WATCHED = "no panel", "panel", "panel watched"
QUIET_SHARE = 0.05
"""Of a processor: what a relay without mail may take before anything is measured."""

console = Console() if sys.stdout.isatty() else Console(width=110)


class LoadedRelay:
    """A relay over the long log, for throughput.measure: what was queued before does not count."""

    name = "Waypost"

    def __init__(self, relay: Waypost, backlog: int) -> None:
        self.port = relay.port
        self.root = relay.root
        self._relay = relay
        self._backlog = backlog

    def queued(self) -> int:
        """Recipients that wait, without those that waited from the beginning."""
        return self._relay.queued() - self._backlog


def main() -> int:
    """0: measured, whether or not goals are reached; 1: something broke."""
    options = _arguments()
    signal.signal(signal.SIGTERM, _interrupted)
    directory = Path(tempfile.mkdtemp(prefix="waypost-panel-", dir=options.directory))
    runs: dict[str, list[Figures]] = {OFF: [], UNSEEN: [], WATCHED: []}
    asked: list[Asked] = []
    try:
        load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
        console.print(f"{os.cpu_count()} cores, load before: {load}", highlight=False)
        begun = time.monotonic()
        sample = make_spool(directory / OFF / "spool", options.log, queued=0.05)
        make_index(directory / OFF / "spool")
        for kind in (UNSEEN, WATCHED):
            shutil.copytree(directory / OFF, directory / kind)
        console.print(
            f"{options.log:,} messages logged and indexed in {time.monotonic() - begun:.0f} s",
            style="dim", highlight=False,
        )  # fmt: skip
        with sink_in(directory) as sink:
            _measure(options, directory, sink, sample, runs, asked)
    except BenchError as fault:
        console.print(f"The benchmark broke off: {fault}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted.", style="red")
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    _show(runs, asked)
    if options.json:
        document = {
            "runs": {name: [one.document() for one in figures] for name, figures in runs.items()},
            "pages": [asdict(one) for one in asked],
            "goals": [goal.document() for goal in _goals(runs, asked)],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def _measure(
    options: argparse.Namespace,
    directory: Path,
    sink: Sink,
    sample: list[Made],
    runs: dict[str, list[Figures]],
    asked: list[Asked],
) -> None:
    """All three run all the time and are given mail in turn, so that what else the machine does
    meets each of them alike."""
    backlog = _waiting(directory / OFF)
    ports = {UNSEEN: free_port(), WATCHED: free_port()}
    load = Load(options.messages)
    with ExitStack() as stack:
        relays = {}
        for kind in runs:
            panel = f"127.0.0.1:{ports[kind]}" if kind in ports else "off"
            starter = WaypostStarter(options.command)
            started = stack.enter_context(starter.run(directory / kind, sink.port, panel))
            relays[kind] = LoadedRelay(started, backlog)
        browser = Browser(ports[WATCHED])
        browser.log_in(options.command, directory / WATCHED)
        for kind in ports:
            _wait_for_index(directory / kind, 1200)
        for relay in relays.values():
            _wait_until_quiet(relay.root)
            measure(relay, sink, Load(2000), 120)
        order = list(runs)
        for number in range(1, options.rounds + 1):
            order = order[1:] + order[:1]
            for kind in order:
                relay = relays[kind]
                for other in relays.values():
                    _wait_until_quiet(other.root)
                reader = None
                if kind == WATCHED:
                    reader = Reader(browser, sample, 1 / options.rate, number)
                    reader.start()
                    time.sleep(2.0)
                figures = measure(relay, sink, load, 600)
                if reader is not None:
                    asked += reader.stop()
                runs[kind].append(figures)
            rates = ", ".join(f"{kind} {runs[kind][-1].delivered_rate:,.0f}" for kind in runs)
            console.print(f"round {number}: {rates} delivered/s", style="dim", highlight=False)


def _waiting(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "spool" / "spool.sqlite")) as database:
        row = database.execute("SELECT count(*) FROM recipient WHERE state = 0").fetchone()
    return int(row[0])


def _wait_for_index(directory: Path, seconds: float) -> None:
    """Until the search index has come to the newest message."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            spool, index = (
                closing(sqlite3.connect(f"file:{directory}/spool/{name}?mode=ro", uri=True))
                for name in ("spool.sqlite", "search.sqlite")
            )
            with spool as one, index as other:
                (newest,) = one.execute("SELECT max(id) FROM message").fetchone()
                (indexed,) = other.execute(
                    "SELECT value FROM fact WHERE name = 'indexed'"
                ).fetchone()
                if indexed >= newest:
                    return
        except (sqlite3.OperationalError, TypeError):
            pass  # it is being made
        time.sleep(0.5)
    raise BenchError(f"the search index was not made within {seconds:.0f} s")


def _wait_until_quiet(root: int, seconds: float = 300.0) -> None:
    """Until the relay has done what it does beside, such as looking for damage after its start."""
    until = time.monotonic() + seconds
    while True:
        before = cpu_seconds(root)
        time.sleep(1.0)
        if cpu_seconds(root) - before <= QUIET_SHARE:
            return
        if time.monotonic() > until:
            raise BenchError(f"the relay does not come to rest within {seconds:.0f} s")


def _show(runs: dict[str, list[Figures]], asked: list[Asked]) -> None:
    table = Table(title="Throughput with a long log, 4 KiB messages, 20 sessions, connections kept")
    table.add_column("relay")
    for name in ("delivered/s", "CPU s per 1,000", "peak MiB", "against no panel, by round"):
        table.add_column(name, justify="right")
    for kind, figures in runs.items():
        table.add_row(
            kind,
            f"{median(one.delivered_rate for one in figures):,.0f}",
            f"{median(one.cpu_per_thousand for one in figures):.3f}",
            f"{max(one.peak_memory for one in figures) / MIB:.0f}",
            " ".join(f"{one:.2f}" for one in _ratios(runs, kind)) if kind != OFF else "",
        )
    console.print(table)
    table = Table(title="Pages while mail flows, milliseconds")
    table.add_column("page")
    for name in ("asked", "p50", "p95", "longest", "whole answers"):
        table.add_column(name, justify="right")
    kinds = dict.fromkeys(one.kind for one in asked)
    for kind in sorted(kinds, key=lambda name: (name != "overview", name)):
        _add_row(table, kind, [one for one in asked if one.kind == kind])
    table.add_section()
    _add_row(table, "all searches", [one for one in asked if one.kind != "overview"])
    console.print(table)
    show_goals(console, _goals(runs, asked))


def _add_row(table: Table, name: str, asked: list[Asked]) -> None:
    times = [one.seconds * 1000 for one in asked]
    table.add_row(
        name, f"{len(asked)}", f"{_percentile(times, 0.5):.0f}", f"{_percentile(times, 0.95):.0f}",
        f"{max(times):.0f}", f"{sum(one.complete for one in asked)}",
    )  # fmt: skip


def _ratios(runs: dict[str, list[Figures]], kind: str) -> list[float]:
    pairs = zip(runs[kind], runs[OFF], strict=True)
    return [one.delivered_rate / other.delivered_rate for one, other in pairs]


def _goals(runs: dict[str, list[Figures]], asked: list[Asked]) -> list[Goal]:
    goals = []
    for name, is_meant in (("overview", True), ("search", False)):
        times = [one.seconds * 1000 for one in asked if (one.kind == "overview") is is_meant]
        p95 = _percentile(times, 0.95)
        goals.append(Goal(f"{name}, p95", "under 100 ms", f"{p95:.0f} ms", p95 < 100))
    ratios = _ratios(runs, WATCHED)
    cost = (1 - median(ratios)) * 100
    spread = f"{(1 - max(ratios)) * 100:.1f} to {(1 - min(ratios)) * 100:.1f}"
    goals.append(Goal("a watched panel costs", "under 5 %", f"{cost:.1f} % ({spread})", cost < 5))
    return goals


def _percentile(times: list[float], share: float) -> float:
    """The smallest that a share of them does not exceed."""
    return sorted(times)[max(0, -(-len(times) * share // 1).__int__() - 1)]


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--quick", action="store_true", help="a short log and one round: does it run at all?")
    add("--log", type=int, help="messages in the log (1000000)")
    add("--rounds", type=int, help="rounds (12)")
    add("--messages", type=int, help="4 KiB messages of each run (15000)")
    add("--rate", type=float, default=1.0, help="pages asked for a second (1)")
    add("--json", type=Path, metavar="FILE", help="write everything measured there, too")
    add("--directory", type=Path, default=Path("/var/tmp"), help="on the disk to use (/var/tmp)")
    add("--command", type=Path, default=COMMAND, help="another `waypost`, to compare versions")
    add("--keep", action="store_true", help="keep the directory with spool and logs")
    options = parser.parse_args()
    options.log = options.log or (20_000 if options.quick else 1_000_000)
    options.rounds = options.rounds or (2 if options.quick else 12)
    options.messages = options.messages or (3000 if options.quick else 15_000)
    return options


if __name__ == "__main__":
    sys.exit(main())

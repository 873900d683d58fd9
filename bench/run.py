"""`make bench`: Waypost and Postfix side by side, from one run. See docs/benchmarks.md.

Each round starts one relay in an empty directory, runs every load through it, stops it, and does
the same with the other, so that both see the machine in the same state. Nothing is left running.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from rich.console import Console

from durability import Durability, watch
from goals import Goal, durable, memory_goals, speed
from load import Load, program, sink_in
from memory import MemoryFigures, measure_memory
from postfix import PostfixStarter
from processes import BenchError
from relay import COMMAND, WaypostStarter
from system import Starter
from table import Rows, show_durability, show_goals, show_messages, show_sizes
from throughput import measure, warm_up, without_relay

KEPT = "kept"
ONE = "one per message"
SPEED_GOALS = {KEPT: 8.0, ONE: 5.0}
SIZES = {"100 KiB": (100 * 1024, 1000), "1 MiB": (1024 * 1024, 200), "10 MiB": (10 * 1024**2, 40)}
PARTS = ("messages", "sizes", "durability", "memory")
console = Console() if sys.stdout.isatty() else Console(width=110)


@dataclass(slots=True)
class Results:
    """Everything measured so far."""

    messages: dict[str, Rows] = field(default_factory=dict)
    sizes: dict[str, Rows] = field(default_factory=dict)
    ceilings: dict[str, float] = field(default_factory=dict)
    """Messages a second from the source straight into the sink, by scenario."""
    durability: dict[str, Durability] = field(default_factory=dict)
    memory: MemoryFigures | None = None

    def goals(self) -> list[Goal]:
        """All that can be judged from it."""
        found = [
            speed(f"delivered/s, connections: {name}", factor, rows["Waypost"], rows["Postfix"])
            for name, factor in SPEED_GOALS.items()
            if "Postfix" in (rows := self.messages.get(name, {}))
        ]
        found += [durable(name, seen) for name, seen in self.durability.items()]
        return found + (memory_goals(self.memory) if self.memory else [])

    def document(self) -> dict[str, object]:
        """For --json."""
        runs = {
            part: {
                scenario: {
                    name: [one.document() for one in figures] for name, figures in rows.items()
                }
                for scenario, rows in of.items()
            }
            for part, of in (("messages", self.messages), ("sizes", self.sizes))
        }
        seen = {name: one.document() for name, one in self.durability.items()}
        return {
            **runs,
            "without_relay": self.ceilings,
            "durability": seen,
            "memory": self.memory.document() if self.memory else None,
            "goals": [goal.document() for goal in self.goals()],
        }


def main() -> int:
    """0: measured, whether or not goals are reached; 1: something broke."""
    options = _arguments()
    signal.signal(signal.SIGTERM, _interrupted)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    directory = Path(tempfile.mkdtemp(prefix="waypost-bench-", dir=options.directory))
    directory.chmod(0o755)  # Postfix's own user has to reach its queue
    results = Results()
    try:
        starters: list[Starter] = [WaypostStarter(options.command)]
        if os.geteuid() == 0:
            starters.append(PostfixStarter())
        else:
            console.print("Postfix starts as root only: Waypost is measured alone.", style="yellow")
        machine = _machine(starters, directory)
        console.print("\n".join(f"{name}: {value}" for name, value in machine.items()))
        _measure(options, starters, directory, results)
    except BenchError as fault:
        console.print(f"The benchmark broke off: {fault}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted.", style="red")
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    _show(results)
    if options.json:
        document = {"machine": machine, **results.document()}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def _measure(
    options: argparse.Namespace, starters: list[Starter], directory: Path, results: Results
) -> None:
    with sink_in(directory) as sink:
        loads = _loads(options)
        for _, scenario, load in loads:
            results.ceilings[scenario] = rate = without_relay(sink, load)
            console.print(
                f"without a relay, {scenario}: {rate:,.1f} messages/s", style="dim", highlight=False
            )
        for number in range(options.rounds if loads else 0):
            for starter in starters:
                place = directory / f"{number}-{starter.name}"
                place.mkdir()
                with starter.run(place, sink.port) as system:
                    warm_up(system, sink)
                    for part, scenario, load in loads:
                        figures = measure(system, sink, load, options.seconds)
                        rows = results.messages if part == "messages" else results.sizes
                        rows.setdefault(scenario, {}).setdefault(starter.name, []).append(figures)
                        console.print(
                            f"round {number + 1}: {starter.name}, {scenario}: "
                            f"{figures.delivered_rate:,.1f} delivered/s",
                            style="dim", highlight=False,
                        )  # fmt: skip
                shutil.rmtree(place, ignore_errors=True)
        if "durability" in options.only:
            for starter in starters:
                place = directory / f"traced-{starter.name}"
                place.mkdir()
                with starter.run(place, sink.port) as system:
                    warm_up(system, sink)
                    traced = Load(200 if options.quick else 1000)
                    results.durability[starter.name] = watch(
                        system, sink, place, traced, options.seconds
                    )
        if "memory" in options.only:
            results.memory = measure_memory(
                WaypostStarter(options.command), directory, sink,
                10_000 if options.quick else 100_000, 2000,
                lambda text: console.print(f"memory: {text}", style="dim", highlight=False),
            )  # fmt: skip


def _loads(options: argparse.Namespace) -> list[tuple[str, str, Load]]:
    """What goes through each relay in each round."""
    loads = []
    if "messages" in options.only:
        loads += [
            ("messages", KEPT, Load(options.messages)),
            ("messages", ONE, Load(options.messages, kept=False)),
        ]
    if "sizes" in options.only:
        for name, (size, messages) in SIZES.items():
            loads.append(("sizes", name, Load(messages // (5 if options.quick else 1), size)))
    return loads


def _show(results: Results) -> None:
    if results.messages:
        show_messages(console, results.messages, results.ceilings)
    if results.sizes:
        show_sizes(console, results.sizes, results.ceilings)
    if results.durability:
        show_durability(console, results.durability)
    if goals := results.goals():
        show_goals(console, goals)


def _machine(starters: list[Starter], directory: Path) -> dict[str, str]:
    """What the figures depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    program("smtp-source")  # nothing works without it: say so before anything starts
    kind = _file_system(directory)
    if kind in ("tmpfs", "ramfs"):
        raise BenchError(f"{directory} is in memory ({kind}): give --directory on a disk")
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    return {
        "machine": f"{os.cpu_count()} cores, {model}, Linux {platform.release()}, {kind}",
        "load before": load,
        "Python": platform.python_version(),
        **{starter.name: starter.version() for starter in starters},
    }


def _file_system(directory: Path) -> str:
    """The kind of the file system that a directory is on."""
    best = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, at, kind, *_ = line.split()
        if directory.is_relative_to(at) and len(at) >= len(best[0]):
            best = (at, kind)
    return best[1]


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--quick", action="store_true", help="one round, fewer messages: does it run at all?")
    add("--rounds", type=int, help="pairs of runs (3)")
    add("--messages", type=int, help="4 KiB messages of each run (20000)")
    add("--only", action="append", choices=PARTS, help="leave out the rest; may be repeated")
    add("--json", type=Path, metavar="FILE", help="write everything measured there, too")
    add("--seconds", type=float, default=300.0, help="the longest that one run may take (300)")
    add("--directory", type=Path, default=Path("/var/tmp"), help="on the disk to use (/var/tmp)")
    add("--command", type=Path, default=COMMAND, help="another `waypost`, to compare versions")
    add("--keep", action="store_true", help="keep the directory with queues and logs")
    options = parser.parse_args()
    options.only = options.only or list(PARTS)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.messages = options.messages or (2000 if options.quick else 20_000)
    return options


if __name__ == "__main__":
    sys.exit(main())

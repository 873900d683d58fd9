"""`make bench-client`: the library beside other senders, from one run into the same sink.

Each round runs every sender once, one after the other, beginning with another one each time; what
counts are the ratios within a round. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from goals import Goal
from load import PATH, RECIPIENT, SENDER, Sink, program, sink_in
from processes import BenchError
from table import show_goals

HERE = Path(__file__).resolve().parent
SOURCE = "smtp-source (C)"
NODEMAILER = "nodemailer, pool"
SENDERS = {
    "Waypost, AsyncMailer": "waypost",
    "Waypost, Mailer": "waypost-threads",
    "aiosmtplib": "aiosmtplib",
    "smtplib, 1 connection": "smtplib",
}
OURS = "Waypost, AsyncMailer"
OBJECTS = {
    "Waypost, message objects": "waypost-objects",
    "aiosmtplib, message objects": "aiosmtplib-objects",
}
MEMORY_LIMIT = 40.0
console = Console() if sys.stdout.isatty() else Console(width=110)


@dataclass(frozen=True, slots=True)
class Run:
    """One sender in one round."""

    messages: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def main() -> int:
    """0: measured, whether or not goals are reached; 1: something broke."""
    options = _arguments()
    directory = Path(tempfile.mkdtemp(prefix="waypost-bench-client-"))
    directory.chmod(0o755)
    runs: dict[str, list[Run]] = {}
    try:
        names = [*SENDERS, SOURCE, *(OBJECTS if options.objects else ())]
        if _install_nodemailer(directory):
            names.append(NODEMAILER)
        with sink_in(directory) as sink:
            for number in range(options.rounds):
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    run = _run(name, sink, options, directory)
                    runs.setdefault(name, []).append(run)
                    console.print(
                        f"round {number + 1}: {name}: {run.rate:,.0f} messages/s, "
                        f"{run.cpu / run.messages * 1e6:.0f} us of processor each",
                        style="dim", highlight=False,
                    )  # fmt: skip
            added = _memory(sink.port, directory)
    except BenchError as fault:
        console.print(f"The benchmark broke off: {fault}", style="red", markup=False)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    goals = _goals(runs, added)
    _show(runs, options)
    show_goals(console, goals)
    if options.json:
        document = {
            "connections": options.connections,
            "runs": {name: [asdict(one) for one in several] for name, several in runs.items()},
            "added_by_100_mib": added,
            "goals": [goal.document() for goal in goals],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def _run(name: str, sink: Sink, options: argparse.Namespace, directory: Path) -> Run:
    """Send all messages with one sender. Raises BenchError where not all arrive."""
    before = sink.received()
    warmed_up = 200
    if name == SOURCE:
        run, warmed_up = _source(sink.port, options), 0
    else:
        if name == NODEMAILER:
            command = ["node", str(HERE / "client_nodemailer.cjs"), str(directory)]
        else:
            sender = SENDERS.get(name) or OBJECTS[name]
            command = [sys.executable, str(HERE / "client_senders.py"), sender]
        command += [str(sink.port), str(options.messages), str(options.connections)]
        told = json.loads(_output(command))
        run = Run(options.messages, told["seconds"], told["cpu"])
    until = time.monotonic() + 10
    wanted = before + options.messages + warmed_up
    while (arrived := sink.received()) < wanted and time.monotonic() < until:
        time.sleep(0.02)
    if arrived != wanted:
        raise BenchError(f"{name}: {arrived - before} messages arrived, {wanted - before} were due")
    return run


def _source(port: int, options: argparse.Namespace) -> Run:
    """smtp-source with connections kept; what it needs to start is in its time."""
    command = [
        program("smtp-source"), "-d", "-s", str(options.connections), "-m", str(options.messages),
        "-l", "4096", "-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{port}",
    ]  # fmt: skip
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    _output(command)
    seconds = time.perf_counter() - started
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return Run(options.messages, seconds, cpu)


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(command[:3])} does not end") from None
    if done.returncode:
        raise BenchError(f"{' '.join(command[:3])}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _install_nodemailer(directory: Path) -> bool:
    """Into the temporary folder; without Node or the registry it is left out."""
    why = "node or npm is not installed"
    if shutil.which("npm", path=PATH) and shutil.which("node", path=PATH):
        done = subprocess.run(
            ["npm", "install", "--prefix", str(directory), "--no-audit", "--no-fund", "nodemailer"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if not done.returncode:
            return True
        why = f"npm install failed: {done.stderr.strip()[-200:]}"
    console.print(f"nodemailer is left out: {why}", style="yellow", markup=False)
    return False


def _memory(port: int, directory: Path) -> float:
    """MiB that a process grows by while it sends a file of 100 MiB."""
    large = directory / "large.bin"
    with large.open("wb") as file:
        for _ in range(100):
            file.write(os.urandom(1024 * 1024))
    command = [sys.executable, str(HERE / "client_senders.py"), "memory", str(port), str(large)]
    added = float(json.loads(_output(command))["mib"])
    large.unlink()
    return added


def _goals(runs: dict[str, list[Run]], added: float) -> list[Goal]:
    goals = []
    for other, factor in (("aiosmtplib", 2.0), ("smtplib, 1 connection", 3.0), (SOURCE, 0.6)):
        ratios = _ratios(runs, other)
        measured = f"{median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
        goals.append(
            Goal(f"messages/s against {other}", f"{factor:g}x", measured, median(ratios) >= factor)
        )
    goals.append(
        Goal("a file of 100 MiB adds", f"under {MEMORY_LIMIT:g} MiB", f"{added:.1f} MiB",
             added < MEMORY_LIMIT)
    )  # fmt: skip
    return goals


def _ratios(runs: dict[str, list[Run]], other: str) -> list[float]:
    return [ours.rate / theirs.rate for ours, theirs in zip(runs[OURS], runs[other], strict=True)]


def _show(runs: dict[str, list[Run]], options: argparse.Namespace) -> None:
    table = Table(
        title=f"{options.messages:,} messages of 4 KiB, {options.connections} connections, "
        f"{options.rounds} rounds"
    )
    table.add_column("sender")
    for name in ("messages/s", "lowest", "highest", "CPU us each", f"{OURS} : it, by round"):
        table.add_column(name, justify="right")
    for name, several in runs.items():
        rates = [one.rate for one in several]
        table.add_row(
            name,
            f"{median(rates):,.0f}", f"{min(rates):,.0f}", f"{max(rates):,.0f}",
            f"{median(one.cpu / one.messages for one in several) * 1e6:.0f}",
            "" if name == OURS else " ".join(f"{one:.2f}" for one in _ratios(runs, name)),
        )  # fmt: skip
    console.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--quick", action="store_true", help="one round, fewer messages: does it run at all?")
    add("--rounds", type=int, help="of every sender (5)")
    add("--messages", type=int, help="4 KiB messages of each run (20000)")
    add("--connections", type=int, default=20, help="of each sender but smtplib (20)")
    add("--objects", action="store_true", help="message objects of the standard library too")
    add("--json", type=Path, metavar="FILE", help="write everything measured there, too")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.messages = options.messages or (2000 if options.quick else 20_000)
    return options


if __name__ == "__main__":
    sys.exit(main())

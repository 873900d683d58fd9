"""Is a message on stable storage before its client reads 250? Shown with strace, for both relays.

Two short runs under strace, apart from those that are timed, because strace slows everything. In
the first, the calls of one message in their order: between the 354 that asks for the content and
the 250 that takes it, some fsync or fdatasync has to return. In the second, how many calls a
number of messages takes.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from load import Load, Sink, program, submit
from processes import BenchError, group_of, tree, wait_for
from system import System

SYNCS = "fsync,fdatasync"
WRITES = "write,writev,sendto,sendmsg"

_RETURNED = re.compile(r"(?:fsync\(\d+\)|fdatasync\(\d+\)|<\.\.\. f(?:data)?sync resumed>\)?) += 0")
_COUNT = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*?(fsync|fdatasync)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Durability:
    """What strace has seen."""

    before_250: int
    """Syncs that returned between the 354 and the 250 of a single message; 0: it was not safe."""
    messages: int
    syncs: int
    """fsync and fdatasync calls for so many messages, from intake to delivered."""

    def document(self) -> dict[str, float]:
        """For --json."""
        return asdict(self)


def watch(system: System, sink: Sink, directory: Path, load: Load, seconds: float) -> Durability:
    """Trace a relay for a single message, then for a load."""
    order = directory / "strace-order"
    with _strace(system, ["-s", "16", "-e", f"trace={SYNCS},{WRITES}"], order):
        _send(system, sink, Load(1, load.size), seconds)
    count = directory / "strace-count"
    with _strace(system, ["-c", "-e", f"trace={SYNCS}"], count):
        _send(system, sink, load, seconds)
    calls = sum(int(found[1]) for found in _COUNT.finditer(count.read_text()))
    return Durability(syncs_before_250(order.read_text()), load.messages, calls)


def syncs_before_250(trace: str) -> int:
    """Syncs that returned between writing 354 and beginning to write 250."""
    lines = iter(trace.splitlines())
    for line in lines:
        if '"354' in line:
            break
    else:
        raise BenchError("strace has seen no 354; the trace holds no message")
    returned = 0
    for line in lines:
        if '"250 ' in line or '"250-' in line:
            return returned
        returned += bool(_RETURNED.search(line))
    raise BenchError("strace has seen no 250 after 354; the trace holds no whole message")


def _send(system: System, sink: Sink, load: Load, seconds: float) -> None:
    before = sink.received()
    submit(load, system.port, seconds)
    wait_for(
        f"{system.name} delivers under strace",
        lambda: sink.received() >= before + load.messages,
        seconds,
    )
    wait_for(f"{system.name} is done under strace", lambda: not system.queued(), seconds)


@contextmanager
def _strace(system: System, options: list[str], output: Path) -> Iterator[None]:
    """strace on all processes of a relay, and on those that they start."""
    pids = [word for pid in tree(system.root) for word in ("-p", str(pid))]
    process = subprocess.Popen(
        [program("strace"), "-f", *options, "-o", str(output), *pids],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with group_of(process):
        wait_for("strace attaches", lambda: _traced(system.root, process), 20)
        yield
        process.send_signal(signal.SIGINT)  # it lets go of everything, and prints its table
        process.wait(30)


def _traced(root: int, strace: subprocess.Popen[bytes]) -> bool:
    if strace.poll() is not None:
        raise BenchError(f"strace ended with {strace.returncode}; may this user trace processes?")
    return all(_tracer(pid) for pid in tree(root))


def _tracer(pid: int) -> bool:
    """Whether each thread of a process is traced; one that has ended counts as such."""
    try:
        return all(
            "TracerPid:\t0\n" not in (task / "status").read_text()
            for task in Path(f"/proc/{pid}/task").iterdir()
        )
    except (FileNotFoundError, ProcessLookupError):
        return True

"""What Waypost takes of memory, and how soon it is up with a long queue."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from load import Load, Sink, free_port, submit
from processes import BenchError, forget_peak, resident, tree, wait_for
from relay import Waypost, WaypostStarter

KIB = 1024
MIB = 1024 * KIB

LARGE = 50 * MIB - 16 * KIB
"""As large as it gets: the default limit is 50 MiB with all header lines."""


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """Bytes and seconds."""

    queued: int
    queued_peak: int
    """Peak resident set while so many messages came in and none could be delivered."""
    recovered: int
    ready_seconds: float
    """From the start of the process to `ready`, with so many messages queued."""
    connections: int
    bytes_per_connection: float
    large_size: int
    large_added: int
    """Peak resident set over what was there before, while one such message passed through."""

    def document(self) -> dict[str, float]:
        """For --json."""
        return asdict(self)


def measure_memory(
    starter: WaypostStarter,
    directory: Path,
    sink: Sink,
    queued: int,
    connections: int,
    tell: Callable[[str], None],
) -> MemoryFigures:
    """All figures; takes some minutes for 100,000 messages."""
    backlog = directory / "backlog"
    backlog.mkdir()
    nobody = free_port()
    tell(f"{queued:,} messages that cannot be delivered")
    with starter.run(backlog, nobody) as relay:
        submit(Load(queued), relay.port, 600)
        _expect_queued(relay, queued)
        peak = sum(resident(pid, "VmHWM") for pid in tree(relay.root))
        tell(f"{queued:,} more")
        submit(Load(queued), relay.port, 600)
    with starter.run(backlog, nobody) as relay:
        ready = relay.ready_seconds
        _expect_queued(relay, 2 * queued)
    # Each with a process of its own: memory that something else has freed would hide the cost.
    fresh = directory / "fresh"
    fresh.mkdir()
    tell("a 50 MiB message")
    with starter.run(fresh, sink.port) as relay:
        _pass_through(relay, sink, Load(1))
        added = _added_by_large(relay, sink)
    tell(f"{connections:,} idle connections")
    with starter.run(fresh, sink.port) as relay:
        _pass_through(relay, sink, Load(1))
        each = _idle(relay, connections)
    return MemoryFigures(queued, peak, 2 * queued, ready, connections, each, LARGE, added)


def _expect_queued(relay: Waypost, messages: int) -> None:
    found = relay.queued()
    if found != messages:
        raise BenchError(f"{messages} messages were accepted, {found} are queued")


def _pass_through(relay: Waypost, sink: Sink, load: Load) -> None:
    before = sink.received()
    submit(load, relay.port, 120)
    wait_for("Waypost delivers", lambda: sink.received() >= before + load.messages, 120)
    wait_for("the queue of Waypost is empty", lambda: not relay.queued(), 60)


def _added_by_large(relay: Waypost, sink: Sink) -> int:
    for pid in tree(relay.root):
        forget_peak(pid)
    before = sum(resident(pid) for pid in tree(relay.root))
    _pass_through(relay, sink, Load(1, LARGE, sessions=1))
    return sum(resident(pid, "VmHWM") for pid in tree(relay.root)) - before


def _idle(relay: Waypost, connections: int) -> float:
    """Bytes that each of many connections takes that have said EHLO and now say nothing."""
    before = sum(resident(pid) for pid in tree(relay.root))
    with ExitStack() as stack:
        for _ in range(connections):
            address = ("127.0.0.1", relay.port)
            one = stack.enter_context(socket.create_connection(address, timeout=20))
            for command in (b"EHLO idle.example\r\n", b""):
                answer = one.recv(4096)
                if not answer.startswith((b"220", b"250")):
                    raise BenchError(f"an idle connection was refused: {answer!r}")
                one.sendall(command)
        time.sleep(1.0)
        return (sum(resident(pid) for pid in tree(relay.root)) - before) / connections

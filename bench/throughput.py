"""One run: a load goes in, the sink counts what comes out, /proc tells what it took."""

from __future__ import annotations

import subprocess
import time
from dataclasses import asdict, dataclass

from load import Load, Sink, check_source, source, submit
from processes import BenchError, cpu_seconds, memory, wait_for
from system import System


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run has shown."""

    messages: int
    size: int
    accepted_seconds: float
    """From the start of smtp-source to its end: all messages answered 250."""
    delivered_seconds: float
    """From the same start until the sink has taken the last message."""
    cpu_seconds: float
    """User and system, of all processes of the relay, until its queue was empty."""
    peak_memory: int
    """Bytes; sampled once a second."""

    @property
    def accepted_rate(self) -> float:
        """Messages a second."""
        return self.messages / self.accepted_seconds

    @property
    def delivered_rate(self) -> float:
        """Messages a second."""
        return self.messages / self.delivered_seconds

    @property
    def cpu_per_thousand(self) -> float:
        """Seconds for 1,000 messages."""
        return self.cpu_seconds * 1000 / self.messages

    @property
    def megabytes_rate(self) -> float:
        """10^6 bytes of body delivered a second."""
        return self.delivered_rate * self.size / 1e6

    def document(self) -> dict[str, float]:
        """For --json."""
        return asdict(self) | {
            "accepted_per_second": self.accepted_rate,
            "delivered_per_second": self.delivered_rate,
            "cpu_seconds_per_1000": self.cpu_per_thousand,
            "delivered_mb_per_second": self.megabytes_rate,
        }


def warm_up(system: System, sink: Sink, messages: int = 300) -> None:
    """Let processes start and connections open before anything is measured."""
    before = sink.received()
    submit(Load(messages), system.port, 60)
    wait_for(
        f"{system.name} delivers the first messages",
        lambda: sink.received() >= before + messages,
        60,
    )
    _wait_for_empty_queue(system)


def without_relay(sink: Sink, load: Load) -> float:
    """Messages a second from smtp-source straight into the sink: no relay can be faster."""
    started = time.monotonic()
    submit(load, sink.port, 60)
    return load.messages / (time.monotonic() - started)


def measure(system: System, sink: Sink, load: Load, seconds: float) -> Figures:
    """Send a load through a relay. Raises BenchError where not all arrives within `seconds`."""
    before = sink.received()
    wanted = before + load.messages
    cpu_before = cpu_seconds(system.root)
    peak = memory(system.root)
    started = time.monotonic()
    accepted = 0.0
    sampled = started
    with source(load, system.port) as process:
        while True:
            time.sleep(0.02)
            now = time.monotonic()
            if not accepted and (code := process.poll()) is not None:
                check_source(process, code)
                accepted = now
            arrived = sink.received()
            if arrived >= wanted:
                delivered = now
                break
            if now - sampled > 1.0:
                peak = max(peak, memory(system.root))
                sampled = time.monotonic()
            if now - started > seconds:
                raise BenchError(
                    f"{system.name}: {arrived - before} of {load.messages} messages delivered "
                    f"within {seconds:.0f} s, {system.queued()} queued"
                )
        if not accepted:  # the last answer may reach smtp-source after its message the sink
            try:
                check_source(process, process.wait(30))
            except subprocess.TimeoutExpired:
                raise BenchError("smtp-source does not end") from None
            accepted = time.monotonic()
    peak = max(peak, memory(system.root))
    _wait_for_empty_queue(system)
    surplus = sink.received() - wanted
    if surplus:
        raise BenchError(f"{system.name} delivered {surplus} messages twice")
    return Figures(
        load.messages,
        load.size,
        accepted - started,
        delivered - started,
        cpu_seconds(system.root) - cpu_before,
        peak,
    )


def _wait_for_empty_queue(system: System) -> None:
    wait_for(f"the queue of {system.name} is empty", lambda: not system.queued(), 60, every=0.1)

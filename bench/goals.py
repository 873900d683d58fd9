"""What Waypost has to reach, and whether it has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median

from durability import Durability
from memory import KIB, MIB, MemoryFigures
from throughput import Figures


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal, judged."""

    name: str
    wanted: str
    measured: str
    reached: bool

    def document(self) -> dict[str, object]:
        """For --json."""
        return asdict(self)


def ratios(ours: list[Figures], theirs: list[Figures]) -> list[float]:
    """Delivered a second, pair by pair: both of a pair ran one right after the other."""
    pairs = zip(ours, theirs, strict=True)
    return [one.delivered_rate / other.delivered_rate for one, other in pairs]


def speed(name: str, factor: float, ours: list[Figures], theirs: list[Figures]) -> Goal:
    """Delivered a second against Postfix; the median of the pairs counts."""
    pairs = ratios(ours, theirs)
    measured = f"{median(pairs):.2f}x ({min(pairs):.2f} to {max(pairs):.2f})"
    return Goal(name, f"{factor:.0f}x Postfix", measured, median(pairs) >= factor)


def durable(name: str, seen: Durability) -> Goal:
    """A sync has to return before 250."""
    return Goal(
        f"{name} is durable before 250",
        "a sync returns before",
        f"{seen.before_250} before 250; {seen.syncs} for {seen.messages} messages",
        seen.before_250 > 0,
    )


def memory_goals(found: MemoryFigures) -> list[Goal]:
    """The four of Waypost alone."""
    large = f"a message of {found.large_size / MIB:.1f} MiB adds"
    return [
        _below(f"{found.queued:,} queued, peak memory", 120, found.queued_peak / MIB, "MiB"),
        _below(f"{found.recovered:,} queued, ready", 2, found.ready_seconds, "s"),
        _below(f"{found.connections:,} idle, each", 50, found.bytes_per_connection / KIB, "KiB"),
        _below(large, 16, found.large_added / MIB, "MiB"),
    ]


def _below(name: str, limit: float, measured: float, unit: str) -> Goal:
    return Goal(name, f"under {limit:g} {unit}", f"{measured:.2f} {unit}", measured < limit)

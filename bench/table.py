"""How the figures are shown."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from rich.console import Console
from rich.table import Table

from durability import Durability
from goals import Goal, ratios
from processes import MIB
from throughput import Figures

Rows = dict[str, list[Figures]]
"""By the name of the relay, one for each round."""


def _middle(figures: list[Figures], of: Callable[[Figures], float]) -> float:
    return median(of(one) for one in figures)


def show_messages(console: Console, runs: dict[str, Rows], ceilings: dict[str, float]) -> None:
    """Small messages: rates, processor, memory. Last what the two ends do without a relay."""
    table = Table(title="4 KiB messages, 20 sessions; medians of the rounds")
    table.add_column("connections")
    table.add_column("relay")
    for name in ("accepted/s", "delivered/s", "CPU s per 1,000", "peak MiB", "ratio, by pair"):
        table.add_column(name, justify="right")
    for scenario, rows in runs.items():
        for relay, figures in rows.items():
            table.add_row(
                scenario,
                relay,
                f"{_middle(figures, lambda one: one.accepted_rate):,.0f}",
                f"{_middle(figures, lambda one: one.delivered_rate):,.0f}",
                f"{_middle(figures, lambda one: one.cpu_per_thousand):.3f}",
                f"{_middle(figures, lambda one: one.peak_memory) / MIB:.0f}",
                _pairs(rows, relay),
            )
        table.add_row(scenario, "none", "", f"{ceilings[scenario]:,.0f}", style="dim")
        table.add_section()
    console.print(table)


def show_sizes(console: Console, runs: dict[str, Rows], ceilings: dict[str, float]) -> None:
    """Large messages: how much a second. Last what the two ends do without a relay."""
    table = Table(title="Large messages, connections kept, 20 sessions; medians of the rounds")
    table.add_column("size")
    table.add_column("relay")
    for name in ("messages", "delivered MB/s", "CPU s per GB", "peak MiB", "ratio, by pair"):
        table.add_column(name, justify="right")
    for scenario, rows in runs.items():
        for relay, figures in rows.items():
            table.add_row(
                scenario,
                relay,
                f"{figures[0].messages:,}",
                f"{_middle(figures, lambda one: one.megabytes_rate):,.1f}",
                f"{_middle(figures, lambda one: one.cpu_per_thousand * 1e6 / one.size):.2f}",
                f"{_middle(figures, lambda one: one.peak_memory) / MIB:.0f}",
                _pairs(rows, relay),
            )
        megabytes = ceilings[scenario] * next(iter(rows.values()))[0].size / 1e6
        table.add_row(scenario, "none", "", f"{megabytes:,.1f}", style="dim")
        table.add_section()
    console.print(table)


def show_durability(console: Console, seen: dict[str, Durability]) -> None:
    """Syncs, as strace counted them."""
    table = Table(title="Durability, by strace -f (runs of their own, not timed)")
    table.add_column("relay")
    for name in ("syncs between 354 and 250", "messages, 20 sessions", "syncs", "per message"):
        table.add_column(name, justify="right")
    for relay, one in seen.items():
        table.add_row(
            relay, f"{one.before_250}", f"{one.messages:,}", f"{one.syncs:,}",
            f"{one.syncs / one.messages:.2f}",
        )  # fmt: skip
    console.print(table)


def show_goals(console: Console, goals: list[Goal]) -> None:
    """Each with its verdict."""
    table = Table(title="Goals")
    for name in ("goal", "wanted", "measured", ""):
        table.add_column(name)
    for goal in goals:
        verdict = "[green]PASS" if goal.reached else "[red]FAIL"
        table.add_row(goal.name, goal.wanted, goal.measured, verdict)
    console.print(table)


def _pairs(rows: Rows, relay: str) -> str:
    if relay != "Waypost" or "Postfix" not in rows:
        return ""
    return " ".join(f"{one:.2f}" for one in ratios(rows["Waypost"], rows["Postfix"]))

"""Chance, as a seam: `random.Random` in production, a seeded one in the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Chance(Protocol):
    """Where numbers that nobody chose come from."""

    def random(self) -> float:
        """At least 0, less than 1."""


def shuffled(items: Iterable[Item], chance: Chance) -> list[Item]:
    """The items, every order equally likely."""
    left = list(items)
    for last in range(len(left) - 1, 0, -1):
        other = int(chance.random() * (last + 1))
        left[last], left[other] = left[other], left[last]
    return left


def shuffled_by_weight(
    items: Iterable[Item], weight: Callable[[Item], float], chance: Chance
) -> list[Item]:
    """The items, each place drawn with a likelihood by weight; weight 0 comes last."""
    left = list(items)
    order: list[Item] = []
    while left:
        total = sum(weight(item) for item in left)
        if total <= 0:
            order += left
            break
        mark = chance.random() * total
        drawn = len(left) - 1
        for place, item in enumerate(left):
            mark -= weight(item)
            if mark < 0:
                drawn = place
                break
        order.append(left.pop(drawn))
    return order

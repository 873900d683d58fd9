"""Any order of operations on a spool, against a model that is a dictionary.

What always holds: each accepted recipient is in exactly one state, the counts add up to what was
accepted, final states stay, `load_due` gives only what is due, oldest first, without the excluded,
and a crash loses nothing that was called back.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from spool_world import (
    NOON,
    MemoryWorld,
    SqliteWorld,
    World,
    append,
    barrier,
    begin_append,
    content_of,
    finish,
    mark_started,
    result,
)

from waypost.spool.contract import (
    BodyDamaged,
    MessageFilter,
    NotQueued,
    RecipientState,
)

QUEUED, HELD, CANCELLED = RecipientState.QUEUED, RecipientState.HELD, RecipientState.CANCELLED
DAMAGED = RecipientState.DAMAGED

_Result = TypeVar("_Result")

PICK = st.integers(0, 99)
DOMAINS = ("one.example", "two.example")
OUTCOMES = st.sampled_from(
    [RecipientState.DELIVERED, RecipientState.BOUNCED, RecipientState.EXPIRED, QUEUED]
)


@dataclass
class Expected:
    """One recipient as it should be."""

    domain: str
    due: float
    state: RecipientState = QUEUED
    started: bool = False
    attempts: int = 0


class SpoolMachine(RuleBasedStateMachine):
    """The rules; `make_world` says over which spool."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.world = self.make_world(Path(self.folder.name))
        self.expected: dict[int, list[Expected]] = {}
        self.content: dict[int, bytes] = {}
        self.serial = 0

    def make_world(self, folder: Path) -> World:
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.loop.run_until_complete(asyncio.wait_for(work, 10))

    def teardown(self) -> None:
        self.run(self.world.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        self.run(self.world.open())

    # --- what happens ---------------------------------------------------------------------------

    @rule(
        domains=st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=3),
        due=st.integers(-50, 50),
        started=st.booleans(),
        size=st.sampled_from([0, 30, 300_000]),
    )
    def accept(self, domains: list[str], due: int, started: bool, size: int) -> None:
        content = b"%d\r\n" % len(self.expected) + b"x" * size
        message = self.run(
            append(
                self.world, *(f"u{n}@{domain}" for n, domain in enumerate(domains)),
                content=content, due=due, started=started,
            )
        )  # fmt: skip
        self.expected[message] = [Expected(d, NOON + due, started=started) for d in domains]
        self.content[message] = content

    @rule(pick=PICK, picks=st.sets(st.integers(0, 2), min_size=1))
    def mark(self, pick: int, picks: set[int]) -> None:
        message = self.picked(pick)
        if message is None:
            return
        rows = self.expected[message]
        numbers = {number % len(rows) for number in picks}
        marking = mark_started(self.world, message, *sorted(numbers))
        if all(rows[number].state is QUEUED for number in numbers):
            self.run(marking)
            for number in numbers:
                rows[number].started = True
        else:
            with pytest.raises(NotQueued):
                self.run(marking)

    @rule(
        pick=PICK,
        picks=st.dictionaries(st.integers(0, 2), OUTCOMES, min_size=1),
        due=st.integers(0, 100),
    )
    def finish(self, pick: int, picks: dict[int, RecipientState], due: int) -> None:
        message = self.picked(pick)
        if message is None:
            return
        rows = self.expected[message]
        outcomes = {number % len(rows): state for number, state in picks.items()}
        self.serial += 1
        results = [result(number, state, due) for number, state in sorted(outcomes.items())]
        self.run(finish(self.world, message, *results, at=self.serial))
        for number, state in outcomes.items():
            row = rows[number]
            if row.state is QUEUED:
                row.state, row.due, row.started = state, NOON + due, False
                row.attempts += 1

    @rule(pick=PICK, domain=st.sampled_from(["", *DOMAINS]))
    def hold(self, pick: int, domain: str) -> None:
        message = self.picked(pick)
        if message is None:
            return
        wanted = self._filter(message, domain)
        assert self.run(self.world.spool.hold(wanted)) == self._change(
            message, domain, (QUEUED,), HELD
        )

    @rule(pick=PICK, domain=st.sampled_from(["", *DOMAINS]), due=st.integers(-50, 50))
    def release(self, pick: int, domain: str, due: int) -> None:
        message = self.picked(pick)
        if message is None:
            return
        wanted = self._filter(message, domain)
        assert self.run(self.world.spool.release(wanted, NOON + due)) == self._change(
            message, domain, (HELD,), QUEUED, NOON + due
        )

    @rule(pick=PICK, domain=st.sampled_from(["", *DOMAINS]), due=st.integers(-50, 50))
    def retry(self, pick: int, domain: str, due: int) -> None:
        message = self.picked(pick)
        if message is None:
            return
        wanted = self._filter(message, domain)
        assert self.run(self.world.spool.retry(wanted, NOON + due)) == self._change(
            message, domain, (QUEUED,), QUEUED, NOON + due
        )

    @rule(pick=PICK, domain=st.sampled_from(["", *DOMAINS]))
    def cancel(self, pick: int, domain: str) -> None:
        message = self.picked(pick)
        if message is None:
            return
        wanted = self._filter(message, domain)
        assert self.run(self.world.spool.cancel(wanted, "x")) == self._change(
            message, domain, (QUEUED, HELD), CANCELLED
        )

    @rule(pick=PICK)
    def set_aside(self, pick: int) -> None:
        message = self.picked(pick)
        if message is None:
            return
        self.run(self.world.spool.set_aside(message, "damaged"))
        for row in self.expected[message]:
            if row.state in (QUEUED, HELD):
                row.state, row.started = DAMAGED, False

    @rule(limit=st.integers(1, 3))
    def prune(self, limit: int) -> None:
        over = [
            message
            for message, rows in sorted(self.expected.items())
            if all(row.state not in (QUEUED, HELD, DAMAGED) for row in rows)
        ]
        assert self.run(self.world.spool.prune(NOON + 1, limit)) == len(over[:limit])
        for message in over[:limit]:
            del self.expected[message]  # accepted, finished, and no longer counted

    @rule(under_way=st.integers(0, 3))
    def crash(self, under_way: int) -> None:
        """Stop with operations under way, whose fate is open: they were never called back."""

        async def crash() -> tuple[int, list[int]]:
            begun = [
                begin_append(self.world, lambda _failure: None, "z@zero.example")[0]
                for _ in range(under_way)
            ]
            recovery = await self.world.crash()
            return recovery.uncertain, begun

        uncertain, begun = self.run(crash())
        survived = self.run(
            self.world.spool.messages(MessageFilter(recipient="@zero.example", limit=0))
        )
        assert {row.identifier for row in survived} - set(self.expected) <= set(begun)
        for row in survived:
            if row.identifier in begun:
                self.expected[row.identifier] = [Expected("zero.example", NOON)]
                self.content[row.identifier] = b"Subject: x\r\n\r\nhello\r\n"
        started = [r for rows in self.expected.values() for r in rows if r.started]
        assert uncertain == len(started)
        for recipient in started:
            recipient.started = False
            recipient.attempts += 1

    def picked(self, pick: int) -> int | None:
        """One of the messages. What is drawn must not hang on what there is: how much of the
        last moment survives a crash is a matter of chance."""
        return sorted(self.expected)[pick % len(self.expected)] if self.expected else None

    def _filter(self, message: int, domain: str) -> MessageFilter:
        return MessageFilter(identifiers=(message,), recipient=domain and f"@{domain}")

    def _change(
        self,
        message: int,
        domain: str,
        states: tuple[RecipientState, ...],
        state: RecipientState,
        due: float | None = None,
    ) -> int:
        changed = 0
        for row in self.expected[message]:
            if row.state in states and not row.started and domain in ("", row.domain):
                row.state = state
                row.due = row.due if due is None else due
                changed += 1
        return changed

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def every_recipient_is_where_it_should_be(self) -> None:
        shown = self.run(self.world.spool.messages(MessageFilter(limit=0)))
        assert {
            row.identifier: [
                (r.domain, r.due_at if r.state is QUEUED else None, r.state, r.started, r.attempts)
                for r in row.recipients
            ]
            for row in shown
        } == {
            message: [
                (r.domain, r.due if r.state is QUEUED else None, r.state, r.started, r.attempts)
                for r in rows
            ]
            for message, rows in self.expected.items()
        }

    @invariant()
    def the_counts_add_up(self) -> None:
        counts = self.run(self.world.spool.counts())
        accepted = sum(len(rows) for rows in self.expected.values())
        assert accepted == (
            counts.queued + counts.held + counts.delivered + counts.bounced + counts.expired
            + counts.cancelled + counts.damaged
        )  # fmt: skip

    @invariant()
    def only_what_is_due_is_given_out_the_oldest_first(self) -> None:
        odd = frozenset(list(self.expected)[1::2])
        for excluded in (frozenset[int](), odd):
            for domain in DOMAINS:
                loaded = self.run(self.world.spool.load_due(domain, NOON, 10_000, excluded))
                due = {
                    message: [
                        number
                        for number, row in enumerate(rows)
                        if row.domain == domain and row.state is QUEUED and row.due <= NOON
                    ]
                    for message, rows in self.expected.items()
                    if message not in excluded
                }
                oldest = {
                    message: min(self.expected[message][number].due for number in numbers)
                    for message, numbers in due.items()
                    if numbers
                }
                wanted = sorted(oldest, key=lambda message: (oldest[message], message))
                assert [one.identifier for one in loaded] == wanted
                for one in loaded:
                    assert [r.number for r in one.recipients] == due[one.identifier]

    @invariant()
    def what_waits_has_its_content(self) -> None:
        for message, rows in list(self.expected.items())[-2:]:
            if any(row.state in (QUEUED, HELD) for row in rows):
                body = self.run(self.world.spool.open_body(message))
                assert self.run(content_of(body)) == self.content[message]
            elif all(row.state is not DAMAGED for row in rows):
                self.run(barrier(self.world))  # behind it the file has had its time to go
                with pytest.raises(BodyDamaged):
                    self.run(self.world.spool.open_body(message))


class MemoryMachine(SpoolMachine):
    def make_world(self, folder: Path) -> World:
        return MemoryWorld()


class SqliteMachine(SpoolMachine):
    def make_world(self, folder: Path) -> World:
        return SqliteWorld(folder)


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]


def test_any_order_of_operations_in_memory() -> None:
    run_state_machine_as_test(
        MemoryMachine,
        settings=settings(
            max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=CHECKS
        ),
    )


def test_any_order_of_operations_on_sqlite() -> None:
    run_state_machine_as_test(
        SqliteMachine,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=CHECKS
        ),
    )

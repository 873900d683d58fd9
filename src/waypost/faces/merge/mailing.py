"""One mailing: each person once, whatever happened before, with an outcome in the journal."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from waypost.faces.library.prepared import Sendable
from waypost.faces.library.result import Result
from waypost.faces.merge.journal import Again, Journal, Outcome, key_of
from waypost.faces.merge.letter import InvalidLetter, Letter
from waypost.faces.merge.people import People, Person, Unusable
from waypost.net.clock import Clock

SHOWN: Final = 20
"""Problems that are kept to be shown; more are only counted."""


class Sender(Protocol):
    """What a Mailer is here."""

    def send_many(self, messages: Iterable[Sendable], /) -> Iterable[Result]:
        """Send a stream; results carry the number of their message in it."""


@dataclass(slots=True)
class Report:
    """What a mailing came to, in people."""

    sent: int = 0
    refused: int = 0
    deferred: int = 0
    """Nobody took it for now; the next run tries again."""
    uncertain: int = 0
    """May have it: the answer was lost, now or in a run before."""
    had_it: int = 0
    """Left alone: their copy was sent, or refused, in a run before."""
    twice: int = 0
    """The same row once more."""
    unusable: int = 0
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        """Keep one to be shown."""
        if len(self.problems) < SHOWN:
            self.problems.append(text)


def examine(people: People, letter: Letter, report: Report) -> list[Person]:
    """Look at every row, and render each copy's words, before anything is sent.

    Rows that cannot be used are counted in the report. Returns the first few people. Raises
    InvalidLetter for a template that fails, with the line of the row, and InvalidPeople.
    """
    first: list[Person] = []
    for one in people:
        if isinstance(one, Unusable):
            report.unusable += 1
            report.problem(f"line {one.line}: {one.reason}")
            continue
        try:
            letter.words(one)
        except InvalidLetter as fault:
            raise InvalidLetter(f"{people.path}:{one.line}: {fault}") from fault
        if len(first) < SHOWN:
            first.append(one)
    return first


class Mailing:
    """See the module."""

    def __init__(
        self,
        people: People,
        letter: Letter,
        journal: Journal,
        again: Again,
        clock: Clock,
        hostname: str,
        report: Report,
    ) -> None:
        self._people = people
        self._letter = letter
        self._journal = journal
        self._again = again
        self._clock = clock
        self._hostname = hostname
        self._report = report
        self._under_way: dict[int, tuple[str, Person]] = {}

    def run(self, sender: Sender, advance: Callable[[int], object]) -> None:
        """Send to everybody who is due; `advance` hears of each person that is settled."""
        for result in sender.send_many(self._messages(advance)):
            key, person = self._under_way.pop(result.number)
            self._settle(key, person, result)
            advance(1)

    def _messages(self, advance: Callable[[int], object]) -> Iterator[Sendable]:
        number = 0
        seen: set[str] = set()
        for person in self._people:
            if isinstance(person, Unusable):
                continue
            key = key_of(person)
            if key in seen:
                self._report.twice += 1
                advance(1)
                continue
            seen.add(key)
            if not self._is_due(key, person):
                advance(1)
                continue
            message = self._letter.to(person, self._now(), self._message_id())
            self._journal.begin(key, person)
            self._under_way[number] = key, person
            number += 1
            yield message

    def _is_due(self, key: str, person: Person) -> bool:
        known = self._journal.known(key)
        if known is None or known.outcome == "deferred":
            return True
        if known.outcome is None and not self._again.uncertain:
            self._report.uncertain += 1
            self._report.problem(
                f"line {person.line}: {person.address} may have had it when the mailing broke off"
            )
            return False
        if known.outcome == "sent" or (known.outcome == "refused" and not self._again.refused):
            self._report.had_it += 1
            return False
        return True

    def _settle(self, key: str, person: Person, result: Result) -> None:
        report = self._report
        outcome: Outcome | None
        if result:
            outcome, said = "sent", ""
            report.sent += 1
        elif result.uncertain:
            # It stays begun in the journal: whether to send it again is for a person to say.
            report.uncertain += 1
            report.problem(f"line {person.line}: {person.address}: the answer was lost")
            return
        else:
            error = result.error
            said = error.what if error is not None else "refused"
            if error is not None and error.temporary:
                outcome = "deferred"
                report.deferred += 1
            else:
                outcome = "refused"
                report.refused += 1
            report.problem(f"line {person.line}: {person.address}: {said}")
        self._journal.end(key, outcome, said)

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).astimezone()

    def _message_id(self) -> str:
        return f"<{secrets.token_hex(12)}@{self._hostname}>"

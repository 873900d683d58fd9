"""What a check sees: steps with their time and evidence, and the signs in them.

A step is shown to people as it is: its evidence is what was asked, said and found. Its signs are
for the diagnosis: a name such as `tcp:refused` that a row of causes.toml lists, or `reply`, where
the words of the server have to be judged. Nothing of a peer is kept beyond a bound, and no secret
at all.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from waypost.knowledge.reply_contexts import Stage
from waypost.net.clock import Clock
from waypost.smtp.client_replies import REDACTED
from waypost.smtp.reply import Reply

Status = Literal["ok", "warn", "fail", "skipped"]

MAXIMUM_EVIDENCE: Final = 60
"""Lines of one step."""

MAXIMUM_LINE: Final = 600
"""Characters of a line of evidence."""

MAXIMUM_STEPS: Final = 200

NO_FACTS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that was seen and may tell the cause."""

    name: str
    """As the rows of causes.toml list it; `reply` for words that have to be judged."""
    status: Literal["warn", "fail"]
    facts: Mapping[str, str] = field(default_factory=dict)
    """What fills the places in a fix: host, port, names, ..."""
    reply: Reply | None = None
    stage: Stage | None = None
    """Where the reply came."""
    given: bool = False
    """It is about what was given to be checked, such as a recipient, and not a trial of ours."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the walk."""

    name: str
    status: Status
    seconds: float
    evidence: tuple[str, ...]
    signs: tuple[Sign, ...] = ()


class CheckEnded(Exception):
    """The walk cannot go on; the sign in the step that raised it says why."""


@dataclass(slots=True)
class StepInProgress:
    """A step while it is taken."""

    name: str
    secrets: tuple[str, ...]
    evidence: list[str] = field(default_factory=list)
    signs: list[Sign] = field(default_factory=list)
    status: Status = "ok"
    paused: float = 0.0
    """Seconds in it that are not the server's."""

    @contextmanager
    def aside(self, clock: Clock) -> Iterator[None]:
        """Around what takes time here and is not the server's."""
        begun = clock.monotonic()
        try:
            yield
        finally:
            self.paused += clock.monotonic() - begun

    def note(self, text: str) -> None:
        """Add a line of evidence."""
        for secret in self.secrets:
            text = text.replace(secret, REDACTED)
        if len(self.evidence) == MAXIMUM_EVIDENCE:
            self.evidence.append("... (more is not kept)")
        elif len(self.evidence) < MAXIMUM_EVIDENCE:
            self.evidence.append(
                text if len(text) <= MAXIMUM_LINE else f"{text[:MAXIMUM_LINE]} ..."
            )

    def said(self, line: str) -> None:
        """A line that went out."""
        self.note(f"> {line}")

    def heard(self, line: str) -> None:
        """A line that came in."""
        if line.startswith("334 ") and len(line) > 4:
            # A challenge beside the response to it lets a reader try passwords at leisure.
            line = f"334 {REDACTED}"
        self.note(f"< {line}")

    def sign(self, sign: Sign) -> None:
        """Record a sign; the step is at least as bad as it."""
        self.signs.append(sign)
        if sign.status == "fail" or self.status == "ok":
            self.status = sign.status

    def warn(self, name: str, **facts: str) -> None:
        """Something is not as it should be."""
        self.sign(Sign(name, "warn", facts))

    def fail(self, name: str, **facts: str) -> CheckEnded:
        """Mail does not go. To be raised where the walk ends here."""
        self.sign(Sign(name, "fail", facts))
        return CheckEnded(name)

    def refused(self, reply: Reply, stage: Stage, *, given: bool = True) -> CheckEnded:
        """The server said no. To be raised where the walk ends here."""
        self.sign(Sign("reply", "fail", NO_FACTS, reply, stage, given))
        return CheckEnded("reply")


class Recorder:
    """Keeps the steps, and tells each as it begins and ends."""

    def __init__(
        self,
        clock: Clock,
        *,
        begun: Callable[[str], None] = lambda _: None,
        ended: Callable[[Step], None] = lambda _: None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self._clock = clock
        self._begun = begun
        self._ended = ended
        self._secrets = tuple(form for secret in secrets for form in _forms(secret))
        self.steps: list[Step] = []
        self.current: StepInProgress | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[StepInProgress]:
        """A step: it is recorded however it ends."""
        made = StepInProgress(name, self._secrets)
        outer, self.current = self.current, made
        self._begun(name)
        begun = self._clock.monotonic()
        try:
            yield made
        except CheckEnded:
            made.status = "fail"
            raise
        finally:
            self.current = outer
            took = max(0.0, self._clock.monotonic() - begun - made.paused)
            self._keep(Step(name, made.status, took, tuple(made.evidence), tuple(made.signs)))

    def skip(self, name: str, why: str) -> None:
        """A step that is not taken."""
        self._keep(Step(name, "skipped", 0.0, (why,)))

    def _keep(self, step: Step) -> None:
        if len(self.steps) < MAXIMUM_STEPS:
            self.steps.append(step)
            self._ended(step)


def _forms(secret: str) -> tuple[str, ...]:
    """The forms in which a peer may send a secret back."""
    if len(secret) < 3:
        return ()  # it would be found in every word
    encoded = base64.b64encode(secret.encode()).decode("ascii")
    if secret.isascii() and secret.isalpha():
        from waypost.knowledge.reply_rules import is_said_by_servers

        if is_said_by_servers(secret):
            # Taken out of "535 wrong password" it would be known by its place.
            return (encoded,)
    return (secret, encoded)

"""What discovery is asked for, and what it brings."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.doctor.discovery.autoconfig import ReadingServer
from waypost.doctor.discovery.setting import Setting, Source
from waypost.doctor.discovery.subject import Subject
from waypost.knowledge.providers import Provider, providers


@dataclass(frozen=True, slots=True)
class Attempt:
    """One who was asked."""

    source: Source
    what: str
    outcome: str
    reached: bool
    """Somebody answered, be it that there is nothing."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found."""

    subject: Subject
    settings: tuple[Setting, ...]
    """The most certain first."""
    conflicts: tuple[str, ...]
    reading: tuple[ReadingServer, ...]
    notes: tuple[str, ...]
    attempts: tuple[Attempt, ...]

    @property
    def best(self) -> Setting | None:
        """What to use."""
        usable = (one for one in self.settings if not one.problem)
        return next(usable, self.settings[0] if self.settings else None)

    @property
    def provider(self) -> Provider | None:
        """The provider of the best setting, where it is a known one."""
        return providers().get(self.best.provider) if self.best is not None else None

    @property
    def nobody_answered(self) -> bool:
        """Nothing was found because nothing could be asked."""
        asked = bool(self.attempts) and not self.settings
        return asked and not any(one.reached for one in self.attempts)


@dataclass(frozen=True, slots=True)
class DiscoveryOptions:
    """How far to go."""

    inside: bool = False
    """Connect to addresses that are not public, too."""
    thorough: bool = False
    """Ask everybody, and try the usual names, whatever is known already."""
    ehlo: str = "localhost"

"""Loads configurations for the tests: a text in, the configuration or its problems out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from waypost.config import Configuration, ConfigurationError, Flags, Problem, load

HOME = {"HOME": "/home/ada"}


def loaded(
    folder: Path,
    text: str = "",
    environment: Mapping[str, str] | None = None,
    flags: Flags | None = None,
) -> Configuration:
    """The configuration of a file with this text."""
    file = folder / "waypost.toml"
    file.write_text(text, "utf-8")
    return load(file, HOME | dict(environment or {}), flags or Flags())


def problems(
    folder: Path,
    text: str = "",
    environment: Mapping[str, str] | None = None,
    flags: Flags | None = None,
) -> list[Problem]:
    """What is wrong with it; nothing where nothing is."""
    try:
        loaded(folder, text, environment, flags)
    except ConfigurationError as fault:
        return list(fault.problems)
    return []

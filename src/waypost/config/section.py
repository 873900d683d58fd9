"""What all sections of the file have in common."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from waypost.config.kinds import Kind, toml_text

WORD: Final = Kind("word", toml_text)
"""One of a few."""


def setting(default: Any, meaning: str, *, unset: str = "") -> Any:
    """A key with its default and meaning; `unset` says what the lack of a value means."""
    return Field(
        default=default, description=meaning, json_schema_extra={"unset": unset} if unset else None
    )


def default_in(settings: Any, name: str) -> Any:
    """The default that a dataclass has for a field."""
    return next(one.default for one in dataclasses.fields(settings) if one.name == name)


class Section(BaseModel):
    """A table of the file. Unknown keys and values of another type are refused."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True
    )

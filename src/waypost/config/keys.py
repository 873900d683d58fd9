"""What keys there are: the model, walked. For suggestions, variables, the reference and `show`."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo

from waypost.config.kinds import Kind
from waypost.config.model import Settings
from waypost.config.problems import resembling
from waypost.config.section import Section


@dataclass(frozen=True, slots=True)
class Key:
    """One setting."""

    path: tuple[str, ...]
    field: FieldInfo
    kind: Kind
    in_list: bool
    """It belongs to each [[listener]] or [[route]]."""

    @property
    def dotted(self) -> str:
        """route.limits.rate"""
        return ".".join(self.path)

    @property
    def default(self) -> str:
        """As the file would have it; "" where there is none or it must be given."""
        field = self.field
        if field.is_required() or field.default is None or self.unset:
            return ""
        return self.kind.write(field.default)

    @property
    def unset(self) -> str:
        """What the lack of a value means, in words."""
        extra = self.field.json_schema_extra
        return str(extra.get("unset", "")) if isinstance(extra, dict) else ""


@cache
def keys() -> tuple[Key, ...]:
    """All of them, in the order of the model."""
    return tuple(_walk(Settings, (), in_list=False))


def scalar_keys() -> list[tuple[str, ...]]:
    """Those that a variable of the environment can give."""
    return [key.path for key in keys() if not key.in_list]


def section_of(annotation: object) -> tuple[type[Section], bool] | None:
    """The section that a field holds, and whether it holds a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, False
    if typing.get_origin(annotation) is tuple:
        inner = typing.get_args(annotation)[0]
        if isinstance(inner, type) and issubclass(inner, Section):
            return inner, True
    return None


def _walk(section: type[Section], path: tuple[str, ...], *, in_list: bool) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            yield from _walk(inner[0], (*path, name), in_list=in_list or inner[1])
        else:
            yield Key((*path, name), field, _kind(field), in_list)


def _kind(field: FieldInfo) -> Kind:
    found = _search((*field.metadata, field.annotation))
    assert found is not None, field
    return found


def _search(pieces: Sequence[Any]) -> Kind | None:
    for piece in pieces:
        if isinstance(piece, Kind):
            return piece
        if typing.get_origin(piece) is not None:
            found = _search((*getattr(piece, "__metadata__", ()), *typing.get_args(piece)))
            if found is not None:
                return found
    return None


def section_at(path: Sequence[str | int]) -> type[Section] | None:
    """The section that a path leads to; None where it leads to a value or nowhere."""
    section: type[Section] = Settings
    for part in path:
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part)
        inner = section_of(field.annotation) if field else None
        if inner is None:
            return None
        section = inner[0]
    return section


def meant(path: Sequence[str | int]) -> str | None:
    """The dotted key that somebody meant who wrote an unknown one."""
    *table, last = path
    section = section_at(table)
    wanted = str(last)
    where = ".".join(str(part) for part in table if not isinstance(part, int))
    if section is not None:
        near = resembling(wanted.lower(), section.model_fields)
        if near is not None:
            return f"{where}.{near}" if where else near
    everywhere = {key.dotted: key for key in keys()}
    for dotted, key in everywhere.items():
        if key.path[-1] == wanted.lower():
            return dotted
    return resembling(f"{where}.{wanted}" if where else wanted, everywhere, 0.8)

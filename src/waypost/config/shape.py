"""Checks the shape of one layer: every key known, every value of its kind; all faults at once.

What pydantic finds is put into words here. A layer with faults still gives settings, with the
faulty keys left out, so that what does not fit together elsewhere is found in the same run.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from waypost.config.keys import meant, section_at, section_of
from waypost.config.kinds import Reading
from waypost.config.layers import Layer
from waypost.config.model import Settings
from waypost.config.places import KeyPath
from waypost.config.problems import Problem, dotted, resembling
from waypost.config.section import Section
from waypost.delivery.url_options import redacted

_WORDS: Final = {
    "missing": "is required",
    "int_type": "must be a whole number, not {value}",
    "bool_type": "must be true or false, not {value}",
    "float_type": "must be a number, not {value}",
    "string_type": "must be text in quotes, not {value}",
    "greater_than_equal": "must be at least {ge}, not {value}",
    "less_than_equal": "must be at most {le}, not {value}",
    "finite_number": "must be a finite number",
    "too_short": "must not be empty",
    "tuple_type": "must be a list, not {value}",
}  # fmt: skip

_ROUNDS: Final = 3
"""Leaving out a faulty key can make one fault more: its table lacks it."""


def checked(
    layer: Layer, reading: Reading, problems: list[Problem]
) -> tuple[Settings, frozenset[str]]:
    """The settings of a layer, and the sections that have faults."""
    faulty: set[str] = set()
    document = layer.document
    for attempt in range(_ROUNDS):
        try:
            return Settings.model_validate(document, context=reading), frozenset(faulty)
        except ValidationError as fault:
            document = copy.deepcopy(layer.document) if attempt == 0 else document
            for error in fault.errors(include_url=False):
                path: KeyPath = error["loc"]
                if attempt == 0:
                    problems.append(_problem(layer, error))
                faulty.add(str(path[0]))
                if attempt == 0:
                    _leave_out(document, path)
                else:
                    document.pop(str(path[0]), None)
    return Settings(), frozenset(faulty)  # pragma: no cover - every section has been left out


def _leave_out(document: dict[str, Any], path: KeyPath) -> None:
    """Take out the innermost key on the way to a faulty value."""
    value: Any = document
    innermost: tuple[dict[str, Any], str] = document, str(path[0])
    for part in path:
        if isinstance(value, dict) and isinstance(part, str) and part in value:
            innermost = value, part
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            break  # it is missing, or a single value stands where a list may
    table, key = innermost
    table.pop(key, None)


def _problem(layer: Layer, error: Mapping[str, Any]) -> Problem:
    path: KeyPath = error["loc"]
    reason, suggestion = _words(path, error)
    return layer.problem(path, dotted(path), reason, suggestion)


def _words(path: KeyPath, error: Mapping[str, Any]) -> tuple[str, str | None]:
    kind: str = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    given = error["input"]
    if kind == "extra_forbidden":
        return "unknown setting", meant(path)
    if kind == "value_error":
        return str(context["error"]), None
    if kind == "literal_error":
        expected = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        near = resembling(given.lower(), expected, 0.6) if isinstance(given, str) else None
        return f"must be one of {', '.join(expected)}, not {_shown(given)}", near
    if kind == "model_type":
        name = dotted([part for part in path if isinstance(part, str)])
        return f"must be a table: write [{name}] and its keys below", None
    if kind == "tuple_type" and _is_list_of_tables(path):
        return f"must be a list of tables: write [[{path[-1]}]] above each", None
    words = _WORDS.get(kind)
    if words is None:
        return f"{error['msg'].lower()}, not {_shown(given)}", None
    return words.format(value=_shown(given), **context), None


def _is_list_of_tables(path: KeyPath) -> bool:
    section: type[Section] | None = section_at(path[:-1])
    field = section.model_fields.get(str(path[-1])) if section else None
    return field is not None and section_of(field.annotation) is not None


def _shown(value: object) -> str:
    """A value in a message: short, without passwords."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = redacted(value)
        return repr(text if len(text) <= 40 else text[:40] + "...")
    try:
        text = str(value)
    except ValueError:  # more digits than Python writes
        return "a number out of all bounds"
    return text if len(text) <= 40 else text[:40] + "..."

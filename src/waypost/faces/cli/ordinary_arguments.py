"""Reads the arguments of a command where they are ordinary, without loading what Typer parses with.

Typer builds each parameter with pydantic, whose import alone takes longer than a quick command may.
So the signature that Typer would read is read here: options with their values, flags, and
arguments, all of plain types. Whatever is not plain (`--help`, an unknown option, a value of
another type, one out of its bounds, a missing argument) is left to Typer, which has the words for
it. tests/cli/test_ordinary_arguments.py holds both against each other.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from typer.models import ArgumentInfo, OptionInfo

_PLAIN: Final[tuple[type, ...]] = (str, int, float, Path)


class NotOrdinary(Exception):
    """Typer has to read these."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    about: OptionInfo | ArgumentInfo
    kind: type
    """str, int, float, Path; bool for a flag."""
    repeats: bool
    default: Any


def call_with_ordinary(function: Callable[..., None], arguments: Sequence[str]) -> int:
    """Call a command's function; the exit code. Raises NotOrdinary, and has done nothing then."""
    values = read_ordinary(function, arguments)
    try:
        function(**values)
    except typer.Exit as end:
        return end.exit_code
    return 0


def read_ordinary(function: Callable[..., None], arguments: Sequence[str]) -> dict[str, Any]:
    """The values for a function's parameters. Raises NotOrdinary."""
    parameters = _parameters(function)
    by_flag = {flag: one for one in parameters for flag in _flags(one)}
    places = [one for one in parameters if isinstance(one.about, ArgumentInfo)]
    values = {one.name: one.default for one in parameters}
    given: set[str] = set()
    left = list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith("-") or word == "-":
            if not places:
                raise NotOrdinary(word)
            one = places.pop(0)
            value: object = _value(one, word)
        else:
            flag, equals, text = word.partition("=")
            found = by_flag.get(flag)
            if found is None:
                raise NotOrdinary(word)
            one = found
            if one.kind is bool:
                if equals:
                    raise NotOrdinary(word)
                value = True
            else:
                if not equals:
                    if not left:
                        raise NotOrdinary(word)
                    text = left.pop(0)
                value = _value(one, text)
        if one.repeats:
            values[one.name] = [*(values[one.name] or []), value]
        elif one.name in given:
            raise NotOrdinary(word)
        else:
            values[one.name] = value
        given.add(one.name)
    if any(one.default is inspect.Parameter.empty for one in places):
        raise NotOrdinary("an argument is missing")
    return values


def _parameters(function: Callable[..., None]) -> list[_Parameter]:
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, about = typing.get_args(hints[name])[:2]
        if not isinstance(about, OptionInfo | ArgumentInfo) or about.envvar or about.callback:
            raise NotOrdinary(name)
        kind, repeats = _kind(kind)
        found.append(_Parameter(name, about, kind, repeats, parameter.default))
    return found


def _kind(annotation: Any) -> tuple[type, bool]:
    """The type of one value, and whether there may be several."""
    if isinstance(annotation, types.UnionType):
        kinds = [one for one in typing.get_args(annotation) if one is not types.NoneType]
        if len(kinds) != 1:
            raise NotOrdinary(annotation)
        annotation = kinds[0]
    if typing.get_origin(annotation) is list:
        return _kind(typing.get_args(annotation)[0])[0], True
    if annotation is bool or annotation in _PLAIN:
        return annotation, False
    raise NotOrdinary(annotation)


def _flags(one: _Parameter) -> tuple[str, ...]:
    if isinstance(one.about, ArgumentInfo):
        return ()
    declared = list(one.about.param_decls or ())
    if isinstance(one.about.default, str):  # in Annotated the first name stands there
        declared.insert(0, one.about.default)
    return tuple(declared) or (f"--{one.name.replace('_', '-')}",)


def _value(one: _Parameter, text: str) -> object:
    try:
        value = one.kind(text)
    except ValueError as fault:
        raise NotOrdinary(text) from fault
    low, high = one.about.min, one.about.max
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise NotOrdinary(text)
    return value

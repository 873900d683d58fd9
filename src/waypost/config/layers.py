"""Where settings come from: the file, the environment, the flags of the command; later ones win.

Each layer is a document of its own, shaped like the file, that knows the place of each of its
keys. Each is checked by itself, so a fault is told with its own place even where another layer
covers it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from waypost.config.keys import scalar_keys
from waypost.config.places import KeyPath, Place, nearest, scan
from waypost.config.problems import Problem, printable, resembling

MAXIMUM_FILE: Final = 4 * 1024 * 1024
"""Bytes of a configuration file."""

MAXIMUM_DEPTH: Final = 20
"""Tables and arrays inside each other."""

PREFIX: Final = "WAYPOST_"

_SYNTAX: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_DEFAULT_ROUTE: Final = "default"


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says. None or (): not given."""

    listen: tuple[str, ...] = ()
    route: str | None = None
    spool: str | None = None
    hostname: str | None = None
    panel: str | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings."""

    document: dict[str, Any] = field(repr=False)
    file: str = ""
    places: Mapping[KeyPath, Place] = field(default_factory=dict, repr=False)
    """Of a file."""
    sources: Mapping[KeyPath, str] = field(default_factory=dict)
    """Of other layers: the variable or the flag that gave a key."""
    from_text: bool = False
    folder: Path = Path()
    """Where relative paths begin."""

    def source_of(self, path: KeyPath) -> tuple[str, Place | None]:
        """What people are told of where a key stands, and the line and column if it has one."""
        if self.file:
            return self.file, nearest(self.places, path)
        while path and path not in self.sources:
            path = path[:-1]
        return self.sources.get(path, "default"), None

    def origin_of(self, path: KeyPath) -> str:
        """The same as one text: "waypost.toml:12", "environment WAYPOST_ROUTE"."""
        source, place = self.source_of(path)
        return source if place is None else f"{source}:{place.line}"

    def holds(self, path: KeyPath) -> bool:
        """Whether this layer gives this key."""
        value: Any = self.document
        for part in path:
            if isinstance(part, int):
                if isinstance(value, str) and part == 0:
                    continue  # one value where a list may stand
                if not isinstance(value, list) or part >= len(value):
                    return False
            elif not isinstance(value, dict) or part not in value:
                return False
            value = value[part]
        return True

    def problem(
        self, path: KeyPath, key: str, reason: str, suggestion: str | None = None
    ) -> Problem:
        """A fault at a key of this layer."""
        source, place = self.source_of(path)
        line, column = (place.line, place.column) if place else (None, None)
        return Problem(source, line, column, key, printable(reason), suggestion)


def file_layer(path: Path, problems: list[Problem]) -> Layer:
    """Read the file. What cannot be read is a problem and an empty layer."""
    name = str(path)
    empty = Layer({}, name, folder=path.parent)

    def refuse(reason: str, line: int | None = None, column: int | None = None) -> Layer:
        problems.append(Problem(name, line, column, "", reason))
        return empty

    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_FILE + 1)
    except FileNotFoundError:
        return refuse("there is no such file; `waypost config init PATH` writes one")
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        return refuse(f"the file cannot be read: {reason}")
    if len(content) > MAXIMUM_FILE:
        return refuse(f"the file is larger than {MAXIMUM_FILE} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        column = fault.start - content.rfind(b"\n", 0, fault.start)
        return refuse("the file is not in UTF-8; save it as UTF-8", line, column)
    text = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(text)
    except RecursionError:
        return refuse("the file nests its values too deeply")
    except ValueError as fault:  # TOMLDecodeError is one, and int() raises it for endless digits
        found = _SYNTAX.fullmatch(str(fault))
        if found is None:
            return refuse(f"the file is not TOML: {fault}")
        line = int(found[2]) if found[2] else text.count("\n") + 1
        return refuse(
            f"the file is not TOML: {found[1]}", line, int(found[3]) if found[3] else None
        )
    if _depth(document) > MAXIMUM_DEPTH:
        return refuse("the file nests its values too deeply")
    return Layer(document, name, scan(text), folder=path.parent)


def _depth(document: dict[str, Any]) -> int:
    """How many tables and arrays stand inside each other; no recursion, as it may be many."""
    depth = 0
    level: list[Any] = [document]
    while level and depth <= MAXIMUM_DEPTH:
        depth += 1
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = [value for value in inner if isinstance(value, dict | list)]
    return depth


def environment_layer(environment: Mapping[str, str], problems: list[Problem]) -> Layer:
    """WAYPOST_ROUTE, WAYPOST_LISTEN, WAYPOST_SPOOL, WAYPOST_HOSTNAME, WAYPOST_PANEL,
    WAYPOST_WORKERS, and each key of a table: WAYPOST_LIMITS_CONNECTIONS.

    An empty variable is one that is not set. A name that is none of ours but resembles one is
    refused; others are left alone, as routes may take their passwords from such.
    """
    known = {f"{PREFIX}{'_'.join(key).upper()}": key for key in scalar_keys()}
    special = {f"{PREFIX}{name}" for name in ("ROUTE", "LISTEN", "SPOOL", "CONFIG")}
    document: dict[str, Any] = {}
    sources: dict[KeyPath, str] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or not value:
            continue
        source = f"environment {name}"
        if name in known:
            _put(document, sources, known[name], value, source)
        elif name == f"{PREFIX}ROUTE":
            _put_route(document, sources, value, source)
        elif name == f"{PREFIX}LISTEN":
            _put_listeners(document, sources, re.split(r"[,\s]+", value.strip(" ,")), source)
        elif name == f"{PREFIX}SPOOL":
            _put(document, sources, ("spool", "url"), value, source)
        elif name not in special:
            near = resembling(name.removeprefix(PREFIX), _bare({*known, *special}), 0.8)
            if near is not None:
                reason = "is no setting"
                problems.append(Problem(source, None, None, "", reason, PREFIX + near))
    return Layer(document, sources=sources, from_text=True)


def flags_layer(flags: Flags) -> Layer:
    """The flags of the command."""
    document: dict[str, Any] = {}
    sources: dict[KeyPath, str] = {}
    if flags.listen:
        _put_listeners(document, sources, list(flags.listen), "flag --listen")
    if flags.route is not None:
        _put_route(document, sources, flags.route, "flag --route")
    if flags.spool is not None:
        _put(document, sources, ("spool", "url"), flags.spool, "flag --spool")
    for key in ("hostname", "panel", "workers"):
        value = getattr(flags, key)
        if value is not None:
            _put(document, sources, (key,), value, f"flag --{key}")
    return Layer(document, sources=sources)


def default_layer(hostname: str, data: Path | None) -> Layer:
    """What holds where nothing is given: mail from this machine, which does not leave it."""
    document: dict[str, Any] = {"hostname": hostname}
    if data is not None:
        document["data"] = str(data)
    _put_listeners(document, {}, ["127.0.0.1:2525"], "")
    _put_route(document, {}, "sandbox:", "")
    return Layer(document)


def _bare(names: set[str]) -> list[str]:
    return sorted(name.removeprefix(PREFIX) for name in names)


def _put(
    document: dict[str, Any],
    sources: dict[KeyPath, str],
    key: tuple[str, ...],
    value: object,
    source: str,
) -> None:
    table = document
    for part in key[:-1]:
        table = table.setdefault(part, {})
    table[key[-1]] = value
    sources[key] = source


def _put_route(
    document: dict[str, Any], sources: dict[KeyPath, str], url: str, source: str
) -> None:
    document["route"] = [{"name": _DEFAULT_ROUTE, "via": url}]
    sources["route",] = source


def _put_listeners(
    document: dict[str, Any], sources: dict[KeyPath, str], addresses: list[str], source: str
) -> None:
    document["listener"] = [{"address": address} for address in addresses]
    sources["listener",] = source

"""Loads the configuration: reads the layers, checks each, lays them over each other, builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waypost.config import build
from waypost.config.keys import section_of
from waypost.config.kinds import Reading
from waypost.config.layers import (
    Flags,
    Layer,
    default_layer,
    environment_layer,
    file_layer,
    flags_layer,
)
from waypost.config.model import LogFormat, LogLevel, Settings
from waypost.config.problems import ConfigurationError, Problem, dotted
from waypost.config.section import Section
from waypost.config.shape import checked
from waypost.config.sharing import Assignment, CannotShare, assignments, settings_of
from waypost.control.settings import ControlSettings
from waypost.delivery.route import Route
from waypost.net.own_name import machine_name
from waypost.service import ServiceSettings

_NO_HOME = "there is no home folder for the data; set it, or HOME or XDG_DATA_HOME"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration that can be used."""

    settings: Settings = field(repr=False)
    """As the file has them, whole: what was not given has its default."""
    origins: Mapping[str, str]
    """By dotted key, where its value came from: "default", "waypost.toml:12",
    "environment WAYPOST_ROUTE", "flag --route"."""
    service: ServiceSettings = field(repr=False)
    processes: tuple[Assignment, ...]
    """The processes that the relay needs: its workers, and those that empty shards left over."""

    def service_settings(self) -> ServiceSettings:
        """What the service is made of."""
        return self.service

    @property
    def hostname(self) -> str:
        """The relay's own name."""
        return self.service.hostname

    @property
    def data(self) -> Path:
        """The folder for users, certificates and, unless set otherwise, mail."""
        return self.service.data

    @property
    def log_level(self) -> LogLevel:
        """The least that is said."""
        return self.settings.log.level

    @property
    def log_format(self) -> LogFormat:
        """For people or for programs."""
        return self.settings.log.format

    def control_settings(self) -> ControlSettings | None:
        """What the panel and the HTTP API are made of; None where there is to be none."""
        if self.settings.panel == "off":
            return None
        return build.control(self.settings, is_required=self.origins["panel"] != "default")

    @property
    def workers(self) -> int:
        """How many processes."""
        return self.settings.workers


def load(path: Path | None, environment: Mapping[str, str], flags: Flags) -> Configuration:
    """The configuration from its file, the environment and the flags; later ones win.

    Without `path` the file is the one that WAYPOST_CONFIG names, if any. Raises
    ConfigurationError with everything that is wrong.
    """
    problems: list[Problem] = []
    layers = [default_layer(machine_name(), _data_folder(environment))]
    named = environment.get("WAYPOST_CONFIG")
    if path is None and named:
        path = Path(named)
    if path is not None:
        layers.append(file_layer(path, problems))
    layers.append(environment_layer(environment, problems))
    layers.append(flags_layer(flags))

    routes_layer = _owner(layers, ("route",))
    settings = Settings()
    faulty: set[str] = set()
    for layer in layers:
        reading = Reading(
            layer.folder, environment,
            follow_routes=layer is routes_layer, from_text=layer.from_text,
        )  # fmt: skip
        of_layer, wrong = checked(layer, reading, problems)
        settings = _over(of_layer, settings)
        faulty |= wrong
    if settings.data is None and "data" not in faulty:
        problems.append(Problem("default", None, None, "data", _NO_HOME))

    def report(path: tuple[str | int, ...], reason: str, suggestion: str | None) -> None:
        layer = _owner(layers, path)
        problems.append(layer.problem(path, dotted(path), reason, suggestion))

    routes = _routes(settings, routes_layer, faulty, report)
    if not faulty & {"tls"}:
        build.check_tls(settings, report)
    if not faulty & {"listener", "access"}:
        build.check_listeners(settings, report)
    if not faulty & {"panel", "web"}:
        build.check_web(settings, report)
    if not faulty & {"sandbox"}:
        build.check_sandbox(settings, routes, report)
    if not faulty & {"dkim"}:
        build.check_signing(settings, report)
    if not faulty & {"delivery"}:
        build.check_delivery(settings, report)
    if not faulty & {"bounces", "workers"}:
        build.check_bounces(settings, report)
    if problems:
        raise ConfigurationError(sorted(problems, key=_by_place))
    service = build.service(settings, routes)
    try:
        processes = assignments(service.spool.directory, settings.workers)
        for mine in processes:
            settings_of(service, mine)
    except CannotShare as fault:
        report(("workers",), str(fault), None)
        raise ConfigurationError(problems) from fault
    return Configuration(settings, _origins(settings, layers), service, tuple(processes))


def _by_place(problem: Problem) -> tuple[int, int]:
    """In the order of the file; what stands in none comes last."""
    if problem.line is None:
        return (0, 0) if not problem.key else (1 << 60, 0)
    return problem.line, problem.column or 0


def _routes(
    settings: Settings, layer: Layer, faulty: set[str], report: build.Report
) -> tuple[Route, ...]:
    """The routes; fewer where some have faults."""
    sound = build.check_route_names(layer.document, report) and "route" not in faulty
    routes: list[Route] = []
    for number, section in enumerate(settings.route if sound else ()):
        try:
            routes.append(build.route(settings, section))
        except ValueError as fault:
            report(("route", number, "via"), str(fault), None)
    if sound and len(routes) == len(settings.route):
        build.check_routes(routes, report)
    return tuple(routes)


def _over(upper: Section, lower: Any) -> Any:
    """`lower` with everything that `upper` sets; tables are joined, lists replaced."""
    update: dict[str, object] = {}
    for name in upper.model_fields_set:
        value = getattr(upper, name)
        if isinstance(value, Section):
            value = _over(value, getattr(lower, name))
        update[name] = value
    return lower.model_copy(update=update)


def _owner(layers: list[Layer], path: tuple[str | int, ...]) -> Layer:
    """The uppermost layer that gives a key or, where none does, the table around it."""
    while path:
        for layer in reversed(layers):
            if layer.holds(path):
                return layer
        path = path[:-1]
    return layers[0]


def _origins(settings: Settings, layers: list[Layer]) -> dict[str, str]:
    origins: dict[str, str] = {}

    def walk(section: Section, path: tuple[str | int, ...]) -> None:
        for name, about in type(section).model_fields.items():
            here = (*path, name)
            value = getattr(section, name)
            if section_of(about.annotation) is None:
                origins[dotted(here)] = _origin(layers, here)
            elif isinstance(value, tuple):
                for number, one in enumerate(value):
                    walk(one, (*here, number))
            else:
                walk(value, here)

    walk(settings, ())
    return origins


def _origin(layers: list[Layer], path: tuple[str | int, ...]) -> str:
    # A list comes as a whole from one layer; what is not given inside it is a default.
    if len(path) > 1 and isinstance(path[1], int):
        owner = _owner(layers, path[:1])
        return owner.origin_of(path) if owner.holds(path) else "default"
    for layer in reversed(layers):
        if layer.holds(path):
            return layer.origin_of(path)
    return "default"


def _data_folder(environment: Mapping[str, str]) -> Path | None:
    """The user's data folder (XDG Base Directory Specification: relative paths are ignored)."""
    base = environment.get("XDG_DATA_HOME", "")
    if base.startswith("/"):
        return Path(base) / "waypost"
    home = environment.get("HOME")
    if home:
        return Path(home) / ".local" / "share" / "waypost"
    try:
        return Path.home() / ".local" / "share" / "waypost"
    except RuntimeError:
        return None

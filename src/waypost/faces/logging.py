"""What the relay says on standard error: lines for people, or JSON for programs.

Every line has a time, a level, an event and named values. Values from peers are shown with control
characters escaped, so that nobody writes into the log what did not happen.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_LEVELS = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING,
    "error": logging.ERROR,
}  # fmt: skip


def configure_logging(
    form: LogFormat = "console", level: LogLevel = "info", worker: str = ""
) -> None:
    """Set up the logging of this process; `worker` names it where a relay has several."""

    def named(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, "worker": worker} if worker else event

    colours = form == "console" and sys.stderr.isatty()
    last: structlog.typing.Processor
    if form == "json":
        last = structlog.processors.JSONRenderer()
    else:
        last = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)
    structlog.configure(
        processors=[
            named,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _harmless,
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        # One write for a line: several workers share standard error.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def renderer(form: LogFormat, worker: str = "") -> Callable[[EventDict], str]:
    """Makes a line of an event with its values, as this process's log has them, without colours."""
    render: structlog.typing.Processor
    if form == "json":
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        render = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)

    def line(event: EventDict) -> str:
        named = {**event, "worker": worker} if worker else event
        return str(render(None, "info", _harmless(None, "info", named)))

    return line


def _harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what would move the cursor or begin a line of its own."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _escaped(value)
        elif isinstance(value, list):
            event[name] = [_escaped(one) if isinstance(one, str) else one for one in value]
    return event


def _escaped(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")

"""/metrics: the relay's figures for Prometheus, read off its objects when they are asked for.

No message makes a call here: what rises was counted anyway (control.counters), what stands is
looked at. Labels are bounded: routes and listeners are the configuration's, reasons the table's,
destinations the DESTINATIONS that have most waiting mail. docs/reference/metrics.md has every name.

Who asks needs a key with messages:read; the gate in front lets nobody else through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.metrics_families import families
from waypost.faces.http.security import Caller, api_caller

router = APIRouter()

PATH: Final = "/metrics"


@router.get(PATH, include_in_schema=False)
async def metrics(
    request: Request, _caller: Annotated[Caller, api_caller(Permission.READ)]
) -> Response:
    """All figures, in Prometheus' text format."""
    room: ControlRoom = request.app.state.room
    # Objects are the loop's and are read here; to write thousands of lines is a thread's work.
    found = list(families(room))
    return Response(await asyncio.to_thread(text_of, found), media_type=CONTENT_TYPE_LATEST)


class _Found:
    """A collector of what has been read already."""

    def __init__(self, found: Sequence[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        return iter(self._found)

    def describe(self) -> Iterable[Metric]:
        return ()


def text_of(found: Sequence[Metric]) -> bytes:
    """The text, with what the system says of this process."""
    registry = CollectorRegistry()
    registry.register(_Found(found))
    ProcessCollector(registry=registry)
    return generate_latest(registry)

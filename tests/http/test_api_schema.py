"""The API against its own description: whatever comes, no answer is a server's error or of a kind
that the description does not tell.

Schemathesis makes the requests, of what the description allows and of what it does not. The service
runs on a loop of its own in a thread, and connects to nobody.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from web_room import BASE, web_room

from waypost.control.permissions import Role
from waypost.faces.http.rate_limit import ApiRate
from waypost.net.static_resolver import StaticResolver

EXAMPLES = 25
"""Requests for one operation."""

ENDLESS = frozenset({"/api/v1/events/stream"})
"""Paths whose answers have no end."""

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance, response_headers_conformance, negative_data_rejection,
]  # fmt: skip

ENOUGH = ApiRate(per_second=1e9, burst=10**9)


class NoNetwork:
    """Nobody is there."""

    async def connect(
        self, factory: Callable[[], Any], address: str, port: int, **_: object
    ) -> Any:
        raise ConnectionRefusedError(111, "Connection refused")

    async def start_tls(
        self, transport: Any, protocol: Any, tls: ssl.SSLContext, server_name: str | None
    ) -> Any:
        raise AssertionError("nothing was connected")


class Served:
    """The application on a loop in a thread, and somebody who may do everything."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._stack = AsyncExitStack()
        self._thread.start()
        self.client: httpx.AsyncClient = self._do(self._open(folder))
        self.description: dict[str, Any] = self.get("/api/v1/openapi.json")

    async def _open(self, folder: Path) -> httpx.AsyncClient:
        room = await self._stack.enter_async_context(web_room(folder))
        room.service.network = NoNetwork()
        room.service.resolver = StaticResolver()
        room.application.state.rate_limiter.rate = ENOUGH
        return await room.person(Role.ADMIN)

    def close(self) -> None:
        try:
            self._do(self._stack.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def get(self, path: str) -> Any:
        return self._do(self.client.get(path)).json()

    def send(self, case: schemathesis.Case) -> httpx.Response:
        """What schemathesis has made, as the client of that person."""
        told = case.as_transport_kwargs(base_url=BASE)
        told.pop("cookies", None)
        told["headers"] = {
            name: value
            for name, value in dict(told["headers"]).items()
            if name.lower() not in ("authorization", "x-csrf-token")
        }
        answer: httpx.Response = self._do(self.client.request(**told))
        return answer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("schema"))
    try:
        yield made
    finally:
        made.close()


def operations(served: Served) -> Iterator[Any]:
    schema = schemathesis.openapi.from_dict(served.description)
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path not in ENDLESS:
            yield operation


@pytest.mark.timeout(300)
def test_no_request_finds_a_fault_of_ours_or_an_answer_that_is_not_described(
    served: Served,
) -> None:
    found: list[str] = []
    count = 0
    for operation in operations(served):
        strategy = operation.as_strategy()

        @settings(
            max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=strategy)
        def one(case: schemathesis.Case) -> None:
            nonlocal count
            count += 1
            answer = served.send(case)
            case.validate_response(answer, checks=CHECKS)

        try:
            one()
        except BaseExceptionGroup as faults:
            found += [f"{operation.label}: {fault}" for fault in faults.exceptions]
    assert not found, "\n\n".join(found)
    assert count > 200

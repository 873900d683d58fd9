"""The API put together: its routes, its bounds, and its description (OpenAPI 3.1)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from waypost.faces.http.api import (
    accounts,
    doctor,
    events,
    messages,
    messages_actions,
    queues,
    routes,
    sandbox,
    status,
    submission,
    suppressions,
    templates,
    webhooks,
)
from waypost.faces.http.api_parts import BoundedBodies, taken
from waypost.faces.http.problems import API
from waypost.faces.http.rate_limit import ApiRate, RateLimit, RateLimiter

_DESCRIPTION: Final = """\
Everything that a relay does, for programs: submit mail, follow it, steer the queue.

Authenticate with an API key, `Authorization: Bearer wpk_...` (`waypost key add NAME` makes one).
What goes wrong is told as `application/problem+json` (RFC 9457): `detail` says what happened and
what to do next. Lists come in pages: give `next` of one as `cursor` of the following request. Each
answer says in `RateLimit` how many requests are left.
"""

_TAGS: Final = {
    "messages": "Submit messages, find them, read what became of them.",
    "queue": "Retry, hold, release and cancel what waits; pause destinations.",
    "routes": "Where mail goes, and how it goes.",
    "suppressions": "Addresses to which nothing is sent.",
    "events": "What happened to messages, in order, and as it happens.",
    "webhooks": "Events sent to your programs, signed, until they are taken.",
    "templates": "Messages with places to fill in.",
    "doctor": "What a reply means, and what is wrong with a server or domain.",
    "sandbox": "What is to go wrong for programs that are tested.",
    "accounts": "People of the panel, API keys, the relay's users, the audit log.",
    "status": "The relay as a whole.",
}


_PARTS: Final = (
    submission, messages, messages_actions, queues, routes, suppressions, templates, events,
    webhooks, sandbox, doctor, accounts, status,
)  # fmt: skip


def add_api(application: FastAPI) -> None:
    """Add all routes of the API."""
    for part in _PARTS:
        application.include_router(part.router)


def bound_api(application: FastAPI, monotonic: Callable[[], float]) -> None:
    """Bound what callers of the API may ask, and how much they may send. The limiter stands in
    `application.state.rate_limiter`."""
    application.state.rate_limiter = RateLimiter(ApiRate(), monotonic)
    application.add_middleware(BoundedBodies)
    application.add_middleware(RateLimit, limiter=application.state.rate_limiter)


def describe(application: FastAPI) -> None:
    """Have the application describe its API by the following."""

    def made() -> dict[str, Any]:
        if application.openapi_schema is None:
            application.openapi_schema = _described(application)
        return application.openapi_schema

    application.openapi = made  # type: ignore[method-assign]


def _described(application: FastAPI) -> dict[str, Any]:
    described = get_openapi(
        title="Waypost",
        version=application.version,
        openapi_version="3.1.0",
        summary="Mail from an application to the recipient's server, reliably.",
        description=_DESCRIPTION,
        routes=application.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    paths = described.get("paths", {})
    described["paths"] = {path: paths[path] for path in paths if path.startswith(API)}
    _, definitions = models_json_schema(
        [(model, "validation") for model in taken.values()],
        ref_template="#/components/schemas/{model}",
    )
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in definitions.get("$defs", {}).items():
        schemas.setdefault(name, schema)
    for path, method, needed in _permissions():
        operation = described["paths"].get(path, {}).get(method)
        if operation is not None and needed:
            names = ", ".join(f"`{one}`" for one in needed)
            operation["x-permissions"] = list(needed)
            operation["description"] = (
                f"{operation.get('description', '')}\n\nNeeds {names}.".lstrip()
            )
    for methods in described["paths"].values():
        for operation in methods.values():
            operation["operationId"] = _camel(operation["operationId"])
    described["security"] = [{"key": []}, {"session": []}]
    return described


def _permissions() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Path, method and permissions of each route, as its dependency on `api_caller` says."""
    for part in _PARTS:
        for route in part.router.routes:
            if not isinstance(route, APIRoute):
                continue
            needed: list[str] = []
            for one in route.dependant.dependencies:
                if one.call is not None and inspect.isfunction(one.call):
                    needed += inspect.getclosurevars(one.call).nonlocals.get("permissions", ())
            for method in route.methods or ():
                yield route.path, method.lower(), tuple(map(str, needed))


def _camel(name: str) -> str:
    """The name of an operation for generators of clients."""
    first, *rest = name.partition("_api_v1_")[0].split("_")
    return first + "".join(word.capitalize() for word in rest)


def described_api() -> dict[str, Any]:
    """The description alone, without a relay."""
    application = FastAPI(title="Waypost", version="1")
    add_api(application)
    return _described(application)

"""The web application: every part put together, over one control room."""

from __future__ import annotations

from fastapi import FastAPI

from waypost.config import Configuration
from waypost.control.room import ControlRoom
from waypost.faces.http import health, metrics
from waypost.faces.http.openapi import add_api, bound_api, describe
from waypost.faces.http.panel import (
    accounts,
    accounts_own,
    audit,
    inbox,
    inbox_release,
    keys,
    login,
    logs,
    message,
    messages,
    overview,
    pauses,
    preview,
    queues,
    routes,
    sandbox_rules,
    settings,
    start,
    suppressions,
    theme,
)
from waypost.faces.http.panel import webhooks as webhook_pages
from waypost.faces.http.panel.pages import Panel
from waypost.faces.http.problems import Unexpected, add_handlers
from waypost.faces.http.security_application import secure


def create_application(room: ControlRoom, configuration: Configuration | None = None) -> FastAPI:
    """The application. Its parts find the room as `request.app.state.room`, and the configuration
    beside it, for the page that shows it."""
    application = FastAPI(
        title="Waypost",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    application.state.room = room
    application.state.configuration = configuration
    application.include_router(health.router)
    application.include_router(metrics.router)
    add_api(application)
    Panel().install(application)
    for part in (theme, overview, pauses, queues, routes, suppressions, settings, logs):
        application.include_router(part.router)
    for mail in (messages, message, preview, sandbox_rules, inbox, inbox_release, start):
        application.include_router(mail.router)
    for people in (login, accounts_own, accounts, keys, audit):
        application.include_router(people.router)
    application.include_router(webhook_pages.router)
    describe(application)
    bound_api(application, room.clock.monotonic)
    add_handlers(application)
    secure(application, room)  # last: nothing comes before the perimeter
    application.add_middleware(Unexpected)  # but what catches its own faults
    return application

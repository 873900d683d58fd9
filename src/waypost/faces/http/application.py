"""The web application: every part put together, over one control room."""

from __future__ import annotations

from fastapi import FastAPI

from waypost.control.room import ControlRoom
from waypost.faces.http.panel import theme
from waypost.faces.http.panel.pages import Panel
from waypost.faces.http.problems import add_handlers
from waypost.faces.http.security_application import secure


def create_application(room: ControlRoom) -> FastAPI:
    """The application. Its parts find the room as `request.app.state.room`."""
    application = FastAPI(
        title="Waypost",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    application.state.room = room
    Panel().install(application)
    application.include_router(theme.router)
    add_handlers(application)
    secure(application, room)  # last: nothing comes before the perimeter
    return application

"""What all pages of the panel share: templates, the frame around them, and what they tell after
an action.

`page` renders one; `told` ends a form's action with a redirect and one sentence that the next page
shows; `error_page` says what went wrong. Jinja2 escapes everything; `wording.visible` disarms the
characters that HTML lets through.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import jinja2
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from waypost.faces.http.panel import wording
from waypost.faces.http.panel.navigation import Visitor, is_current, places_for
from waypost.faces.http.panel.static_files import StaticFiles
from waypost.faces.http.problems import Problem
from waypost.faces.http.security import caller_of

TEMPLATES: Final = Path(__file__).with_name("templates")

NOTES: Final = 200
"""Sentences kept for the pages that follow an action; the oldest go first."""

THEMES: Final = ("light", "dark")


class Panel:
    """The templates and static files of one application (`request.app.state.panel`)."""

    def __init__(self) -> None:
        self.static = StaticFiles()
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=wording.visible,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.templates.filters.update(wording.FILTERS)
        self.templates.globals.update(
            static=self.static.url, version=version("waypost"), is_current=is_current
        )
        self._notes: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._paths: frozenset[str] | None = None

    def install(self, application: FastAPI) -> None:
        """Make it known to the application's requests, and serve its files."""
        application.state.panel = self
        application.state.error_page = _problem_page
        application.include_router(self.static.router())

    def paths(self, application: FastAPI) -> frozenset[str]:
        """The pages that there are."""
        if self._paths is None:
            self._paths = frozenset(_paths_of(application.routes))
        return self._paths

    def note(self, text: str, tone: str) -> str:
        """Keep a sentence for the next page; returns what it is asked for with."""
        token = secrets.token_urlsafe(9)
        self._notes[token] = (text, tone)
        while len(self._notes) > NOTES:
            self._notes.popitem(last=False)
        return token

    def noted(self, token: str | None) -> tuple[str, str] | None:
        """The sentence, once."""
        return self._notes.pop(token, None) if token else None


def _paths_of(routes: Iterable[Any]) -> Iterator[str]:
    """The paths of routes, also of those in routers that FastAPI has included as they are."""
    for one in routes:
        inner = getattr(one, "original_router", None)
        if inner is not None:
            yield from _paths_of(inner.routes)
        else:
            yield str(getattr(one, "path", ""))


def rendered(request: Request, name: str, caller: Visitor | None, /, **values: Any) -> str:
    """A template with what every page knows: the caller, the time, the navigation."""
    panel: Panel = request.app.state.panel
    now: float = request.app.state.room.clock.now()
    theme = request.cookies.get("theme")
    return panel.templates.get_template(name).render(
        request=request,
        path=request.url.path,
        caller=caller,
        csrf=Markup('<input type="hidden" name="csrf" value="{}">').format(
            caller.csrf if caller else ""
        ),
        may=caller.permissions if caller is not None else frozenset(),
        now=now,
        relative=lambda at: wording.relative(at, now),
        theme=theme if theme in THEMES else "",
        navigation=places_for(caller, panel.paths(request.app)),
        told=panel.noted(request.query_params.get("told")),
        **values,
    )


def page(
    request: Request, name: str, caller: Visitor | None, /, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A whole page, made from `templates/NAME`, which extends layout.html.

    Beside `values` a template has: caller, may (the caller's permissions), csrf (the hidden field),
    now (seconds since the epoch), relative(at), told, path; and the filters of `wording`.
    """
    return HTMLResponse(
        rendered(request, name, caller, **values), status, {"Cache-Control": "no-store"}
    )


def told(request: Request, path: str, text: str, tone: str = "good") -> RedirectResponse:
    """Go to a page (303) that says `text` once. Tones: good, wait, bad, info.

    `path` is one of ours, never what a request gives.
    """
    token = request.app.state.panel.note(text, tone)
    joint = "&" if "?" in path else "?"
    return RedirectResponse(f"{path}{joint}told={token}", 303)


def _problem_page(request: Request, problem: Problem) -> HTMLResponse:
    return error_page(request, problem.status, problem.title, problem.detail, caller_of(request))


def error_page(
    request: Request, status: int, title: str, detail: str, caller: Visitor | None = None
) -> HTMLResponse:
    """What went wrong and what to do next, as a page."""
    return page(
        request, "error.html", caller, status=status, status_code=status, title=title,
        detail=detail,
    )  # fmt: skip

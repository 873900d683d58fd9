"""Light or dark, as somebody chooses; without a choice the system's theme counts (panel.css)."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse

from waypost.faces.http.panel.pages import THEMES

KEPT_SECONDS: Final = 365 * 86400

router = APIRouter(include_in_schema=False)


@router.post("/theme")
async def choose_theme(
    request: Request, theme: Annotated[str, Form()], back: Annotated[str, Form()] = "/"
) -> RedirectResponse:
    """Keep the choice in a cookie and go back.

    It needs no login and changes nothing but the looks of this browser.
    """
    answer = RedirectResponse(own_path(back), 303)
    if theme in THEMES:
        answer.set_cookie(
            "theme", theme, KEPT_SECONDS, httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
    else:
        answer.delete_cookie("theme")
    return answer


def own_path(path: str) -> str:
    """The path, where it is one of this panel; "/" otherwise (no redirect leads elsewhere)."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_own and path.isprintable() and path.isascii() else "/"

"""A web that knows what it is told: for tests and the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from waypost.net.web import Page, WebFailure, WebRequest, WebUnreachable


@dataclass(slots=True)
class StaticWeb:
    """Implements Web. What it was not told is not reachable."""

    pages: Mapping[str, Page | WebFailure | bytes] = field(default_factory=dict)
    """By URL; bytes are the body of an answer with status 200."""
    asked: list[WebRequest] = field(default_factory=list)

    async def page(self, request: WebRequest) -> Page:
        """See Web.page."""
        self.asked.append(request)
        found = self.pages.get(request.url)
        if found is None:
            raise WebUnreachable(request.url, "there is no such host")
        if isinstance(found, WebFailure):
            raise found
        if isinstance(found, bytes):
            if len(found) > request.largest:
                raise WebFailure(request.url, f"is larger than {request.largest} bytes")
            return Page(request.url, 200, "text/plain", found)
        return found

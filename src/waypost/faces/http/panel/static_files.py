"""The panel's style, scripts and pictures, under addresses that change with their content.

`/static/HASH/panel.css`: the hash is of all files together, so that scripts which import each
other are of one version, and a browser may keep them for ever.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

FOLDER: Final = Path(__file__).with_name("static")

KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}

FOR_EVER: Final = "public, max-age=31536000, immutable"


class StaticFiles:
    """The files, read once into memory: they are few and small."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.contents = {
            file.name: file.read_bytes()
            for file in sorted(folder.iterdir())
            if file.suffix in KINDS
        }
        digest = hashlib.sha256()
        for name, content in self.contents.items():
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        self.version = digest.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Where a file is. Raises KeyError: a template names a file that is not there."""
        if name not in self.contents:
            raise KeyError(f"static/{name}")
        return f"/static/{self.version}/{name}"

    def router(self) -> APIRouter:
        """What serves them, to anybody."""
        router = APIRouter()

        @router.api_route(
            "/static/{version}/{name}", methods=["GET", "HEAD"], include_in_schema=False
        )
        async def file(version: str, name: str) -> Response:
            content = self.contents.get(name)
            if content is None:
                raise HTTPException(404)
            # A page of before an update asks for the old version: it gets the new one, once.
            keep = FOR_EVER if version == self.version else "no-store"
            kind = KINDS[Path(name).suffix]
            return Response(content, media_type=kind, headers={"Cache-Control": keep})

        return router

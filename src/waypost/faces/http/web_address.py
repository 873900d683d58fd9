"""Under which address the panel is reached, for links that leave it."""

from __future__ import annotations

from fastapi import Request


def own_address(request: Request) -> str:
    """https://mail.example.com, as configured; otherwise as this request came."""
    configured: str = request.app.state.room.settings.public_url
    return configured or f"{request.scope['scheme']}://{request.headers.get('host', '')}"

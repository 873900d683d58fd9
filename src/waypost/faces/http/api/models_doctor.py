"""The forms of what the doctor is asked over the API. Its answers are those of the commands:
docs/reference has explain, check and domain-health."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from waypost.faces.http.api.models import Given

MAXIMUM_TEXT: Final = 512 * 1024

Document = dict[str, Any]


class TextToExplain(Given):
    """Anything that a mail server or program has said."""

    text: str = Field(min_length=1, max_length=MAXIMUM_TEXT, examples=["550 5.1.1 no such user"])


class ServerToCheck(Given):
    """A server, a domain or an address, and how to look at it."""

    target: str = Field(
        min_length=1,
        max_length=500,
        description="host, host:port, smtp://, smtps://, a provider, a domain or an address.",
        examples=["smtp://mail.example.com:587"],
    )
    user: str | None = Field(default=None, min_length=1, max_length=300)
    password: str | None = Field(default=None, min_length=1, max_length=5000, repr=False)
    sender: str | None = Field(default=None, max_length=500)
    recipient: str | None = Field(
        default=None, max_length=500, description="Asked for with RCPT; no mail is sent."
    )
    tls: Literal["starttls", "if-offered", "implicit", "none"] | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    seconds: float = Field(default=10.0, gt=0, le=20, description="For each step.")


class SubjectToDiscover(Given):
    """Whose server for sending is looked for."""

    subject: str = Field(min_length=1, max_length=500, examples=["you@example.com"])
    thorough: bool = Field(default=False, description="Ask everybody, in any case.")


class ServerToPing(Given):
    """A server whose response time is measured."""

    target: str = Field(min_length=1, max_length=500, examples=["mail.example.com:25"])
    count: int = Field(default=3, ge=1, le=10, description="Sessions.")
    seconds: float = Field(default=10.0, gt=0, le=20, description="For each stage.")
    user: str | None = Field(default=None, min_length=1, max_length=300)
    password: str | None = Field(default=None, min_length=1, max_length=5000, repr=False)

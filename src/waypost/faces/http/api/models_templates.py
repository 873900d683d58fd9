"""The forms of templates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field, JsonValue, StringConstraints

from waypost.faces.http.api.models import Given, Told
from waypost.faces.http.api.models_sending import MAXIMUM_VARIABLES

MAXIMUM_PART: Final = 128 * 1024
"""Characters of a part of a template."""

TemplateName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class TemplateToStore(Given):
    """The parts of a template."""

    subject: str = Field(default="", max_length=2000, examples=["Welcome, {{ name }}"])
    text: str | None = Field(
        default=None, max_length=MAXIMUM_PART, examples=["Hello {{ name }}, ..."]
    )
    html: str | None = Field(default=None, max_length=MAXIMUM_PART)


class Template(Told):
    """A template and what it needs."""

    name: str
    subject: str
    text: str | None
    html: str | None
    variables: list[str] = Field(description="That must be given.")
    optional: list[str] = Field(description="That may be given.")
    changed: datetime
    changed_by: str


class TemplateVariables(Given):
    """What a template is rendered with."""

    variables: dict[str, JsonValue] = Field(default={}, max_length=MAXIMUM_VARIABLES)


class Rendered(Told):
    """A template with its variables put in."""

    subject: str
    text: str | None
    html: str | None

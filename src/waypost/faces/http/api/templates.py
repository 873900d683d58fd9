"""Templates over the API: to store them, to see what they make, and to send by them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.control.templates import (
    MAXIMUM_TEMPLATES,
    InvalidPart,
    MailTemplate,
    NoSuchTemplate,
    RenderedParts,
    TooManyTemplates,
)
from waypost.faces.documents import Document, time_text
from waypost.faces.http.api.models import Page
from waypost.faces.http.api.models_templates import (
    Rendered,
    Template,
    TemplateToStore,
    TemplateVariables,
)
from waypost.faces.http.api_parts import (
    BODY_REFUSALS,
    PREFIX,
    Room,
    answer,
    body_of,
    refusals,
    takes,
)
from waypost.faces.http.pagination import Cursor, Limit, make_cursor, read_cursor
from waypost.faces.http.problems import Problem, not_found, problem_type
from waypost.faces.http.security import Caller, api_caller

router = APIRouter(prefix=PREFIX, tags=["templates"])

KIND = "templates"

TemplateName = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Its name.",
        examples=["welcome"],
    ),
]
Reader = Annotated[Caller, api_caller()]
Writer = Annotated[Caller, api_caller(Permission.TEMPLATES)]


async def rendered(
    room: ControlRoom, name: str, variables: Mapping[str, Any], pointer: str = "#"
) -> RenderedParts:
    """What a template makes. Raises Problem."""
    template = await found(room, name)
    try:
        return await asyncio.to_thread(template.rendered, variables)
    except InvalidPart as fault:
        raise _invalid(fault, pointer) from None


async def found(room: ControlRoom, name: str) -> MailTemplate:
    """The template of a name. Raises Problem 404."""
    try:
        return await room.templates.get(name)
    except NoSuchTemplate:
        raise not_found(
            f"there is no template {name!r:.80}; GET /api/v1/templates lists those that there are"
        ) from None


def _invalid(fault: InvalidPart, pointer: str) -> Problem:
    place = f"{pointer}/{fault.part}"
    return Problem(
        422,
        f"{fault.part}: {fault.problem}",
        title="The template cannot be used so",
        type=problem_type("invalid-template"),
        errors=[{"in": "body", "pointer": place, "detail": fault.problem}],
    )


def template_document(template: MailTemplate) -> Document:
    """A template with what it needs."""
    try:
        needs = template.needs()
    except InvalidPart:  # stored by a version that took more
        required, optional = [], []
    else:
        required, optional = sorted(needs.required), sorted(needs.optional)
    return {
        "name": template.name,
        "subject": template.subject,
        "text": template.text,
        "html": template.html,
        "variables": required,
        "optional": optional,
        "changed": time_text(template.changed_at),
        "changed_by": template.changed_by,
    }


@router.get(
    "/templates",
    summary="List templates",
    operation_id="listTemplates",
    response_model=Page[Template],
    responses=refusals(),
)
async def list_templates(
    room: Room, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """By name."""
    del caller
    after = read_cursor(KIND, cursor) or ""
    found = [one for one in await room.templates.all() if one.name > after]
    page = found[:limit]
    items = await asyncio.to_thread(lambda: [template_document(one) for one in page])
    following = make_cursor(KIND, page[-1].name) if len(found) > limit else None
    return answer({"items": items, "next": following})


@router.get(
    "/templates/{name}",
    summary="See a template",
    operation_id="getTemplate",
    response_model=Template,
    responses=refusals(404),
)
async def get_template(room: Room, caller: Reader, name: TemplateName) -> Response:
    """With the variables that it needs."""
    del caller
    template = await found(room, name)
    return answer(await asyncio.to_thread(template_document, template))


@router.put(
    "/templates/{name}",
    summary="Store a template",
    operation_id="storeTemplate",
    response_model=Template,
    responses=refusals(*BODY_REFUSALS, 409) | {201: {"model": Template, "description": "New."}},
    openapi_extra=takes(TemplateToStore),
)
async def store_template(
    room: Room,
    caller: Writer,
    name: TemplateName,
    given: Annotated[TemplateToStore, body_of(TemplateToStore)],
) -> Response:
    """In place of the one of this name. The language is Jinja2's, of which there are values,
    filters, `if` and `for`; in HTML every value is escaped. docs/howto/send-over-http.md has
    more."""
    made = MailTemplate(name, given.subject, given.text, given.html)
    try:
        await asyncio.to_thread(made.needs)
        is_new = await room.templates.store(made, caller.name)
    except InvalidPart as fault:
        raise _invalid(fault, "#") from None
    except TooManyTemplates:
        raise Problem(
            409,
            f"there are {MAXIMUM_TEMPLATES} templates already; remove one",
            type=problem_type("too-many-templates"),
        ) from None
    await room.audit.record(caller.name, "template stored", name)
    stored = await found(room, name)
    document = await asyncio.to_thread(template_document, stored)
    return answer(document, 201 if is_new else 200)


@router.delete(
    "/templates/{name}",
    status_code=204,
    summary="Remove a template",
    operation_id="removeTemplate",
    response_class=Response,
    responses=refusals(404),
)
async def remove_template(room: Room, caller: Writer, name: TemplateName) -> Response:
    """What was sent by it stays as it was."""
    await found(room, name)
    try:
        await room.templates.remove(name)
    except NoSuchTemplate:
        raise not_found("the template has just been removed") from None
    await room.audit.record(caller.name, "template removed", name)
    return Response(status_code=204)


@router.post(
    "/templates/{name}/render",
    summary="See what a template makes",
    operation_id="renderTemplate",
    response_model=Rendered,
    responses=refusals(*BODY_REFUSALS, 404),
    openapi_extra=takes(TemplateVariables, required=False),
)
async def render_template(
    room: Room,
    caller: Reader,
    name: TemplateName,
    given: Annotated[TemplateVariables, body_of(TemplateVariables, required=False)],
) -> Response:
    """With the variables put in, as a message would have it. Nothing is sent."""
    del caller
    made = await rendered(room, name, given.variables)
    return answer({"subject": made.subject, "text": made.text, "html": made.html})

"""The suppression list over the API: addresses to which nothing is sent."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.responses import Response

from waypost.administration import BATCH
from waypost.control.permissions import Permission
from waypost.faces.documents import suppression_document
from waypost.faces.http.api.models import Page
from waypost.faces.http.api.models_queues import Imported, Suppression, SuppressionsToAdd
from waypost.faces.http.api.status import see_all
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
from waypost.mail.address import InvalidAddress, parse_address

router = APIRouter(prefix=PREFIX, tags=["suppressions"])

KIND: Final = "suppressions"

Reader = Annotated[Caller, api_caller(Permission.READ)]
Writer = Annotated[Caller, api_caller(Permission.SUPPRESS)]


@router.get(
    "/suppressions",
    summary="List suppressed addresses",
    operation_id="listSuppressions",
    response_model=Page[Suppression],
    responses=refusals(),
)
async def list_suppressions(
    room: Room, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """By address, in lower case."""
    see_all(caller)
    after = read_cursor(KIND, cursor) or ""
    found = await room.administration.suppressions(after)
    page = found[:limit]
    more = len(found) > limit or len(found) == BATCH
    following = make_cursor(KIND, page[-1].address) if more else None
    return answer({"items": [suppression_document(one) for one in page], "next": following})


@router.post(
    "/suppressions",
    summary="Suppress addresses",
    operation_id="addSuppressions",
    response_model=Imported,
    responses=refusals(*BODY_REFUSALS),
    openapi_extra=takes(SuppressionsToAdd),
)
async def add_suppressions(
    room: Room,
    caller: Writer,
    given: Annotated[SuppressionsToAdd, body_of(SuppressionsToAdd)],
) -> Response:
    """All of them, or none where one is no address. A known one gets the new reason."""
    see_all(caller)
    reasons: dict[str, str] = {}
    for number, one in enumerate(given.items):
        try:
            address = str(parse_address(one.address, smtputf8=True))
        except InvalidAddress as fault:
            raise Problem(
                422,
                f"#/items/{number}/address: it is no address: {fault.reason}",
                title="The request is not of the described form",
                type=problem_type("invalid-request"),
                errors=[
                    {
                        "in": "body",
                        "pointer": f"#/items/{number}/address",
                        "detail": fault.reason,
                    }
                ],
            ) from None
        reasons[address.lower()] = one.reason
    # Side by side, so that they share the spool's commits.
    await asyncio.gather(*(room.administration.suppress(*one) for one in reasons.items()))
    some = ", ".join(list(reasons)[:5])
    await room.audit.record(caller.name, "addresses suppressed", some, f"{len(reasons)} addresses")
    return answer({"added": len(reasons)})


@router.delete(
    "/suppressions/{address}",
    status_code=204,
    summary="Send to an address again",
    operation_id="removeSuppression",
    response_class=Response,
    responses=refusals(404),
)
async def remove_suppression(
    room: Room,
    caller: Writer,
    address: Annotated[str, Path(max_length=320, examples=["ann@example.org"])],
) -> Response:
    """From now on; what was refused stays refused."""
    see_all(caller)
    if not await room.administration.unsuppress(address):
        raise not_found("the address is not on the suppression list")
    await room.audit.record(caller.name, "address released", address)
    return Response(status_code=204)

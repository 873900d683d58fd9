"""Webhooks over the API: to set them up, and to see and repeat what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from waypost.control.event_log_documents import EVENT_TYPES, moment_text
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.control.webhooks_deliveries import Delivery, DeliveryState
from waypost.control.webhooks_endpoint import (
    Endpoint,
    EndpointSettings,
    InvalidWebhook,
    NoSuchWebhook,
)
from waypost.faces.http.api.models import Page
from waypost.faces.http.api.models_events import (
    ReplayForm,
    TestResult,
    Webhook,
    WebhookChange,
    WebhookDelivery,
    WebhookForm,
    WebhookList,
    WebhookWithSecret,
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
from waypost.spool.identifiers import identifier_text

router = APIRouter(prefix=f"{PREFIX}/webhooks", tags=["webhooks"])

Changer = Annotated[Caller, api_caller(Permission.WEBHOOKS)]
Id = Annotated[str, Path(pattern=r"^wh_[0-9a-f]{16}$", examples=["wh_0123456789abcdef"])]
Number = Annotated[int, Path(ge=1, le=(1 << 63) - 1, description="Of the delivery.")]

DELIVERIES: Final = "deliveries"


@contextmanager
def _told(caller: Caller) -> Iterator[None]:
    """What cannot be done, as a problem. A webhook sees everybody's mail, so a key that is bound to
    a user has none."""
    if caller.user is not None:
        raise Problem(
            403,
            f"this key is bound to the user {caller.user}; webhooks are about everybody's mail",
            type=problem_type("forbidden"),
        )
    try:
        yield
    except NoSuchWebhook:
        raise not_found("there is no such webhook or delivery, or no longer") from None
    except InvalidWebhook as fault:
        raise Problem(
            422,
            str(fault),
            title="A webhook cannot be like this",
            type=problem_type("invalid-webhook"),
            errors=[{"in": "body", "pointer": f"#/{fault.field}", "detail": str(fault)}],
        ) from None


async def _document(room: ControlRoom, one: Endpoint) -> dict[str, Any]:
    settings = one.settings
    return {
        "id": one.id,
        "url": settings.url,
        "description": settings.description,
        "types": [known for known in EVENT_TYPES if known in settings.types],
        "tag": settings.tag,
        "route": settings.route,
        "user": settings.user,
        "enabled": settings.enabled,
        "disabled_reason": one.disabled_reason,
        "created": moment_text(one.created_at),
        "waiting": await room.webhooks.waiting(one.id),
        "failures": one.failures,
        "failing_since": moment_text(one.failing_since),
    }


def _delivery(one: Delivery) -> dict[str, Any]:
    return {
        "id": one.id,
        "event": one.event,
        "type": one.type,
        "message": identifier_text(one.message) if one.message else None,
        "timestamp": moment_text(one.event_at),
        "state": one.state.value,
        "failed": one.failed,
        "next_attempt": moment_text(one.next_at),
        "attempts": [
            {
                "at": moment_text(attempt.at),
                "status": attempt.status,
                "seconds": round(attempt.seconds, 6),
                "error": attempt.error,
                "answer": attempt.answer,
            }
            for attempt in one.attempts
        ],
    }


@router.get("", summary="List webhooks", response_model=WebhookList, responses=refusals())
async def list_webhooks(room: Room, caller: Changer) -> Response:
    """All of them, the oldest first."""
    with _told(caller):
        found = await room.webhooks.endpoints()
        return answer({"items": [await _document(room, one) for one in found]})


@router.post(
    "",
    status_code=201,
    summary="Add a webhook",
    response_model=WebhookWithSecret,
    responses=refusals(*BODY_REFUSALS),
    openapi_extra=takes(WebhookForm),
)
async def add_webhook(
    room: Room, caller: Changer, form: Annotated[WebhookForm, body_of(WebhookForm)]
) -> Response:
    """It gets what happens from now on. Its secret is told here and never again."""
    with _told(caller):
        settings = EndpointSettings(
            form.url, form.description, frozenset(form.types), form.tag, form.route, form.user,
            form.enabled,
        )  # fmt: skip
        made = await room.webhooks.add(settings, form.secret)
    await room.audit.record(caller.name, "webhook added", made.id, made.settings.url)
    document = await _document(room, made) | {"secret": made.secret}
    return answer(document, 201, {"Location": f"{PREFIX}/webhooks/{made.id}"})


@router.get("/{webhook}", summary="Show a webhook", response_model=Webhook, responses=refusals(404))
async def show_webhook(room: Room, caller: Changer, webhook: Id) -> Response:
    """One of them."""
    with _told(caller):
        return answer(await _document(room, await room.webhooks.endpoint(webhook)))


@router.patch(
    "/{webhook}",
    summary="Change a webhook",
    response_model=Webhook,
    responses=refusals(404, *BODY_REFUSALS),
    openapi_extra=takes(WebhookChange),
)
async def change_webhook(
    room: Room,
    caller: Changer,
    webhook: Id,
    form: Annotated[WebhookChange, body_of(WebhookChange)],
) -> Response:
    """Only what is given is changed. Enabled again, it goes on where it stopped, unless `skip`."""
    given = form.model_dump(exclude_none=True, exclude={"skip"})
    with _told(caller):
        before = (await room.webhooks.endpoint(webhook)).settings
        now = EndpointSettings(
            given.get("url", before.url),
            given.get("description", before.description),
            frozenset(given.get("types", before.types)),
            given.get("tag", before.tag),
            given.get("route", before.route),
            given.get("user", before.user),
            given.get("enabled", before.enabled),
        )
        made = await room.webhooks.change(webhook, now, skip=form.skip)
        await room.audit.record(caller.name, "webhook changed", webhook, ", ".join(sorted(given)))
        return answer(await _document(room, made))


@router.delete("/{webhook}", status_code=204, summary="Remove a webhook", responses=refusals(404))
async def remove_webhook(room: Room, caller: Changer, webhook: Id) -> Response:
    """With its deliveries."""
    with _told(caller):
        await room.webhooks.remove(webhook)
    await room.audit.record(caller.name, "webhook removed", webhook)
    return Response(status_code=204)


@router.post(
    "/{webhook}/secret",
    summary="Replace the secret of a webhook",
    response_model=WebhookWithSecret,
    responses=refusals(404),
)
async def rotate_secret(room: Room, caller: Changer, webhook: Id) -> Response:
    """For a day requests carry a signature with each, so that the receiver can change over."""
    with _told(caller):
        made = await room.webhooks.rotate(webhook)
        await room.audit.record(caller.name, "webhook secret replaced", webhook)
        return answer(await _document(room, made) | {"secret": made.secret})


@router.post(
    "/{webhook}/test", summary="Send a test event", response_model=TestResult,
    responses=refusals(404),
)  # fmt: skip
async def test_webhook(room: Room, caller: Changer, webhook: Id) -> Response:
    """An event of the type `webhook.test`, now and once, signed like all others."""
    with _told(caller):
        told = await room.webhooks.test(webhook)
    await room.audit.record(caller.name, "webhook tested", webhook, told.error)
    return answer(
        {
            "status": told.status, "seconds": round(told.seconds, 6), "error": told.error,
            "answer": told.text,
        }
    )  # fmt: skip


@router.get(
    "/{webhook}/deliveries",
    summary="List what was sent to a webhook",
    response_model=Page[WebhookDelivery],
    responses=refusals(404),
)
async def list_deliveries(
    room: Room,
    caller: Changer,
    webhook: Id,
    cursor: Cursor = None,
    limit: Limit = 50,
    state: Annotated[Literal["waiting", "delivered", "failed"] | None, Query()] = None,
) -> Response:
    """The newest first. The last 5,000 that are over are kept, and all that wait."""
    place = read_cursor(DELIVERIES, cursor)
    states = (DeliveryState(state),) if state else ()
    before = int(place) if place is not None else None
    with _told(caller):
        found = await room.webhooks.deliveries(webhook, states, before, limit)
    following = make_cursor(DELIVERIES, str(found[-1].id)) if len(found) >= limit else None
    return answer({"items": [_delivery(one) for one in found], "next": following})


@router.get(
    "/{webhook}/deliveries/{number}",
    summary="Show a delivery with its attempts",
    response_model=WebhookDelivery,
    responses=refusals(404),
)
async def show_delivery(room: Room, caller: Changer, webhook: Id, number: Number) -> Response:
    """The last attempts, in order."""
    with _told(caller):
        return answer(_delivery(await room.webhooks.delivery(webhook, number)))


@router.post(
    "/{webhook}/deliveries/{number}/replay",
    status_code=202,
    summary="Send a delivery again",
    response_model=WebhookDelivery,
    responses=refusals(404),
)
async def replay_delivery(room: Room, caller: Changer, webhook: Id, number: Number) -> Response:
    """Under the same `webhook-id`, whatever became of it."""
    with _told(caller):
        again = await room.webhooks.send_again(webhook, number)
    await room.audit.record(caller.name, "webhook replayed", webhook, again.event)
    return answer(_delivery(again), 202)


@router.post(
    "/{webhook}/replay",
    status_code=202,
    summary="Send again what happened in a time",
    responses=refusals(404, *BODY_REFUSALS),
    openapi_extra=takes(ReplayForm),
)
async def replay_time(
    room: Room,
    caller: Changer,
    webhook: Id,
    form: Annotated[ReplayForm, body_of(ReplayForm)],
) -> Response:
    """Each event under the `webhook-id` that it had. It is begun at once and may take a while."""
    since = form.since.timestamp()
    until = form.until.timestamp() if form.until is not None else room.clock.now()
    with _told(caller):
        await room.webhooks.replay(webhook, since, until)
    detail = f"{moment_text(since)} to {moment_text(until)}"
    await room.audit.record(caller.name, "webhook replayed", webhook, detail)
    return Response(status_code=202)

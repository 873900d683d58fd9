"""Webhooks: which there are and how it goes there; what was sent, and sending it again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import Response

from waypost.control.event_log_documents import EVENT_TYPES
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.control.webhooks import Webhooks
from waypost.control.webhooks_deliveries import DeliveryState
from waypost.control.webhooks_endpoint import (
    Endpoint,
    EndpointSettings,
    InvalidWebhook,
    NoSuchWebhook,
    types_text,
)
from waypost.faces.http.panel.pages import page, told
from waypost.faces.http.problems import not_found
from waypost.faces.http.security import Caller, page_caller

router = APIRouter(include_in_schema=False)

Admin = Annotated[Caller, page_caller(Permission.WEBHOOKS)]
Id = Annotated[str, Path(max_length=40)]
Number = Annotated[int, Path(ge=1, le=(1 << 63) - 1)]
Text = Annotated[str, Form(max_length=2000)]
Types = Annotated[list[str] | None, Form()]

SHOWN: Final = 50
"""Deliveries of a page."""

MEANINGS: Final = {
    "message.accepted": "the relay has it, and the program its 250",
    "message.delivered": "the next server has taken it, for one recipient",
    "message.captured": "the sandbox has taken it; nothing left the machine",
    "message.deferred": "it was not taken now and is tried again",
    "message.bounced": "it was refused for good",
    "message.expired": "it could not be delivered within the time allowed",
    "message.held": "somebody has held it",
    "message.released": "somebody has released it",
    "message.removed": "somebody has taken it out of the queue",
    "message.damaged": "its content cannot be read, and it was set aside",
    "message.complained": "its recipient has called it spam",
    "message.unsubscribed": "its recipient wants no more of these",
}
assert tuple(MEANINGS) == EVENT_TYPES


@contextmanager
def _known() -> Iterator[None]:
    try:
        yield
    except NoSuchWebhook:
        raise not_found("there is no such webhook or delivery, or no longer") from None


def _room(request: Request) -> ControlRoom:
    room: ControlRoom = request.app.state.room
    return room


def _sentence(fault: Exception) -> str:
    text = str(fault)
    return f"{text[:1].upper()}{text[1:]}."


@router.get("/webhooks")
async def all_webhooks(request: Request, caller: Admin) -> Response:
    """All of them, the oldest first."""
    return await _list(request, caller)


async def _list(request: Request, caller: Caller) -> Response:
    webhooks = _room(request).webhooks
    found = await webhooks.endpoints()
    waiting = {one.id: await webhooks.waiting(one.id) for one in found}
    return page(
        request, "webhooks.html", caller, webhooks=found, waiting=waiting, types_text=types_text,
        meanings=MEANINGS,
    )  # fmt: skip


@router.post("/webhooks/add")
async def add(
    request: Request,
    caller: Admin,
    url: Text = "",
    description: Text = "",
    types: Types = None,
    tag: Text = "",
    route: Text = "",
    user: Text = "",
) -> Response:
    """Set one up, and show its secret."""
    room = _room(request)
    wanted = EndpointSettings(url, description, frozenset(types or ()), tag, route, user)
    try:
        made = await room.webhooks.add(wanted)
    except InvalidWebhook as fault:
        return told(request, "/webhooks", _sentence(fault), "bad")
    await room.audit.record(caller.name, "webhook added", made.id, made.settings.url)
    return await _detail(request, caller, made, secret=made.secret)


@router.get("/webhooks/{webhook}")
async def one_webhook(
    request: Request,
    caller: Admin,
    webhook: Id,
    state: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[int | None, Query(ge=1, le=(1 << 63) - 1)] = None,
) -> Response:
    """One of them, with what was sent there."""
    with _known():
        endpoint = await _room(request).webhooks.endpoint(webhook)
    return await _detail(request, caller, endpoint, state, before)


async def _detail(
    request: Request,
    caller: Caller,
    endpoint: Endpoint,
    state: str = "",
    before: int | None = None,
    secret: str = "",
) -> Response:
    webhooks: Webhooks = _room(request).webhooks
    states = tuple(one for one in DeliveryState if one.value == state)
    with _known():
        found = await webhooks.deliveries(endpoint.id, states, before, SHOWN)
    following = found[-1].id if len(found) == SHOWN else None
    return page(
        request, "webhook.html", caller, webhook=endpoint, settings=endpoint.settings,
        deliveries=found, waiting=await webhooks.waiting(endpoint.id), state=state, before=before,
        next=following, secret=secret, meanings=MEANINGS,
    )  # fmt: skip


@router.post("/webhooks/{webhook}/change")
async def change(
    request: Request,
    caller: Admin,
    webhook: Id,
    url: Text = "",
    description: Text = "",
    types: Types = None,
    tag: Text = "",
    route: Text = "",
    user: Text = "",
) -> Response:
    """Other settings."""
    room, path = _room(request), f"/webhooks/{webhook}"
    with _known():
        before = (await room.webhooks.endpoint(webhook)).settings
        wanted = EndpointSettings(
            url, description, frozenset(types or ()), tag, route, user, before.enabled
        )
        try:
            await room.webhooks.change(webhook, wanted)
        except InvalidWebhook as fault:
            return told(request, path, _sentence(fault), "bad")
    await room.audit.record(caller.name, "webhook changed", webhook)
    return told(request, path, "The webhook is changed.")


@router.post("/webhooks/{webhook}/switch")
async def switch(
    request: Request, caller: Admin, webhook: Id, on: Text = "", skip: Text = ""
) -> Response:
    """Stop sending there, or go on."""
    room = _room(request)
    with _known():
        before = (await room.webhooks.endpoint(webhook)).settings
        wanted = EndpointSettings(
            before.url, before.description, before.types, before.tag, before.route, before.user,
            enabled=bool(on),
        )  # fmt: skip
        await room.webhooks.change(webhook, wanted, skip=bool(on and skip))
    await room.audit.record(caller.name, f"webhook {'enabled' if on else 'disabled'}", webhook)
    text = "Events are sent there again." if on else "Nothing is sent there any more."
    return told(request, f"/webhooks/{webhook}", text, "good" if on else "wait")


@router.post("/webhooks/{webhook}/secret")
async def rotate(request: Request, caller: Admin, webhook: Id) -> Response:
    """Another secret, which is shown once."""
    room = _room(request)
    with _known():
        made = await room.webhooks.rotate(webhook)
    await room.audit.record(caller.name, "webhook secret replaced", webhook)
    return await _detail(request, caller, made, secret=made.secret)


@router.post("/webhooks/{webhook}/test")
async def test(request: Request, caller: Admin, webhook: Id) -> Response:
    """Send a test event and tell what came of it."""
    room = _room(request)
    with _known():
        answer = await room.webhooks.test(webhook)
    await room.audit.record(caller.name, "webhook tested", webhook, answer.error)
    if answer.is_taken:
        text = f"The endpoint has taken the test event: {answer.status}, {answer.seconds:.2f} s."
        return told(request, f"/webhooks/{webhook}", text)
    text = f"The endpoint has not taken the test event: {answer.error}."
    return told(request, f"/webhooks/{webhook}", text, "bad")


@router.post("/webhooks/{webhook}/remove")
async def remove(request: Request, caller: Admin, webhook: Id) -> Response:
    """Forget it."""
    room = _room(request)
    with _known():
        await room.webhooks.remove(webhook)
    await room.audit.record(caller.name, "webhook removed", webhook)
    return told(request, "/webhooks", "The webhook is removed.")


@router.post("/webhooks/{webhook}/replay")
async def replay(
    request: Request, caller: Admin, webhook: Id, since: Text = "", until: Text = ""
) -> Response:
    """Send again what happened in a time; moments of UTC, as the form has them."""
    room, path = _room(request), f"/webhooks/{webhook}"
    try:
        begin = _moment(since)
        end = _moment(until) if until else room.clock.now()
    except ValueError:
        return told(request, path, "Give the time as 2026-11-24T18:05, in UTC.", "bad")
    with _known():
        await room.webhooks.replay(webhook, begin, end)
    await room.audit.record(
        caller.name, "webhook replayed", webhook, f"{since} to {until or 'now'}"
    )
    return told(request, path, "What happened in that time is being sent again.")


def _moment(text: str) -> float:
    """Of a datetime-local field. Raises ValueError."""
    return dt.datetime.fromisoformat(text.strip()).replace(tzinfo=dt.UTC).timestamp()


@router.get("/webhooks/{webhook}/deliveries/{number}")
async def one_delivery(request: Request, caller: Admin, webhook: Id, number: Number) -> Response:
    """One delivery with its attempts."""
    webhooks = _room(request).webhooks
    with _known():
        endpoint = await webhooks.endpoint(webhook)
        found = await webhooks.delivery(webhook, number)
    return page(request, "webhook_delivery.html", caller, webhook=endpoint, delivery=found)


@router.post("/webhooks/{webhook}/deliveries/{number}/replay")
async def send_again(request: Request, caller: Admin, webhook: Id, number: Number) -> Response:
    """Send one delivery again."""
    room = _room(request)
    with _known():
        again = await room.webhooks.send_again(webhook, number)
    await room.audit.record(caller.name, "webhook replayed", webhook, again.event)
    return told(request, f"/webhooks/{webhook}/deliveries/{number}", "It is being sent again.")

"""The requests of the API, and how their answers are read: pure, for a client that blocks and one
that does not."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from waypost.errors import ConfigurationError
from waypost.errors import InvalidMessage as InvalidParts
from waypost.faces.http.api.models import (
    Attempt,
    Attempts,
    Changed,
    Filter,
    Message,
    Page,
    QueueChange,
)
from waypost.faces.http.api.models_queues import (
    Imported,
    Queues,
    QueueSteered,
    Route,
    Routes,
    Status,
    Suppression,
    SuppressionsToAdd,
    SuppressionToAdd,
)
from waypost.faces.http.api.models_sending import Accepted, MessageToSend
from waypost.faces.http.api.models_templates import Rendered, Template

ActionName = Literal["retry", "hold", "release", "cancel"]
Document = dict[str, Any]

_Answer = TypeVar("_Answer")
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Generic[_Answer]):
    """One request, and what its answer is read as."""

    method: str
    path: str
    read: Callable[[bytes], _Answer]
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    """It may be sent again where no answer came: nothing is done twice."""


def send(parts: Mapping[str, Any], key: str | None) -> Call[Accepted]:
    """Submit a message of its parts. Raises waypost.errors.InvalidMessage."""
    given = dict(parts)
    if "from_" in given:
        given["from"] = given.pop("from_")
    try:
        message = MessageToSend.model_validate(given)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(one) for one in first["loc"])
        raise InvalidParts(
            f"the message cannot be sent: {where}: {first['msg']}".replace(": : ", ": "),
            fix="correct it; nothing was sent",
            reason="invalid-message",
        ) from None
    content = message.model_dump_json(by_alias=True, exclude_defaults=True).encode()
    return Call(
        "POST", "/messages", _as(Accepted), content=content,
        headers={"Content-Type": "application/json", **_key(key)}, repeatable=True,
    )  # fmt: skip


def send_raw(
    content: bytes,
    sender: str,
    recipients: Sequence[str],
    key: str | None,
    tags: Sequence[str],
    send_at: datetime | None,
) -> Call[Accepted]:
    """Submit a whole message with its envelope."""
    params: dict[str, Any] = {"from": sender, "to": list(recipients), "tag": list(tags)}
    if send_at is not None:
        params["send_at"] = send_at.isoformat()
    return Call(
        "POST", "/messages", _as(Accepted), params, content,
        {"Content-Type": "message/rfc822", **_key(key)}, repeatable=True,
    )  # fmt: skip


def _key(key: str | None) -> dict[str, str]:
    """Without a key of the caller's, one that makes a repetition of this very call safe."""
    return {"Idempotency-Key": key or secrets.token_urlsafe(18)}


def message(name: str) -> Call[Message]:
    """One message."""
    return Call("GET", f"/messages/{_in(name)}", _as(Message), repeatable=True)


def messages(filters: Mapping[str, Any], cursor: str | None) -> Call[Page[Message]]:
    """A page of messages."""
    params = {name: value for name, value in filters.items() if value not in (None, "", ())}
    return _page("/messages", _as(Page[Message]), params, cursor)


def attempts(name: str) -> Call[list[Attempt]]:
    """The attempts of a message."""
    path = f"/messages/{_in(name)}/attempts"
    return Call("GET", path, lambda body: _as(Attempts)(body).items, repeatable=True)


def events(name: str) -> Call[list[Document]]:
    """What has happened to a message."""
    path = f"/messages/{_in(name)}/events"
    return Call("GET", path, lambda body: list(_document(body)["items"]), repeatable=True)


def source(name: str) -> Call[bytes]:
    """The content of a message."""
    return Call("GET", f"/messages/{_in(name)}/source", lambda body: body, repeatable=True)


def steer(name: str, action: ActionName) -> Call[Changed]:
    """Retry, hold, release or cancel a message."""
    return Call("POST", f"/messages/{_in(name)}/{action}", _as(Changed), repeatable=True)


def steer_many(
    action: ActionName, chosen: Filter, *, everything: bool, preview: bool, cursor: str | None
) -> Call[Changed]:
    """The same for what a filter finds."""
    change = QueueChange(filter=chosen, all=everything, preview=preview, cursor=cursor)
    return _post(f"/queue/{action}", _as(Changed), change)


def queues(text: str) -> Call[Queues]:
    """What waits."""
    params = {"text": text} if text else {}
    return Call("GET", "/queues", _as(Queues), params, repeatable=True)


def pause(route: str, destination: str | None, reason: str) -> Call[QueueSteered]:
    """Let nothing leave a queue."""
    return _json("POST", f"{_queue(route, destination)}/pause", _as(QueueSteered), {
        "reason": reason,
    })  # fmt: skip


def resume(route: str, destination: str | None) -> Call[QueueSteered]:
    """Let it go on."""
    path = f"{_queue(route, destination)}/resume"
    return Call("POST", path, _as(QueueSteered), repeatable=True)


def routes() -> Call[list[Route]]:
    """The routes and their health."""
    return Call("GET", "/routes", lambda body: _as(Routes)(body).items, repeatable=True)


def status() -> Call[Status]:
    """The relay as a whole."""
    return Call("GET", "/status", _as(Status), repeatable=True)


def suppressions(cursor: str | None) -> Call[Page[Suppression]]:
    """A page of suppressed addresses."""
    return _page("/suppressions", _as(Page[Suppression]), {}, cursor)


def suppress(addresses: Sequence[str], reason: str) -> Call[Imported]:
    """Send nothing to these any more."""
    items = [SuppressionToAdd(address=one, reason=reason) for one in addresses]
    return _post("/suppressions", _as(Imported), SuppressionsToAdd(items=items))


def unsuppress(address: str) -> Call[None]:
    """Send to it again."""
    return Call("DELETE", f"/suppressions/{_in(address)}", _nothing)


def templates(cursor: str | None) -> Call[Page[Template]]:
    """A page of templates."""
    return _page("/templates", _as(Page[Template]), {}, cursor)


def template(name: str) -> Call[Template]:
    """One template."""
    return Call("GET", f"/templates/{_in(name)}", _as(Template), repeatable=True)


def store_template(name: str, subject: str, text: str | None, html: str | None) -> Call[Template]:
    """Store a template."""
    parts = {"subject": subject, "text": text, "html": html}
    return _json("PUT", f"/templates/{_in(name)}", _as(Template), parts)


def remove_template(name: str) -> Call[None]:
    """Remove a template."""
    return Call("DELETE", f"/templates/{_in(name)}", _nothing)


def render(name: str, variables: Mapping[str, Any]) -> Call[Rendered]:
    """See what a template makes."""
    path = f"/templates/{_in(name)}/render"
    return _json("POST", path, _as(Rendered), {"variables": dict(variables)})


def explain(text: str) -> Call[Document]:
    """What a server has said, explained."""
    return _json("POST", "/doctor/explain", _document, {"text": text})


def check(target: str, options: Mapping[str, Any]) -> Call[Document]:
    """What is wrong with a server or domain."""
    return _json("POST", "/doctor/check", _document, {"target": target, **options})


def discover(subject: str) -> Call[Document]:
    """The server to send over."""
    return _json("POST", "/doctor/discover", _document, {"subject": subject})


def ping(target: str, count: int) -> Call[Document]:
    """How quick a server is."""
    return _json("POST", "/doctor/ping", _document, {"target": target, "count": count})


def address_of(url: str) -> str:
    """The address under which the API is, from what a person gives. Raises ConfigurationError."""
    given = url.strip().rstrip("/")
    if not given.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{url[:100]!r} is no address of a relay",
            fix="write it as http://127.0.0.1:8025, or https://mail.example.com",
        )
    return given if given.endswith("/api/v1") else f"{given}/api/v1"


# --- parts --------------------------------------------------------------------------------------


def _as(model: type[_Model]) -> Callable[[bytes], _Model]:
    return model.model_validate_json


def _document(body: bytes) -> Document:
    found: Document = json.loads(body)
    return found


def _nothing(_: bytes) -> None:
    return None


def _page(
    path: str, read: Callable[[bytes], _Answer], params: Mapping[str, Any], cursor: str | None
) -> Call[_Answer]:
    more = {"cursor": cursor} if cursor is not None else {}
    return Call("GET", path, read, {**params, **more}, repeatable=True)


def _post(path: str, read: Callable[[bytes], _Answer], given: BaseModel) -> Call[_Answer]:
    content = given.model_dump_json(by_alias=True, exclude_defaults=True).encode()
    return Call("POST", path, read, {}, content, {"Content-Type": "application/json"})


def _json(
    method: str, path: str, read: Callable[[bytes], _Answer], given: Mapping[str, Any]
) -> Call[_Answer]:
    content = json.dumps(given).encode()
    return Call(method, path, read, {}, content, {"Content-Type": "application/json"})


def _queue(route: str, destination: str | None) -> str:
    path = f"/queues/{_in(route)}"
    return path if destination is None else f"{path}/{_in(destination)}"


def _in(word: str) -> str:
    """A word as a part of a path."""
    return quote(word, safe="@")

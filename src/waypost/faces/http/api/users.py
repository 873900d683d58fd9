"""The relay's users over the API: who may log in to its listeners, as `waypost user` has them.

A password is hashed on purpose slowly, so a change is made in a thread, over a connection of its
own to the file; the relay sees that the file has changed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Path
from starlette.responses import Response

from waypost.control.room import ControlRoom
from waypost.faces.documents import time_text
from waypost.faces.http.api.accounts_parts import Admin, router
from waypost.faces.http.api.models_users import (
    NewRelayUser,
    RelayUser,
    RelayUserChange,
    RelayUsers,
)
from waypost.faces.http.api_parts import (
    BODY_REFUSALS,
    Room,
    answer,
    body_of,
    refusals,
    takes,
)
from waypost.faces.http.problems import Problem, not_found, problem_type
from waypost.relay.credentials import CredentialStore, NoSuchUser, User, UserExists

Called = Annotated[str, Path(max_length=255)]

_Result = TypeVar("_Result")


@router.get(
    "/users",
    response_model=RelayUsers,
    responses=refusals(),
    operation_id="listUsers",
    summary="The relay's users",
)
async def users(room: Room, caller: Admin) -> Response:
    """Who may log in to the relay. Passwords are not stored, and what checks them is not told."""
    del caller
    found = await _in_store(room, CredentialStore.users)
    return answer({"items": [user_document(one) for one in found]})


@router.post(
    "/users",
    status_code=201,
    response_model=RelayUser,
    responses=refusals(409, *BODY_REFUSALS),
    openapi_extra=takes(NewRelayUser),
    operation_id="addUser",
    summary="Add a user of the relay",
)
async def add_user(
    room: Room, caller: Admin, new: Annotated[NewRelayUser, body_of(NewRelayUser)]
) -> Response:
    """It may log in at once."""

    def work(store: CredentialStore) -> User:
        store.add(new.name, new.password.get_secret_value(), tuple(new.senders))
        return _known(store, new.name)

    made = await _in_store(room, work)
    await room.audit.record(caller.name, "user added", new.name, ", ".join(new.senders))
    return answer(user_document(made), 201)


@router.patch(
    "/users/{name}",
    response_model=RelayUser,
    responses=refusals(404, *BODY_REFUSALS),
    openapi_extra=takes(RelayUserChange),
    operation_id="changeUser",
    summary="Change a user's password, senders or state",
)
async def change_user(
    room: Room,
    caller: Admin,
    name: Called,
    wanted: Annotated[RelayUserChange, body_of(RelayUserChange)],
) -> Response:
    """It counts from the next login on."""

    def work(store: CredentialStore) -> User:
        _known(store, name)
        if wanted.senders is not None:
            store.set_senders(name, tuple(wanted.senders))
        if wanted.password is not None:
            store.set_password(name, wanted.password.get_secret_value())
        if wanted.disabled is not None:
            store.set_disabled(name, wanted.disabled)
        return _known(store, name)

    found = await _in_store(room, work)
    changed = ", ".join(sorted(wanted.model_dump(exclude_none=True)))
    await room.audit.record(caller.name, "user changed", name, changed)
    return answer(user_document(found))


@router.delete(
    "/users/{name}",
    status_code=204,
    responses=refusals(404),
    operation_id="removeUser",
    summary="Remove a user of the relay",
)
async def remove_user(room: Room, caller: Admin, name: Called) -> Response:
    """It can log in no more."""
    await _in_store(room, lambda store: store.remove(name))
    await room.audit.record(caller.name, "user removed", name, "")
    return Response(status_code=204)


async def _in_store(room: ControlRoom, work: Callable[[CredentialStore], _Result]) -> _Result:
    """Raises Problem 404, 409, 422."""

    def run() -> _Result:
        store = CredentialStore(
            room.settings.data / "users.sqlite", secrets.token_bytes, room.clock.monotonic,
            room.clock.now,
        )  # fmt: skip
        try:
            return work(store)
        finally:
            store.close()

    try:
        return await asyncio.to_thread(run)
    except NoSuchUser as fault:
        raise not_found(str(fault)) from None
    except UserExists as fault:
        raise Problem(409, str(fault), type=problem_type("conflict")) from None
    except ValueError as fault:
        raise Problem(422, str(fault), type=problem_type("invalid-request")) from None


def _known(store: CredentialStore, name: str) -> User:
    """Raises NoSuchUser."""
    for one in store.users():
        if one.name == name:
            return one
    raise NoSuchUser(f"there is no user {name!r}")


def user_document(user: User) -> dict[str, Any]:
    """As the API tells it."""
    return {
        "name": user.name,
        "senders": list(user.senders),
        "created": time_text(user.created_at),
        "disabled": user.disabled,
    }

"""What the API's routes for accounts and for keys have in common: who may use them, and how a
change is made and refused."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path

from waypost.control.accounts import AccountFault, NoSuchOperator
from waypost.control.keys import KeyExists, NoSuchKey
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.account_rules import NotYours
from waypost.faces.http.api_parts import PREFIX
from waypost.faces.http.problems import Problem, not_found, problem_type
from waypost.faces.http.security import Caller, api_caller

router = APIRouter(prefix=PREFIX, tags=["accounts"])
"""Of all three files."""

Admin = Annotated[Caller, api_caller(Permission.ACCOUNTS)]
Named = Annotated[str, Path(max_length=64)]

_Result = TypeVar("_Result")


async def change(
    room: ControlRoom,
    caller: Caller,
    action: str,
    subject: str,
    work: Callable[[Connection], _Result],
    detail: str = "",
) -> _Result:
    """Do it and write it to the audit log. Raises Problem 403, 404, 409, 422."""
    try:
        return await room.accounts.change(caller.name, action, subject, work, detail=detail)
    except NotYours as fault:
        raise Problem(403, str(fault), type=problem_type("not-permitted")) from None
    except (NoSuchOperator, NoSuchKey) as fault:
        raise not_found(str(fault)) from None
    except (AccountFault, KeyExists) as fault:
        raise Problem(409, str(fault), type=problem_type("conflict")) from None
    except ValueError as fault:
        raise Problem(422, str(fault), type=problem_type("invalid-request")) from None

"""What the panel and the API have in common about accounts: nobody gives, takes or changes more
than they have themselves.

Without that, a key that may change accounts could make itself an admin.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request

from waypost.control.accounts import AccountFault, Operator
from waypost.control.permissions import ROLE_PERMISSIONS, Permission, Role
from waypost.faces.http.security import Caller
from waypost.faces.http.web_address import own_address


class NotYours(AccountFault):
    """The caller would give or change more than they have."""


def check_role(caller: Caller, role: str) -> Role:
    """A role that the caller may give. Raises ValueError, NotYours."""
    if role not in set(Role):
        raise ValueError(f"{role[:40]!r} is no role; there are {', '.join(Role)}")
    wanted = Role(role)
    if not caller.permissions >= ROLE_PERMISSIONS[wanted]:
        raise NotYours(f"{caller.name} cannot make somebody {wanted}, which is more than it is")
    return wanted


def may_manage(caller: Caller, operator: Operator) -> Operator:
    """The operator, where the caller may change it. Raises NotYours."""
    if not caller.permissions >= ROLE_PERMISSIONS[operator.role]:
        raise NotYours(f"{operator.name} is {operator.role}, which is more than {caller.name} is")
    return operator


def check_grant(
    caller: Caller, permissions: Iterable[str], user: str | None = None
) -> frozenset[Permission]:
    """Permissions that the caller may give to a key. Raises ValueError, NotYours."""
    given = frozenset(permissions)
    unknown = sorted(given - set(Permission))
    if unknown:
        raise ValueError(f"{unknown[0][:40]!r} is no permission; there are {', '.join(Permission)}")
    wanted = frozenset(map(Permission, given))
    missing = sorted(wanted - caller.permissions)
    if missing:
        raise NotYours(f"{caller.name} cannot give {', '.join(missing)}, which it does not have")
    if caller.user is not None and user != caller.user:
        raise NotYours(f"{caller.name} is bound to the user {caller.user}, and so are its keys")
    return wanted


def link_address(request: Request, secret: str) -> str:
    """A one-time link as it is sent to somebody."""
    return f"{own_address(request)}/first-run/{secret}"

"""The forms of accounts, API keys and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from waypost.faces.http.api.models import Given, Told

RoleName = Literal["viewer", "operator", "admin"]

PermissionName = Literal[
    "messages:read", "content:read", "messages:send", "queue:write", "suppressions:write",
    "doctor:run", "sandbox:write", "events:read", "webhooks:write", "templates:write",
    "settings:read", "accounts:write", "audit:read",
]  # fmt: skip

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    Field(description="Printable characters, none of them : / \\", examples=["ada"]),
]


class Me(Told):
    """Who makes this request."""

    name: str = Field(description="Of an operator, or `key:NAME`.", examples=["key:shop"])
    kind: Literal["session", "key"]
    role: RoleName | None = Field(description="Of an operator; null for a key.")
    permissions: list[PermissionName]
    user: str | None = Field(description="The user of the relay that the key is bound to.")


class OperatorAccount(Told):
    """A person of the panel."""

    name: str
    role: RoleName
    state: Literal["active", "invited", "disabled"]
    created: datetime
    last_login: datetime | None
    last_login_from: str


class OperatorAccounts(Told):
    """All of them, by name."""

    items: list[OperatorAccount]


class NewOperator(Given):
    """Somebody to invite."""

    name: Name
    role: RoleName = "viewer"


class OperatorChange(Given):
    """What is to be different; what is not given stays."""

    role: RoleName | None = None
    disabled: bool | None = None


class OneTimeLinkTold(Told):
    """A link with which a person chooses a password. It is told once."""

    name: str
    link: str = Field(examples=["https://mail.example.com/first-run/Gx3v..."])
    expires: datetime


class KeyTold(Told):
    """An API key, without its secret."""

    name: str
    begins: str = Field(description="Its first characters.", examples=["wpk_Gx3v0k"])
    permissions: list[PermissionName]
    user: str | None
    created: datetime
    created_by: str
    expires: datetime | None
    expired: bool
    last_used: datetime | None
    last_used_from: str


class KeysTold(Told):
    """All keys, by name."""

    items: list[KeyTold]


class NewKey(Given):
    """A key to make."""

    name: Name
    permissions: list[PermissionName] = Field(
        default=["messages:send"], min_length=1, max_length=50
    )
    expires_in: float | None = Field(
        default=None, ge=60, le=3_660 * 86_400, description="Seconds; null: it does not expire."
    )
    user: str | None = Field(
        default=None, min_length=1, max_length=255,
        description="A user of the relay: the key sends as this one, and sees that mail alone.",
    )  # fmt: skip


class NewKeyTold(KeyTold):
    """A key that was made, with its secret, which is told once."""

    secret: str = Field(examples=["wpk_Gx3v..."])


class AuditEntryTold(Told):
    """Something that somebody did."""

    id: int
    at: datetime
    who: str = Field(description="Empty: nobody who has logged in.")
    address: str
    action: str
    subject: str
    detail: str

"""The forms of the relay's users: those who log in to send."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from waypost.faces.http.api.models import Given, Told

UserName = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Sender = Annotated[
    str,
    StringConstraints(min_length=1, max_length=320),
    Field(description="An address, a domain or a pattern.", examples=["example.com"]),
]
Password = Annotated[
    SecretStr, Field(min_length=1, max_length=1000, description="It is stored as hashes alone.")
]


class RelayUser(Told):
    """Somebody who may log in to the relay's listeners."""

    name: str
    senders: list[str] = Field(description="The senders it may use; empty: any.")
    created: datetime
    disabled: bool


class RelayUsers(Told):
    """All of them, by name."""

    items: list[RelayUser]


class NewRelayUser(Given):
    """A user to add."""

    name: UserName
    password: Password
    senders: list[Sender] = Field(default=[], max_length=100)


class RelayUserChange(Given):
    """What is to be different; what is not given stays."""

    password: Password | None = None
    senders: list[Sender] | None = Field(default=None, max_length=100)
    disabled: bool | None = None

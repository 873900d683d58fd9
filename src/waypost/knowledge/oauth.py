"""Where access tokens for sending mail come from, and what a refusal of one means (oauth.toml)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from waypost.knowledge import tables

TABLE: Final = "oauth.toml"

_ENDPOINT: Final = (
    "name", "title", "token_url", "user_scope", "app_scope", "account", "source",
)  # fmt: skip
_REFUSAL: Final = ("code", "meaning", "fix", "source")
_MICROSOFT: Final = re.compile(r"\bAADSTS[0-9]{4,8}\b")


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Of one provider; see the table for the columns."""

    name: str
    title: str
    token_url: str
    user_scope: str
    app_scope: str
    account: str
    source: str


@dataclass(frozen=True, slots=True)
class TokenRefusal:
    """What an error of a token endpoint means, and what to do."""

    code: str
    meaning: str
    fix: str
    source: str


@cache
def token_endpoint(name: str) -> TokenEndpoint:
    """The row of that name. Raises KeyError and FaultyTable."""
    for row in tables.rows(TABLE, "endpoint"):
        tables.only(TABLE, row, _ENDPOINT)
        if row["name"] == name:
            return TokenEndpoint(
                **{column: tables.text(TABLE, row, column) for column in _ENDPOINT}
            )
    raise KeyError(name)


@cache
def _refusals() -> Mapping[str, TokenRefusal]:
    found: dict[str, TokenRefusal] = {}
    for row in tables.rows(TABLE, "refusal"):
        tables.only(TABLE, row, _REFUSAL)
        one = TokenRefusal(**{column: tables.text(TABLE, row, column) for column in _REFUSAL})
        if one.code in found:
            raise tables.FaultyTable(TABLE, row, "stands there twice")
        found[one.code] = one
    return found


def token_refusal(error: str, description: str) -> TokenRefusal | None:
    """The row for an answer; Microsoft's number in the description says more than the error."""
    number = _MICROSOFT.search(description)
    by_number = _refusals().get(number[0]) if number is not None else None
    return by_number or _refusals().get(error)

"""How a recipient leaves a list: List-Unsubscribe and its one-click form (RFC 2369, RFC 8058).

Google and Yahoo ask both of who sends more than 5,000 messages a day to their users
(support.google.com/a/answer/81126, senders.yahooinc.com/best-practices). One-click means: the mail
program sends a POST to the https URI, with nothing but `List-Unsubscribe=One-Click`, and the
recipient is off the list, without a page, a login or a question. RFC 8058 4 also wants a DKIM
signature that covers both fields; `waypost.mail.dkim` signs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from waypost.mail.compose_addresses import MAXIMUM_LINE
from waypost.mail.compose_faults import InvalidMessage

ONE_CLICK: Final = "List-Unsubscribe=One-Click"

_URI: Final = re.compile(r"(?:https?://|mailto:)[!#-+\--;=?-~]{1,800}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Where a recipient leaves: `uris` in the order of preference, https: and mailto:.

    `one_click` says that the https address takes the POST of RFC 8058; False leaves that field out.
    """

    uris: tuple[str, ...]
    one_click: bool = True


UnsubscribeLike = str | Iterable[str] | Unsubscribe


def unsubscribe_fields(given: UnsubscribeLike) -> list[tuple[str, str]]:
    """The fields, folded between the URIs. Raises InvalidMessage.

    The one-click field is written where one of the URIs is https, unless `Unsubscribe` says
    otherwise.
    """
    if isinstance(given, str):
        wanted = Unsubscribe((given,))
    elif isinstance(given, Unsubscribe):
        wanted = given
    else:
        wanted = Unsubscribe(tuple(given))
    if not wanted.uris:
        raise InvalidMessage("list_unsubscribe", "no address is given")
    uris: list[str] = []
    for uri in wanted.uris:
        bare = uri[1:-1] if isinstance(uri, str) and uri[:1] + uri[-1:] == "<>" else uri
        if not isinstance(bare, str) or not _URI.fullmatch(bare):
            raise InvalidMessage(
                "list_unsubscribe",
                f"{uri!r:.100} is no https: or mailto: address",
                "write it whole, in US-ASCII, with spaces and commas percent-encoded",
            )
        uris.append(f"<{bare}>")
    fields = [("List-Unsubscribe", _folded(uris))]
    if wanted.one_click:
        if any(uri[1:9].lower() == "https://" for uri in uris):
            fields.append(("List-Unsubscribe-Post", ONE_CLICK))
        elif isinstance(given, Unsubscribe) and not any(u[1:8].lower() == "mailto:" for u in uris):
            raise InvalidMessage(
                "list_unsubscribe", "one-click needs an https: address (RFC 8058 3.1)"
            )
    return fields


def _folded(uris: list[str]) -> str:
    lines = [uris[0]]
    room = MAXIMUM_LINE - len("List-Unsubscribe: ")
    for uri in uris[1:]:
        if len(lines[-1]) + 2 + len(uri) < room:
            lines[-1] += f", {uri}"
        else:
            lines[-1] += ","
            lines.append(uri)
            room = MAXIMUM_LINE - 1
    return "\r\n ".join(lines)

"""Requests to a relay as objects, and what answers them: one reply, or several in a row.

The control server answers them from its socket, and the commands by themselves while no relay
runs, so both give the same. A request is {"do": NAME, ...}; a reply is an object; a fault is
{"error": TEXT, "exit": CODE}.
"""

from __future__ import annotations

import base64
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from waypost.administration import BATCH, Action, Administration, NoSuchMessage, NothingRuns
from waypost.delivery.pauses import MAXIMUM_PAUSES, NoSuchQueue, TooManyPauses
from waypost.delivery.verbosity import Level
from waypost.faces import documents
from waypost.faces.documents import Document
from waypost.message_events import Event
from waypost.spool.contract import BodyDamaged, MessageFilter, RecipientState, SpoolRefusal
from waypost.spool.identifiers import identifier_text, parse_identifier

CHECKED_BAD: Final = 1
WRONG_USAGE: Final = 2
UNREACHABLE: Final = 69
TEMPORARY: Final = 75

SHOWN: Final = 20
"""Recipients of a batch that a reply names; all are counted."""

Replies = AsyncGenerator[Document, None]

_FILTER_KEYS: Final = frozenset(
    {"ids", "sender", "to", "states", "older_than", "text", "limit", "before"}
)


class RequestFault(Exception):
    """A request cannot be answered; `code` is the exit code of the command contract."""

    def __init__(self, text: str, code: int) -> None:
        self.code = code
        super().__init__(text)


def filter_of(given: Any) -> MessageFilter:
    """The filter that a request gives. Raises RequestFault."""
    if not isinstance(given, dict) or not given.keys() <= _FILTER_KEYS:
        raise RequestFault(f"a filter is an object with {sorted(_FILTER_KEYS)}", WRONG_USAGE)
    try:
        older = given.get("older_than")
        before = given.get("before")
        return MessageFilter(
            identifiers=tuple(parse_identifier(str(one)) for one in given.get("ids") or ()),
            sender=str(given.get("sender") or ""),
            recipient=str(given.get("to") or ""),
            states=tuple(RecipientState[str(one).upper()] for one in given.get("states") or ()),
            older_than=None if older is None else float(older),
            text=str(given.get("text") or ""),
            limit=max(0, int(given.get("limit") or 0)),
            before=None if before is None else parse_identifier(str(before)),
        )
    except KeyError as fault:
        states = ", ".join(state.name.lower() for state in RecipientState)
        raise RequestFault(f"{fault} is no state; states are {states}", WRONG_USAGE) from fault
    except (ValueError, TypeError) as fault:
        raise RequestFault(str(fault), WRONG_USAGE) from fault


async def answer(administration: Administration, request: Any) -> Replies:
    """The replies to one request. Raises RequestFault."""
    if not isinstance(request, dict):
        raise RequestFault("a request is an object", WRONG_USAGE)
    handler = _HANDLERS.get(str(request.get("do")))
    if handler is None:
        raise RequestFault(
            f"the relay does not know {str(request.get('do'))[:40]!r}; it may be of another "
            "version than this command",
            WRONG_USAGE,
        )
    try:
        async with contextlib.aclosing(handler(administration, request)) as replies:
            async for reply in replies:
                yield reply
    except NoSuchMessage:
        name = str(request.get("id"))[:40]
        raise RequestFault(
            f"there is no message {name}; finished ones go after the time of `retention`",
            CHECKED_BAD,
        ) from None
    except BodyDamaged as fault:
        raise RequestFault(
            f"the content of {str(request.get('id'))[:40]} cannot be given: {fault}. Content is "
            "kept while a recipient waits for it, or when the sandbox has caught it",
            CHECKED_BAD,
        ) from fault
    except SpoolRefusal as fault:
        raise RequestFault(f"the spool refuses: {fault.text}", TEMPORARY) from fault


# --- what can be asked --------------------------------------------------------------------------


async def _about(administration: Administration, _: Document) -> Replies:
    yield {
        "spool": administration.spool_directory,
        "listeners": [
            {"kind": kind, "address": address} for kind, address in administration.listening
        ],
    }


async def _messages(administration: Administration, request: Document) -> Replies:
    wanted = filter_of(request.get("filter", {}))
    rows = await administration.messages(wanted)
    full = len(rows) >= (wanted.limit or BATCH)
    yield {
        "messages": [documents.message_document(row) for row in rows],
        "before": identifier_text(rows[-1].identifier) if rows and full else None,
    }


async def _story(administration: Administration, request: Document) -> Replies:
    yield documents.story_document(await administration.story(_identifier(request)))


async def _source(administration: Administration, request: Document) -> Replies:
    body = await administration.content(_identifier(request))
    async for piece in body.chunks():
        for start in range(0, len(piece), 48 * 1024):
            part = piece[start : start + 48 * 1024]
            yield {"content": base64.b64encode(part).decode("ascii")}


async def _select(administration: Administration, request: Document) -> Replies:
    batch = await administration.select(_action(request), filter_of(request.get("filter", {})))
    messages = {one.message for one in batch.recipients}
    yield {
        "recipients": [documents.selected_document(one) for one in batch.recipients[:SHOWN]],
        "count": len(batch.recipients),
        "messages": len(messages),
        "under_way": sum(one.started for one in batch.recipients),
        "newest": _text(max(messages, default=None)),
        "before": _text(batch.before),
    }


async def _change(administration: Administration, request: Document) -> Replies:
    change = await administration.change(_action(request), filter_of(request.get("filter", {})))
    yield {
        "changed": change.changed,
        "under_way": change.under_way,
        "before": _text(change.before),
    }


async def _routes(administration: Administration, request: Document) -> Replies:
    routed, before = await administration.routes(filter_of(request.get("filter", {})))
    counts = Counter((one.route, one.next_hops) for one in routed)
    yield {
        "recipients": [documents.routed_document(one) for one in routed[:SHOWN]],
        "routes": [
            {"route": route, "next_hops": ", ".join(hops), "recipients": count}
            for (route, hops), count in counts.items()
        ],
        "before": _text(before),
    }


async def _pause(administration: Administration, request: Document) -> Replies:
    """Pause a queue, or resume it."""
    route, destination = str(request.get("route")), str(request.get("destination") or "").lower()
    try:
        if request.get("do") == "pause":
            by, reason = str(request.get("by"))[:100], str(request.get("reason") or "")[:500]
            changed = await administration.pausing.pause(route, destination, by, reason)
        else:
            changed = await administration.pausing.resume(route, destination)
    except NoSuchQueue as fault:
        raise RequestFault(str(fault), CHECKED_BAD) from fault
    except TooManyPauses as fault:
        told = f"{MAXIMUM_PAUSES} queues are paused already; resume one, or pause a whole route"
        raise RequestFault(told, CHECKED_BAD) from fault
    yield {"changed": changed}


async def _status(administration: Administration, _: Document) -> Replies:
    yield documents.status_document(await administration.status())


async def _events(administration: Administration, request: Document) -> Replies:
    """The events of a page of messages, in order of time."""
    for event in await _past(administration, request):
        yield documents.event_document(event)


async def _past(administration: Administration, request: Document) -> list[Event]:
    since = request.get("since")
    wanted = filter_of(request.get("filter", {}))
    events: list[Event] = []
    rows = {row.identifier: row for row in await administration.messages(wanted)}
    if since is not None:
        # An older message may have been delivered just now.
        changed = await administration.changed_since(float(since), wanted)
        rows |= {row.identifier: row for row in changed}
    for row in rows.values():
        events += await administration.events_of(row)
    events.sort(key=lambda event: event.at)
    return [event for event in events if since is None or event.at >= float(since)]


async def _follow(administration: Administration, request: Document) -> Replies:
    """The same, and then what happens, without a gap and without telling anything twice."""
    with administration.following() as follower:
        told = set()
        for event in await _past(administration, request):
            told.add(_key(event))
            yield documents.event_document(event)
        while True:
            event = await follower.next()
            if _key(event) not in told:
                yield documents.event_document(event)


def _key(event: Event) -> tuple[object, ...]:
    return event.message, event.event, event.recipients, event.at


async def _suppressions(administration: Administration, request: Document) -> Replies:
    found = await administration.suppressions(str(request.get("after") or ""))
    yield {
        "suppressions": [documents.suppression_document(one) for one in found],
        "after": found[-1].address if len(found) >= BATCH else None,
    }


async def _suppress(administration: Administration, request: Document) -> Replies:
    for one in request.get("addresses") or ():
        await administration.suppress(str(one["address"]), str(one["reason"]))
    yield {"changed": len(request.get("addresses") or ())}


async def _unsuppress(administration: Administration, request: Document) -> Replies:
    changed = 0
    unknown: list[str] = []
    for address in request.get("addresses") or ():
        if await administration.unsuppress(str(address)):
            changed += 1
        else:
            unknown.append(str(address))
    yield {"changed": changed, "unknown": unknown}


async def _verbosity(administration: Administration, _: Document) -> Replies:
    yield {"rules": [documents.verbosity_document(one) for one in administration.verbosities()]}


async def _set_verbosity(administration: Administration, request: Document) -> Replies:
    try:
        level = Level(str(request.get("level")))
        seconds = request.get("seconds")
        administration.set_verbosity(
            str(request.get("destination")), level, None if seconds is None else float(seconds)
        )
    except ValueError as fault:
        raise RequestFault(str(fault), WRONG_USAGE) from fault
    except NothingRuns:
        raise RequestFault("no relay is running, so nothing is said", UNREACHABLE) from None
    yield {"rules": [documents.verbosity_document(one) for one in administration.verbosities()]}


def _identifier(request: Document) -> int:
    try:
        return parse_identifier(str(request.get("id")))
    except ValueError as fault:
        raise RequestFault(str(fault), WRONG_USAGE) from fault


def _action(request: Document) -> Action:
    try:
        return Action(str(request.get("action")))
    except ValueError as fault:
        raise RequestFault(str(fault), WRONG_USAGE) from fault


def _text(identifier: int | None) -> str | None:
    return None if identifier is None else identifier_text(identifier)


_HANDLERS: Final[dict[str, Callable[[Administration, Document], Replies]]] = {
    "about": _about,
    "messages": _messages,
    "story": _story,
    "source": _source,
    "select": _select,
    "change": _change,
    "routes": _routes,
    "pause": _pause,
    "resume": _pause,
    "status": _status,
    "events": _events,
    "follow": _follow,
    "suppressions": _suppressions,
    "suppress": _suppress,
    "unsuppress": _unsuppress,
    "verbosity": _verbosity,
    "set_verbosity": _set_verbosity,
}

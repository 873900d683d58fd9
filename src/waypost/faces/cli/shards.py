"""A relay of several workers, asked as if it were one.

Each worker has a spool shard of its own, with its own control socket. What is asked about one
message is answered by the shard that has it; lists are merged; changes are made shard after shard,
and a page's cursor says at which shard it stands.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waypost.faces.cli.failure import UNREACHABLE, fail

if TYPE_CHECKING:
    from waypost.faces.cli.relay import Relay

Document = dict[str, Any]


def shard_folders(spool: Path) -> list[Path]:
    """Where the shards of a spool are: the folder itself, folders of workers below it, or both
    after the number of workers has changed. Empty where there is no spool yet."""
    # os.path: a folder of another user is one without shards here; its socket says what is wrong.
    folders = [spool, *sorted(spool.glob("worker-*"))]
    return [path for path in folders if os.path.exists(path / "spool.sqlite")]  # noqa: PTH110


class Shards:
    """See the module. Has the questions of a Relay."""

    def __init__(self, relays: Sequence[Relay]) -> None:
        self._relays = list(relays)

    @property
    def is_running(self) -> bool:
        """Whether any worker answers."""
        return any(relay.is_running for relay in self._relays)

    def ask(self, do: str, **arguments: Any) -> Document:
        """The one reply to a request. Raises Failure, Refused."""
        return _MERGED[do](self, do, arguments)

    def stream(self, do: str, *, for_ever: bool = False, **arguments: Any) -> Iterator[Document]:
        """The replies to a request as they come. Raises Failure, Refused."""
        if for_ever:
            yield from self._follow(do, arguments)
        elif do == "source":
            yield from self._holder(str(arguments["id"])).stream(do, **arguments)
        else:
            newest = self.ask("messages", filter=arguments["filter"])["messages"]
            shown = {message["id"] for message in newest}
            every = [one for relay in self._relays for one in relay.stream(do, **arguments)]
            yield from sorted(
                (event for event in every if event["id"] in shown), key=lambda event: event["at"]
            )

    # --- one message ------------------------------------------------------------------------

    def _of_one(self, do: str, arguments: Document) -> Document:
        return self._holder(str(arguments["id"])).ask(do, **arguments)

    def _holder(self, message: str) -> Relay:
        """The shard that has a message; any, which will say so, where none has."""
        wanted = {"ids": [message], "limit": 1}
        for relay in self._relays:
            if relay.ask("messages", filter=wanted)["messages"]:
                return relay
        return self._relays[0]

    # --- lists ------------------------------------------------------------------------------

    def _messages(self, do: str, arguments: Document) -> Document:
        """Newest first; a page of each shard holds all that can be on the page of all."""
        pages = [relay.ask(do, **arguments) for relay in self._relays]
        rows = [row for page in pages for row in page["messages"]]
        rows.sort(key=lambda row: (len(row["id"]), row["id"]), reverse=True)
        limit = (arguments.get("filter") or {}).get("limit") or len(rows)
        shown = rows[:limit]
        more = len(rows) > len(shown) or any(page["before"] for page in pages)
        return {"messages": shown, "before": shown[-1]["id"] if shown and more else None}

    def _suppressions(self, do: str, arguments: Document) -> Document:
        """All shards have the same, unless one was away when an address was added."""
        pages = [relay.ask(do, **arguments) for relay in self._relays]
        ends = [page["after"] for page in pages if page["after"]]
        until = min(ends) if ends else None
        merged = {
            one["address"]: one
            for page in pages
            for one in page["suppressions"]
            if until is None or one["address"] <= until
        }
        return {"suppressions": [merged[name] for name in sorted(merged)], "after": until}

    def _status(self, do: str, arguments: Document) -> Document:
        every = [relay.ask(do, **arguments) for relay in self._relays]
        oldest = [one["oldest_queued"] for one in every if one["oldest_queued"]]
        return {
            "recipients": {
                state: sum(one["recipients"][state] for one in every)
                for state in every[0]["recipients"]
            },
            "oldest_queued": min(oldest) if oldest else None,
            **{
                name: sum(one[name] for one in every)
                for name in ("bytes", "in_memory", "connections")
            },
            "left_alone": [place for one in every for place in one["left_alone"]],
            "paused": list(
                {
                    (one["route"], one["destination"]): one
                    for status in every
                    for one in status["paused"]
                }.values()
            ),
        }

    def _about(self, do: str, arguments: Document) -> Document:
        every = [relay.ask(do, **arguments) for relay in self._relays]
        return max(every, key=lambda one: len(one["listeners"]))

    # --- changes, shard after shard ---------------------------------------------------------

    def _by_turns(self, do: str, arguments: Document) -> Document:
        """A page of one shard. The cursor: the shard, its own cursor, and where each begins."""
        chosen = dict(arguments["filter"])
        cursor = str(chosen.get("before") or "")
        if cursor.count("/") == 2:
            number, before, bound = cursor.split("/")
            at = int(number)
        else:
            at, before, bound = 0, cursor, cursor
        chosen["before"] = before or None
        page = self._relays[at].ask(do, **{**arguments, "filter": chosen})
        if "newest" in page and at == 0 and before == bound:
            others = [
                relay.ask(do, **{**arguments, "filter": chosen})["newest"]
                for relay in self._relays[1:]
            ]
            known = [one for one in (page["newest"], *others) if one]
            page["newest"] = max(known, key=lambda one: (len(one), one)) if known else None
        if page["before"]:
            page["before"] = f"{at}/{page['before']}/{bound}"
        elif at + 1 < len(self._relays):
            page["before"] = f"{at + 1}/{bound}/{bound}"
        return page

    def _in_each(self, do: str, arguments: Document) -> Document:
        replies = [relay.ask(do, **arguments) for relay in self._relays]
        merged: Document = {"changed": replies[0]["changed"]}
        if "unknown" in replies[0]:
            nowhere = set(replies[0]["unknown"]).intersection(*(one["unknown"] for one in replies))
            merged["unknown"] = [one for one in replies[0]["unknown"] if one in nowhere]
            merged["changed"] = len(arguments["addresses"]) - len(merged["unknown"])
        return merged

    def _first_of_each(self, do: str, arguments: Document) -> Document:
        """Each that runs is asked; all say the same."""
        running = [relay for relay in self._relays if relay.is_running] or self._relays
        replies = [relay.ask(do, **arguments) for relay in running]
        return replies[0]

    # --- what happens -----------------------------------------------------------------------

    def _follow(self, do: str, arguments: Document) -> Iterator[Document]:
        """The events of all workers as they come; ends with the first of them."""
        if not self.is_running:
            fail("no relay is running, so nothing happens that could be followed", UNREACHABLE)
        events: queue.Queue[Document | BaseException] = queue.Queue(10_000)

        def listen(relay: Relay) -> None:
            try:
                for event in relay.stream(do, for_ever=True, **arguments):
                    events.put(event)
                events.put(EOFError())
            except Exception as fault:  # noqa: BLE001 - raised again where it is waited for
                events.put(fault)

        for relay in self._relays:
            if relay.is_running:
                threading.Thread(target=listen, args=(relay,), daemon=True).start()
        while True:
            event = events.get()
            if isinstance(event, EOFError):
                return
            if isinstance(event, BaseException):
                raise event
            yield event


_MERGED: dict[str, Callable[[Shards, str, Document], Document]] = {
    "about": Shards._about,
    "messages": Shards._messages,
    "story": Shards._of_one,
    "select": Shards._by_turns,
    "change": Shards._by_turns,
    "routes": Shards._by_turns,
    "pause": Shards._first_of_each,
    "resume": Shards._first_of_each,
    "status": Shards._status,
    "suppressions": Shards._suppressions,
    "suppress": Shards._in_each,
    "unsuppress": Shards._in_each,
    "verbosity": Shards._first_of_each,
    "set_verbosity": Shards._first_of_each,
}

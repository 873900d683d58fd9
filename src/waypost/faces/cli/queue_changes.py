"""`waypost queue retry|hold|release|remove|reroute`: change the mail that waits.

What would be changed is shown first. A person is asked; a program says --yes where it chooses by
filters rather than by naming messages. What arrives after the preview is not touched.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from waypost.faces.cli.failure import CHECKED_BAD, WRONG_USAGE, fail, failures_shown
from waypost.faces.cli.filters import (
    IdArguments,
    OlderOption,
    SenderOption,
    StateOption,
    TextOption,
    ToOption,
    Wanted,
)
from waypost.faces.cli.output import print_json, print_line, print_table, progress, shown
from waypost.faces.cli.relay import ConfigOption, JsonOption, Relay, SpoolOption, open_relay

BATCH: Final = 5000
SHOWN: Final = 20
"""Recipients of a preview; the rest is counted."""

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be changed.")]


@dataclass(frozen=True, slots=True)
class _Words:
    action: str
    doing: str
    done: str


_WORDS: Final = {
    "retry": _Words("retry", "try again now", "due now"),
    "hold": _Words("hold", "hold", "held"),
    "release": _Words("release", "release", "released"),
    "remove": _Words("remove", "remove, without telling their senders", "removed"),
}


@dataclass(slots=True)
class _Preview:
    """What would be changed."""

    shown: list[dict[str, Any]]
    recipients: int
    messages: int
    under_way: int
    newest: str | None
    """Nothing newer is touched."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, help_text in (
        ("retry", "Try the messages again now, however long they were to wait."),
        ("hold", "Hold the messages until they are released."),
        ("release", "Release held messages; they are due at once."),
        ("remove", "Remove messages that wait; their senders are not told."),
    ):
        app.command(name, help=help_text)(_command(name))
    app.command(
        "reroute",
        help="Show which route each message would take today, and try them now. Routes are never "
        "stored with a message, so a changed configuration counts for what waits.",
    )(reroute)


def _command(name: str) -> Callable[..., None]:
    def change(
        ids: IdArguments = None,
        sender: SenderOption = "",
        to: ToOption = "",
        older_than: OlderOption = None,
        text: TextOption = "",
        state: StateOption = None,
        yes: YesOption = False,
        dry_run: DryRunOption = False,
        config: ConfigOption = None,
        spool: SpoolOption = None,
        json: JsonOption = False,
    ) -> None:
        wanted = Wanted(tuple(ids or ()), sender, to, older_than, text, tuple(state or ()))
        with failures_shown():
            _change(_WORDS[name], wanted, yes, dry_run, config, spool, json)

    return change


def _change(
    words: _Words,
    wanted: Wanted,
    yes: bool,
    dry_run: bool,
    config: Path | None,
    spool: str | None,
    json: bool,
) -> None:
    chosen = _chosen(wanted, yes, dry_run)
    with open_relay(config, spool) as relay:
        preview = _preview(relay, words.action, chosen)
        if not json:
            _print_preview(preview)
        changed = 0
        if not dry_run and preview.recipients and _confirmed(words, preview, yes):
            changed = _apply(relay, words.action, chosen, preview)
    result = {
        "action": words.action,
        "dry_run": dry_run,
        "messages": preview.messages,
        "recipients": preview.recipients,
        "under_way": preview.under_way,
        "changed": changed,
    }
    if json:
        print_json(result)
    elif not dry_run and preview.recipients:
        print_line(f"{_recipients(changed)} {words.done}")
    if wanted.only_ids and not preview.recipients:
        fail(f"none of these messages can be changed by {words.action}", CHECKED_BAD)


def _chosen(wanted: Wanted, yes: bool, dry_run: bool) -> dict[str, Any]:
    """The filter. Raises Failure where the command does not say enough."""
    if not wanted.ids and not wanted.has_filter:
        fail(
            "say which messages: IDs, or --sender, --to, --older-than, --text, --state "
            "(--state all for all that wait)",
            WRONG_USAGE,
        )
    if not (yes or dry_run or wanted.only_ids or sys.stdin.isatty()):
        fail(
            "filters need --yes where nobody can be asked; --dry-run shows the effect", WRONG_USAGE
        )
    return wanted.document()


def _batches(
    relay: Relay, do: str, chosen: dict[str, Any], **arguments: Any
) -> Iterator[dict[str, Any]]:
    before = chosen.get("before")
    while True:
        batch = relay.ask(do, filter={**chosen, "limit": BATCH, "before": before}, **arguments)
        yield batch
        before = batch["before"]
        if before is None:
            return


def _preview(relay: Relay, action: str, chosen: dict[str, Any]) -> _Preview:
    from waypost.spool.identifiers import identifier_text, parse_identifier

    preview = _Preview([], 0, 0, 0, None)
    with progress("looking", None) as advance:
        for batch in _batches(relay, "select", chosen, action=action):
            if preview.newest is None and batch["newest"] is not None:
                preview.newest = identifier_text(parse_identifier(batch["newest"]) + 1)
            preview.shown += batch["recipients"][: SHOWN - len(preview.shown)]
            preview.recipients += batch["count"]
            preview.messages += batch["messages"]
            preview.under_way += batch["under_way"]
            advance(batch["count"])
    return preview


def _print_preview(preview: _Preview) -> None:
    if not preview.recipients:
        print_line("nothing that can be changed so")
        return
    print_table(
        ("ID", "STATE", "TO"),
        [
            (one["id"], "under way" if one["under_way"] else one["state"], shown(one["address"]))
            for one in preview.shown
        ],
    )
    if preview.recipients > len(preview.shown):
        print_line(f"and {preview.recipients - len(preview.shown)} more")
    if preview.under_way:
        print_line(f"{preview.under_way} are being attempted and will be left alone")


def _confirmed(words: _Words, preview: _Preview, yes: bool) -> bool:
    if yes or not sys.stdin.isatty():
        return True
    return typer.confirm(
        f"{words.doing.capitalize()}: {preview.recipients} recipients of "
        f"{preview.messages} messages?",
        err=True,
    )


def _apply(relay: Relay, action: str, chosen: dict[str, Any], preview: _Preview) -> int:
    changed = 0
    with progress(action, preview.recipients) as advance:
        until = {**chosen, "before": preview.newest}
        for batch in _batches(relay, "change", until, action=action):
            changed += batch["changed"]
            advance(batch["changed"] + batch["under_way"])
    return changed


def reroute(
    ids: IdArguments = None,
    sender: SenderOption = "",
    to: ToOption = "",
    older_than: OlderOption = None,
    text: TextOption = "",
    state: StateOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """The command; its help is given where it is registered."""
    wanted = Wanted(tuple(ids or ()), sender, to, older_than, text, tuple(state or ()))
    with failures_shown():
        chosen = _chosen(wanted, yes, dry_run)
        with open_relay(config, spool) as relay:
            listed: list[dict[str, Any]] = []
            routes: Counter[tuple[str, str]] = Counter()
            for batch in _batches(relay, "routes", chosen):
                listed += batch["recipients"][: SHOWN - len(listed)]
                for one in batch["routes"]:
                    routes[one["route"], one["next_hops"]] += one["recipients"]
            preview = _preview(relay, "retry", chosen)
            if not json:
                _print_routes(listed, routes)
            changed = 0
            wants = not dry_run and preview.recipients > 0
            if wants and _confirmed(_WORDS["retry"], preview, yes):
                changed = _apply(relay, "retry", chosen, preview)
        if json:
            print_json(
                {
                    "action": "reroute",
                    "dry_run": dry_run,
                    "routes": [
                        {"route": name, "next_hops": hops, "recipients": count}
                        for (name, hops), count in routes.items()
                    ],
                    "changed": changed,
                }
            )
        elif not dry_run and preview.recipients:
            print_line(f"{_recipients(changed)} due now")
        if wanted.only_ids and not routes:
            fail("none of these messages waits", CHECKED_BAD)


def _print_routes(listed: list[dict[str, Any]], routes: Counter[tuple[str, str]]) -> None:
    if not listed:
        print_line("nothing that can be changed so")
        return
    print_table(
        ("ID", "TO", "ROUTE"),
        [(one["id"], shown(one["address"]), shown(one["route"])) for one in listed],
    )
    total = sum(routes.values())
    if total > len(listed):
        print_line(f"and {total - len(listed)} more")
    print_line()
    print_table(
        ("ROUTE", "NEXT HOPS", "RECIPIENTS"),
        [(shown(name), shown(hops), str(count)) for (name, hops), count in routes.items()],
    )


def _recipients(number: int) -> str:
    return "1 recipient" if number == 1 else f"{number} recipients"

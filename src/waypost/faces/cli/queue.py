"""`waypost queue`: see the mail that waits. What changes it is in queue_changes.py."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer

from waypost.faces.cli import queue_changes, queue_files, queue_pauses
from waypost.faces.cli.failure import WRONG_USAGE, fail, failures_shown
from waypost.faces.cli.filters import (
    WAITING,
    BeforeOption,
    OlderOption,
    SenderOption,
    StateOption,
    TextOption,
    ToOption,
    Wanted,
)
from waypost.faces.cli.output import (
    ago,
    local_time,
    print_json,
    print_line,
    print_table,
    shown,
    shown_subject,
    size,
)
from waypost.faces.cli.relay import ConfigOption, JsonOption, SpoolOption, open_relay
from waypost.faces.cli.story import print_source, print_story

app = typer.Typer(
    help="See and steer the mail that waits.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
queue_changes.register(app)
queue_files.register(app)
queue_pauses.register(app)


@app.command("list")
def list_messages(
    sender: SenderOption = "",
    to: ToOption = "",
    older_than: OlderOption = None,
    text: TextOption = "",
    state: StateOption = None,
    limit: Annotated[int, typer.Option(help="Messages shown, 1 to 500.", metavar="N")] = 50,
    before: BeforeOption = None,
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """List messages, newest first: those that wait, unless --state says otherwise."""
    with failures_shown():
        if not 1 <= limit <= 500:
            fail("--limit is a number from 1 to 500; --before gives the next page", WRONG_USAGE)
        wanted = Wanted((), sender, to, older_than, text, tuple(state or WAITING))
        chosen = wanted.document(limit=limit, before=before)
        with open_relay(config, spool) as relay:
            page = relay.ask("messages", filter=chosen)
        if json:
            print_json(page)
            return
        now = dt.datetime.now(dt.UTC)
        rows = [_row(message, now) for message in page["messages"]]
        if not rows:
            print_line("nothing waits" if not state else "no messages")
            return
        print_table(("ID", "AGE", "SIZE", "STATE", "FROM", "TO", "NEXT", "SUBJECT"), rows)
        if page["before"]:
            print_line(f"more: --before {page['before']}")


def _row(message: dict[str, Any], now: dt.datetime) -> tuple[str, ...]:
    recipients = message["recipients"]
    to = shown(recipients[0]["address"], 40) if recipients else ""
    if len(recipients) > 1:
        to += f" +{len(recipients) - 1}"
    states = list(dict.fromkeys(one["state"] for one in recipients))
    times = sorted(one["next_attempt"] for one in recipients if one["next_attempt"])
    upcoming = ""
    if times:
        due = dt.datetime.fromisoformat(times[0])
        upcoming = "due" if due <= now else f"in {ago(times[0], now)}"
    if any(one["under_way"] for one in recipients):
        upcoming = "under way"
    return (
        message["id"],
        ago(message["received"], now),
        size(message["size"]),
        ",".join(states),
        shown(message["from"] or "<>", 40),
        to,
        upcoming,
        shown_subject(message["subject"], 40),
    )


@app.command()
def show(
    message: Annotated[str, typer.Argument(metavar="ID")],
    raw: Annotated[bool, typer.Option("--raw", help="The message itself, as stored.")] = False,
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """Show a message: its recipients, what each waits for, and its attempts."""
    with failures_shown():
        Wanted((message,)).document()
        with open_relay(config, spool) as relay:
            if raw:
                print_source(relay, message)
                return
            story = relay.ask("story", id=message)
        if json:
            print_json(story)
        else:
            print_story(story)


@app.command()
def status(
    config: ConfigOption = None, spool: SpoolOption = None, json: JsonOption = False
) -> None:
    """Count what there is, and tell which destinations are left alone or paused, and why."""
    with failures_shown():
        with open_relay(config, spool) as relay:
            document = relay.ask("status")
            document["running"] = relay.is_running
        if json:
            print_json(document)
            return
        now = dt.datetime.now(dt.UTC)
        print_table(
            ("STATE", "RECIPIENTS"),
            [(name, str(count)) for name, count in document["recipients"].items()],
        )
        print_line()
        if document["oldest_queued"]:
            print_line(f"oldest waits for {ago(document['oldest_queued'], now)}")
        print_line(f"the spool takes {size(document['bytes'])}")
        if relay.is_running:
            print_line(
                f"{document['in_memory']} messages in memory, "
                f"{document['connections']} connections to next hops"
            )
        if document["left_alone"]:
            print_line()
            print_table(
                ("LEFT ALONE", "ROUTE", "FAILURES", "UNTIL", "REASON"),
                [
                    (
                        shown(one["destination"] or "all of the route", 60),
                        shown(one["route"]),
                        str(one["failures"]),
                        local_time(one["until"]),
                        shown(one["reason"], 100),
                    )
                    for one in document["left_alone"]
                ],
            )
        if document["paused"]:
            print_line()
            print_table(
                ("PAUSED", "ROUTE", "SINCE", "BY", "REASON"),
                [
                    (
                        shown(one["destination"] or "all of the route", 60),
                        shown(one["route"]),
                        local_time(one["since"]),
                        shown(one["by"], 40),
                        shown(one["reason"], 100),
                    )
                    for one in document["paused"]
                ],
            )

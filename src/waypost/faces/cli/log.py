"""`waypost log`: what happened to each message, a line for each event, or all about one message."""

from __future__ import annotations

import json as jsons
import sys
from typing import Annotated, Any

import typer

from waypost.faces.cli.failure import WRONG_USAGE, fail, failures_shown
from waypost.faces.cli.filters import SenderOption, ToOption, Wanted, moment_before
from waypost.faces.cli.output import local_time, print_json, print_line, shown, size
from waypost.faces.cli.relay import ConfigOption, JsonOption, Relay, SpoolOption, open_relay
from waypost.faces.cli.story import print_source, print_story

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def log(
    message: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="All about one message.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it happens.")] = False,
    sender: SenderOption = "",
    to: ToOption = "",
    since: Annotated[
        str | None, typer.Option(help="Events not older: 10min, 2h.", metavar="TIME")
    ] = None,
    limit: Annotated[
        int, typer.Option(help="Of the newest messages so many, 1 to 500.", metavar="N")
    ] = 50,
    source: Annotated[bool, typer.Option("--source", help="With an ID: the message.")] = False,
    config: ConfigOption = None,
    spool: SpoolOption = None,
    json: JsonOption = False,
) -> None:
    """What happened to each message: accepted, captured, delivered, deferred, bounced.

    With an ID the whole story with transcripts. With --follow and --json, an object on each line.
    """
    with failures_shown():
        if not 1 <= limit <= 500:
            fail("--limit is a number from 1 to 500", WRONG_USAGE)
        if message is None and source:
            fail("--source needs the ID of a message", WRONG_USAGE)
        if message is not None and follow:
            fail("--follow is for all messages; leave out the ID", WRONG_USAGE)
        chosen = Wanted((), sender, to).document(limit=limit)
        if message is not None:
            Wanted((message,)).document()
        start = moment_before(since)
        with open_relay(config, spool) as relay:
            if message is None:
                _events(relay, chosen, start, follow, json)
            elif source:
                print_source(relay, message)
            else:
                story = relay.ask("story", id=message)
                if json:
                    print_json(story)
                else:
                    print_story(story)


def _events(
    relay: Relay, chosen: dict[str, Any], since: float | None, follow: bool, json: bool
) -> None:
    if follow:
        for event in relay.stream("follow", for_ever=True, filter=chosen, since=since):
            if event["event"] == "missed" or _matches(event, chosen):
                print_line(jsons.dumps(event, ensure_ascii=False) if json else event_line(event))
                sys.stdout.flush()
        return
    past = relay.stream("events", filter=chosen, since=since)
    if json:
        print_json({"events": list(past)})
        return
    quiet = True
    for event in past:
        quiet = False
        print_line(event_line(event))
    if quiet:
        print_line("nothing has happened" + (" since then" if since else " yet"))


def _matches(event: dict[str, Any], chosen: dict[str, Any]) -> bool:
    """As the spool matches (MessageFilter.sender)."""
    return _fits(chosen["sender"], [event["from"]]) and _fits(chosen["to"], event["to"])


def _fits(wanted: str, addresses: list[str]) -> bool:
    wanted = wanted.lower()
    for address in addresses:
        lower = address.lower()
        if wanted == "<>":
            fits = not lower
        elif wanted.startswith("@"):
            fits = lower.endswith(wanted)
        elif "@" in wanted:
            fits = lower == wanted
        else:
            fits = wanted in lower
        if fits:
            return True
    return False


def event_line(event: dict[str, Any]) -> str:
    """An event on one line."""
    if event["event"] == "missed":
        return f"{event['count']} events came faster than they could be shown"
    to = ", ".join(shown(one) for one in event["to"][:3])
    if len(event["to"]) > 3:
        to += f" and {len(event['to']) - 3} more"
    head = f"{local_time(event['at'])}  {event['id']}  {event['event']:<9}"
    if event["event"] == "accepted":
        user = f" as {shown(event['user'])}" if event["user"] else ""
        return (
            f"{head}  from {shown(event['from']) or '<>'} to {to}, {size(event['size'])}, "
            f"by {shown(event['client'])}{user}"
        )
    line = f"{head}  to {to}"
    if event["route"]:
        line += f" over {shown(event['route'])}"
    if event["event"] == "captured":
        return f"{line}: see it with waypost log {event['id']} --source"
    if event["next_hop"]:
        line += f" at {shown(event['next_hop'])}"
    line += f", {event['tls'].split(' (')[0] if event['tls'] else 'no TLS'}"
    line += f", {event['seconds']:.3f} s: {shown(event['reply'], 200)}"
    if event["next_attempt"]:
        line += f"; again {local_time(event['next_attempt'])}"
    if event["uncertain"]:
        line += " (it may have been accepted)"
    return line

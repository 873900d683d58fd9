"""`waypost ping --connections`: how many parallel connections a server of one's own takes."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import typer

from waypost.doctor.fix import fix_for
from waypost.doctor.latency_connections import Parallel, find_parallel
from waypost.doctor.line_opening import StageFailed, World
from waypost.doctor.target import ServerTarget, provider_of_host
from waypost.faces.cli.failure import CHECKED_BAD, UNREACHABLE, WRONG_USAGE, fail
from waypost.faces.cli.output import print_json, print_line, progress, shown
from waypost.knowledge.providers import provider_of_exchanger


def find_connections(
    target: ServerTarget,
    hostname: str,
    world: World,
    maximum: int,
    timeout: float,
    *,
    asked: bool,
    json: bool,
) -> int:
    """Ask, look, show; returns the exit code. Raises Failure."""
    host = target.hop.host
    provider = provider_of_host(host) or provider_of_exchanger(host)
    if provider is not None:
        fail(
            f"{host} belongs to {provider.title}; --connections is for a server of your "
            "own. What a provider takes stands in its documentation",
            WRONG_USAGE,
        )
    _confirmed(target, maximum, asked=asked)
    with progress("open connections", maximum) as advance:
        try:
            found = asyncio.run(
                find_parallel(target.hop, hostname, world, maximum, timeout, lambda _: advance(1))
            )
        except StageFailed as fault:
            advice = fault.fix or fix_for(fault.reason, target.hop.host)
            fail(f"{fault.text}. {advice}", UNREACHABLE)
    if json:
        print_json(connections_document(target, found, maximum))
    else:
        _print(target, found)
    if found.open:
        return 0
    return CHECKED_BAD if found.refusal and found.refusal.sign == "reply" else UNREACHABLE


def _confirmed(target: ServerTarget, maximum: int, *, asked: bool) -> None:
    """Whoever owns the server has agreed. Raises Failure."""
    if asked:
        return
    if not sys.stdin.isatty():
        fail(
            f"this opens up to {maximum} connections to {target.place}; if the server is your own, "
            "say --yes",
            WRONG_USAGE,
        )
    question = f"Open up to {maximum} connections to {shown(target.place)}? Is the server yours?"
    if not typer.confirm(question, err=True):
        raise typer.Exit(0)


def connections_words(found: Parallel) -> str:
    """What was found, in words."""
    refusal = found.refusal
    if refusal is None:
        return f"{found.open} connections were open at one time, and none was refused"
    said = f"{refusal.stage}: {shown(refusal.text)}"
    if not found.open:
        return f"not one connection was taken: {said}. {refusal.fix}".rstrip()
    head = f"{found.open} connections were open at one time; number {refusal.number} was not taken"
    if refusal.sign == "older-closed":
        head = f"{found.open} connections stayed open"
    return f"{head} ({said})"


def limit_words(found: Parallel) -> str:
    """Which limit it was; "" where none was met."""
    if found.refusal is None or not found.open:
        return ""
    if found.taken_again:
        return (
            "with all of them closed one was taken at once, so the server limits connections at "
            f"one time; give its route connections_per_destination = {found.open} or less"
        )
    return (
        "with all of them closed one more was still refused, so the server limits how many come in "
        "a time, or has blocked this address for now"
    )


def connections_document(target: ServerTarget, found: Parallel, maximum: int) -> dict[str, Any]:
    """As JSON."""
    refusal = found.refusal
    return {
        "target": target.text,
        "place": target.place,
        "maximum": maximum,
        "open": found.open,
        "taken_again": found.taken_again,
        "milliseconds": round(found.seconds * 1000, 1),
        "words": ". ".join(filter(None, (connections_words(found), limit_words(found)))),
        "refusal": None
        if refusal is None
        else {
            "number": refusal.number,
            "stage": refusal.stage,
            "sign": refusal.sign,
            "reason": refusal.reason,
            "text": refusal.text,
            "advice": refusal.fix,
        },
    }


def _print(target: ServerTarget, found: Parallel) -> None:
    print_line(f"{shown(target.place)}: {connections_words(found)}")
    limit = limit_words(found)
    if limit:
        print_line(limit)

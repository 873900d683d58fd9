"""The whole story of one message for a person: recipients, what they wait for, every attempt."""

from __future__ import annotations

import base64
import re
import sys
from typing import Any, Final

from waypost.faces.cli.output import (
    local_time,
    on_terminal,
    print_line,
    shown,
    shown_subject,
    size,
)
from waypost.faces.cli.relay import Relay

_ENTRY: Final = re.compile(r"(-|[0-9.]+) ([<>*]) (.*)", re.DOTALL)
_WORDS: Final = {"<": "they", ">": "we", "*": "note"}
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")


def print_story(story: dict[str, Any]) -> None:
    """Message, recipients, attempts with annotated transcripts."""
    for name, value in (
        ("message", story["id"]),
        ("from", shown(story["from"]) or "<> (a notification)"),
        ("subject", shown_subject(story["subject"], 200)),
        ("message-id", shown(story["message_id"])),
        ("size", size(story["size"])),
        ("received", f"{local_time(story['received'])} from {shown(story['client'])}"),
        ("user", shown(story["user"] or "")),
        ("expires", local_time(story["expires"])),
    ):
        if value:
            print_line(f"{name:<11} {value}")
    for one in story["recipients"]:
        print_line()
        tries = one["attempts"]
        print_line(
            f"to {shown(one['address'])}: {one['state']}"
            + (f" after {tries} attempt{'s' if tries > 1 else ''}" if tries else "")
        )
        if one["waits_for"]:
            until = f" until {local_time(one['waits_until'])}" if one["waits_until"] else ""
            print_line(f"   waits for: {shown(one['waits_for'])}{until}")
        if one["reply"]:
            print_line(f"   last reply: {shown(one['reply'])}")
        print_advice(one["reason"])
    for number, attempt in enumerate(story["attempts"], 1):
        print_line()
        print_attempt(number, attempt)


def print_advice(reason: str) -> None:
    """The reason by name, and what can be done about it."""
    if not reason:
        return
    from waypost.knowledge.advice import advice_for_operator

    advice = advice_for_operator(reason)
    print_line(f"   reason: {reason}" + (f". {advice}" if advice else ""))


def print_attempt(number: int, attempt: dict[str, Any]) -> None:
    """One attempt: what it came to, and what was said."""
    print_line(
        f"attempt {number}, {local_time(attempt['started'])}, {attempt['seconds']:.3f} s, "
        f"route {shown(attempt['route']) or '-'}, to {shown(attempt['next_hop']) or 'nobody'}"
        f"{', ' + shown(attempt['tls']) if attempt['tls'] else ''}"
    )
    if attempt["uncertain"]:
        print_line("   uncertain: the peer may have accepted although it could not say so")
    for result in attempt["results"]:
        print_line(
            f"   {shown(result['address'])}: {result['state']}"
            + (f", again {local_time(result['next_attempt'])}" if result["next_attempt"] else "")
        )
    for line in attempt["transcript"]:
        print_line(transcript_line(line))


def transcript_line(line: str) -> str:
    """A line of a transcript: time, who, words."""
    found = _ENTRY.fullmatch(line)
    if found is None:
        return f"   {shown(line)}"
    moment = f"{found[1]} ms" if found[1] != "-" else ""
    return f"   {moment:>12}  {_WORDS[found[2]]:<4} {shown(found[3])}"


def print_source(relay: Relay, message: str) -> None:
    """The message itself. On a terminal, control characters in it are made harmless."""
    sys.stdout.flush()
    tame = on_terminal()
    for piece in relay.stream("source", id=message):
        content = base64.b64decode(piece["content"])
        if tame:
            content = _CONTROLS.sub(b"?", content)
        sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()

"""`waypost send --merge`: a letter to everybody on a list, each with their own words.

Everything is looked at before anything is sent: every row, and what the templates make of it. The
journal beside the list says who has their copy, so the same command goes on where it broke off.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

from waypost.errors import WaypostError
from waypost.faces.cli.failure import CHECKED_BAD, TEMPORARY, WRONG_USAGE, Failure
from waypost.faces.cli.merge_options import MergeOptions
from waypost.faces.cli.output import print_json, print_line, progress, shown
from waypost.faces.merge.journal import Journal, WrongJournal, fingerprint
from waypost.faces.merge.letter import InvalidLetter, Letter, LetterParts
from waypost.faces.merge.mailing import Mailing, Report, examine
from waypost.faces.merge.people import InvalidPeople, People, Person, Unusable
from waypost.net.clock import SystemClock

if TYPE_CHECKING:
    from waypost.faces.library.mailer import Mailer


def merge(options: MergeOptions, via: str | None, own_relay: str, hostname: str) -> int:
    """Send, or show what would be sent; the exit code. Raises Failure."""
    report = Report()
    try:
        people = People(options.people, options.address_column)
        letter = Letter(_parts(options), people.columns)
        if options.preview is not None:
            return _preview(people, letter, options.preview, hostname)
        first = examine(people, letter, report)
        count = sum(isinstance(one, Person) for one in people)
        if options.dry_run:
            return _told(report, options, count)
        if not first:
            _told(report, options, count)
            raise Failure(f"{options.people}: nobody to send to", WRONG_USAGE)
        if not (options.yes or _agreed(count, report, via or "the relay")):
            raise Failure("nothing was sent", WRONG_USAGE)
        mailer = _mailer(via or own_relay, options.rate)
        return _send(options, people, letter, count, mailer, hostname, report)
    except (InvalidPeople, InvalidLetter, WrongJournal) as fault:
        raise Failure(str(fault), WRONG_USAGE) from fault
    except OSError as fault:
        text = f"{fault.filename} cannot be read: {fault.strerror}; nothing was sent"
        raise Failure(text if fault.filename else str(fault), WRONG_USAGE) from fault


def _parts(options: MergeOptions) -> LetterParts:
    headers = []
    for line in options.header:
        name, colon, value = line.partition(":")
        if not colon:
            raise Failure(f"--header: {line[:100]!r} is no field; write it as 'Name: value'",
                          WRONG_USAGE)  # fmt: skip
        headers.append((name.strip(), value.strip()))
    return LetterParts(
        options.sender, options.subject, options.template, options.html, options.reply_to,
        options.attach, headers, options.unsubscribe,
    )  # fmt: skip


def _mailer(url: str, rate: str | None) -> Mailer:
    from waypost.faces.library.mailer import Mailer

    try:
        return Mailer(url, rate=rate)
    except WaypostError as fault:
        raise Failure(str(fault), WRONG_USAGE) from fault


def _preview(people: People, letter: Letter, count: int, hostname: str) -> int:
    """The first copies as their readers get them."""
    import datetime as dt

    now = dt.datetime.fromtimestamp(SystemClock().now(), dt.UTC).astimezone()
    usable = (one for one in people if not isinstance(one, Unusable))
    for person in islice(usable, count):
        message = letter.to(person, now, f"<preview.{person.line}@{hostname}>")
        print_line(f"--- line {person.line} " + "-" * 60)
        for name, value in message.items():
            if not re.match(r"(?i)mime-version|content-", name):
                print_line(shown(f"{name}: {value}", 200))
        body = message.get_body(("plain",))
        print_line()
        for line in str(body.get_content()).splitlines() if body is not None else ():
            print_line(shown(line))
        print_line()
    return 0


def _agreed(count: int, report: Report, where: str) -> bool:
    if not sys.stdin.isatty():
        raise Failure(
            "--merge needs --yes where nobody can be asked; --dry-run shows what would be sent",
            WRONG_USAGE,
        )
    for problem in report.problems:
        print_line(f"   {shown(problem)}")
    left_out = f", {report.unusable} rows cannot be used" if report.unusable else ""
    answer = input(f"Send to {count} people through {where}{left_out}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _send(
    options: MergeOptions,
    people: People,
    letter: Letter,
    count: int,
    mailer: Mailer,
    hostname: str,
    report: Report,
) -> int:
    path = options.journal or options.people.with_name(options.people.name + ".sent")
    journal = Journal(path, _fingerprint(options))
    mailing = Mailing(people, letter, journal, options.again, SystemClock(), hostname, report)
    try:
        with mailer, progress("sending", count) as advance:
            mailing.run(mailer, advance)
    except KeyboardInterrupt:
        _told(report, options, count)
        raise Failure("stopped; the same command goes on from here", 130) from None
    except sqlite3.Error as fault:
        _told(report, options, count)
        raise Failure(
            f"the journal {path} cannot be written: {fault}. Nobody was sent to without it; the "
            "same command goes on from here",
            TEMPORARY,
        ) from fault
    finally:
        journal.close()
    return _told(report, options, count)


def _fingerprint(options: MergeOptions) -> str:
    files = [one for one in (options.template, options.html) if one is not None]
    return fingerprint(
        [options.sender, options.subject, options.unsubscribe or "",
         *(one.read_bytes() for one in files)]
    )  # fmt: skip


def _told(report: Report, options: MergeOptions, count: int) -> int:
    """Say what it came to; the exit code."""
    document: dict[str, Any] = {
        "people": count,
        "dry_run": options.dry_run,
        "sent": report.sent,
        "refused": report.refused,
        "deferred": report.deferred,
        "uncertain": report.uncertain,
        "had_it": report.had_it,
        "twice": report.twice,
        "unusable": report.unusable,
        "problems": report.problems,
    }
    if options.json:
        print_json(document)
    else:
        for problem in report.problems:
            print_line(f"   {shown(problem)}")
        words = {
            "sent": report.sent, "refused": report.refused, "not taken for now": report.deferred,
            "uncertain": report.uncertain, "left alone (had it before)": report.had_it,
            "the same row twice": report.twice, "rows that cannot be used": report.unusable,
        }  # fmt: skip
        told = ", ".join(f"{number} {word}" for word, number in words.items() if number)
        print_line(f"{count} people: {told or ('nothing wrong' if options.dry_run else 'none')}")
        if report.deferred:
            print_line("The same command sends to those who were not taken for now.")
        if report.uncertain:
            print_line("Those uncertain may have it: --resend-uncertain sends to them again.")
    if report.refused or report.unusable:
        return CHECKED_BAD
    return TEMPORARY if report.deferred or report.uncertain else 0

"""What a relay says when it has started: where it listens, where mail goes, what to do first."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from waypost.delivery.route import NextHop, Smarthost
from waypost.service import Service


def welcome(
    service: Service,
    spool: Path,
    command: str = "waypost",
    options: str = "",
    panels: Sequence[str] = (),
    first_run: str = "",
) -> Iterator[str]:
    """The lines to print. `spool` is where mail is kept, `command` how this program is called,
    `options` what its other commands need to find this relay, `panels` where its pages are,
    `first_run` a link for the person who makes the first account."""
    bound = [(listener.kind, place) for listener in service.listeners for place in listener.bound]
    for kind, place in bound:
        yield f"listening on {place} ({_KINDS[kind]})"
    for place in panels:
        yield f"panel on {place}"
    if first_run:
        yield "nobody has an account of the panel yet; make the first within an hour at"
        yield f"    {first_run}"
    for route in service.engine.routing.routes:
        yield f"route {route.name}: {', '.join(map(_hop, route.via))}"
    yield f"mail is kept in {spool}"
    if service.spool.admission(1) is not None:
        yield (
            "NO MAIL IS ACCEPTED NOW: the disk of the spool has less room than spool.minimum_free, "
            "or spool.quota is used up"
        )
    submission = next((place for kind, place in bound if kind == "submission"), None)
    if submission is None or not all(r.is_sandbox for r in service.engine.routing.routes):
        return
    yield ""
    yield "Every message is captured; nothing leaves this machine until a route is set."
    if not service.settings.access.require_authentication:
        yield from _first_message(submission, command, options)
    yield "To send mail for real, start with a route, for example:"
    yield ""
    yield f"    {command} serve{options} --route smtp://USER:PASSWORD@smtp.example.com:587"
    yield ""


def _first_message(submission: str, command: str, options: str) -> Iterator[str]:
    host, _, port = submission.rpartition(":")
    yield "Send a first message from another terminal, in any of these ways:"
    yield ""
    yield (
        f"    {command} send{options} --from me@example.com --to you@example.org "
        "--subject Hello --text Hi"
    )
    yield (
        f'    python3 -c "import smtplib; smtplib.SMTP({host!r}, {port}).sendmail('
        "'me@example.com', ['you@example.org'], 'Subject: Hello\\r\\n\\r\\nHi')\""
    )
    yield (
        f"    printf 'Subject: Hello\\r\\n\\r\\nHi\\r\\n' | curl smtp://{submission} "
        "--mail-from me@example.com --mail-rcpt you@example.org -T -"
    )
    yield ""
    yield "See it arrive:"
    yield ""
    yield f"    {command} log{options}"
    yield ""


def _hop(hop: NextHop) -> str:
    if isinstance(hop, Smarthost) and hop.credentials is None and not hop.is_unix:
        return f"{hop.identity} (without a login)"
    return hop.identity


def own_name(called: str | None = None, folder: Path | None = None) -> str:
    """How to call this program from the current folder: `waypost` where that is on the path."""
    program = Path(sys.argv[0] if called is None else called).absolute()
    found = shutil.which("waypost")
    if found is not None and Path(found).absolute() == program:
        return "waypost"
    if not program.is_file() or program.name != "waypost":
        return "waypost"
    folder = folder or Path.cwd()
    if program.is_relative_to(folder):
        return shlex.quote(str(program.relative_to(folder)))
    return shlex.quote(str(program))


def options_for(config: Path | None, spool: str | None) -> str:
    """The options of `serve` that other commands need as well."""
    options = f" --config {shlex.quote(str(config))}" if config is not None else ""
    return options + (f" --spool {shlex.quote(spool)}" if spool is not None else "")


_KINDS = {
    "relay": "relay, mail from other servers",
    "submission": "submission, mail from applications",
    "submissions": "submission over TLS",
}

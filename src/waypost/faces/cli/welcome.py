"""What a relay says when it has started: where it listens, where mail goes, what to do first."""

from __future__ import annotations

from collections.abc import Iterator

from waypost.service import Service


def welcome(service: Service) -> Iterator[str]:
    """The lines to print."""
    bound = [(listener.kind, place) for listener in service.listeners for place in listener.bound]
    for kind, place in bound:
        yield f"listening on {place} ({_KINDS[kind]})"
    for route in service.engine.routing.routes:
        yield f"route {route.name}: {', '.join(hop.identity for hop in route.via)}"
    yield f"mail is kept in {service.settings.spool.directory}"
    submission = next((place for kind, place in bound if kind == "submission"), None)
    if submission is None or not all(r.is_sandbox for r in service.engine.routing.routes):
        return
    host, _, port = submission.rpartition(":")
    yield ""
    yield "Every message is captured; nothing leaves this machine until a route is set."
    yield "Send a first message from another terminal, in any of these ways:"
    yield ""
    yield "    waypost send --from me@example.com --to you@example.org --subject Hello --text Hi"
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
    yield "    waypost log"
    yield ""
    yield "To send mail for real, start with a route, for example:"
    yield ""
    yield "    waypost serve --route smtp://USER:PASSWORD@smtp.example.com:587"
    yield ""


_KINDS = {
    "relay": "relay, mail from other servers",
    "submission": "submission, mail from applications",
    "submissions": "submission over TLS",
}

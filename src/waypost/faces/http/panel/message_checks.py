"""What can be told of a message by looking at it: facts that servers and readers mind.

Only what is sure is told. Whether a filter likes a message is known to that filter alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from waypost.mail.html_display import ShownHtml
from waypost.mail.parts import ReadMessage

CLIPPED: Final = 102 << 10
"""Bytes of HTML from which on Gmail shows a message only in part
(support.google.com/mail/answer/6594 says it clips; the figure is what senders measure)."""

LARGE: Final = 10 << 20
"""Bytes that some servers do not take any more."""

_ONCE: Final = (
    "date", "from", "sender", "reply-to", "to", "cc", "message-id", "in-reply-to", "references",
    "subject",
)  # fmt: skip
"""RFC 5322 3.6: at most one of each."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `state` is ok, warn or fail."""

    state: str
    title: str
    text: str = ""


def checks_of(read: ReadMessage, size: int, shown: ShownHtml | None) -> tuple[Check, ...]:
    """All of them; `size` is that of the whole message in bytes."""
    found = [*_fields(read), *_body(read, shown), *_unsubscribe(read), _size(size)]
    found += [Check("warn", "Not all of it was looked at", one) for one in read.cut]
    return tuple(sorted(found, key=lambda one: ("fail", "warn", "ok").index(one.state)))


def _fields(read: ReadMessage) -> list[Check]:
    found: list[Check] = []
    for name, title in (("date", "Date"), ("from", "From")):
        if read.field(name) is None:
            found.append(
                Check("fail", f"{title} is missing", "RFC 5322 3.6 requires it of every message.")
            )
    if read.field("message-id") is None:
        found.append(
            Check(
                "warn", "Message-ID is missing",
                "Replies cannot be put together with it, and some servers refuse it.",
            )
        )  # fmt: skip
    if not (read.field("subject") or "").strip():
        found.append(Check("warn", "The subject is empty"))
    if read.field("to") is None and read.field("cc") is None:
        found.append(
            Check("warn", "Neither To nor Cc is there", "Readers see no recipient at all.")
        )
    names = [name.lower() for name, _ in read.fields]
    twice = [name for name in _ONCE if names.count(name) > 1]
    if twice:
        found.append(
            Check(
                "fail", f"{', '.join(one.title() for one in twice)}: more than once",
                "RFC 5322 3.6 allows one; Gmail and others refuse such messages (550 5.7.1).",
            )
        )  # fmt: skip
    if not any(one.state == "fail" or "missing" in one.title for one in found):
        found.append(Check("ok", "Date, From and Message-ID are there, each once"))
    return found


def _body(read: ReadMessage, shown: ShownHtml | None) -> list[Check]:
    found: list[Check] = []
    html = read.html
    if html is not None and read.text is None:
        found.append(
            Check(
                "warn", "There is no plain text part",
                "Readers that show only text have nothing to show; multipart/alternative has both.",
            )
        )  # fmt: skip
    elif html is not None:
        found.append(Check("ok", "HTML and plain text, both"))
    elif read.text is not None:
        found.append(Check("ok", "Plain text"))
    else:
        found.append(Check("warn", "There is no text to read"))
    if html is not None and html.end - html.start > CLIPPED:
        found.append(
            Check(
                "warn", "The HTML is long",
                f"It has {(html.end - html.start) >> 10} KiB; Gmail hides what comes after about "
                f"{CLIPPED >> 10} KiB behind a link.",
            )
        )  # fmt: skip
    if shown is not None:
        if shown.removed:
            found.append(
                Check(
                    "warn",
                    f"The HTML holds what mail programs take out: {', '.join(shown.removed)}",
                )
            )
        if shown.remote:
            count = f"{shown.remote} image{'' if shown.remote == 1 else 's'} or style sheets"
            found.append(
                Check(
                    "ok", f"{count} from elsewhere",
                    "Many mail programs show them only when asked to; they are off here.",
                )
            )  # fmt: skip
    return found


def _unsubscribe(read: ReadMessage) -> list[Check]:
    """Only told where the field is there: whether a message needs it is not to be seen in it."""
    field = read.field("list-unsubscribe")
    if field is None:
        return [
            Check(
                "ok", "No List-Unsubscribe",
                "Right for a message to one person. Who writes to many needs it: Google and Yahoo "
                "ask it, with one-click (RFC 8058), of senders of more than 5,000 messages a day.",
            )
        ]  # fmt: skip
    post = read.field("list-unsubscribe-post") or ""
    if "https://" not in field.lower():
        return [
            Check(
                "warn", "List-Unsubscribe has no https: address",
                "One-click (RFC 8058), which Google and Yahoo ask of bulk senders, needs one.",
            )
        ]  # fmt: skip
    if post.strip().lower() != "list-unsubscribe=one-click":
        return [
            Check(
                "warn", "List-Unsubscribe-Post is missing",
                "It must be `List-Unsubscribe=One-Click` for one-click to work (RFC 8058 3.1).",
            )
        ]  # fmt: skip
    if read.field("dkim-signature") is None:
        return [
            Check(
                "warn", "List-Unsubscribe with one-click, but no DKIM signature yet",
                "RFC 8058 4 wants both fields signed; a relay behind this one may do it.",
            )
        ]  # fmt: skip
    return [Check("ok", "List-Unsubscribe with one-click")]


def _size(size: int) -> Check:
    if size > LARGE:
        return Check(
            "warn", "The message is large",
            f"{size / (1 << 20):.1f} MiB; many servers take 10 to 25 MB. A link serves better.",
        )  # fmt: skip
    return Check("ok", "Its size is no trouble", f"{size:,} bytes".replace(",", " "))

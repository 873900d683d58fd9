"""What tests of the panel's pages about messages share: mail to look at, and a reader of pages that
finds what would act."""

from __future__ import annotations

import asyncio
import re
import smtplib
from collections.abc import Awaitable, Callable, Sequence
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

from web_room import WebRoom, web_room

from waypost.control.audit import AuditEntry, AuditFilter
from waypost.spool.contract import MessageFilter, MessageRow
from waypost.spool.identifiers import identifier_text

WAIT = 60.0

RoomTest = Callable[[WebRoom], Awaitable[None]]


def in_room(test: RoomTest, folder: Path, configuration: str = "") -> None:
    """Run a test in a room of its own."""

    async def main() -> None:
        async with web_room(folder, configuration) as room:
            await asyncio.wait_for(test(room), 2 * WAIT)

    asyncio.run(main())


def letter(
    subject: str = "Hello", text: str = "It works.\n", to: str = "joe@there.example"
) -> EmailMessage:
    """An ordinary message."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "App <app@here.example>", to, subject
    made.set_content(text)
    return made


async def send(room: WebRoom, *messages: EmailMessage, to: Sequence[str] | None = None) -> None:
    """Hand messages to the relay over SMTP."""

    def work() -> None:
        with smtplib.SMTP("127.0.0.1", room.smtp_port, timeout=WAIT) as client:
            for one in messages:
                client.send_message(one, to_addrs=to)

    await asyncio.to_thread(work)


async def send_bytes(
    room: WebRoom, content: bytes, sender: str = "a@here.example", to: str = "joe@there.example"
) -> None:
    """Hand anything at all to the relay."""

    def work() -> None:
        with smtplib.SMTP("127.0.0.1", room.smtp_port, timeout=WAIT) as client:
            client.sendmail(sender, [to], content)

    await asyncio.to_thread(work)


async def rows(
    room: WebRoom, true: Callable[[list[MessageRow]], bool], wanted: MessageFilter | None = None
) -> list[MessageRow]:
    """The messages of the relay, newest first, once something is true of them."""
    async with asyncio.timeout(WAIT):
        while True:
            found = await room.administration.messages(wanted or MessageFilter())
            if true(found):
                return found
            await asyncio.sleep(0.01)


async def over(room: WebRoom, count: int) -> list[str]:
    """The identifiers of so many messages that are over, newest first."""

    def all_final(found: list[MessageRow]) -> bool:
        return len(found) == count and all(
            one.state.is_final for row in found for one in row.recipients
        )

    return [identifier_text(row.identifier) for row in await rows(room, all_final)]


async def tried(room: WebRoom, count: int) -> list[str]:
    """The identifiers of so many messages of which each recipient has had an attempt."""

    def all_tried(found: list[MessageRow]) -> bool:
        return len(found) == count and all(
            one.attempts and not one.started for row in found for one in row.recipients
        )

    return [identifier_text(row.identifier) for row in await rows(room, all_tried)]


async def audited(room: WebRoom) -> list[AuditEntry]:
    """What the audit log has, the latest first."""
    return await room.room.audit.entries(AuditFilter())


class Page(HTMLParser):
    """Reads a page as the standard library does, which is not our own reader of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._words: list[str] = []
        self._quiet = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._quiet += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._quiet -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self._words.append(data)

    @property
    def text(self) -> str:
        """All words of it, each run of white space as one space."""
        return " ".join("".join(self._words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every such element."""
        return [given for name, given in self.elements if name == tag]

    def links(self) -> list[str]:
        """Where its links lead."""
        return [one.get("href", "") for one in self.all("a")]

    def values(self, name: str) -> list[str]:
        """Of the fields of this name."""
        return [given.get("value", "") for _, given in self.elements if given.get("name") == name]


_URLS = frozenset(("href", "src", "action", "formaction", "data", "poster", "srcset", "background"))

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def assert_inert(html: str) -> None:
    """Nothing of a page acts but our own scripts, and nothing of it turns the way of writing."""
    found = Page(html)
    for tag, given in found.elements:
        assert tag not in ("object", "embed", "applet", "base", "svg", "math", "style"), (
            tag,
            given,
        )
        if tag == "script":
            assert given.get("src", "").startswith("/static/"), given
        if tag == "iframe":
            assert given.get("sandbox") == "", given
            assert re.fullmatch(r"/messages/[0-9a-z]+/html", given["src"]), given
        if tag == "meta":
            assert "http-equiv" not in given, given
        for name, value in given.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("style", "srcdoc"), (tag, name)
            if name in _URLS:
                assert value.startswith(("/", "#", "?", "https://")), (tag, name, value)
                assert not value.startswith("//"), (tag, name, value)
    controls = {
        one
        for one in html
        if one in _TURNING or (ord(one) < 32 and one not in "\n\t") or one == "\x7f"
    }
    assert not controls, sorted(map(ascii, controls))

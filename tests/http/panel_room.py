"""What tests of the panel's pages share: mail that waits, hostile texts, and a look at a page as a
browser would read it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from pathlib import Path

import httpx
from web_room import WebRoom, web_room

from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.contract import AttemptRecord, NewMessage, RecipientResult, RecipientState

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus=alert(1) autofocus '",
    "</title></textarea></style><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- --!><iframe srcdoc='<script>alert(1)</script>'>",
    "\u202egnp.exe\u2066",
    "\x1b]0;title\x07\x00",
    "&lt;script&gt;&#60;b&#62;",
)

ALL_HOSTILE = " ".join(HOSTILE)

APART = {"br", "td", "th", "dt", "dd", "li", "p", "h1", "h2", "h3", "button"}
"""Elements whose words stand apart from those before."""

VOID = {"input", "img", "br", "hr", "link", "meta", "path", "rect"}


class Seen(HTMLParser):
    """The elements, links and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in APART:
            self.words += " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data

    @property
    def links(self) -> list[str]:
        return [given["href"] for tag, given in self.elements if tag == "a" and "href" in given]

    def fields(self, name: str) -> list[str]:
        """The values of inputs of a name."""
        return [
            given.get("value", "")
            for tag, given in self.elements
            if tag in ("input", "button") and given.get("name") == name
        ]


def faults_of(text: str) -> list[str]:
    """What a page has that only something injected can have put there."""
    seen = Seen(text)
    faults = [f"</{tag}> closes nothing" for tag in seen.unbalanced]
    faults += [f"<{tag}> stays open" for tag in seen.open]
    for tag, given in seen.elements:
        if tag in ("iframe", "style", "object", "embed", "base"):
            faults.append(f"<{tag}>")
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            faults.append(f"<script {given}>")
        for name, value in given.items():
            if name.startswith("on") or name in ("style", "srcdoc", "autofocus"):
                faults.append(f"<{tag} {name}={value!r}>")
            is_address = name in ("href", "src", "action", "formaction")
            if is_address and not value.startswith(("/", "#")):
                faults.append(f"<{tag} {name}={value!r}>")
    faults += [f"{one!r}" for one in ("\u202e", "\u2066", "\x1b", "\x00") if one in seen.words]
    return faults


def assert_inert(answer: httpx.Response) -> Seen:
    """The page came, and nothing in it is anybody's but ours."""
    assert answer.status_code == 200, answer.text
    assert faults_of(answer.text) == []
    return Seen(answer.text)


def in_room(
    folder: Path, test: Callable[[WebRoom], Awaitable[None]], configuration: str = ""
) -> None:
    async def run() -> None:
        async with web_room(folder, configuration) as room:
            await test(room)

    asyncio.run(run())


async def queued(
    room: WebRoom,
    *addresses: str,
    sender: str = "app@here.example",
    due: float = 3600.0,
    age: float = 0.0,
    subject: str = "Hello",
    client: str = "127.0.0.1",
    user: str | None = None,
) -> int:
    """A message that waits, due after so many seconds."""
    service = room.service
    now = service.clock.now()
    writer = service.spool.body_writer(None)
    writer.write(b"Subject: Hello\r\n\r\nHello\r\n")
    recipients = tuple(Recipient(address) for address in addresses)
    message = NewMessage(
        service.spool.identifier(), Envelope(sender, recipients), now - age, now + 86400, now + due,
        user, client, writer.size, subject, "<1@here.example>", False,
    )  # fmt: skip
    done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    service.spool.append(message, writer, done.set_result)
    fault = await done
    assert fault is None
    room.room.statistics._counting.take(message, None)
    return message.identifier


async def attempted(
    room: WebRoom,
    message: int,
    state: RecipientState,
    *,
    reply: str = "250 2.0.0 OK",
    reason: str = "",
    route: str = "default",
    next_hop: str = "mx.there.example[192.0.2.1]:25",
    seconds: float = 0.3,
    told: bool = True,
) -> None:
    """An attempt for the first recipient of a message, and what it came to."""
    service = room.service
    now = service.clock.now()
    record = AttemptRecord(
        message, now, seconds, route, next_hop, "TLSv1.3",
        (RecipientResult(0, state, now + 900, reply, reason),), "300 < 220 there.example ESMTP\n",
    )  # fmt: skip
    (whole,) = await service.spool.load_message(message)
    done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    service.spool.finish(record, done.set_result)
    fault = await done
    assert fault is None
    watcher = service.engine.watcher
    if told and watcher is not None:
        watcher(whole, record)

"""What strangers write stays text: scripts in every header, name, body and reply are inert.

Each piece would set `window.attacked` or fetch something, wherever it ran. The browser is asked
afterwards, in every frame; and nothing but the panel's own address may have been asked for.
"""

from __future__ import annotations

import re
import smtplib

import pytest
from panel_browser import PanelRelay
from playwright.sync_api import Page, Request, expect

ATTACKS = (
    "<script>top.attacked=1</script>",
    "<img src=x onerror=top.attacked=1>",
    '"><svg/onload=top.attacked=1>',
    "'-alert(top.attacked=1)-'",
    "javascript:top.attacked=1",
    "</title><script>top.attacked=1</script>",
    "</textarea></template><iframe srcdoc='<script>top.attacked=1</script>'>",
    "{{7*7}}${7*7}<%=7*7%>",
    "<a href=javascript:top.attacked=1>click</a>",
    "<meta http-equiv=refresh content='0;url=javascript:top.attacked=1'>",
    "<base href=http://127.0.0.1:9/>",
    "<form action=http://127.0.0.1:9/><button autofocus onfocus=top.attacked=1>",
    "<style>@import 'http://127.0.0.1:9/x.css';</style>",
    "<object data=http://127.0.0.1:9/x></object>",
    "<details open ontoggle=top.attacked=1>",
    "<math><mtext></mtext><script>top.attacked=1</script></math>",
    "\u202egpj.exe",
    "&lt;script&gt;top.attacked=1&lt;/script&gt;",
)


def hostile_message(attack: str, number: int) -> bytes:
    text = attack.encode()
    return (
        b'From: "' + text.replace(b'"', b"'") + b'" <a@example.com>\r\n'
        b'To: "' + text.replace(b'"', b"'") + b'" <ada@example.net>\r\n'
        b"Subject: attack " + str(number).encode() + b" " + text + b"\r\n"
        b"Message-ID: <" + text.replace(b" ", b"") + b"@example.com>\r\n"
        b"X-Note: " + text + b"\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>" + text + b"</p>"
        b"<img src=http://127.0.0.1:9/track.gif><p>end of it</p>\r\n"
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b'Content-Disposition: attachment; filename="' + text.replace(b'"', b"'") + b'.txt"\r\n'
        b"\r\n" + text + b"\r\n--b--\r\n"
    )


@pytest.fixture
def outside(careless_person: Page, sandbox: PanelRelay) -> list[str]:
    """What was asked for elsewhere."""
    asked: list[str] = []

    def note(request: Request) -> None:
        url = request.url
        if not url.startswith((sandbox.address, "data:", "about:", "blob:")):
            asked.append(url)

    careless_person.on("request", note)
    return asked


@pytest.fixture
def attacked(sandbox: PanelRelay) -> None:
    """The mail has come."""
    with smtplib.SMTP("127.0.0.1", sandbox.port, timeout=30) as client:
        for number, attack in enumerate(ATTACKS):
            client.sendmail("a@example.com", ["ada@example.net"], hostile_message(attack, number))


def nothing_happened(person: Page, outside: list[str]) -> None:
    for frame in person.frames:
        assert frame.evaluate("window.attacked === undefined"), frame.url
    assert person.locator("main").get_by_text("49", exact=True).count() == 0
    assert outside == []


@pytest.mark.usefixtures("attacked")
def test_lists_are_inert(careless_person: Page, sandbox: PanelRelay, outside: list[str]) -> None:
    person = careless_person
    for path in ("/messages", "/sandbox", "/", "/logs", "/queues", "/messages?q=attacked"):
        person.goto(f"{sandbox.address}{path}")
        expect(person.locator("h1").first).to_be_visible()
        nothing_happened(person, outside)


@pytest.mark.usefixtures("attacked")
@pytest.mark.parametrize("place", ["/messages", "/sandbox"])
def test_pages_of_messages_are_inert(
    careless_person: Page, sandbox: PanelRelay, outside: list[str], place: str
) -> None:
    person = careless_person
    person.goto(f"{sandbox.address}{place}")
    for number in range(len(ATTACKS)):
        link = person.get_by_role("link", name=re.compile(rf"attack {number}\b")).first
        expect(link).to_be_visible(timeout=30_000)
        link.click()
        expect(person.locator("main")).to_contain_text(re.compile(rf"attack {number}\b"))
        for name in ("HTML", "Text", "Headers", "Source", "Check"):
            found = person.get_by_role("link", name=name, exact=True)
            if found.count():
                found.first.click()
                person.wait_for_load_state()
                nothing_happened(person, outside)
        assert person.url.startswith(sandbox.address)
        person.goto(f"{sandbox.address}{place}")

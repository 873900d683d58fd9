"""The sandbox as its users know it from elsewhere: mail arrives by itself, is opened, and goes."""

from __future__ import annotations

import re
import smtplib
from email.message import EmailMessage

from panel_browser import PanelRelay
from playwright.sync_api import Page, expect

ARRIVES = 30_000
"""Milliseconds: longer than a busy machine needs."""


def send(relay: PanelRelay, subject: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "a@here.example",
        "b@there.example",
        subject,
    )
    message.set_content("As text.\n")
    message.add_alternative(
        "<h1>As HTML</h1><script>document.title = 'ran'</script>"
        "<a href='https://away.example/'>away</a>",
        subtype="html",
    )
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
        client.send_message(message)


def test_mail_arrives_by_itself_is_opened_and_goes(person: Page, sandbox: PanelRelay) -> None:
    person.set_viewport_size({"width": 1500, "height": 900})
    person.goto(f"{sandbox.address}/sandbox")
    send(sandbox, "It came by itself")
    letter = person.locator(".letters a", has_text="It came by itself")
    expect(letter).to_be_visible(timeout=ARRIVES)
    expect(person.locator(".letters li.unread", has_text="It came by itself")).to_have_count(1)

    # It opens beside the list, which goes on by itself.
    letter.click()
    expect(person.locator(".inbox-list")).to_be_visible()
    expect(person.locator(".letters li.read", has_text="It came by itself")).to_have_count(1)
    frame = person.frame_locator("iframe.letter")
    expect(frame.get_by_role("heading", name="As HTML")).to_be_visible()
    send(sandbox, "Another one")
    expect(person.locator(".letters a", has_text="Another one")).to_be_visible(timeout=ARRIVES)
    expect(frame.get_by_role("heading", name="As HTML")).to_be_visible()

    # Nothing in it acts or leads away.
    place = person.url
    frame.get_by_text("away").click()
    assert person.url == place
    assert [one.url for one in person.frames if "away.example" in one.url] == []
    assert "ran" not in person.title()

    person.get_by_role("link", name="Text", exact=True).click()
    expect(person.locator(".letter-text")).to_have_text(re.compile("As text"))
    person.get_by_role("link", name="Check", exact=True).click()
    expect(person.locator(".checks")).to_contain_text("HTML and plain text, both")
    person.get_by_role("button", name="Delete").click()
    expect(person.get_by_text("The message is removed.")).to_be_visible()
    expect(person.locator(".letters a", has_text="It came by itself")).to_have_count(0)


def test_what_is_chosen_stays_chosen_while_the_list_goes_on(
    person: Page, sandbox: PanelRelay
) -> None:
    send(sandbox, "To be chosen")
    person.goto(f"{sandbox.address}/messages")
    row = person.locator("tr", has_text="To be chosen").first
    expect(row).to_be_visible(timeout=ARRIVES)
    hold = person.get_by_role("button", name="Hold", exact=True)
    expect(hold).to_be_disabled()
    row.get_by_role("checkbox").check()
    expect(hold).to_be_enabled()
    expect(person.get_by_text("With the 1 chosen:")).to_be_visible()
    row.get_by_role("checkbox").blur()
    send(sandbox, "Came meanwhile")
    expect(person.get_by_role("link", name="Came meanwhile")).to_be_visible(timeout=ARRIVES)
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(hold).to_be_enabled()
    hold.click()
    expect(person.locator("main")).to_contain_text(
        "There is nothing to do"
    )  # it was caught long ago

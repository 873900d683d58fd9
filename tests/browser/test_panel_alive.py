"""What is shown grows by itself, can be reached by keys, and can be read without JavaScript."""

from __future__ import annotations

from panel_browser import PanelRelay, send_order
from playwright.sync_api import Page, expect


def test_the_sandbox_shows_mail_as_it_comes(person: Page, sandbox: PanelRelay) -> None:
    person.goto(f"{sandbox.address}/sandbox")
    subject = send_order(sandbox)
    expect(person.locator("main")).to_contain_text(subject, timeout=30_000)
    person.get_by_role("link", name=subject).first.click()
    expect(person.locator("main")).to_contain_text("Thank you.")


def test_the_log_grows_by_itself(person: Page, sandbox: PanelRelay) -> None:
    person.goto(f"{sandbox.address}/logs")
    send_order(sandbox, "grows@example.net")
    expect(person.locator("main")).to_contain_text("grows@example.net", timeout=30_000)


def test_everything_can_be_reached_by_keys(person: Page, sandbox: PanelRelay) -> None:
    person.goto(f"{sandbox.address}/settings")
    for key, path in (("m", "/messages"), ("q", "/queues"), ("r", "/routes"), ("o", "/")):
        person.keyboard.press("g")
        person.keyboard.press(key)
        person.wait_for_url(f"{sandbox.address}{path}")
    person.keyboard.press("?")
    expect(person.get_by_role("dialog")).to_be_visible()


def test_pages_can_be_read_without_javascript(person: Page, sandbox: PanelRelay) -> None:
    subject = send_order(sandbox)
    browser = person.context.browser
    assert browser is not None
    plain = browser.new_context(
        java_script_enabled=False, storage_state=person.context.storage_state()
    )
    page = plain.new_page()
    try:
        page.goto(f"{sandbox.address}/messages")
        page.get_by_role("link", name=subject).first.click()
        expect(page.locator("main")).to_contain_text("Accepted")
        page.goto(f"{sandbox.address}/")
        expect(page.locator("main")).to_contain_text("Accepted")
    finally:
        plain.close()

"""The first day with the panel, as a person has it: from the printed link to a route that works."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from panel_browser import PASSWORD, PanelRelay, first_run, log_in
from playwright.sync_api import Page, expect

from relay_process import free_port
from sink import Sink

ORDER = (
    b"From: Shop <shop@example.com>\r\nTo: ada@example.net\r\nSubject: Your order 4711\r\n\r\n"
    b"Thank you.\r\n"
)


def send(relay: PanelRelay, content: bytes = ORDER, recipient: str = "ada@example.net") -> None:
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
        client.sendmail("shop@example.com", [recipient], content)


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[tuple[PanelRelay, int]]:
    """A relay whose route leads to a port where nobody listens yet."""
    port = free_port()
    route = f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{port}"\n'
    made = PanelRelay(tmp_path, route)
    yield made, port
    made.stop()


def test_from_the_printed_link_to_a_delivered_message(
    failing: tuple[PanelRelay, int], tab: Page
) -> None:
    relay, port = failing
    first_run(tab, relay)

    # An application sends, and its message comes up without a reload.
    tab.goto(f"{relay.address}/start")
    expect(tab.get_by_text("Waiting for your first message")).to_be_visible()
    send(relay)
    arrived = tab.get_by_role("link", name="Your order 4711").first
    expect(arrived).to_be_visible(timeout=30_000)

    # Its page says why it waits, and what to do.
    arrived.click()
    expect(tab.get_by_role("heading", name="Your order 4711")).to_be_visible()
    expect(tab.locator("main")).to_contain_text("The connection is refused")
    expect(tab.locator("main")).to_contain_text("What to do")
    page = tab.url

    # The route is tested where it is shown, step by step.
    tab.goto(f"{relay.address}/routes")
    tab.get_by_role("button", name="Test this connection").first.click()
    result = tab.locator("[data-result]")
    expect(result).to_contain_text("tcp.refused", timeout=60_000)
    expect(result).to_contain_text("Check the port")

    # It is mended, tried again, and delivered.
    sink = Sink(port=port)
    try:
        tab.goto(page)
        tab.get_by_role("button", name="Retry now").click()
        assert sink.wait_for("ada@example.net").content.endswith(b"Thank you.\r\n")
        expect(tab.locator("main")).to_contain_text("delivered", timeout=30_000)
        expect(tab.locator("main")).to_contain_text("Attempt 2")

        tab.goto(f"{relay.address}/routes")
        tab.get_by_role("button", name="Test this connection").first.click()
        expect(tab.locator("[data-result]")).to_contain_text("All is well", timeout=60_000)
    finally:
        sink.close()


def test_search_finds_by_address_subject_and_state(
    failing: tuple[PanelRelay, int], tab: Page
) -> None:
    relay, _ = failing
    first_run(tab, relay)
    send(relay)
    send(relay, ORDER.replace(b"4711", b"4712").replace(b"ada@", b"bob@"), "bob@example.net")
    for question, found, other in [
        ("4712", "4712", "4711"),
        ("ada@example.net", "4711", "4712"),
        ("bob", "4712", "4711"),
    ]:
        tab.goto(f"{relay.address}/messages")
        tab.keyboard.press("/")
        tab.keyboard.type(question)
        tab.keyboard.press("Enter")
        tab.wait_for_url(re.compile(r"[?&]"))
        rows = tab.locator("main table")
        expect(rows).to_contain_text(f"Your order {found}", timeout=30_000)
        expect(rows).not_to_contain_text(f"Your order {other}")


def test_the_link_works_once_and_the_password_from_then_on(
    failing: tuple[PanelRelay, int], tab: Page
) -> None:
    relay, _ = failing
    first_run(tab, relay)
    tab.get_by_role("button", name="Log out").click()
    tab.wait_for_url(re.compile("/login"))
    log_in(tab, relay)
    expect(tab.get_by_role("button", name="Log out")).to_be_visible()
    session = [one for one in tab.context.cookies() if one["httpOnly"]]
    assert session
    assert {one["sameSite"] for one in session} <= {"Lax", "Strict"}
    assert PASSWORD not in relay.log_text

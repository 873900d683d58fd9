"""Pictures of the panel, of a relay with example mail.

`make pictures` has them written into docs/images; otherwise they are taken and thrown away, so that
what makes them stays sound.
"""

from __future__ import annotations

import os
import smtplib
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from example_history import write_history
from panel_browser import PanelRelay, first_run
from playwright.sync_api import Browser, Page, expect

from relay_process import free_port, wait_for
from sink import Sink

WANTED = os.environ.get("WAYPOST_PICTURES")
"""The folder to write them to."""

CUSTOMERS = (
    "Zoë Ito <zoe@example.net>", "Ben Okafor <ben@example.net>", "Ida Lund <ida@example.edu>",
    "Max Roth <max@example.net>", "Ana Sousa <ana@example.edu>",
)  # fmt: skip


def routes(port: int, nobody: int) -> str:
    return f"""
[[route]]
name = "shop"
via = "smtp+plain://127.0.0.1:{port}"
match = {{ recipients = ["example.net", "example.edu"] }}
quotas = {{ per_hour = 2000, per_day = 20000 }}
limits = {{ connections = 20, rate = "50/second" }}

[[route]]
name = "partners"
via = "smtp+plain://127.0.0.1:{nobody}"
match = {{ recipients = ["partner.example"] }}

[[route]]
name = "rest"
via = "sandbox:"
"""


@pytest.fixture
def example(tmp_path: Path) -> Iterator[PanelRelay]:
    sink = Sink()
    write_history(tmp_path / "data", time.time())
    relay = PanelRelay(tmp_path, routes(sink.port, free_port()))
    for number, customer in enumerate(CUSTOMERS * 4):
        send(relay, customer, f"Your order {4711 + number}", "Thank you. It leaves tomorrow.")
    for number in range(3):
        send(relay, f"desk{number}@partner.example", "Delivery note", "See the portal.")
    send(relay, "Lea Berg <lea@elsewhere.example>", "Welcome", "Good to have you here.")
    send(
        relay, "Jo Park <jo@elsewhere.example>", "Reset your password", "The link is good for 1 h."
    )
    wait_for("the orders are delivered", lambda: len(sink.received) == len(CUSTOMERS) * 4)
    yield relay
    relay.stop()
    sink.close()


def send(relay: PanelRelay, to: str, subject: str, text: str) -> None:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Shop <shop@example.com>", to, subject
    made.set_content(f"{text}\n")
    made.add_alternative(f"<h1>{subject}</h1><p>{text}</p>", subtype="html")
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
        client.send_message(made)


def test_pictures_are_taken(example: PanelRelay, browser: Browser, tmp_path: Path) -> None:
    folder = Path(WANTED) if WANTED else tmp_path / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, reduced_motion="reduce", timezone_id="UTC"
    )
    context.set_default_timeout(30_000)
    tab = context.new_page()
    first_run(tab, example)

    def overview() -> None:
        tab.goto(f"{example.address}/")
        expect(tab.locator("main")).to_contain_text("Oldest", ignore_case=True)
        expect(tab.locator("main")).not_to_contain_text("being counted")

    def message() -> None:
        tab.goto(f"{example.address}/messages?q=desk0%40partner.example")
        tab.get_by_role("link", name="Delivery note").first.click()
        expect(tab.locator("main")).to_contain_text("What to do")

    def queues() -> None:
        tab.goto(f"{example.address}/queues")
        expect(tab.locator("main")).to_contain_text("partner.example")

    def sandbox() -> None:
        tab.goto(f"{example.address}/sandbox")
        tab.get_by_role("link", name="Welcome").first.click()
        expect(tab.locator("main")).to_contain_text("Good to have you here")

    def route() -> None:
        tab.emulate_media(color_scheme="dark")
        tab.goto(f"{example.address}/routes")
        tab.locator("#route-partners").get_by_role("button", name="Test this connection").click()
        expect(tab.get_by_role("dialog")).to_contain_text("tcp.refused", timeout=60_000)

    scenes: dict[str, Callable[[], None]] = {
        "overview": overview, "message": message, "queues": queues, "sandbox": sandbox,
        "route-test": route,
    }  # fmt: skip
    for name, show in scenes.items():
        show()
        taken = picture(tab, folder / f"panel-{name}.png")
        assert taken > 20_000, f"{name} shows next to nothing"
    context.close()


def picture(tab: Page, path: Path) -> int:
    """Take one; its size in bytes."""
    tab.wait_for_load_state("networkidle")
    return len(tab.screenshot(path=path))

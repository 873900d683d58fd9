"""A relay with a panel, and a person who comes to it for the first time."""

from __future__ import annotations

import itertools
import re
import smtplib
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from relay_process import RelayProcess, free_port

PAGES = (
    "/", "/messages", "/queues", "/sandbox", "/sandbox/rules", "/suppressions", "/routes", "/logs",
    "/start", "/keys", "/settings", "/accounts", "/account", "/audit", "/webhooks",
)  # fmt: skip
"""All that can be opened without more."""

SERIOUS = frozenset({"serious", "critical"})


class PanelRelay:
    """See the module. `routes` is TOML behind the listener."""

    def __init__(self, folder: Path, routes: str = "") -> None:
        self.port = free_port()
        self._process = RelayProcess(folder, self._written(routes))
        self._process.panel = f"127.0.0.1:{free_port()}"
        self.address = f"http://{self._process.panel}"
        self._process.start()

    def _written(self, routes: str) -> str:
        return f'[[listener]]\naddress = "127.0.0.1:{self.port}"\n{routes}\n'

    @property
    def log_text(self) -> str:
        return self._process.log_text

    @property
    def link(self) -> str:
        """For the first account, as the relay has printed it."""
        welcome = self._process.welcome_path.read_text("utf-8")
        found = re.search(r"http://\S+/first-run/\S+", welcome)
        assert found is not None, welcome
        return found[0]

    def take_routes(self, routes: str) -> None:
        """Change the routes of the running relay."""
        self._process.configure(self._written(routes))
        self._process.reload()

    def stop(self) -> None:
        self._process.stop()


NAME, PASSWORD = "ada", "correct horse battery staple"


def first_run(tab: Page, relay: PanelRelay) -> None:
    """Follow the printed link and become the administrator."""
    tab.goto(relay.link)
    tab.get_by_label("Name", exact=False).first.fill(NAME)
    for field in tab.locator("input[type=password]").all():
        field.fill(PASSWORD)
    tab.locator("main form button").first.click()
    tab.wait_for_url(re.compile(rf"^{re.escape(relay.address)}/(?!first-run)"))


def log_in(tab: Page, relay: PanelRelay) -> None:
    tab.goto(f"{relay.address}/login")
    tab.get_by_label("Name", exact=False).first.fill(NAME)
    tab.locator("input[type=password]").fill(PASSWORD)
    tab.locator("main form button").first.click()
    tab.wait_for_url(re.compile(rf"^{re.escape(relay.address)}/(?!login)"))


_orders = itertools.count(4711)


def send_order(relay: PanelRelay, recipient: str = "ada@example.net") -> str:
    """An application sends, by smtplib; its subject."""
    subject = f"Your order {next(_orders)}"
    content = (
        f"From: Shop <shop@example.com>\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\n"
        "Thank you.\r\n"
    )
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
        client.sendmail("shop@example.com", [recipient], content.encode())
    return subject


def accessibility_faults(tab: Page) -> list[str]:
    """What axe-core finds serious on the page."""
    found = Axe().run(tab)
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: "
        + "; ".join(str(node["target"]) for node in one["nodes"][:5])
        for one in found.response["violations"]
        if one["impact"] in SERIOUS
    ]

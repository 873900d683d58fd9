"""axe-core finds no serious fault on any page, in light, in dark, and on a narrow screen."""

from __future__ import annotations

import pytest
from panel_browser import PAGES, PanelRelay, accessibility_faults, send_order
from playwright.sync_api import Page, expect


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page(person: Page, sandbox: PanelRelay, path: str, scheme: str) -> None:
    person.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    answer = person.goto(f"{sandbox.address}{path}")
    assert answer is not None
    assert answer.status == 200
    expect(person.locator("h1")).to_have_count(1)
    assert accessibility_faults(person) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_message(person: Page, sandbox: PanelRelay, scheme: str) -> None:
    person.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    subject = send_order(sandbox)
    for place in ("/messages", "/sandbox"):
        person.goto(f"{sandbox.address}{place}")
        person.get_by_role("link", name=subject).first.click()
        expect(person.locator("main")).to_contain_text("Thank you.")
        assert accessibility_faults(person) == []


@pytest.mark.parametrize("path", PAGES)
def test_on_a_narrow_screen_nothing_hangs_over(
    person: Page, sandbox: PanelRelay, path: str
) -> None:
    person.set_viewport_size({"width": 360, "height": 740})
    person.goto(f"{sandbox.address}{path}")
    over = person.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert over <= 0, f"{over} px"


def test_the_way_in(tab: Page, sandbox: PanelRelay) -> None:
    tab.goto(f"{sandbox.address}/login")
    assert accessibility_faults(tab) == []

"""What scripts add to pages: parts that keep up, a log that can be held still, keys that can be
turned off, a test of a connection over the page."""

from __future__ import annotations

from panel_browser import PanelRelay, send_order
from playwright.sync_api import Page, expect

from relay_process import free_port

SOON = 60_000


def test_the_overview_counts_on_without_a_reload(person: Page, sandbox: PanelRelay) -> None:
    person.goto(f"{sandbox.address}/")
    person.evaluate("window.loadedOnce = true")
    before = person.locator("#flow-accepted + dl dd").first.inner_text()
    send_order(sandbox)
    send_order(sandbox)
    expect(person.locator("#flow-accepted + dl dd").first).not_to_have_text(before, timeout=SOON)
    assert person.evaluate("window.loadedOnce"), "the page is the same"


def test_a_relay_that_does_not_answer_is_told_until_it_does(
    careless_person: Page, sandbox: PanelRelay
) -> None:
    person = careless_person  # the browser complains of what it does not get
    person.goto(f"{sandbox.address}/queues")
    person.route("**/queues/now*", lambda route: route.abort())
    note = person.get_by_text("What is shown is of before")
    expect(note).to_be_visible(timeout=SOON)
    person.unroute("**/queues/now*")
    expect(note).to_have_count(0, timeout=SOON)


def test_the_log_can_be_held_still(person: Page, sandbox: PanelRelay) -> None:
    person.goto(f"{sandbox.address}/logs")
    expect(person.locator("[data-live-state]")).to_have_text("live", timeout=SOON)
    person.get_by_role("button", name="Pause").click()
    send_order(sandbox, "held-still@example.net")
    expect(person.locator("[data-live-state]")).to_contain_text("wait", timeout=SOON)
    expect(person.locator("main")).not_to_contain_text("held-still@example.net")
    person.get_by_role("button", name="Go on").click()
    expect(person.locator("main")).to_contain_text("held-still@example.net")


def test_keys_do_nothing_while_one_writes_and_can_be_turned_off(
    person: Page, sandbox: PanelRelay
) -> None:
    person.goto(f"{sandbox.address}/queues")
    person.keyboard.press("/")
    person.keyboard.type("g?q/")
    expect(person.locator("[data-search]")).to_have_value("g?q/")
    expect(person.get_by_role("dialog")).to_have_count(0)
    person.keyboard.press("Escape")
    person.keyboard.press("?")
    person.get_by_label("Use no single-key shortcuts").check()
    person.get_by_role("button", name="Close").click()
    person.keyboard.press("?")
    person.keyboard.press("g")
    person.keyboard.press("m")
    expect(person.get_by_role("dialog")).to_have_count(0)
    assert person.url == f"{sandbox.address}/queues"
    person.get_by_role("button", name="Keys").click()
    person.get_by_label("Use no single-key shortcuts").uncheck()
    person.get_by_role("button", name="Close").click()
    person.keyboard.press("g")
    person.keyboard.press("r")
    person.wait_for_url(f"{sandbox.address}/routes")


def test_a_theme_is_chosen_at_the_foot(person: Page, sandbox: PanelRelay) -> None:
    person.goto(f"{sandbox.address}/queues")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = person.evaluate(ground)
    person.get_by_role("button", name="dark", exact=True).click()
    assert person.url == f"{sandbox.address}/queues"
    assert person.evaluate(ground) != light
    expect(person.get_by_role("button", name="dark", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    person.get_by_role("button", name="system", exact=True).click()
    assert person.evaluate(ground) == light


def test_a_test_of_a_connection_opens_over_the_page_and_can_be_closed(
    person: Page, sandbox: PanelRelay
) -> None:
    route = f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{free_port()}"\n'
    sandbox.take_routes(route)
    try:
        person.goto(f"{sandbox.address}/routes")
        for _ in range(2):
            person.locator("#route-out").get_by_role("button").click()
            dialog = person.get_by_role("dialog", name="Test of route out")
            expect(dialog).to_contain_text("tcp.refused", timeout=SOON)
            dialog.get_by_role("button", name="Close").click()
            expect(dialog).to_have_count(0)
        assert person.url == f"{sandbox.address}/routes"
    finally:
        sandbox.take_routes("")

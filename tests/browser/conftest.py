"""Debian's Chromium, driven by Playwright, against a real relay with its panel.

Nothing here speaks to a network: the browser is told so, and the panel's own rules forbid it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from panel_browser import PanelRelay, first_run
from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.peer

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.peer)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="there is no chromium on this machine"))


expect.set_options(timeout=30_000)  # a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """No longer than a module: Playwright's loop runs in this thread, and tests of other folders
    have loops of their own."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()


def open_tab(browser: Browser, complaints: list[str], state: StorageState | None = None) -> Page:
    """A tab of a browser of its own, and what its pages complain of."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 860}, reduced_motion="reduce", storage_state=state
    )
    context.set_default_timeout(30_000)
    made = context.new_page()
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on(
        "console",
        lambda said: complaints.append(said.text) if said.type == "error" else None,
    )
    return made


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """Of somebody who comes for the first time; what pages complain of fails the test."""
    complaints: list[str] = []
    made = open_tab(browser, complaints)
    yield made
    made.context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelRelay]:
    """A relay as `waypost serve` starts it, with nothing configured but where it listens."""
    made = PanelRelay(tmp_path_factory.mktemp("panel"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def known(browser: Browser, sandbox: PanelRelay) -> StorageState:
    """The cookies of the administrator."""
    complaints: list[str] = []
    made = open_tab(browser, complaints)
    first_run(made, sandbox)
    state = made.context.storage_state()
    made.context.close()
    assert complaints == []
    return state


@pytest.fixture
def person(browser: Browser, known: StorageState) -> Iterator[Page]:
    """The administrator of `sandbox`."""
    complaints: list[str] = []
    made = open_tab(browser, complaints, known)
    yield made
    made.context.close()
    assert complaints == []


@pytest.fixture
def careless_person(browser: Browser, known: StorageState) -> Iterator[Page]:
    """The same; here the browser may complain, of what it did not let hostile mail do."""
    made = open_tab(browser, [], known)
    yield made
    made.context.close()

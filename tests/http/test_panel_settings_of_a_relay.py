"""The page of settings shows what a running relay has, also after SIGHUP."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from relay_process import WAIT, RelayProcess, free_port

FORM = {"name": "Ada", "password": "a long password", "again": "a long password"}

ROUTE = """
[[listener]]
address = "127.0.0.1:0"
[[route]]
name = "{name}"
via = "sandbox:"
"""


def test_a_new_configuration_is_shown_once_it_is_in_force(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, ROUTE.format(name="before"))
    relay.panel = f"127.0.0.1:{free_port()}"
    relay.start()
    try:
        (link,) = re.findall(r"http://\S+/first-run/\S+", relay.welcome_path.read_text())
        with httpx.Client(
            base_url=f"http://{relay.panel}", follow_redirects=True, timeout=WAIT
        ) as browser:
            browser.post(link, data=FORM)
            page = browser.get("/settings", params={"q": "route", "only": "set"}).text
            assert "&#34;before&#34;" in page
            assert re.search(r"waypost\.toml:\d+<", page)
            relay.configure(ROUTE.format(name="after"))
            assert "&#34;after&#34;" not in browser.get("/settings").text, "not yet taken over"
            relay.reload()
            assert "&#34;after&#34;" in browser.get("/settings").text
            assert 'id="route-after"' in browser.get("/routes").text
    finally:
        relay.stop()

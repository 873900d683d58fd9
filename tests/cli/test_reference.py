"""docs/reference/commands.md names every key that a command gives with --json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conftest import Place, Relay

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"


def keys(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from keys(value)
    elif isinstance(document, list):
        for one in document:
            yield from keys(one)


def documents(place: Place, waiting: str, folder: Path) -> Iterator[tuple[str, Any]]:
    port = place.relay.address[1] if place.relay else 0
    via = f"smtp+plain://127.0.0.1:{port}"
    place.run("user", "add", "ann", "--password-stdin", typed="x\n")
    for line in (
        "queue list", f"queue show {waiting}", "queue status", "log",
        "suppress add x@example.org", "suppress list", "suppress remove x@example.org",
        f"queue hold {waiting} --dry-run", f"queue reroute {waiting} --dry-run",
        f"queue export {folder / 'out'}", f"queue export {folder / 'out'}",
        "queue pause default", "queue status", "queue resume default",
        "user list", "user disable ann",
        "operator add ada --role admin", "operator list", "operator disable ada",
        "key add shop", "key list", "key revoke shop",
        "send --from a@example.com --to b@example.org",
        f"send --from a@example.com --to b@example.org --via {via}",
        f"ping 127.0.0.1:{port} --count 1", "ping 127.0.0.1:1 --count 1",
        f"ping 127.0.0.1:{port} --connections --yes --maximum 2",
        "ping 127.0.0.1:1 --connections --yes",
    ):  # fmt: skip
        yield line, json.loads(place.run(*line.split(), "--json").out)


def test_every_key_is_described(stuck: Relay, tmp_path: Path) -> None:
    text = REFERENCE.read_text("utf-8")
    waiting = stuck.submit("a@example.com", "b@example.org")
    stuck.until_deferred(waiting)
    seen = 0
    for line, document in documents(stuck.place, waiting, tmp_path):
        for key in keys(document):
            seen += 1
            assert f"`{key}`" in text or f'"{key}"' in text, f"{key} of `waypost {line} --json`"
    assert seen > 100

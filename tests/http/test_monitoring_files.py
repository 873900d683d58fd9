"""packaging/monitoring: the dashboard and the alerts ask for figures that there are."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from web_room import web_room

from waypost.faces.http.metrics_families import families

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "packaging" / "monitoring"
DASHBOARD = MONITORING / "grafana-dashboard.json"
ALERTS = MONITORING / "alerts.yml"
REFERENCE = ROOT / "docs" / "reference" / "metrics.md"

PROMTOOL = shutil.which("promtool")
ALWAYS = {"instance", "job", "le"}

TEXT = """
[[route]]
name = "default"
via = ["smtp+plain://127.0.0.1:1", "smtp+plain://127.0.0.1:2"]
[route.quotas]
per_hour = 100
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The name of each series with its labels."""
    found: dict[str, set[str]] = {}

    async def look() -> None:
        async with web_room(tmp_path_factory.mktemp("room"), TEXT) as room:
            for _ in range(600):
                if room.room.statistics.counts() and room.room.statistics.queues():
                    break
                await asyncio.sleep(0.1)
            for family in families(room.room):
                labels = set(getattr(family, "_labelnames", ()))
                for sample in family.samples:
                    labels |= set(sample.labels) - {"le"}
                suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count"]}
                suffixes["info"] = ["_info"]
                for suffix in suffixes.get(family.type, [""]):
                    found[family.name + suffix] = labels

    asyncio.run(look())
    return found


def dashboard_expressions() -> Iterator[str]:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"]
            name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
            yield f'{name}{{{label}=~".*"}}'


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


EXPRESSIONS = [*dashboard_expressions(), *(one["expr"] for one in rules())]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_asked_for_is_there(expression: str, there: dict[str, set[str]]) -> None:
    names = re.findall(r"\b(waypost_\w+)(?:\{([^}]*)\})?", expression)
    assert names or re.search(r"\b(process_\w+|up)\b", expression), expression
    for name, matchers in names:
        assert name in there, name
        for label in re.findall(r"(\w+)=", matchers):
            assert label in there[name] | ALWAYS, (name, label)


def test_what_is_summed_by_is_a_label_of_it(there: dict[str, set[str]]) -> None:
    for expression in EXPRESSIONS:
        for by, inside in re.findall(r"by \(([\w, ]+)\) \((?:\w+\()?(waypost_\w+)", expression):
            for label in by.split(", "):
                assert label in there[inside] | ALWAYS, expression


def test_outcomes_and_reasons_that_are_asked_for_exist() -> None:
    table = ROOT / "src" / "waypost" / "knowledge" / "reasons.toml"
    known = {one["name"] for one in tomllib.loads(table.read_text("utf-8"))["reason"]}
    for expression in EXPRESSIONS:
        for words in re.findall(r'reason=~?"([^"$]*)"', expression):
            assert set(words.split("|")) <= known, words
        for words in re.findall(r'outcome=~?"([^"$]*)"', expression):
            outcomes = {"delivered", "captured", "deferred", "bounced", "expired"}
            assert set(words.split("|")) <= outcomes, words


def test_the_dashboard_can_be_imported() -> None:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    identifiers = [panel["id"] for panel in board["panels"]]
    assert len(set(identifiers)) == len(identifiers) > 20
    places = {
        (panel["gridPos"]["x"], panel["gridPos"]["y"], panel["gridPos"]["w"])
        for panel in board["panels"]
    }
    assert len(places) == len(identifiers)
    assert all(x + w <= 24 for x, _, w in places)
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    assert len(rules()) >= 10
    for rule in rules():
        assert rule["alert"].startswith("Waypost")
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert "{{" in rule["annotations"]["summary"]
        assert len(rule["annotations"]["description"]) > 40


def test_the_reference_has_every_name_and_every_label(there: dict[str, set[str]]) -> None:
    text = REFERENCE.read_text("utf-8")
    for name, labels in there.items():
        shown = re.sub(r"_(bucket|count)$", "", name)
        row = next((line for line in text.splitlines() if line.startswith(f"| `{shown}` ")), None)
        assert row is not None, name
        for label in labels:
            assert f"`{label}`" in row.split("|")[3], (name, label)
    named = set(re.findall(r"^\| `(waypost_\w+)`", text, re.MULTILINE))
    assert named == {re.sub(r"_(bucket|count)$", "", name) for name in there}


@pytest.mark.peer
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed; make peers")
def test_prometheus_takes_the_rules_and_raises_what_it_should(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    checked = subprocess.run(
        [PROMTOOL, "check", "rules", str(ALERTS)], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stderr
    document = yaml.safe_load(ALERTS.read_text("utf-8"))
    for rule in document["groups"][0]["rules"]:
        del rule["annotations"]  # words, which the cases would have to repeat
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(document), "utf-8")
    cases = (ROOT / "tests" / "packaging" / "alert_cases.yml").read_text("utf-8")
    (tmp_path / "cases.yml").write_text(cases.replace("[RULES]", "[alerts.yml]"), "utf-8")
    played = subprocess.run(
        [PROMTOOL, "test", "rules", "cases.yml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert played.returncode == 0, played.stdout + played.stderr

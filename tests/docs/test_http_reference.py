"""The reference of the HTTP API says what the API says of itself; what the guide shows is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from waypost.control.templates import MailTemplate
from waypost.faces.http.api.models_sending import Accepted, MessageToSend
from waypost.faces.http.api.models_templates import TemplateToStore
from waypost.faces.http.openapi import described_api
from waypost.faces.http.openapi_reference import PROBLEMS, page

DOCS: Final = Path(__file__).parents[2] / "docs"
SOURCE: Final = Path(__file__).parents[2] / "src" / "waypost"


def test_the_reference_is_the_description() -> None:
    written = (DOCS / "reference" / "http-api.md").read_text("utf-8")
    assert written == page(), (
        "write it anew: python -m waypost.faces.http.openapi_reference > docs/reference/http-api.md"
    )


def test_every_type_of_a_problem_has_its_row() -> None:
    source = "\n".join(one.read_text("utf-8") for one in (SOURCE / "faces" / "http").rglob("*.py"))
    used = set(re.findall(r"problem_type\(\s*\"([a-z-]+)\"", source))
    used |= set(re.findall(r"name = \d+, \"([a-z-]+)\"", source))
    used |= {"not-now", "spool-unavailable"}  # chosen by a condition
    assert used == set(PROBLEMS)


def test_every_operation_is_described_whole() -> None:
    described = described_api()
    names: list[str] = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            place = f"{method} {path}"
            names.append(operation["operationId"])
            assert operation.get("summary"), place
            assert operation.get("description"), place
            assert len(operation["tags"]) == 1, place
            for status in ("401", "403", "422", "429", "500"):
                problem = operation["responses"][status]["content"]
                assert list(problem) == ["application/problem+json"], place
    assert len(set(names)) == len(names)
    assert all(name.isalnum() for name in names)
    assert {one["name"] for one in described["tags"]} == {
        operation["tags"][0]
        for methods in described["paths"].values()
        for operation in methods.values()
    }


def test_the_bodies_of_the_guide_are_taken() -> None:
    text = (DOCS / "howto" / "send-over-http.md").read_text("utf-8")
    message, answer, stored, by_template = map(
        json.loads, re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    )
    MessageToSend.model_validate(message)
    Accepted.model_validate(answer)
    given = TemplateToStore.model_validate(stored)
    template = MailTemplate("welcome", given.subject, given.text, given.html)
    wanted = MessageToSend.model_validate(by_template).template
    assert wanted is not None
    assert template.rendered(wanted.variables).text == "Dear Ann,\n- a book"

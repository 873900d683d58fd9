"""A letter in each person's words."""

from __future__ import annotations

import datetime as dt
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from waypost.faces.merge.letter import InvalidLetter, Letter, LetterParts
from waypost.faces.merge.people import Person

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def letter(folder: Path, text: str | None = None, html: str | None = None, **more: Any) -> Letter:
    paths: dict[str, Path | None] = {"text": None, "html": None}
    for name, content in (("text", text), ("html", html)):
        if content is not None:
            path = paths[name] = folder / f"letter.{name}"
            path.write_text(content, "utf-8")
    subject = more.pop("subject", "Hello")
    parts = LetterParts("Shop <shop@example.com>", subject, paths["text"], paths["html"], **more)
    return Letter(parts, ["email", "name"])


def copy_for(made: Letter, **fields: str) -> EmailMessage:
    values = {"email": "ann@example.org", "name": "Ann", **fields}
    return made.to(Person(2, values["email"], values), NOW, "<1@example.com>")


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_a_copy_has_the_persons_words(tmp_path: Path) -> None:
    made = letter(
        tmp_path, "Dear {{ name }},\nyes.\n", "<p>Dear {{ name }}", subject="For {{ name }}"
    )

    message = copy_for(made, name="Zoë & Co")

    assert message["To"] == "ann@example.org"
    assert message["Subject"] == "For Zoë & Co"
    assert body(message, "plain") == "Dear Zoë & Co,\nyes.\n"
    assert body(message, "html").strip() == "<p>Dear Zoë &amp; Co"


def test_values_reach_into_no_other_field(tmp_path: Path) -> None:
    made = letter(tmp_path, "x", subject="For {{ name }}")
    message = copy_for(made, name="Ann\r\nBcc: eve@example.net")
    assert message["Bcc"] is None
    assert message["Subject"] == "For Ann Bcc: eve@example.net"


def test_html_is_escaped(tmp_path: Path) -> None:
    made = letter(tmp_path, html="<p>{{ name }}</p>")
    assert "<script>" not in body(copy_for(made, name="<script>"), "html")


def test_text_is_made_of_html(tmp_path: Path) -> None:
    made = letter(tmp_path, html="<p>Dear {{ name }}</p>")
    assert body(copy_for(made), "plain").strip() == "Dear Ann"


def test_each_can_unsubscribe(tmp_path: Path) -> None:
    made = letter(
        tmp_path,
        "Leave: {{ unsubscribe }}",
        unsubscribe="https://example.com/u?who={{ email | urlencode }}",
    )
    message = copy_for(made, email="ann+x@example.org")
    assert message["List-Unsubscribe"] == "<https://example.com/u?who=ann%2Bx%40example.org>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "Leave: https://example.com/u?who=ann%2Bx%40example.org" in body(message, "plain")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Dear {{ nmae }}", "no column is named nmae; the columns are email, name"),
        ("Dear {{ name", "letter.text:1:"),
        ("{% for %}", "letter.text:1:"),
    ],
)
def test_a_template_with_a_slip_is_told_before_anything_is_sent(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(InvalidLetter, match=reason):
        letter(tmp_path, text)


def test_without_a_template_there_is_no_letter(tmp_path: Path) -> None:
    with pytest.raises(InvalidLetter, match="--template"):
        letter(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ name.missing }}",
        "{% for a in range(999999999) %}x{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ name | int / 0 }}",
    ],
)
def test_a_template_that_fails_for_a_person_is_told(tmp_path: Path, text: str) -> None:
    made = letter(tmp_path, text)
    with pytest.raises(InvalidLetter, match=r"letter\.text"):
        copy_for(made)


def test_an_unsubscribe_address_that_is_none_is_told(tmp_path: Path) -> None:
    made = letter(tmp_path, "x", unsubscribe="www.example.com/{{ name }}")
    with pytest.raises(InvalidLetter, match="unsubscribe"):
        copy_for(made)


def test_a_column_may_not_be_what_the_letter_calls_the_address(tmp_path: Path) -> None:
    parts = LetterParts("a@example.com", "x", tmp_path / "none", None, unsubscribe="mailto:a@b.c")
    with pytest.raises(InvalidLetter, match="a column is named unsubscribe"):
        Letter(parts, ["email", "unsubscribe"])

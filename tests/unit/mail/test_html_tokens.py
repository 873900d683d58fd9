"""How HTML is cut into tags and text: as browsers do, and in linear time."""

from __future__ import annotations

import pytest

from waypost.mail.html_text import text_of_html
from waypost.mail.html_tokens import EndTag, StartTag, Text, Token, html_tokens


def tokens(html: str) -> list[Token]:
    return list(html_tokens(html))


def test_tags_attributes_and_text() -> None:
    assert tokens("<P Class=\"a&amp;b\" id=x data-y='z' disabled>Tom &amp; I</p>") == [
        StartTag("p", {"class": "a&b", "id": "x", "data-y": "z", "disabled": ""}),
        Text("Tom & I"),
        EndTag("p"),
    ]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a<!-- <b> -->c", "ac"), ("a<!-->c", "ac"), ("a<!--->c", "ac"), ("a<!--x--!>c", "ac"),
        ("a<!-- for ever <b>", "a"), ("a<!doctype html>c", "ac"), ("a<?php x ?>c", "ac"),
        ("1 < 2", "1 < 2"), ("a</>c", "ac"), ("a</ b>c", "ac"), ("<![CDATA[x]]>y", "y"),
    ],
)  # fmt: skip
def test_what_is_no_tag(html: str, text: str) -> None:
    found = tokens(html)
    assert all(isinstance(one, Text) for one in found)
    assert "".join(one.text for one in found if isinstance(one, Text)) == text


def test_of_an_attribute_that_is_given_twice_the_first_counts() -> None:
    assert tokens("<a href=1 HREF=2>") == [StartTag("a", {"href": "1"})]


def test_in_a_script_there_are_no_tags_but_its_end() -> None:
    assert tokens("<script>if (a<b) '<p>'</scripty></SCRIPT >x") == [
        StartTag("script", {}),
        Text("if (a<b) '<p>'</scripty>"),
        EndTag("script"),
        Text("x"),
    ]
    assert tokens("<style>a{}") == [StartTag("style", {}), Text("a{}")]


@pytest.mark.parametrize(
    "piece",
    ["<!--", "<", "</", "<a ", "<a href='", '<a href="', "<p>", "<![CDATA[", "&", "<x a=",
     "<script>", "</script", "<title></tit", "<!-- -", "<?", "\0<b\0>"],
)  # fmt: skip
def test_a_megabyte_of_anything_is_read(piece: str) -> None:
    # html.parser needs minutes for some of these; a time-out of the whole run would tell.
    html = piece * (1_000_000 // len(piece))
    assert sum(1 for _ in html_tokens(html)) <= len(html)
    text_of_html(html)

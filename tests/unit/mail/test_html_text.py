"""Text of HTML: what is seen is read, in its shape; any input is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.html_text import WIDTH, text_of_html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo\n"),
        ("<p>One<br>Two", "One\nTwo\n"),
        ("<div>One</div><div>Two</div>", "One\nTwo\n"),
        ("a  \n b\t<b> c</b>", "a b c\n"),
        ("Fish &amp; chips&nbsp;&lt;3", "Fish & chips <3\n"),
        ("<h1>Big</h1>x<h2>Less</h2>y", "Big\n===\n\nx\n\nLess\n----\n\ny\n"),
        ("x<h3>Least</h3>y", "x\n\nLeast\n\ny\n"),
        ("<hr>", "-" * 40 + "\n"),
        ("<img src=a.png alt='A cat'>", "A cat\n"),
        ("<pre>  a\n    b</pre>", "  a\n    b\n"),
        ("<blockquote>a<p>b</blockquote>c", "> a\n>\n> b\n\nc\n"),
        ("", ""),
        ("<img src=a.png>", ""),
        ("<head><title>T</title></head><style>p{}</style><script>x()</script>y", "y\n"),
    ],
)  # fmt: skip
def test_what_is_seen_is_read(html: str, text: str) -> None:
    assert text_of_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('See <a href="https://a.example/x">this page</a>.', "See this page (https://a.example/x).\n"),
        ('<a href="https://a.example/x">https://a.example/x</a>', "https://a.example/x\n"),
        ('<a href="https://www.a.example/">a.example</a>', "a.example\n"),
        ('<a href="mailto:a@b.example?subject=x">Write</a>', "Write (a@b.example)\n"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example\n"),
        ('<a href="#top">Top</a>', "Top\n"),
        ('<a href="javascript:x()">Run</a>', "Run\n"),
        ('<a href="https://a.example"><img src=x></a>', "https://a.example\n"),
        ('<a href="https://a.example"><img src=x alt=Shop></a>', "Shop (https://a.example)\n"),
        ('<a href="https://a.example">here </a>now', "here (https://a.example) now\n"),
        ('<a href="https://a.example/1">One<a href="https://a.example/2">Two</a>',
         "One (https://a.example/1)Two (https://a.example/2)\n"),
    ],
)  # fmt: skip
def test_a_link_keeps_its_address(html: str, text: str) -> None:
    assert text_of_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<ul><li>a<li>b</ul>", "- a\n- b\n"),
        ("<ol start=9><li>a</li><li>b</li></ol>", "9. a\n10. b\n"),
        ("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>d", "- a\n  - b\n- c\n\nd\n"),
        ("<ol><li><p>a</p><p>b</p></li></ol>", "1. a\n\n   b\n"),
        ("<dl><dt>Tea<dd>A drink</dl>", "Tea\n    A drink\n"),
    ],
)
def test_lists_keep_their_shape(html: str, text: str) -> None:
    assert text_of_html(html) == text


def test_a_table_of_data_keeps_its_columns() -> None:
    html = (
        "<table><tr><th>Item</th><th>Pieces</th></tr><tr><td>Green tea</td><td>2</td></tr></table>"
    )
    assert text_of_html(html) == "Item       Pieces\nGreen tea  2\n"


def test_an_empty_cell_keeps_its_column() -> None:
    html = "<table><tr><td>a<td>b<td>c<tr><td>1<td><td>3</table>"
    assert text_of_html(html) == "a  b  c\n1     3\n"


def test_a_wide_table_is_written_in_lines() -> None:
    cell = "word " * 9
    assert text_of_html(f"<table><tr><td>{cell}<td>{cell}</table>") == f"{cell}| {cell.strip()}\n"


def test_a_table_that_places_things_reads_as_paragraphs() -> None:
    html = "<table><tr><td><table><tr><td><p>One</p><p>Two</p></td></tr></table></td></tr></table>"
    assert text_of_html(html) == "One\n\nTwo\n"


def test_what_is_hidden_is_left_out() -> None:
    html = '<div style="DISPLAY : none">Preview<div>more</div></div><p hidden>no</p><p>Hello</p>'
    assert text_of_html(html) == "Hello\n"


def test_a_hidden_element_without_an_end_hides_nothing() -> None:
    assert text_of_html("<p hidden>One<p>Two") == "One\n\nTwo\n"


def test_lines_are_wrapped_and_addresses_are_not() -> None:
    address = "https://a.example/" + "x" * 100
    lines = text_of_html(f"<p>{'word ' * 40}{address}</p>").splitlines()
    assert all(len(line) <= WIDTH for line in lines if address not in line)
    assert any(address in line for line in lines)


@pytest.mark.parametrize(
    "tag", ["blockquote", "li", "table><tr><td", "div", "a href=http://x", "pre"]
)
def test_depth_costs_no_more_than_length(tag: str) -> None:
    text = text_of_html(f"<{tag}>" * 3000 + "end")
    assert "end" in text
    assert len(text) < 100_000


_TAGS = st.sampled_from([
    "<p>", "</p>", "<ul>", "<ol>", "<li>", "</li>", "</ul>", "<table>", "<tr>", "<td>",
    "</td>", "</table>", "<blockquote>", "</blockquote>", "<pre>", "</pre>", "<h1>",
    "</h1>", "<br>", "<hr>", "<dl>", "<dd>", "</dl>", "<a>", "</a>", "<div>", "</div>",
    "</tr>", "</ol>", "word",
])  # fmt: skip


@given(
    st.lists(
        _TAGS | st.sampled_from(["<a href=https://a.example>", "One ", "\n", "&nbsp;"]), max_size=40
    )
)
def test_no_order_of_tags_loses_a_word(pieces: list[str]) -> None:
    html = "".join(pieces)
    text = text_of_html(html)
    assert text.count("word") == html.count("word")
    assert text.count("One") == html.count("One")


@given(st.text(max_size=300))
def test_any_text_is_taken(html: str) -> None:
    text = text_of_html(html)
    assert not set(text) & {"\r", "\0"}
    assert text == "" or (text.endswith("\n") and text.strip())

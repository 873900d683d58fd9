"""HTML of a stranger, made fit to be shown: what looks stays, what acts or calls out goes."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.html_display import ShownHtml, html_for_display

LOGO = "data:image/png;base64,AAAA"


def shown(html: str) -> ShownHtml:
    return html_for_display(html, lambda name: LOGO if name == "logo" else "")


@pytest.mark.parametrize(
    ("html", "made"),
    [
        ("<p class=a>Hello <b>Ann</b></p>", '<p class="a">Hello <b>Ann</b></p>'),
        ("<table width=9><td bgcolor=#fff>x", '<table width="9"><td bgcolor="#fff">x</td></table>'),
        ("<p style='color:red'>x</p>", '<p style="color:red">x</p>'),
        ("a < b &amp; c", "a &lt; b &amp; c"),
        ("<img src=cid:logo alt=Logo>", f'<img alt="Logo" src="{LOGO}">'),
        (f"<img src='{LOGO}'>", f'<img src="{LOGO}">'),
        ("<b>never ended", "<b>never ended</b>"),
        ("</b>never begun", "never begun"),
        ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
        ("<body bgcolor=#eee>x</body>", '<div bgcolor="#eee">x</div>'),
        ("<unknown>x</unknown>", "x"),
    ],
)  # fmt: skip
def test_what_looks_stays(html: str, made: str) -> None:
    found = shown(html)
    assert found.html == made
    assert (found.remote, found.removed) == (0, [])


@pytest.mark.parametrize(
    ("html", "made", "told"),
    [
        ("a<script>x</script>b", "ab", "script"),
        ("a<SCRIPT src=//x>b", "a", "script"),
        ("<p onclick=x()>a", "<p>a</p>", "event handlers"),
        ("<svg><a href=x>b</a></svg>c", "c", "svg"),
        ("<iframe src=//x></iframe>c", "c", "iframe"),
        ("<object data=x><p>y</object>c", "c", "object"),
        ("<form action=//x><p>a", "<p>a</p>", "form"),
        ("<base href=//x>a", "a", "base"),
        ("<meta http-equiv=refresh content='0;url=//x'>a", "a", "meta refresh"),
        ("<a href='java\tscript:x()'>a</a>", "<a>a</a>", "links that run javascript:"),
        ("<a href='data:text/html,x'>a</a>", "<a>a</a>", "links that run data:"),
    ],
)
def test_what_acts_goes_and_is_told(html: str, made: str, told: str) -> None:
    found = shown(html)
    assert found.html == made
    assert found.removed == [told]


@pytest.mark.parametrize(
    "html",
    [
        "<img src=https://x.example/p.gif>",
        "<img src=//x.example/p.gif>",
        "<img src=p.gif>",
        "<img srcset='https://x.example/p.gif 2x'>",
        "<img src='data:image/svg+xml,<svg onload=x()>'>",
        "<table background=https://x.example/b.png>",
        "<p style='background:url(https://x.example/b.png)'>",
        "<p style='background:u\\72l(https://x.example/b.png)'>",
        "<p style='background:u/**/rl(https://x.example/b.png)'>",
        "<style>p { background: URL (//x.example/b.png) }</style>",
        "<style>p { background: image-set('//x.example/b.png' 1x) }</style>",
        "<link rel=stylesheet href=https://x.example/x.css>",
    ],
)
def test_what_calls_out_is_off_and_counted(html: str) -> None:
    found = shown(html)
    assert found.remote == 1
    for word in ("url(", "src=", "srcset", "background=", "@import", "<link"):
        assert word not in found.html.lower()


def test_a_style_cannot_import_or_end_itself() -> None:
    found = shown("<style>@\\69mport '//x'; a</style x>b<style>c<b")
    assert found.html == "<style>off- '//x'; a</style>b"


def test_a_picture_that_the_message_does_not_bring_is_left_blank() -> None:
    assert shown("<img src=cid:other alt=x>").html == '<img alt="x">'


def test_links_are_listed_and_lead_nowhere() -> None:
    found = shown("<a href='https://x.example/?a=1&amp;b=2'>a</a><a href=mailto:b@c.example>b</a>"
                  "<a href=#top>c</a><a href='https://x.example/?a=1&amp;b=2'>d</a>")  # fmt: skip
    assert found.links == ["https://x.example/?a=1&b=2", "mailto:b@c.example"]
    assert "href" not in found.html


class _Elements(HTMLParser):
    """What another parser reads of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))


_PIECES = st.sampled_from([
    "<script>", "</script>", "<style>", "</style>", "<!--", "-->", "<svg>", "<math>", "<title>",
    "<img src=x onerror=a()>", "<a href='javascript:a()'>", '"', "'", "<", ">", "/>", "=", "x", " ",
    "<textarea>", "</textarea>", "<noscript>", "<p title=\"", "<p title='", "<table>", "<td>", "\0",
    "&lt;", "&#60;", "<![CDATA[", "]]>", "<plaintext>", "<template>", "<p style=\"a:url(", "\n",
])  # fmt: skip


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_whatever_is_put_together_another_parser_finds_nothing_that_acts(html: str) -> None:
    for tag, attributes in _Elements(shown(html).html).seen:
        assert tag not in ("script", "svg", "math", "iframe", "object", "form", "base", "template")
        for name, value in attributes:
            assert not name.startswith("on")
            assert name not in ("href", "srcset", "srcdoc", "action", "background")
            if name == "src":
                assert (value or "").startswith("data:image/")

"""Text of HTML, for readers and filters that want text."""

from __future__ import annotations

from html.parser import HTMLParser


def text_of_html(html: str) -> str:
    """First version."""

    class P(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.out: list[str] = []

        def handle_data(self, data: str) -> None:
            self.out.append(data)

    p = P()
    p.feed(html)
    p.close()
    return " ".join("".join(p.out).split())

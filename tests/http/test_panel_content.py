"""What a message says, as pages and files show it: HTML, text, headers, source, attachments."""

from __future__ import annotations

import struct
import zlib
from email.message import EmailMessage
from pathlib import Path

import pytest
from panel_world import Page, in_room, letter, over, send, send_bytes
from web_room import WebRoom

from waypost.control.permissions import Role


def png() -> bytes:
    """One red point."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
        + chunk(b"IEND", b"")
    )


def newsletter() -> EmailMessage:
    """Text, HTML with an image of its own and two of elsewhere, two files."""
    made = letter("Grüße aus Köln", "Guten Tag, Ann.\n")
    made.add_alternative(
        '<h1>Guten Tag</h1><img src="cid:logo" alt="Logo"><img src="https://x.example/p.gif">'
        '<p style="background:url(https://x.example/b.png)">Zum <a href="https://x.example/a?b=1&amp;'
        'c=2">Laden</a></p>',
        subtype="html",
    )
    made.get_payload()[1].add_related(png(), "image", "png", cid="<logo>")  # type: ignore[union-attr]
    made.add_attachment(
        b"%PDF-", maintype="application", subtype="pdf", filename="Rechnung März.pdf"
    )
    made.add_attachment("a;b\n", subtype="csv", filename="a.csv")
    return made


def view(html: str) -> str:
    """Which of the views is open."""
    for tag, given in Page(html).elements:
        if tag == "a" and "?view=" in given.get("href", "") and given.get("aria-current"):
            return given["href"].partition("?view=")[2].partition("#")[0]
    return ""


def test_the_html_stands_in_a_frame_of_its_own_with_its_own_images_alone(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, newsletter())
        (identifier,) = await over(room, 1)
        operator = await room.person(Role.OPERATOR)
        page = (await operator.get(f"/messages/{identifier}")).text
        (frame,) = Page(page).all("iframe")
        assert frame["src"] == f"/messages/{identifier}/html"
        assert frame["sandbox"] == ""
        assert "2 images" in Page(page).text, "one and a background"
        framed = await operator.get(frame["src"])
        assert framed.headers["x-frame-options"] == "SAMEORIGIN"
        document = Page(framed.text)
        own, remote = document.all("img")
        assert own["src"].startswith("data:image/png;base64,")
        assert "src" not in remote
        assert "x.example/p.gif" not in framed.text
        assert "url(" not in framed.text
        assert "https://x.example/a?b=1&c=2" in Page(page).text, "the links are listed as text"
        assert document.links() == [""]

    in_room(test, tmp_path)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("text", "Guten Tag, Ann."),
        ("headers", "=?utf-8?"),
        ("source", "Content-Type: multipart/mixed"),
        ("parts", "Rechnung März.pdf"),
        ("checks", "HTML and plain text, both"),
    ],
)
def test_each_view_shows_its_side_of_the_message(asked: str, words: str, tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, newsletter())
        (identifier,) = await over(room, 1)
        operator = await room.person(Role.OPERATOR)
        for base in ("messages", "sandbox"):
            answer = await operator.get(f"/{base}/{identifier}?view={asked}")
            assert view(answer.text) == asked
            assert words in Page(answer.text).text
            assert "Grüße aus Köln" in Page(answer.text).text

    in_room(test, tmp_path)


def test_files_are_saved_under_their_name_and_never_opened(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send(room, newsletter())
        (identifier,) = await over(room, 1)
        operator = await room.person(Role.OPERATOR)
        page = Page((await operator.get(f"/messages/{identifier}?view=parts")).text)
        links = [one for one in page.links() if "/parts/" in one]
        answers = [await operator.get(one) for one in links]
        assert [one.headers["content-type"] for one in answers] == [
            "image/png", "application/octet-stream", "application/octet-stream",
        ]  # fmt: skip
        logo, invoice, table = answers
        assert logo.content == png()
        assert invoice.content == b"%PDF-"
        assert table.content == b"a;b\r\n"
        assert invoice.headers["content-disposition"] == (
            "attachment; filename=\"Rechnung M_rz.pdf\"; filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf"
        )

    in_room(test, tmp_path)


def test_the_source_is_saved_byte_by_byte(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        content = (
            b"Subject: x\r\n\r\n"
            + bytes(range(32, 127))
            + b"\r\n"
            + b"\xff\xfe" * 200_000
            + b"\r\n"
        )
        lines = b"\r\n".join(content[at : at + 900] for at in range(0, len(content), 900))
        await send_bytes(room, lines)
        (identifier,) = await over(room, 1)
        operator = await room.person(Role.OPERATOR)
        saved = await operator.get(f"/messages/{identifier}/message.eml")
        assert saved.headers["content-disposition"].startswith("attachment;")
        assert saved.headers["content-length"] == str(len(saved.content))
        assert saved.content.endswith(lines.rstrip() + b"\r\n") or lines in saved.content
        shown = await operator.get(f"/messages/{identifier}/source")
        assert shown.headers["content-type"].startswith("text/plain")

    in_room(test, tmp_path)


def test_a_message_in_another_charset_is_read_in_it(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        for charset, octets in (
            ("iso-8859-1", "Grüße".encode("latin-1")),
            ("koi8-r", "Привет".encode("koi8-r")),
            ("shift_jis", "こんにちは".encode("shift_jis")),
        ):
            await send_bytes(
                room,
                f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode() + octets + b"\r\n",
            )
        await send_bytes(
            room,
            b'Content-Type: text/html\r\n\r\n<meta charset="windows-1252"><p>100 \x80\r\n',
        )
        html, japanese, russian, german = await over(room, 4)
        operator = await room.person(Role.OPERATOR)
        for identifier, word in ((japanese, "こんにちは"), (russian, "Привет"), (german, "Grüße")):
            assert word in (await operator.get(f"/messages/{identifier}?view=text")).text
        assert "100 €" in (await operator.get(f"/messages/{html}/html")).text

    in_room(test, tmp_path)


def test_what_is_wrong_with_a_message_is_told(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send_bytes(
            room,
            b"From: a@here.example\r\nSubject: a\r\nSubject: b\r\nDate: x\r\nMessage-ID: <x@y>\r\n"
            b"List-Unsubscribe: <mailto:u@here.example>\r\nContent-Type: text/html\r\n\r\n"
            b"<script>x</script><p>Hello\r\n",
        )
        (identifier,) = await over(room, 1)
        operator = await room.person(Role.OPERATOR)
        words = Page((await operator.get(f"/messages/{identifier}?view=checks")).text).text
        for told in (
            "Subject: more than once",
            "There is no plain text part",
            "Neither To nor Cc is there",
            "what mail programs take out: script",
            "List-Unsubscribe has no https: address",
        ):
            assert told in words
        assert "Date is missing" not in words

    in_room(test, tmp_path)

"""A stranger's message, taken apart for people to look at: what is there, and never too much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.part_parameters import (
    attachment_disposition,
    file_name,
    parse_parameters,
    safe_file_name,
)
from waypost.mail.parts import MAXIMUM_DEPTH, MAXIMUM_PARTS, read_message
from waypost.mail.preview_text import snippet, text_of


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


LETTER = crlf(
    """\
From: =?utf-8?q?Zo=C3=AB?= <z@here.example>
Subject: folded
 over two lines
Content-Type: multipart/mixed; boundary="a b"

preamble
--a b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=
=C3=9Fe
--c
Content-Type: text/html; charset=utf-8
Content-ID: <html>

<p>Hello</p>
--c--
--a b
Content-Type: application/octet-stream
Content-Disposition: attachment; filename=a.bin
Content-Transfer-Encoding: base64

AAECAw==
--a b--
epilogue
"""
)


def test_fields_parts_and_their_content() -> None:
    read = read_message(LETTER)
    assert read.shown("from") == "Zoë <z@here.example>"
    assert read.shown("subject") == "folded over two lines"
    assert read.field("x-none") is None
    assert [(one.number, one.kind, one.name) for one in read.parts] == [
        (1, "text/plain", ""), (2, "text/html", ""), (3, "application/octet-stream", "a.bin"),
    ]  # fmt: skip
    text, html, file = read.parts
    assert (read.text, read.html, read.attachments) == (text, html, (file,))
    assert read.letters(text, 100) == "Grüße"
    assert read.letters(html, 100) == "<p>Hello</p>"
    assert read.octets(file) == b"\0\1\2\3"
    assert read.with_content_id("html") == html
    assert read.with_content_id("") is None
    assert read.cut == ()


def test_no_more_octets_than_asked_for_are_decoded() -> None:
    read = read_message(LETTER)
    assert read.octets(read.parts[2], 2) == b"\0\1"
    assert read.letters(read.parts[1], 3) == "<p>"


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"x", b"\r\nbody\r\n", b": x\r\n\r\n", b"no field here\r\n\r\nx"]
)
def test_what_has_no_header_is_text(content: bytes) -> None:
    read = read_message(content)
    assert [one.kind for one in read.parts] == ["text/plain"]
    assert read.fields == ()


def test_a_boundary_that_another_begins_with_is_not_taken_for_it() -> None:
    body = "--a\n\none\n--ab\nstill one\n--a  \n\ntwo\n--a--\n"
    read = read_message(crlf(f"Content-Type: multipart/mixed; boundary=a\n\n{body}"))
    assert [read.letters(one, 99) for one in read.parts] == ["one\n--ab\nstill one", "two"]


def test_a_missing_last_boundary_is_forgiven() -> None:
    read = read_message(crlf("Content-Type: multipart/mixed; boundary=a\n\n--a\n\none\n--a\n\ntwo"))
    assert [read.letters(one, 99) for one in read.parts] == ["one", "two"]


def test_depth_and_number_of_parts_are_bounded_and_that_is_said() -> None:
    deep = "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n"
        for n in range(MAXIMUM_DEPTH + 5)
    )
    read = read_message(crlf(deep + "\nx\n"))
    assert len(read.parts) == 1
    assert "levels deep" in read.cut[0]
    many = read_message(
        crlf("Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nx\n" * (MAXIMUM_PARTS + 50))
    )
    assert len(many.parts) == MAXIMUM_PARTS
    assert "more than" in many.cut[0]


@given(st.binary(max_size=400), st.sampled_from([LETTER, b"Content-Type: text/html; charset="]))
def test_anything_is_read(junk: bytes, start: bytes) -> None:
    for content in (junk, start + junk, LETTER.replace(b"Hello", junk)):
        read = read_message(content)
        assert read.parts
        for one in read.parts:
            read.octets(one)
            read.letters(one, 1000)
            assert 0 <= one.start <= one.end <= len(content)
        text_of(read, 100)


# --- parameters and names -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        ("text/plain; charset=utf-8", "charset", "utf-8"),
        ('text/plain; NAME="a;b\\"c"', "name", 'a;b"c'),
        ("attachment; filename*=UTF-8''M%C3%A4rz.pdf", "filename", "März.pdf"),
        ('attachment; filename*0="long "; filename*1=name.pdf', "filename", "long name.pdf"),
        ("attachment; filename*0*=iso-8859-1'de'M%E4; filename*1*=rz", "filename", "März"),
        ("attachment; filename=plain.pdf; filename*=utf-8''better.pdf", "filename", "better.pdf"),
        ("attachment ; filename = spaced.pdf ", "filename", "spaced.pdf"),
        ('attachment; filename="no end', "filename", "no end"),
        ("attachment; a=1; a=2", "a", "1"),
        ("attachment", "filename", ""),
    ],
)
def test_a_parameter(field: str, name: str, value: str) -> None:
    assert parse_parameters(field).get(name) == value


def test_a_name_in_encoded_words_is_decoded_as_many_programs_write_it() -> None:
    given = parse_parameters('attachment; filename="=?utf-8?b?TcOkcnoucGRm?="')
    assert file_name(given, parse_parameters("application/pdf; name=x")) == "März.pdf"


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("photo\u202egnp.exe", "photo gnp.exe"),
        ("a\r\nSet-Cookie: x", "a Set-Cookie_ x"),
        ("...", ""),
        (" .hidden", "hidden"),
        ("", ""),
        ("a" * 300 + ".pdf", "a" * 116 + ".pdf"),
        ("naïve — 漢字.txt", "naïve — 漢字.txt"),
    ],
)
def test_a_file_name_stays_in_its_folder_and_says_what_it_is(given: str, safe: str) -> None:
    assert safe_file_name(given) == safe


@given(st.text(max_size=200))
def test_the_header_of_a_download_is_one_line_of_ascii(name: str) -> None:
    value = attachment_disposition(name)
    assert value.isascii()
    assert value.isprintable()
    assert value.startswith('attachment; filename="')
    assert value.count('"') == 2


# --- a line of it -------------------------------------------------------------------------------


def test_a_snippet_is_one_line_without_links_and_cut_with_a_sign() -> None:
    assert snippet("Hello\n\n  Ann,   see https://x.example/a?b=c now", 99) == "Hello Ann, see now"
    assert snippet("word " * 50, 12) == "word word w…"


def test_the_text_of_a_message_that_has_only_html_is_made_from_it() -> None:
    read = read_message(b"Content-Type: text/html\r\n\r\n<h1>Hi</h1><p>there</p>")
    assert text_of(read, 99) == ("Hi\n==\n\nthere\n", False, True)
    read = read_message(b"\r\nlong text")
    assert text_of(read, 4) == ("long", True, False)

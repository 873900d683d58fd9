"""Attachments: any source, a type that fits, a name that does no harm, and little memory."""

from __future__ import annotations

import copy
import io
import re
from pathlib import Path

import pytest
from composing import composed, read_back, written
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.compose import InvalidMessage, attachment, outgoing
from waypost.mail.compose_attachments import BLOCK, Attachment, safe_name
from waypost.mail.compose_encodings import base64_lines


def attached(given: object) -> tuple[str, str | None, bytes]:
    """Type, name and content as the recipient has them."""
    part = next(iter(read_back(written(attachments=[given])).iter_attachments()))
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return part.get_content_type(), part.get_filename(), content


# --- sources ------------------------------------------------------------------------------------


def test_a_path_is_read_when_the_message_is_written(tmp_path: Path) -> None:
    file = tmp_path / "note.pdf"
    file.write_bytes(b"one")
    message = composed(attachments=[file])
    file.write_bytes(b"two")
    assert b"\r\ndHdv\r\n" in written(message)
    assert attached(str(file)) == ("application/pdf", "note.pdf", b"two")


def test_an_open_file_is_read_from_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "note.pdf"
    file.write_bytes(b"head|rest")
    with file.open("rb") as opened:
        opened.seek(5)
        message = composed(attachments=[opened])
        assert written(message) == written(message)
        assert attached(opened) == ("application/pdf", "note.pdf", b"rest")
        assert not opened.closed


def test_a_stream_that_cannot_seek_is_read_at_once() -> None:
    class Stream(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes:
            return b"content"

    assert attached(Stream()) == ("application/octet-stream", "attachment", b"content")


@pytest.mark.parametrize(
    "given",
    [("a.csv", b"1,2"), ("a.csv", "1,2"), ("a.csv", io.BytesIO(b"1,2")),
     ("a.csv", b"1,2", "text/csv"), attachment(b"1,2", name="a.csv")],
)  # fmt: skip
def test_a_content_has_the_name_beside_it(given: object) -> None:
    assert attached(given) == ("text/csv", "a.csv", b"1,2")


def test_one_file_needs_no_list(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    assert list(read_back(written(attachments=file)).iter_attachments())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"bytes", "bytes need a name"),
        (("a.txt", b"bytes"), "this pair could be two files"),
        ([7], "int is nothing that can be attached"),
        ([("a", b"", "html")], "'html' is no type such as image/png"),
        ([Path("/")], "/ is a folder"),
        ([("a",)], "a tuple is"),
        ([io.StringIO("text")], "is open as text"),
    ],
)
def test_what_cannot_be_attached_is_said(given: object, said: str) -> None:
    with pytest.raises(InvalidMessage, match=said):
        composed(attachments=given)


def test_a_file_that_is_not_there_is_an_error_of_its_own() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        composed(attachments=["/nowhere/a.txt"])


@pytest.mark.parametrize("now", [b"", b"longer than it was", b"shor"])
def test_a_file_that_changed_is_not_sent_by_half(tmp_path: Path, now: bytes) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"short")
    message = composed(attachments=[file])
    file.write_bytes(now)
    with pytest.raises(InvalidMessage, match="log is no longer 5 bytes long"):
        written(message)


def test_a_file_that_was_closed_is_said(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"x")
    with file.open("rb") as opened:
        message = composed(attachments=[opened])
    with pytest.raises(InvalidMessage, match=r"a\.txt was closed before the message was sent"):
        written(message)


# --- type ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.pdf", b"", "application/pdf"),
        ("A.PDF", b"", "application/pdf"),
        ("a.odt", b"PK\3\4", "application/vnd.oasis.opendocument.text"),
        ("a.ics", b"", "text/calendar"),
        ("photo", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("photo.png", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("a", b"RIFF1234WEBPVP8 ", "image/webp"),
        ("a", b"%PDF-1.7", "application/pdf"),
        ("a.tar.gz", b"\x1f\x8b\x08", "application/gzip"),
        ("a.tar.gz", b"", "application/octet-stream"),
        ("a.unknown", b"", "application/octet-stream"),
        ("mail.eml", b"Subject: x\r\n\r\n", "application/octet-stream"),
    ],
)  # fmt: skip
def test_the_type_is_that_of_the_name_or_of_the_content(
    name: str, content: bytes, kind: str
) -> None:
    assert attachment((name, content)).type == kind


@pytest.mark.parametrize(
    ("content", "charset"),
    [(b"plain", ""), ("Zoë".encode(), "utf-8"), ("Zoë".encode("latin-1"), ""),
     (b"x" * 4095 + "ë".encode(), "utf-8"), (b"x" * 4093 + "\U0001f600".encode(), "utf-8")],
)  # fmt: skip
def test_a_text_says_that_it_is_utf8(content: bytes, charset: str) -> None:
    assert attachment(("a.txt", content)).charset == charset


# --- name ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\a.doc", "a.doc"),
        ("a\r\nb.txt", "a_b.txt"),
        ("gpj.exe\u202ejpg", "gpj.exe_jpg"),
        ('a"b<c>.txt', "a_b_c_.txt"),
        ("Zoë's résumé.pdf", "Zoë's résumé.pdf"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
        ("..", ""),
        ("dir/", ""),
    ],
)
def test_a_name_does_no_harm(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize(
    "name",
    ["a b.txt", "a;b.txt", "Zoë.txt", "例え" * 40 + ".txt", "x" * 150 + ".txt", "a'b%c.txt"],
)  # fmt: skip
def test_a_name_comes_back_as_it_was(name: str) -> None:
    assert attached((name, b""))[1] == name


@given(st.text(max_size=120))
def test_any_name_is_a_name_of_one_file(name: str) -> None:
    content = written(attachments=[(name, b"x")])
    part = next(iter(read_back(content).iter_attachments()))
    shown = part.get_filename()
    assert shown == (safe_name(name) or "attachment")
    assert not re.search(r'[/\\\r\n\0"<>:|?*]', shown)
    assert part.get_payload(decode=True) == b"x"
    assert max(map(len, content.split(b"\r\n"))) <= 998


def test_a_name_without_letters_is_called_by_its_type() -> None:
    assert attachment(b"\x89PNG\r\n\x1a\n").name == "attachment.png"


# --- encoding -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [0, 1, 2, 3, 56, 57, 58, 114, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]
)
def test_blocks_join_to_what_one_encoding_gives(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    one = attachment(("a", content[:size]))
    encoded = b"".join(one.encoded())
    assert encoded == (base64_lines(content[:size]) if size else b"")
    assert len(encoded) == one.encoded_size
    assert max(map(len, encoded.split(b"\r\n"))) <= 76


def test_a_large_file_is_never_in_memory() -> None:
    size = 50 * BLOCK
    most = 0

    class Endless(io.RawIOBase):
        left = size

        def read(self, wanted: int = -1, /) -> bytes:
            nonlocal most
            assert wanted >= 0, "all of it was asked for"
            most = max(most, wanted)
            given = min(wanted, self.left)
            self.left -= given
            return bytes(given)

    message = composed(attachments=[Attachment("a", "application/zip", size, Endless)])  # type: ignore[arg-type]
    content = outgoing(message).content
    assert sum(map(len, content.chunks())) == content.size
    assert most <= BLOCK


def test_the_message_is_like_any_other() -> None:
    message = composed(attachments=[("a.csv", "ë,1")])
    copied = copy.deepcopy(message)
    part = next(iter(copied.iter_attachments()))
    assert part.get_content() == "ë,1"
    assert b"w6ssMQ==" in copied.as_bytes()
    part.set_content("new")
    assert written(copied).count(b"new") == 1

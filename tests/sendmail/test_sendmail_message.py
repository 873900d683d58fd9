"""A message from standard input, and who it is for."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.faces.sendmail.arguments import Arguments
from waypost.faces.sendmail.message import InvalidMessage, Letter, letter, read


def made(content: str | bytes, **asked: object) -> Letter:
    arguments = Arguments(**asked)  # type: ignore[arg-type]
    raw = content.encode() if isinstance(content, str) else content
    whole = read(io.BytesIO(raw), ignore_dots=arguments.ignore_dots)
    return letter(whole, arguments, "joe", "host.example")


def recipients(of: Letter) -> list[str]:
    return [one.address for one in of.envelope.recipients]


def test_the_content_goes_on_as_it_is_but_for_its_line_ends() -> None:
    found = made("From: a@b.example\nX-Odd :  1\n\nbody\n\nend", recipients=["ann@example.org"])
    assert found.content == b"From: a@b.example\r\nX-Odd :  1\r\n\r\nbody\r\n\r\nend\r\n"
    assert recipients(found) == ["ann@example.org"]
    assert found.envelope.reverse_path == "joe@host.example"


def test_recipients_of_the_header_and_bcc_is_removed() -> None:
    found = made(
        "From: a@b.example\nTo: Ann <ann@example.org>,\n bob@example.net\nCC: ANN@example.org, x\n"
        "Bcc: eve@example.com,\n mallory@example.com\nSubject: s\n\nBcc: stays here\n",
        from_header=True, recipients=["last@example.com"],
    )  # fmt: skip
    assert recipients(found) == [
        "last@example.com", "ann@example.org", "bob@example.net", "ANN@example.org",
        "x@host.example", "eve@example.com", "mallory@example.com",
    ]  # fmt: skip
    head, body = found.content.split(b"\r\n\r\n")
    assert b"eve" not in head
    assert b"mallory" not in head
    assert body == b"Bcc: stays here\r\n"


def test_an_argument_may_hold_several_with_names() -> None:
    found = made("\n", recipients=["Ann <ann@example.org>, bob@example.net", "x"])
    assert recipients(found) == ["ann@example.org", "bob@example.net", "x@host.example"]


def test_a_message_sent_on_goes_to_its_resent_recipients() -> None:
    found = made(
        "From: a@b.example\nTo: old@example.org\nResent-To: new@example.org\n"
        "Resent-Bcc: hidden@example.org\n\n",
        from_header=True,
    )
    assert recipients(found) == ["new@example.org", "hidden@example.org"]
    assert b"hidden" not in found.content
    assert b"To: old@example.org" in found.content


def test_nobody_in_the_header_is_told() -> None:
    with pytest.raises(InvalidMessage, match="neither To nor Cc nor Bcc"):
        made("From: a@b.example\nTo: undisclosed-recipients:;\n\nx\n", from_header=True)


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("a@b.example", "a@b.example"), ("Name <a@b.example>", "a@b.example"), ("<>", ""),
        ("", ""), ("www-data", "www-data@host.example"),
    ],
)  # fmt: skip
def test_the_envelope_sender(sender: str, expected: str) -> None:
    assert made("\n", recipients=["x"], sender=sender).envelope.reverse_path == expected


def test_from_is_added_where_there_is_none() -> None:
    found = made("Subject: s\n\nx\n", recipients=["x"], full_name='Joe "J"\nBcc: eve@example.com')
    assert found.content.startswith(
        b'From: "Joe \\"J\\" Bcc: eve@example.com" <joe@host.example>\r\nSubject: s\r\n\r\nx'
    )


def test_a_body_alone_is_a_message() -> None:
    found = made("no header here\n", recipients=["x"])
    assert found.content == b"From: joe@host.example\r\n\r\nno header here\r\n"


def test_a_single_dot_ends_the_message_unless_asked_otherwise() -> None:
    text = "From: a@b.example\n\none\n.\ntwo\n"
    assert made(text, recipients=["x"]).content.endswith(b"\r\n\r\none\r\n")
    assert made(text, recipients=["x"], ignore_dots=True).content.endswith(b"\r\n.\r\ntwo\r\n")
    assert read(io.BytesIO(b".\n"), ignore_dots=False) == b""
    assert read(io.BytesIO(b"a\n."), ignore_dots=False) == b"a\r\n"
    assert read(io.BytesIO(b"a"), ignore_dots=False) == b"a\r\n"
    assert read(io.BytesIO(b""), ignore_dots=False) == b""


def test_an_international_address_asks_for_smtputf8_only_where_it_must() -> None:
    plain = made("\n", recipients=["ann@bücher.example"])
    assert recipients(plain) == ["ann@xn--bcher-kva.example"]
    assert not plain.envelope.smtputf8
    assert made("\n", recipients=["jörg@bücher.example"]).envelope.smtputf8


@pytest.mark.parametrize("address", ["two words", "a@b@c", "a@-", "x" * 100 + "@example.org"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(InvalidMessage, match="is no address"):
        made("\n", recipients=[address])


@given(st.binary(max_size=400), st.booleans(), st.booleans())
def test_whatever_comes_it_is_sent_or_told(content: bytes, dots: bool, from_header: bool) -> None:
    try:
        found = made(content, ignore_dots=dots, from_header=from_header, recipients=["x"])
    except InvalidMessage:
        return
    assert b"\n" not in found.content.replace(b"\r\n", b"")
    assert b"\r" not in found.content.replace(b"\r\n", b"")
    assert b"\r\n\r\n" in found.content

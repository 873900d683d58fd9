"""A message from its parts: nothing given reaches beyond its field."""

from __future__ import annotations

import datetime as dt
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.faces.message import Composed, InvalidMessage, Parts, compose

NOW = dt.datetime(2026, 11, 24, 9, 0, tzinfo=dt.UTC)
SENDER, TO = "a@example.com", "b@example.org"


def made(**parts: object) -> Composed:
    return compose(Parts(**({"sender": SENDER, "to": [TO]} | parts)), NOW, "host.example")  # type: ignore[arg-type]


def fields(composed: Composed) -> list[str]:
    return [name.lower() for name, _ in message_from_bytes(composed.content).items()]


def test_it_has_the_fields_that_a_message_needs() -> None:
    composed = made(subject="Hello", text="Hi")
    assert fields(composed)[:5] == ["from", "to", "subject", "date", "message-id"]
    assert composed.message_id.endswith("@host.example>")
    assert b"Date: Tue, 24 Nov 2026 09:00:00 +0000\r\n" in composed.content
    assert composed.content.endswith(b"\r\n\r\nHi\r\n")


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=50))
def test_no_value_makes_a_field_of_its_own(subject: str, value: str, name: str) -> None:
    try:
        composed = made(subject=subject, headers=[f"X-One: {value}", f"{name}: x"], text="")
    except InvalidMessage:
        return
    extra = fields(composed)
    assert extra.count("subject") == extra.count("from") == extra.count("x-one") == 1
    assert "bcc" not in extra
    assert composed.content.count(b"\n") == composed.content.count(b"\r\n")
    head = composed.content.partition(b"\r\n\r\n")[0]
    assert all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)


@given(st.text(max_size=100))
def test_a_sender_is_an_address_or_refused(text: str) -> None:
    try:
        composed = made(sender=text)
    except InvalidMessage:
        return
    assert "@" in composed.envelope.reverse_path
    assert not set(composed.envelope.reverse_path) & set("\r\n<>")


@given(st.text(max_size=500))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    try:
        composed = made(text=text)
    except InvalidMessage:
        return
    body = message_from_bytes(composed.content, policy=policy.default).get_content()
    assert body.splitlines() == text.splitlines() or body.split() == text.split()
    assert composed.content.isascii()
    assert max(map(len, composed.content.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("given_as", "shown"),
    [
        ("Joe <joe@example.com>", "Joe <joe@example.com>"),
        ('"Joe, the one" <joe@example.com>', '"Joe, the one" <joe@example.com>'),
        ("<joe@example.com>", "joe@example.com"),
        (" joe@example.com ", "joe@example.com"),
        ('"a b"@example.com', '"a b"@example.com'),
    ],
)
def test_names_stand_beside_addresses(given_as: str, shown: str) -> None:
    parsed = message_from_bytes(made(sender=given_as).content, policy=policy.default)
    assert parsed["From"] == shown


def test_each_recipient_is_in_the_envelope_once_and_no_bcc_in_the_message() -> None:
    composed = made(to=[TO, TO], cc=["c@example.org"], bcc=["d@example.org"])
    wires = [one.address for one in composed.envelope.recipients]
    assert wires == [TO, "c@example.org", "d@example.org"]
    assert b"d@example.org" not in composed.content


def test_a_message_in_a_message_is_not_put_into_base64_as_such(tmp_path: Path) -> None:
    (tmp_path / "in.eml").write_bytes(b"Subject: x\n\ny\n")
    parsed = message_from_bytes(
        made(text="see", attachments=[tmp_path / "in.eml"]).content, policy=policy.default
    )
    (attached,) = parsed.iter_attachments()
    assert attached.get_content_type() == "application/octet-stream"
    assert attached.get_content() == b"Subject: x\n\ny\n"


@pytest.mark.parametrize("field", ["From: x@example.com", "to: x@example.com", "BCC: x@d.example"])
def test_a_field_that_an_option_makes_is_refused(field: str) -> None:
    with pytest.raises(InvalidMessage, match="use --"):
        made(headers=[field])

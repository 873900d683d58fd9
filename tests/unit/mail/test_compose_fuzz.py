"""A message of any make is written or refused: never an error of another kind, never half."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from composing import MESSAGE_ID, NOW, read_back
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.mail.compose import InvalidMessage, outgoing

_LINES = st.sampled_from(
    [
        b"To: b@example.org", b"To: \xff@x, <c@x>", b"Bcc: secret@example.net",
        b"Cc: =?utf-8?q?Zo=C3=AB?= <z@b\xc3\xbccher.example>", b"Subject: =?utf-8?b?w6s=?=",
        b"Subject: " + b"x" * 1200, b"Subject: " + b"word " * 400, b" folded", b"\tfolded", b"",
        b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: multipart/mixed", b"--b",
        b"--b--", b"Content-Type: text/plain; charset=utf-8", b"Content-Type: message/rfc822",
        b"Content-Type: message/delivery-status", b"Content-Type: multipart/signed; boundary=b",
        b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: 8bit",
        b"Content-Transfer-Encoding: quoted-printable", b"Content-Type: text/plain; charset=none",
        b"Content-Type:", b"Content-Type: x", b"Resent-To: r@example.org", b"Resent-From: r@x",
        b"Date: x", b"Message-ID: <a@b", b"MIME-Version: 1.0", b"\xc3\xab", b"\xff\xfe", b"x\0y",
        b"x" * 1500, b"=E9=", b".", b"From me", b"no colon", b": empty", b"X : spaced",
    ]
)  # fmt: skip
_STARTS = st.sampled_from([[b"From: a@example.com", b"To: c@example.org"], []])
_ENDS = st.sampled_from([b"\r\n", b"\n"])
_MESSAGES = st.builds(
    lambda start, lines, end: end.join([*start, *lines]),
    _STARTS, st.lists(_LINES, max_size=30), _ENDS,
)  # fmt: skip


@settings(max_examples=300)
@given(_MESSAGES, st.sampled_from([policy.SMTP, policy.default, policy.compat32]), st.booleans())
def test_what_was_parsed_is_written_or_refused(
    raw: bytes, kind: policy.Policy, seven: bool
) -> None:  # type: ignore[type-arg]
    message = message_from_bytes(raw, policy=kind)  # type: ignore[arg-type]
    try:
        ready = outgoing(message, date=NOW, message_id=MESSAGE_ID, seven_bit=seven)
    except InvalidMessage:
        return
    content = ready.content.read()
    assert len(content) == ready.content.size
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert ready.envelope.recipients
    head = content.partition(b"\r\n\r\n")[0].lower()
    assert not head.startswith(b"bcc:")
    assert b"\nbcc:" not in head
    assert not seven or content.isascii() or ready.envelope.smtputf8


_PARTS = st.recursive(
    st.tuples(st.sampled_from(["text", "html", "bytes"]), st.text(max_size=40)),
    lambda inner: st.lists(inner, min_size=1, max_size=3),
    max_leaves=8,
)


def _built(parts: object) -> EmailMessage:
    message = EmailMessage()
    if isinstance(parts, tuple):
        kind, text = parts
        if kind == "bytes":
            message.set_content(
                text.encode("utf-8", "replace"), "application", "x", filename=text[:9]
            )
        else:
            message.set_content(
                text.encode("utf-8", "replace").decode(), subtype=kind.replace("text", "plain")
            )
        return message
    assert isinstance(parts, list)
    message["Content-Type"] = "multipart/mixed"
    for one in parts:
        message.attach(_built(one))
    return message


@given(_PARTS)
def test_every_part_comes_back(parts: object) -> None:
    try:
        message = _built(parts)
    except (ValueError, UnicodeError):
        return  # the library itself refuses the name
    message["From"], message["To"] = "a@example.com", "b@example.org"
    before = message.as_bytes(policy=policy.SMTP) if not isinstance(parts, list) else b""
    back = read_back(outgoing(message).content.read())
    for mine, other in zip(back.walk(), message.walk(), strict=True):
        assert mine.get_content_type() == other.get_content_type()
        if not mine.is_multipart():
            ours, theirs = mine.get_content(), other.get_content()
            if isinstance(ours, str):
                assert ours.splitlines() == theirs.splitlines()
            else:
                assert ours == theirs
    if before:
        assert message.as_bytes(policy=policy.SMTP) == before


@pytest.mark.parametrize("depth", [50])
def test_depth_is_no_trouble(depth: int) -> None:
    nested: object = ("text", "core")
    for _ in range(depth):
        nested = [nested]
    message = _built(nested)
    message["From"], message["To"] = "a@example.com", "b@example.org"
    assert b"core" in outgoing(message).content.read()

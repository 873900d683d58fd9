"""What a server is given of a message, composed or the caller's: whole, in order, unchanged."""

from __future__ import annotations

import copy
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest
from composing import MESSAGE_ID, NOW, composed, field_names, read_back, written
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.compose import ContentSource, InvalidMessage, content_of, outgoing, prepared


def own(**fields: str) -> EmailMessage:
    """A message as a caller makes one."""
    message = EmailMessage()
    given = {"From": "a@example.com", "To": "b@example.org", "Subject": "Hello"} | fields
    for name, value in given.items():
        message[name.replace("_", "-")] = value
    message.set_content("Hi\n")
    return message


def test_what_is_missing_is_added_to_a_copy() -> None:
    message = own()
    before = message.as_bytes()
    ready = outgoing(message, date=NOW, message_id=MESSAGE_ID)
    assert message.as_bytes() == before
    assert ready.message_id == MESSAGE_ID
    names = field_names(ready.content.read())
    assert names.count("date") == names.count("message-id") == names.count("mime-version") == 1


def test_what_is_there_stays() -> None:
    message = own(Date="Mon, 01 Jan 2001 00:00:00 +0000", Message_ID="<mine@example.com>")
    ready = outgoing(message, date=NOW, message_id=MESSAGE_ID)
    assert ready.message_id == "<mine@example.com>"
    assert read_back(ready.content.read())["Date"] == "Mon, 01 Jan 2001 00:00:00 +0000"


def test_nothing_of_the_message_given_is_changed() -> None:
    message = MIMEMultipart("mixed")
    message["From"], message["To"] = "a@example.com", "b@example.org"
    inner = MIMEMultipart("alternative")
    inner.attach(MIMEText("Hi"))
    message.attach(inner)
    before = copy.deepcopy(message)
    assert b"=_waypost_" in written(message)
    assert message._headers == before._headers  # type: ignore[attr-defined]
    assert inner._headers == before.get_payload()[0]._headers  # type: ignore[union-attr, attr-defined]


def test_bcc_is_never_written() -> None:
    content = written(own(Bcc="secret@example.net", Resent_Bcc="more@example.net"))
    assert b"example.net" not in content
    inner = own(Bcc="kept@example.net")  # in an attached message it is content
    outer = own()
    outer.add_attachment(inner)
    assert b"kept@example.net" in written(outer)


def test_lines_end_in_crlf_whatever_the_policy() -> None:
    for message in (own(), MIMEText("one\ntwo\rthree\r\nfour")):
        message["X"] = "y"
        content = content_of(message).read()
        assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")


def test_it_is_what_the_library_would_write() -> None:
    message = own(Cc="Zoë <z@example.org>", Subject="Häßlich " * 20)
    message.add_alternative("<p>Zoë</p>", subtype="html")
    message.add_attachment(b"\0\1", maintype="application", subtype="x", filename="ë.bin")
    ours, theirs = (
        read_back(content_of(message).read()),
        read_back(message.as_bytes(policy=policy.SMTP)),
    )
    for mine, other in zip(ours.walk(), theirs.walk(), strict=True):
        assert mine.keys() == other.keys()
        for name in mine.keys():  # noqa: SIM118
            if name != "Content-Type":
                assert str(mine[name]) == str(other[name])
        assert mine.is_multipart() or mine.get_content() == other.get_content()


@pytest.mark.parametrize("seven_bit", [False, True])
def test_a_body_in_8bit_asks_for_it_or_is_encoded(seven_bit: bool) -> None:
    raw = (
        b"From: a@example.com\r\nTo: b@example.org\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        b"Zo\xeb\r\n"
    )
    ready = outgoing(message_from_bytes(raw, policy=policy.SMTP), seven_bit=seven_bit)
    assert ready.content.is_8bit is not seven_bit
    assert ready.envelope.body == (None if seven_bit else "8BITMIME")
    assert read_back(ready.content.read()).get_content().strip() == "Zoë"
    if not seven_bit:
        assert ready.content.read() == raw


def test_a_signed_part_stays_as_it_was_signed() -> None:
    raw = (
        b'From: a@example.com\r\nContent-Type: multipart/signed; boundary="b";\r\n micalg=x\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\nX-Long: " + b"word " * 40 + b"\r\n\r\nHi  \r\n"
        b"--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n"
    )
    message = message_from_bytes(raw, policy=policy.SMTP)
    message["Bcc"] = "secret@example.net"
    content = content_of(message).read()
    assert b"secret" not in content
    assert content.partition(b"\r\n\r\n")[2] == raw.partition(b"\r\n\r\n")[2]


def test_a_line_too_long_for_smtp_is_encoded() -> None:
    message = MIMEText("x" * 2000)
    content = content_of(message).read()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    back = read_back(content)
    assert back["Content-Transfer-Encoding"] == "quoted-printable"
    assert back.get_content().strip() == "x" * 2000


def test_a_long_word_of_a_field_stays_whole() -> None:
    address = "<https://example.com/" + "x" * 300 + ">"
    content = written(own(List_Unsubscribe=address))
    assert b"List-Unsubscribe:\r\n " + address.encode() in content or (
        b"List-Unsubscribe: " + address.encode() in content
    )


def test_a_subject_without_a_space_is_written_as_encoded_words() -> None:
    content = written(own(Subject="x" * 3000))
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert str(read_back(content)["Subject"]) == "x" * 3000


def test_a_word_that_no_line_can_hold_is_refused() -> None:
    message = own()
    message.set_raw("References", "<" + "x" * 1200 + ">")
    message.policy = policy.compat32  # which folds nothing
    with pytest.raises(InvalidMessage, match="References: a word of the value is longer than 998"):
        content_of(message)


def test_a_message_of_before_mime_is_encoded_where_only_7_bits_pass() -> None:
    raw = b"From: a@example.com\r\nTo: b@example.org\r\n\r\nZo\xeb\r\n"
    content = outgoing(message_from_bytes(raw, policy=policy.SMTP), seven_bit=True).content
    assert content.read().endswith(b"\r\n\r\nZo=EB\r\n")
    assert {"mime-version", "content-transfer-encoding"} <= set(field_names(content.read()))


@given(st.lists(st.text(alphabet="abc<>@.,;=", min_size=1, max_size=90), min_size=1, max_size=30))
def test_folding_keeps_every_word(words: list[str]) -> None:
    content = content_of(own(X_Words=" ".join(words))).read()
    head = content.partition(b"\r\n\r\n")[0]
    assert all(line.strip() for line in head.split(b"\r\n"))
    assert str(read_back(content)["X-Words"]).split() == words
    for line in head.split(b"\r\n"):
        assert len(line) <= 78 or len(line.split()) <= 2


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: x@y", "a\nb", "a\rb", "a\n\n b", "a\r\n", "a\0b", "a\n \n b"]
)
@pytest.mark.parametrize("make", [MIMEText("x"), EmailMessage()])
def test_a_field_that_was_set_past_all_checks_is_refused(
    make: Message[Any, Any], value: str
) -> None:
    message = copy.deepcopy(make)
    message.set_raw("X-Note", value)
    with pytest.raises(InvalidMessage, match="X-Note: the value holds a line break or NUL"):
        content_of(message)


def test_letters_without_an_encoding_are_refused() -> None:
    message = own()
    message.set_payload("Zoë")
    with pytest.raises(InvalidMessage, match=r"use EmailMessage\.set_content"):
        content_of(message)


def test_a_boundary_stands_in_no_part() -> None:
    html = {"text": "x", "html": "y"}
    first = read_back(written(**html)).get_boundary()
    content = written(text=f"--{first}--\n--{first}", html="y")
    assert read_back(content).get_boundary() != first
    assert len(list(read_back(content).iter_parts())) == 2


# --- the source ---------------------------------------------------------------------------------


def test_the_size_is_known_before() -> None:
    message = composed(text="Hi", attachments=[("a", bytes(100_000))])
    source = content_of(message)
    assert source.size == len(source.read()) == sum(map(len, source.chunks()))
    assert source.whole is None
    assert source.header + b"\r\n" + b"".join(source.body_chunks()) == source.read()


def test_a_source_of_bytes_is_those_bytes() -> None:
    source = ContentSource.of_bytes(b"Subject: x\r\n\r\n" + b"y" * 200_000)
    assert source.whole == source.read()
    assert source.header == b"Subject: x\r\n"
    assert b"".join(source.body_chunks()) == b"y" * 200_000
    assert source.with_fields(b"A: b\r\n").header == b"A: b\r\nSubject: x\r\n"


@pytest.mark.parametrize("content", [b"", b"\r\nbody", b"no header at all"])
def test_a_source_without_a_header_has_none(content: bytes) -> None:
    source = ContentSource.of_bytes(content)
    assert source.header == b""
    assert source.read() == content


# --- the envelope -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "sender", "recipients"),
    [
        ({}, "a@example.com", ["b@example.org"]),
        ({"Sender": "s@example.com"}, "s@example.com", ["b@example.org"]),
        ({"From": "A <a@example.com>, C <c@example.com>"}, "a@example.com", ["b@example.org"]),
        ({"To": "X <x@a.example>, y@a.example", "Cc": "z@a.example", "Bcc": "x@a.example"},
         "a@example.com", ["x@a.example", "y@a.example", "z@a.example"]),
        ({"To": "Us: x@a.example, y@a.example;"}, "a@example.com", ["x@a.example", "y@a.example"]),
        ({"To": '"Doe, J" <j@a.example>'}, "a@example.com", ["j@a.example"]),
        ({"Resent-From": "r@example.com", "Resent-To": "t@example.com", "Resent-Date": "x"},
         "r@example.com", ["t@example.com"]),
        ({"To": "j@bücher.example"}, "a@example.com", ["j@xn--bcher-kva.example"]),
        ({"To": "X@Example.ORG"}, "a@example.com", ["X@example.org"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["email", "old", "raw"])
def test_the_envelope_is_what_the_fields_say(
    fields: dict[str, str], sender: str, recipients: list[str], kind: str
) -> None:
    if kind != "email" and not all(value.isascii() for value in fields.values()):
        return
    message: Message[Any, Any] = EmailMessage() if kind != "old" else Message()
    for name, value in ({"From": "a@example.com", "To": "b@example.org"} | fields).items():
        if kind == "raw":
            message.set_raw(name, value)
        else:
            message[name] = value
    envelope = outgoing(message).envelope
    assert envelope.reverse_path == sender
    assert [one.address for one in envelope.recipients] == recipients


def test_an_envelope_can_be_given() -> None:
    envelope = outgoing(own(), from_="", to=["c@example.net"]).envelope
    assert envelope.reverse_path == ""
    assert [one.address for one in envelope.recipients] == ["c@example.net"]


def test_an_international_local_part_asks_for_smtputf8() -> None:
    ready = outgoing(own(To="Zoë <josé@bücher.example>"))
    assert ready.envelope.smtputf8
    assert ready.content.needs_smtputf8
    assert "To: =?utf-8?q?Zo=C3=AB?= <josé@bücher.example>\r\n".encode() in ready.content.read()


def test_an_international_domain_asks_for_nothing() -> None:
    ready = outgoing(own(To="Zoë <jose@bücher.example>"))
    assert not ready.envelope.smtputf8
    assert not ready.content.needs_smtputf8
    assert b"<jose@xn--bcher-kva.example>" in ready.content.read()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"To": ""}, "to: nobody to send to"),
        ({"From": ""}, "from_: the message has no From"),
        ({"To": "nobody"}, "To: 'nobody' is no address: it has no @"),
    ],
)
def test_what_makes_no_envelope_is_said(fields: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidMessage, match=said):
        outgoing(own(**fields))


def test_several_resendings_do_not_tell_whom_it_goes_to() -> None:
    message = Message()
    message["From"] = message["Resent-From"] = "a@example.com"
    message["Resent-Date"] = "x"
    message["Resent-Date"] = "y"
    message["Resent-To"] = "b@example.org"
    with pytest.raises(InvalidMessage, match="sent on more than once"):
        outgoing(message)


def test_a_prepared_message_keeps_bcc_for_its_envelope() -> None:
    ready = prepared(own(Bcc="c@example.net"))
    assert ready["Bcc"] == "c@example.net"


def test_what_stands_beside_the_parts_keeps_to_7_bits_as_well() -> None:
    raw = (
        b"From: a@example.com\r\nTo: c@example.org\r\nContent-Type: multipart/mixed; boundary=b"
        b"\r\n\r\nbefore \xc3\xab\r\n--b\r\n\r\nx\r\n--b--\r\nafter \xc3\xab"
    )
    message = message_from_bytes(raw, policy=policy.default)
    assert content_of(message, seven_bit=True).read().isascii()
    assert content_of(message).read().count(b"\xc3\xab") == 2

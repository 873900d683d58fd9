"""A message of its parts: each where it belongs, and nothing given reaches beyond its field."""

from __future__ import annotations

import datetime as dt
from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import Address as HeaderAddress
from email.utils import getaddresses

import pytest
from composing import MESSAGE_ID, NOW, SENDER, TO, composed, field_names, read_back, written
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.address import Address
from waypost.mail.compose import InvalidMessage, Unsubscribe

PIXEL = b"\x89PNG\r\n\x1a\n...."
INVITATION = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n"
LINE_ENDS = ["\r", "\n", "\r\n", "\0", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x1c"]


def types(content: bytes) -> list[str]:
    return [part.get_content_type() for part in read_back(content).walk()]


# --- fields -------------------------------------------------------------------------------------


def test_it_has_the_fields_that_a_message_needs() -> None:
    content = written(subject="Hello", text="Hi")
    assert content == (
        b"From: a@example.com\r\nTo: b@example.org\r\nSubject: Hello\r\n"
        b"Date: Tue, 24 Nov 2026 09:00:00 +0000\r\nMessage-ID: <unique@example.com>\r\n"
        b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n\r\nHi\r\n"
    )


@pytest.mark.parametrize(
    ("given_as", "shown"),
    [
        ("Joe <joe@example.com>", "Joe <joe@example.com>"),
        ('"Joe, the one" <joe@example.com>', '"Joe, the one" <joe@example.com>'),
        (("Joe, the one", "joe@example.com"), '"Joe, the one" <joe@example.com>'),
        ((r'A "B" \ C', "joe@example.com"), r'"A \"B\" \\ C" <joe@example.com>'),
        (("", "joe@example.com"), "joe@example.com"),
        ("<joe@example.com>", "joe@example.com"),
        (" joe@example.com ", "joe@example.com"),
        ('"a b"@example.com', '"a b"@example.com'),
        (Address("joe", "example.com"), "joe@example.com"),
        (HeaderAddress("Joe", "joe", "example.com"), "Joe <joe@example.com>"),
        ("joe@Bücher.example", "joe@xn--bcher-kva.example"),
        (("J. R.", "joe@example.com"), '"J. R." <joe@example.com>'),
    ],
)  # fmt: skip
def test_an_address_is_taken_in_many_forms(given_as: object, shown: str) -> None:
    content = written(to=given_as)
    assert f"\r\nTo: {shown}\r\n".encode() in content


@pytest.mark.parametrize("name", ["Zoë, the one", "Зоя", "=?utf-8?q?x?=", "x" * 200, 'é "q" \\'])
def test_a_name_comes_back_as_it_was(name: str) -> None:
    content = written(to=[(name, TO), ("B", "c@example.org")])
    head = content.partition(b"\r\n\r\n")[0]
    assert head.isascii()
    assert max(map(len, head.split(b"\r\n"))) <= 78
    # Read by the old parser: the new one leaves spaces between the encoded words of a name.
    first, second = getaddresses([str(message_from_bytes(content)["To"])])
    assert (str(make_header(decode_header(first[0]))), first[1]) == (name, TO)
    assert second == ("B", "c@example.org")


def test_one_text_is_one_address() -> None:
    with pytest.raises(InvalidMessage, match="give a list for several addresses"):
        composed(to="b@example.org, victim@example.net")


@pytest.mark.parametrize(
    "several", [["x@a.example", "y@a.example"], ("x@a.example", "y@a.example")]
)
def test_several_addresses_are_a_list(several: object) -> None:
    assert b"\r\nTo: x@a.example, y@a.example\r\n" in written(to=several)


def test_many_addresses_are_folded_between_them() -> None:
    many = [(f"Name {n}", f"somebody-{n}@example.org") for n in range(200)]
    content = written(to=many)
    assert len(read_back(content)["To"].addresses) == 200
    assert max(map(len, content.split(b"\r\n"))) <= 78


def test_bcc_receives_and_is_not_written() -> None:
    message = composed(to=None, bcc="secret@example.net")
    content = written(message)
    assert b"secret" not in content
    assert b"\r\nTo: undisclosed-recipients:;\r\n" in content
    assert str(message["Bcc"]) == "secret@example.net"


def test_reply_to_sender_and_further_fields() -> None:
    content = written(
        reply_to=["c@example.com", ("D", "d@example.com")],
        sender="robot@example.com",
        headers={"X-One": "1", "References": "<x@y>"},
    )
    assert b"\r\nReply-To: c@example.com, D <d@example.com>\r\n" in content
    assert b"\r\nSender: robot@example.com\r\n" in content
    assert b"\r\nX-One: 1\r\nReferences: <x@y>\r\n" in content


def test_nobody_to_send_to_is_said() -> None:
    with pytest.raises(InvalidMessage, match=r"to: nobody to send to; give to, cc or bcc"):
        composed(to=[])


def test_a_date_needs_its_zone() -> None:
    with pytest.raises(InvalidMessage, match="no time zone"):
        composed(date=dt.datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("bad", LINE_ENDS)
@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"subject": "a{}Bcc: x@y.example"}, "subject"),
        ({"from_": "a{}@example.com"}, "from_"),
        ({"from_": ("a{}Bcc: x", SENDER)}, "from_"),
        ({"to": ["b@example.org{}"]}, "to"),
        ({"to": [("x", "b@example.org{}")]}, "to"),
        ({"cc": "N{}ame <b@example.org>"}, "cc"),
        ({"bcc": '"N{}ame" <b@example.org>'}, "bcc"),
        ({"reply_to": "{}b@example.org"}, "reply_to"),
        ({"headers": {"X-A": "v{}Bcc: x"}}, "headers['X-A']"),
        ({"headers": {"X-A{}": "v"}}, "headers"),
        ({"message_id": "<a@b>{}X: y"}, "message_id"),
        ({"date": "today{}X: y"}, "date"),
        ({"list_unsubscribe": "https://a.example/{}X"}, "list_unsubscribe"),
        ({"attachments": [("a", b"", "text/plain{}X: y")]}, "attachments"),
        ({"html": "<img src='cid:a'>", "inline": {"a{}": ("n", b"")}}, None),
        ({"calendar": "BEGIN:VCALENDAR\nMETHOD:X{}Y: z\nEND:VCALENDAR"}, None),
    ],
)
def test_nothing_reaches_into_another_field(
    parts: dict[str, object], named: str | None, bad: str
) -> None:
    def filled(value: object) -> object:
        if isinstance(value, str):
            return value.replace("{}", bad)
        if isinstance(value, dict):
            return {filled(key): filled(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(filled, value))
        return value

    parts = {key: filled(value) for key, value in parts.items()}
    if named is None:  # refused, or harmless: the line end is in a body
        try:
            content = written(**parts)
        except InvalidMessage:
            return
        assert "y" not in field_names(content)
        return
    with pytest.raises(InvalidMessage) as refused:
        composed(**parts)
    assert refused.value.field == named


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=50), st.text(max_size=80))
def test_no_value_makes_a_field_of_its_own(
    subject: str, value: str, name: str, person: str
) -> None:
    try:
        content = written(
            subject=subject, headers=[("X-One", value), (name, "x")], to=[(person, TO)], text=""
        )
    except InvalidMessage:
        return
    names = field_names(content)
    assert names.count("subject") == names.count("from") == names.count("x-one") == 1
    assert "bcc" not in names
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    head = content.partition(b"\r\n\r\n")[0]
    assert all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    assert max(map(len, content.split(b"\r\n"))) <= 998


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200))
def test_a_subject_comes_back_as_it_was(subject: str) -> None:
    shown = str(read_back(written(subject=subject))["Subject"])
    assert " ".join(shown.split()) == " ".join(subject.split())


@pytest.mark.parametrize("name", ["Subject", "from", "Bcc", "DKIM-Signature", "Content-Type"])
def test_a_field_that_an_argument_makes_is_left_to_it(name: str) -> None:
    with pytest.raises(InvalidMessage, match="made by an argument"):
        composed(headers={name: "x"})


# --- international addresses --------------------------------------------------------------------


def test_an_international_domain_needs_nothing_of_the_server() -> None:
    content = written(from_="a@bücher.example", to="Zoë <z@例え.example>")
    assert content.isascii()
    assert b"z@xn--r8jz45g.example" in content


def test_an_international_local_part_is_written_in_utf8() -> None:
    content = written(to=["Zoë <josé@bücher.example>", "x@bücher.example"])
    assert "<josé@bücher.example>, x@xn--bcher-kva.example".encode() in content


# --- body ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "tree"),
    [
        ({}, ["text/plain"]),
        ({"text": "x"}, ["text/plain"]),
        ({"html": "<p>x"}, ["multipart/alternative", "text/plain", "text/html"]),
        ({"text": "x", "attachments": [("a.pdf", b"")]},
         ["multipart/mixed", "text/plain", "application/pdf"]),
        ({"html": "<img src=cid:a>", "inline": {"a": ("a.png", PIXEL)}},
         ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]),
        ({"calendar": INVITATION}, ["text/calendar"]),
        ({"html": "x", "text": "y", "calendar": INVITATION, "attachments": [("a.txt", "x")]},
         ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar",
          "text/plain"]),
    ],
)  # fmt: skip
def test_the_parts_make_the_tree_that_readers_know(
    parts: dict[str, object], tree: list[str]
) -> None:
    assert types(written(**parts)) == tree


def test_text_is_made_of_html_that_comes_alone() -> None:
    content = written(html="<h1>Hi</h1><p>See <a href='https://a.example'>this</a>")
    text = read_back(content).get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == ["Hi", "==", "", "See this (https://a.example)"]


def test_no_text_is_made_where_the_caller_wants_none() -> None:
    content = written(html="<p>x", text="")
    text = read_back(content).get_body(("plain",))
    assert text is not None
    assert text.get_content().strip() == ""


@given(st.text(max_size=500))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    try:
        content = written(text=text)
    except InvalidMessage:
        return
    assert content.isascii()
    assert b"\0" not in content
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 78
    body = read_back(content).get_content().replace("\r\n", "\n")
    wanted = text.replace("\r\n", "\n").replace("\r", "\n")
    assert body == wanted + "\n" * (wanted[-1:] not in ("\n", ""))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain", "7bit"),
        ("x" * 78, "7bit"),
        ("x" * 79, "quoted-printable"),
        ("From here on", "quoted-printable"),
        ("nul \0", "quoted-printable"),
        ("Zoë says hello", "quoted-printable"),
        ("Привет, как дела?" * 9, "base64"),
        ("例え" * 50, "base64"),
    ],
)
def test_a_text_is_encoded_only_where_it_needs_to_be(text: str, encoding: str) -> None:
    message = read_back(written(text=text))
    assert message["Content-Transfer-Encoding"] == encoding
    assert message.get_content().rstrip("\r\n") == text


@pytest.mark.parametrize("text", ["\ud800", "a\udcffb"])
def test_what_is_no_unicode_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage, match="text: it is not valid Unicode"):
        composed(text=text)


def test_an_image_that_the_html_names_must_be_there() -> None:
    with pytest.raises(InvalidMessage, match=r"cid:logo refers to .* inline=\{'logo': \.\.\.\}"):
        composed(html='<img src="cid:logo">')
    with pytest.raises(InvalidMessage, match="images stand in HTML"):
        composed(text="x", inline={"logo": ("a.png", PIXEL)})


@pytest.mark.parametrize("written_as", ['"cid:a.b"', "'cid:a.b'", "cid:a.b", '"CID:a.b"'])
def test_an_image_is_found_by_its_content_id(written_as: str) -> None:
    content = written(html=f"<img src={written_as} alt=x>", inline={"a.b": ("a.png", PIXEL)})
    image = list(read_back(content).walk())[-1]
    assert image["Content-ID"] == "<a.b>"
    assert image.get_content_disposition() == "inline"
    assert image.get_content() == PIXEL


def test_an_invitation_says_twice_what_it_asks() -> None:
    part = read_back(written(calendar=INVITATION))
    assert part["Content-Type"].params["method"] == "REQUEST"
    assert part.get_content().replace("\r\n", "\n") == INVITATION


@pytest.mark.parametrize(
    ("calendar", "said"),
    [
        ("BEGIN:VCALENDAR\nEND:VCALENDAR", "it has no METHOD"),
        ("hello", "does not begin with BEGIN:VCALENDAR"),
        (b"\xff", "it is not UTF-8"),
    ],
)
def test_an_invitation_that_nobody_would_see_is_refused(calendar: str | bytes, said: str) -> None:
    with pytest.raises(InvalidMessage, match=said):
        composed(calendar=calendar)


# --- leaving a list -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        ("https://a.example/u?id=1", ["<https://a.example/u?id=1>", "List-Unsubscribe=One-Click"]),
        ("mailto:leave@a.example", ["<mailto:leave@a.example>", None]),
        (["https://a.example/u", "mailto:leave@a.example"],
         ["<https://a.example/u>, <mailto:leave@a.example>", "List-Unsubscribe=One-Click"]),
        (Unsubscribe(("https://a.example/u",), one_click=False), ["<https://a.example/u>", None]),
        ("<https://a.example/" + "x" * 400 + ">",
         ["<https://a.example/" + "x" * 400 + ">", "List-Unsubscribe=One-Click"]),
    ],
)  # fmt: skip
def test_a_list_can_be_left_by_one_click(wanted: object, fields: list[str | None]) -> None:
    content = written(list_unsubscribe=wanted)
    message = read_back(content)
    assert [message["List-Unsubscribe"], message["List-Unsubscribe-Post"]] == fields
    assert b"=?" not in content


@pytest.mark.parametrize(
    "wanted",
    ["http", "javascript:x()", "https://a.example/a b", "https://a.example/ü", "", [],
     "https://a.example/>, <https://b.example", Unsubscribe(("http://a.example/u",))],
)  # fmt: skip
def test_an_address_to_leave_by_is_checked(wanted: object) -> None:
    with pytest.raises(InvalidMessage, match="list_unsubscribe: "):
        composed(list_unsubscribe=wanted)


def test_the_same_parts_make_the_same_bytes() -> None:
    parts = {"html": "<p>x", "attachments": [("a", b"b")], "date": NOW, "message_id": MESSAGE_ID}
    assert written(**parts) == written(**parts)

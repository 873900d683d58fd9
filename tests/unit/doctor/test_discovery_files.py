"""Files of strangers: bounded, without entities, and whatever they hold never raises more than one
kind of fault."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.doctor.discovery.autoconfig import read_autoconfig
from waypost.doctor.discovery.autodiscover import read_autodiscover, read_json
from waypost.doctor.discovery.safe_xml import DEEPEST, MOST_ELEMENTS, UnsafeXml, read_xml
from waypost.doctor.discovery.subject import InvalidSubject, parse_subject

SUBJECT = parse_subject("user@example.com")

BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<clientConfig>&b;</clientConfig>"""
FILE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><clientConfig>&a;</clientConfig>'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (BOMB, "document type"),
        (BOMB.decode().encode("utf-16"), "document type"),
        (FILE, "document type"),
        (b"<!DOCTYPE x SYSTEM 'http://evil.example/x.dtd'><x/>", "document type"),
        (b"<x>&undefined;</x>", "no XML"),
        (b"", "no XML"),
        (b"<x>", "no XML"),
        (b"\xff\xfe\x00", "no XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><x/>', "no XML"),
        (b"<x>" * (DEEPEST + 1) + b"</x>" * (DEEPEST + 1), "too many"),
        (b"<x>" + b"<y/>" * MOST_ELEMENTS + b"</x>", "too many"),
    ],
)
def test_unsafe_xml_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(UnsafeXml, match=said):
        read_xml(body)


def test_names_are_read_without_their_namespace() -> None:
    root = read_xml(b'<a xmlns="urn:x"><B c="1"> t <D/> u</B></a>')
    one = root.first("b")
    assert one is not None
    assert (root.name, one.attributes, one.text) == ("a", {"c": "1"}, "t  u")
    assert [found.name for found in root.everywhere("d")] == ["d"]
    assert root.text_of("none") == ""


@pytest.mark.parametrize(
    "server",
    [
        "<hostname>a b</hostname><port>587</port><socketType>STARTTLS</socketType>",
        "<hostname>a.example</hostname><port>0</port><socketType>STARTTLS</socketType>",
        "<hostname>a.example</hostname><port>x</port><socketType>STARTTLS</socketType>",
        "<hostname>a.example</hostname><port>587</port><socketType>magic</socketType>",
        "<port>587</port><socketType>SSL</socketType>",
        "",
    ],
)
def test_servers_that_are_not_whole_are_left_out(server: str) -> None:
    body = f"<clientConfig><outgoingServer type='smtp'>{server}</outgoingServer></clientConfig>"
    assert read_autoconfig(body.encode(), "https://x.example/", SUBJECT) == ([], [])


@pytest.mark.parametrize("body", [b"<html/>", b"<Autodiscover/>"])
def test_another_kind_of_file_is_none(body: bytes) -> None:
    with pytest.raises(UnsafeXml, match="not a clientConfig"):
        read_autoconfig(body, "https://x.example/", SUBJECT)


@pytest.mark.parametrize(
    ("inside", "security"),
    [
        ("<Port>465</Port><SSL>on</SSL>", "tls"),
        ("<Port>587</Port><SSL>on</SSL>", "starttls"),
        ("<Port>587</Port><SSL>off</SSL>", "none"),
        ("<Port>465</Port><Encryption>SSL</Encryption>", "tls"),
        ("<Port>25</Port><Encryption>TLS</Encryption>", "starttls"),
    ],
)
def test_autodiscover_says_how_tls_begins(inside: str, security: str) -> None:
    protocol = f"<Protocol><Type>SMTP</Type><Server>s.example</Server>{inside}</Protocol>"
    body = f"<Autodiscover><Response>{protocol}</Response></Autodiscover>"
    assert [one.security for one in read_autodiscover(body.encode(), "u")] == [security]


PIECES = st.sampled_from([
    "<clientConfig>", "</clientConfig>", "<outgoingServer type='smtp'>", "</outgoingServer>",
    "<hostname>a.example</hostname>", "<port>587</port>", "<socketType>SSL</socketType>",
    "<Autodiscover>", "</Autodiscover>", "<Protocol>", "</Protocol>", "<Type>SMTP</Type>",
    "<!DOCTYPE x>", "&amp;", "<![CDATA[x]]>", "text",
])  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=12).map(
    lambda pieces: "".join(pieces).encode()
)))  # fmt: skip
def test_any_file_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(UnsafeXml):
        read_autoconfig(body, "https://x.example/", SUBJECT)
    with contextlib.suppress(UnsafeXml):
        read_autodiscover(body, "https://x.example/")
    read_json(body, "https://x.example/")


@given(st.one_of(st.text(max_size=60), st.text("a.@:/[]imapop3s0195 ", max_size=24)))
def test_any_subject_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidSubject):
        subject = parse_subject(text)
        assert subject.domain

"""Trace fields: Received says what happened, and whatever a peer says, it stays one field."""

from __future__ import annotations

import email.utils
import re
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.headers import HeaderBlock
from waypost.mail.trace import format_date, message_id, protocol_name, received_field

DATE = "Tue, 24 Nov 2026 05:00:00 +0000"
SOUP = st.text(
    st.one_of(st.characters(), st.sampled_from('\r\n\t ()<>\\";:@%\0\x85\u2028')), max_size=80
)


def field(**changes: str | None) -> bytes:
    given_: dict[str, str | None] = {
        "hello_name": "client.example", "client_address": "192.0.2.1",
        "hostname": "relay.example.com", "protocol": "ESMTPSA", "identifier": "0abc", "date": DATE,
        **changes,
    }  # fmt: skip
    return received_field(**given_)  # type: ignore[arg-type]


def test_a_received_field() -> None:
    assert field(tls="TLSv1.3 TLS_AES_256_GCM_SHA384", recipient="ada@example.net") == (
        b"Received: from client.example ([192.0.2.1])\r\n"
        b"\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tby relay.example.com with ESMTPSA id 0abc\r\n"
        b"\tfor <ada@example.net>;\r\n"
        b"\tTue, 24 Nov 2026 05:00:00 +0000\r\n"
    )


def test_what_is_not_known_is_left_out() -> None:
    assert field(hello_name="") == (
        b"Received: from unknown ([192.0.2.1])\r\n"
        b"\tby relay.example.com with ESMTPSA id 0abc;\r\n"
        b"\tTue, 24 Nov 2026 05:00:00 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("192.0.2.1", b"([192.0.2.1])"),
        ("2001:db8::1", b"([IPv6:2001:db8::1])"),
        ("fe80::1%eth0", b"([IPv6:fe80::1?eth0])"),
        ("unix:/run/waypost.sock", b"(local)"),
    ],
)
def test_the_address_is_a_literal(address: str, written: bytes) -> None:
    assert written in field(client_address=address)


@given(hello=SOUP, address=SOUP, tls=SOUP, recipient=SOUP)
def test_it_stays_one_field_whatever_the_peer_says(
    hello: str, address: str, tls: str, recipient: str
) -> None:
    written = field(hello_name=hello, client_address=address, tls=tls, recipient=recipient)
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", written)
    # Every line but the first is a fold, and there is only our line ends.
    assert re.fullmatch(rb"Received: [^\r\n]+(\r\n\t[^\r\n]+)+\r\n", written)
    block = HeaderBlock.scan(written + b"\r\n", maximum_size=10_000, maximum_fields=1)
    assert block is not None
    assert block.received_count == 1
    # Comments hold no parenthesis or backslash of a stranger.
    before_recipient = written.split(b"\r\n\tfor <")[0]
    assert before_recipient.count(b"(") == before_recipient.count(b")") == (2 if tls else 1)
    assert b"\\" not in before_recipient
    for_recipient = written[len(before_recipient) :]
    assert for_recipient.count(b"<") == for_recipient.count(b">") == 1


@given(hello=st.text(min_size=2000, max_size=3000))
def test_a_long_name_does_not_make_a_long_line(hello: str) -> None:
    assert max(map(len, field(hello_name=hello).split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("extended", "secured", "authenticated", "smtputf8", "name"),
    [
        (False, False, False, False, "SMTP"),
        (True, False, False, False, "ESMTP"),
        (True, True, False, False, "ESMTPS"),
        (True, False, True, False, "ESMTPA"),
        (True, True, True, False, "ESMTPSA"),
        (True, False, False, True, "UTF8SMTP"),
        (True, True, True, True, "UTF8SMTPSA"),
    ],
)
def test_the_protocol_has_the_name_that_is_registered(
    extended: bool, secured: bool, authenticated: bool, smtputf8: bool, name: str
) -> None:
    assert name == protocol_name(
        extended=extended, secured=secured, authenticated=authenticated, smtputf8=smtputf8
    )


def test_a_date_as_rfc_5322_writes_it() -> None:
    assert format_date(0) == "Thu, 01 Jan 1970 00:00:00 +0000"
    assert format_date(0.999) == "Thu, 01 Jan 1970 00:00:00 +0000"
    assert format_date(0, timezone(timedelta(hours=-3, minutes=-30))).endswith("20:30:00 -0330")


@given(moment=st.integers(0, 4_000_000_000))
def test_a_date_is_read_as_the_same_moment(moment: int) -> None:
    assert email.utils.parsedate_to_datetime(format_date(moment)).timestamp() == moment


def test_a_message_id_stands_in_brackets() -> None:
    assert message_id("0abc", "relay.example.com") == "<0abc@relay.example.com>"

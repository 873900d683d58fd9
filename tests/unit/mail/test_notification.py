"""Notifications (RFC 3464): a program can read each field, a person each word, nobody is fooled."""

from __future__ import annotations

import email.message
import email.parser
import email.policy
import email.utils
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.mail.notification import (
    MAXIMUM_RETURNED,
    NotificationRequest,
    RecipientStatus,
    build_notification,
    may_notify,
)
from waypost.smtp.reply import EnhancedStatus

NOW = 1_795_500_000.0

ADA = RecipientStatus(
    address="ada@example.net",
    action="failed",
    status=EnhancedStatus(5, 1, 1),
    diagnostic="550 5.1.1 <ada@example.net>: no such user",
    said_by_server=True,
    advice="Check the address for a typing error.",
    original="rfc822;ada@example.org",
    remote_mta="mx.example.net",
    last_attempt=NOW - 60,
)
BOB = RecipientStatus(
    address="bob@example.net",
    action="delayed",
    status=EnhancedStatus(4, 4, 1),
    diagnostic="connection timed out",
    said_by_server=False,
    will_retry_until=NOW + 86400,
)
REQUEST = NotificationRequest(
    hostname="relay.example.com",
    sender="sender@example.com",
    identifier="0abc",
    now=NOW,
    arrival=NOW - 3600,
    recipients=(ADA, BOB),
    original=b"Subject: hello\r\nMessage-ID: <1@example.com>\r\n\r\nthe text\r\n",
    envelope_id="order-7",
    message_id="<1@example.com>",
)


def parsed(request: NotificationRequest) -> email.message.Message:
    content = build_notification(request)
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", content) is None
    # RFC 5322 2.1.1: no line is longer than this, whatever strangers said.
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(content)
    assert not message.defects
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert len(parts(message)) == 3
    return message


def parts(message: email.message.Message) -> list[email.message.Message]:
    payload = message.get_payload()
    assert isinstance(payload, list)
    return payload  # type: ignore[return-value]


def words(message: email.message.Message) -> str:
    payload = parts(message)[0].get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def groups(message: email.message.Message) -> list[dict[str, str]]:
    """The fields for programs: of the message, then of each recipient."""
    return [
        {name: str(value) for name, value in group.items()}
        for group in parts(parts(message)[1])
        if group.items()
    ]


def test_the_header_says_who_writes_to_whom_and_that_no_person_did() -> None:
    message = parsed(REQUEST)
    assert dict(message.items()) == {
        "From": "Mail Delivery System <MAILER-DAEMON@relay.example.com>",
        "To": "<sender@example.com>",
        "Subject": "Undelivered mail returned to sender",
        "Date": email.utils.formatdate(NOW, localtime=False).replace("-0000", "+0000"),
        "Message-ID": "<0abc@relay.example.com>",
        "Auto-Submitted": "auto-replied",
        "In-Reply-To": "<1@example.com>",
        "References": "<1@example.com>",
        "MIME-Version": "1.0",
        "Content-Type": message["Content-Type"],
    }


def test_programs_read_each_field() -> None:
    about, ada, bob = groups(parsed(REQUEST))
    assert about == {
        "Reporting-MTA": "dns; relay.example.com",
        "Original-Envelope-Id": "order-7",
        "Arrival-Date": email.utils.formatdate(NOW - 3600).replace("-0000", "+0000"),
    }
    assert ada == {
        "Original-Recipient": "rfc822;ada@example.org",
        "Final-Recipient": "rfc822; ada@example.net",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.example.net",
        "Diagnostic-Code": "smtp; 550 5.1.1 <ada@example.net>: no such user",
        "Last-Attempt-Date": email.utils.formatdate(NOW - 60).replace("-0000", "+0000"),
    }
    assert bob == {
        "Final-Recipient": "rfc822; bob@example.net",
        "Action": "delayed",
        "Status": "4.4.1",
        "Diagnostic-Code": "x-waypost; connection timed out",
        "Will-Retry-Until": email.utils.formatdate(NOW + 86400).replace("-0000", "+0000"),
    }


def test_people_read_what_happened_and_what_to_do() -> None:
    text = words(parsed(REQUEST))
    assert "could not be delivered" in text
    assert "<ada@example.net>" in text
    assert "mx.example.net said: 550 5.1.1 <ada@example.net>: no such user" in text
    assert "What to do: Check the address for a typing error." in text
    assert "Reason: connection timed out" in text
    assert "It is tried until" in text


def test_the_header_of_the_original_comes_back() -> None:
    part = parts(parsed(REQUEST))[2]
    assert part.get_content_type() == "text/rfc822-headers"
    assert part.get_payload() == "Subject: hello\r\nMessage-ID: <1@example.com>\r\n"


def test_the_whole_original_comes_back_where_it_was_asked_for() -> None:
    part = parts(parsed(replace(REQUEST, original_is_whole=True)))[2]
    assert part.get_content_type() == "message/rfc822"
    (inner,) = parts(part)
    assert inner["Subject"] == "hello"
    assert inner.get_payload() == "the text\r\n"


@pytest.mark.parametrize(
    ("action", "subject"),
    [("delayed", "Delayed"), ("delivered", "was delivered"), ("relayed", "passed on")],
)
def test_the_subject_tells_the_kinds_apart(action: str, subject: str) -> None:
    request = replace(REQUEST, recipients=(replace(BOB, action=action),))  # type: ignore[arg-type]
    assert subject in str(parsed(request)["Subject"])


# --- letters beyond US-ASCII -----------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, recipients=(replace(ADA, diagnostic="550 zurück"),)),
        replace(REQUEST, original="Subject: zurück\r\n\r\n".encode()),
        replace(REQUEST, original=b"Subject: \xff\r\n\r\n"),
    ],
    ids=["diagnostic", "original", "octets"],
)
def test_eight_bits_within_are_declared_without(request_: NotificationRequest) -> None:
    """RFC 2045 6.4: what holds an 8bit part is 8bit itself."""
    content = build_notification(request_)
    assert not content.isascii()
    assert parsed(request_)["Content-Transfer-Encoding"] == "8bit"
    assert content.partition(b"\r\n\r\n")[0].isascii()


def test_seven_bits_are_declared_as_nothing_else() -> None:
    message = parsed(REQUEST)
    assert build_notification(REQUEST).isascii()
    assert all("8bit" not in str(part["Content-Transfer-Encoding"]) for part in message.walk())


def test_an_international_notification() -> None:
    """RFC 6533: the parts have types of their own, the addresses stand as they are."""
    request = replace(
        REQUEST,
        sender="büro@example.com",
        recipients=(replace(ADA, address="用户@example.net"),),
        smtputf8=True,
    )
    content = build_notification(request)
    assert "To: <büro@example.com>\r\n".encode() in content
    assert "Final-Recipient: utf-8; 用户@example.net\r\n".encode() in content
    types = [part.get_content_type() for part in parts(parsed(request))]
    assert types == ["text/plain", "message/global-delivery-status", "message/global-headers"]
    whole = parsed(replace(request, original_is_whole=True))
    assert parts(whole)[2].get_content_type() == "message/global"


def test_an_international_recipient_is_told_of_in_us_ascii_where_nothing_else_goes() -> None:
    """RFC 6533 3: the utf-8 address type in its utf-8-addr-xtext form."""
    request = replace(REQUEST, recipients=(replace(ADA, address="bü\\r@example.net"),))
    _, recipient = groups(parsed(request))
    assert recipient["Final-Recipient"] == r"utf-8; b\x{FC}\x{5C}r@example.net"


def test_a_reference_beyond_us_ascii_is_left_out_of_a_header_in_us_ascii() -> None:
    message = parsed(replace(REQUEST, message_id="<ü@example.com>"))
    assert message["References"] is None


# --- what strangers write --------------------------------------------------------------------


@pytest.mark.parametrize(
    "identifier", ["<a b@c>", "<a", "a@b", "<a>\r\nBcc: x", f"<{'a' * 900}@b>"]
)
def test_a_message_id_that_is_none_is_not_referred_to(identifier: str) -> None:
    message = parsed(replace(REQUEST, message_id=identifier))
    assert message["In-Reply-To"] is None
    assert message["Bcc"] is None


def test_a_long_word_of_a_server_is_broken() -> None:
    long = "550 " + "x" * 4000
    message = parsed(replace(REQUEST, recipients=(replace(ADA, diagnostic=long, advice=long),)))
    assert len(groups(message)) == 2


@given(
    said=st.text(max_size=300),
    address=st.text(min_size=1, max_size=60),
    original=st.binary(max_size=200),
    whole=st.booleans(),
    smtputf8=st.booleans(),
)
def test_no_word_of_a_stranger_becomes_a_field_or_a_part(
    said: str, address: str, original: bytes, whole: bool, smtputf8: bool
) -> None:
    said = f"{said}\r\nAction: delivered\r\n\r\n--=_waypost_0abc\r\n{said}"
    recipient = replace(
        ADA, address=f"{address}\r\nX: y", diagnostic=said, advice=said, remote_mta=said,
        original=f"rfc822;{said}",
    )  # fmt: skip
    original = b"A: b\r\n--=_waypost_0abc--\r\n" + re.sub(rb"[\r\n]", b"", original) + b"\r\n\r\n"
    content = build_notification(
        replace(
            REQUEST, recipients=(recipient,), original=original, original_is_whole=whole,
            envelope_id=said[:200], smtputf8=smtputf8,
        )
    )  # fmt: skip
    assert content.count(b"\r\n--=_waypost_0abc") == 4  # three parts and the end
    assert content.count(b"\r\nAction: ") == 1
    assert b"\r\nX: y" not in content
    assert max(map(len, content.split(b"\r\n"))) <= 998


# --- size ------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True])
def test_a_large_original_is_cut_at_a_line_and_that_is_said(whole: bool) -> None:
    lines = b"".join(b"X-Line-%d: text\r\n" % number for number in range(10_000))
    request = replace(REQUEST, original=lines, original_is_whole=whole)
    message = parsed(request)
    assert len(build_notification(request)) < MAXIMUM_RETURNED + 4096
    part = parts(message)[2]
    assert part.get_content_type() == "text/rfc822-headers"
    assert str(part.get_payload()).endswith(": text\r\n")
    assert "too large to be returned whole" in words(message)
    assert "too large" not in words(parsed(REQUEST))


# --- whether one may be sent -----------------------------------------------------------------


def test_the_null_sender_is_never_told() -> None:
    for notify in (None, frozenset({"SUCCESS", "FAILURE", "DELAY"})):
        assert not may_notify("", notify, "failed")


@pytest.mark.parametrize(
    ("notify", "told_of"),
    [
        (None, {"failed", "delayed"}),
        (frozenset({"NEVER"}), set()),
        (frozenset({"SUCCESS"}), {"delivered", "relayed"}),
        (frozenset({"FAILURE"}), {"failed"}),
        (frozenset({"FAILURE", "DELAY"}), {"failed", "delayed"}),
    ],
)
def test_the_sender_is_told_what_they_asked_for(
    notify: frozenset[str] | None, told_of: set[str]
) -> None:
    told = {
        action
        for action in ("failed", "delayed", "delivered", "relayed")
        if may_notify("ada@example.com", notify, action)  # type: ignore[arg-type]
    }
    assert told == told_of

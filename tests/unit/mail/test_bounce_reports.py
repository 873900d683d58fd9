"""Reports for programs: RFC 3464 as it is written, and as it is broken in practice."""

from __future__ import annotations

import pytest

from waypost.mail.bounce.reading import read_report
from waypost.mail.bounce.report import BounceReport


def report(notice: str, status: str, *, kind: str = "message/delivery-status") -> BounceReport:
    return read_report(
        "From: MAILER-DAEMON@mta.example.net (Mail Delivery System)\r\n"
        "To: sender@example.com\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="cut"\r\n'
        "\r\n"
        f"--cut\r\nContent-Type: text/plain\r\n\r\n{notice}\r\n"
        f"--cut\r\nContent-Type: {kind}\r\n\r\n{status}\r\n"
        "--cut\r\nContent-Type: message/rfc822\r\n\r\n"
        "Return-Path: <sender@example.com>\r\nFrom: sender@example.com\r\n"
        "To: first@example.org\r\nMessage-ID: <m1@example.com>\r\nSubject: Hello\r\n\r\nBody\r\n"
        "--cut--\r\n".replace("\r\n", "\n")
    )


STATUS = (
    "Reporting-MTA: dns; mta.example.net\n"
    "Arrival-Date: Tue, 24 Nov 2026 10:00:00 +0000\n"
    "\n"
    "Final-Recipient: rfc822; first@example.org\n"
    "Original-Recipient: rfc822;alias@example.org\n"
    "Action: failed\n"
    "Status: 5.1.1\n"
    "Remote-MTA: dns; mx.example.org\n"
    "Diagnostic-Code: smtp; 550 5.1.1 <first@example.org>: Recipient address\n"
    "    rejected: User unknown\n"
)


def test_every_field_of_a_recipient_is_read() -> None:
    read = report("Sorry.", STATUS)
    assert (read.kind, read.form, read.reporting_mta) == ("bounce", "rfc3464", "mta.example.net")
    (one,) = read.recipients
    assert (one.address, one.original) == ("first@example.org", "alias@example.org")
    assert (one.action, one.status, one.remote_mta) == ("failed", "5.1.1", "mx.example.org")
    assert one.diagnostic == (
        "550 5.1.1 <first@example.org>: Recipient address rejected: User unknown"
    )


def test_the_returned_message_is_named() -> None:
    read = report("Sorry.", STATUS)
    assert read.original_message_id == "m1@example.com"
    assert read.original_subject == "Hello"
    assert read.original_sender == "sender@example.com"


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_actions_are_told_apart(action: str) -> None:
    (one,) = report("Word.", STATUS.replace("failed", action)).recipients
    assert one.action == action


def test_several_recipients_each_have_their_own_words() -> None:
    second = (
        "\nFinal-Recipient: rfc822; second@example.org\nAction: delayed\nStatus: 4.2.2\n"
        "Diagnostic-Code: smtp; 452 4.2.2 Mailbox full\n"
    )
    first, other = report("Sorry.", STATUS + second).recipients
    assert (first.address, first.action) == ("first@example.org", "failed")
    assert (other.address, other.action, other.status) == ("second@example.org", "delayed", "4.2.2")
    assert other.diagnostic == "452 4.2.2 Mailbox full"


def test_groups_without_an_empty_line_between_them_are_parted() -> None:
    status = STATUS + "Final-Recipient: rfc822; second@example.org\nAction: failed\nStatus: 5.2.1\n"
    assert [one.status for one in report("Sorry.", status).recipients] == ["5.1.1", "5.2.1"]


def test_international_addresses_are_undone() -> None:
    status = "Final-Recipient: utf-8; b\\x{FC}cher@example.org\nAction: failed\nStatus: 5.1.1\n"
    read = report("Sorry.", status, kind="message/global-delivery-status")
    assert read.recipients[0].address == "bücher@example.org"


def test_the_notice_fills_in_what_the_status_lacks() -> None:
    notice = (
        "<first@example.org>: host mx.example.org[192.0.2.7] said: 552 5.2.2 Over quota (in\n"
        "    reply to end of DATA command)\n"
    )
    status = "Final-Recipient: rfc822; first@example.org\nAction: failed\nStatus: 5.0.0\n"
    (one,) = report(notice, status).recipients
    assert "552 5.2.2 Over quota" in one.diagnostic
    assert (one.step, one.remote_mta) == ("content", "mx.example.org")


def test_a_status_that_came_as_text_is_read_all_the_same() -> None:
    (one,) = report("Sorry.", STATUS, kind="text/plain").recipients
    assert (one.address, one.status) == ("first@example.org", "5.1.1")


def test_the_fields_alone_as_somebody_pastes_them() -> None:
    (one,) = read_report(
        "Final-Recipient: rfc822; first@example.org\nAction: failed\nStatus: 5.2.2\n"
    ).recipients
    assert (one.address, one.status) == ("first@example.org", "5.2.2")


def test_a_boundary_that_the_header_gets_wrong_is_found_in_the_body() -> None:
    raw = (
        "From: postmaster@example.net\nSubject: Delivery failure\n"
        'Content-Type: multipart/report; boundary="other"\n\n'
        "--real\nContent-Type: message/delivery-status\n\n"
        f"{STATUS}\n--real--\n"
    )
    assert read_report(raw).recipients[0].address == "first@example.org"


def test_a_trace_field_that_an_editor_wrapped_does_not_end_the_header() -> None:
    read = read_report(
        "Received: from mta.example.net by mx.example.com with ESMTPS id\n"
        "long4identifier.77.2026;\n        Tue, 24 Nov 2026 10:00:00 +0000\n"
        "From: MAILER-DAEMON@mta.example.net\nSubject: Returned mail\n"
        'Content-Type: multipart/report; boundary="cut"\n\n'
        f"--cut\nContent-Type: message/delivery-status\n\n{STATUS}\n--cut--\n"
    )
    assert [one.address for one in read.recipients] == ["first@example.org"]


@pytest.mark.parametrize("ending", ["\r\n", "\n", "\r"])
def test_all_line_ends_are_taken(ending: str) -> None:
    raw = (
        "From: MAILER-DAEMON@example.net\nSubject: Delivery failure\n"
        "Content-Type: message/delivery-status\n\n" + STATUS
    )
    read = read_report(raw.replace("\n", ending).encode())
    assert read.recipients[0].status == "5.1.1"


def test_a_complaint_is_no_bounce() -> None:
    read = read_report(
        "From: feedback@isp.example\nSubject: FW: Offer\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="c"\n\n'
        "--c\nContent-Type: text/plain\n\nThis is an abuse report.\n"
        "--c\nContent-Type: message/feedback-report\n\n"
        "Feedback-Type: abuse\nVersion: 1\nOriginal-Rcpt-To: <reader@isp.example>\n"
        "--c\nContent-Type: message/rfc822\n\nFrom: news@example.com\nTo: x@isp.example\n\nHi\n"
        "--c--\n"
    )
    assert (read.kind, read.feedback_type) == ("complaint", "abuse")
    assert [(one.address, one.action) for one in read.recipients] == [
        ("reader@isp.example", "delivered")
    ]


def test_a_receipt_is_no_bounce() -> None:
    read = read_report(
        "From: reader@example.org\nSubject: Read: Hello\n"
        'Content-Type: multipart/report; report-type=disposition-notification; boundary="c"\n\n'
        "--c\nContent-Type: text/plain\n\nYour message was displayed.\n"
        "--c\nContent-Type: message/disposition-notification\n\n"
        "Final-Recipient: rfc822; reader@example.org\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\n--c--\n"
    )
    assert read.kind == "disposition"
    assert read.recipients[0].diagnostic.endswith("displayed")


def test_an_automatic_reply_is_no_bounce() -> None:
    read = read_report(
        "From: colleague@example.org\nTo: sender@example.com\nSubject: Out of office: Hello\n"
        "Auto-Submitted: auto-replied\n\nI am away until Monday. Write to other@example.org.\n"
    )
    assert (read.kind, read.recipients) == ("automatic-reply", ())


def test_an_ordinary_message_is_nothing_of_all_this() -> None:
    read = read_report(
        "From: friend@example.org\nTo: sender@example.com\nSubject: Lunch\n\nAt noon? Anna\n"
    )
    assert (read.kind, read.recipients) == ("other", ())


def test_a_report_that_was_forwarded_is_read_in_its_place() -> None:
    read = read_report(
        "From: boss@example.com\nTo: admin@example.com\nSubject: Fwd: what is this?\n\n"
        "Please look.\n\nBegin forwarded message:\n\n"
        "> From: Mail Delivery Subsystem <MAILER-DAEMON@mta.example.net>\n"
        "> To: <boss@example.com>\n> Subject: Returned mail: User unknown\n>\n"
        ">    ----- The following addresses had permanent fatal errors -----\n"
        "> <first@example.org>\n>\n"
        ">    ----- Transcript of session follows -----\n"
        "> ... while talking to mx.example.org.:\n"
        "> >>> RCPT To:<first@example.org>\n> <<< 550 5.1.1 User unknown\n"
    )
    (one,) = read.recipients
    assert (one.address, one.step, one.remote_mta) == (
        "first@example.org",
        "rcpt",
        "mx.example.org",
    )

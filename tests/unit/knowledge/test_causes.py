"""The table of causes: what is in it holds together."""

from __future__ import annotations

from pathlib import Path

import pytest

from waypost.knowledge.cause_reference import page
from waypost.knowledge.causes import Cause, cause, causes, causes_by_sign
from waypost.knowledge.reasons import reasons

_IDS = """
    dns.no_such_host dns.no_address dns.timeout dns.servfail dns.null_mx dns.no_mx dns.mx_is_cname
    tcp.refused tcp.timeout_filtered tcp.unreachable tcp.reset tcp.port25_blocked greeting.timeout
    greeting.slow greeting.not_smtp greeting.http_server greeting.imap_or_pop3_server
    greeting.rejected_421 greeting.rejected_554 tls.wrong_mode_implicit_expected
    tls.wrong_mode_starttls_expected tls.starttls_not_offered tls.starttls_refused
    tls.certificate_expired tls.certificate_not_yet_valid tls.self_signed tls.hostname_mismatch
    tls.incomplete_chain tls.unknown_issuer tls.protocol_too_old tls.no_shared_cipher
    tls.handshake_closed auth.not_offered auth.not_offered_before_tls auth.no_common_mechanism
    auth.bad_credentials auth.app_password_required auth.oauth_required auth.disabled_for_tenant
    auth.account_locked auth.temporary_failure auth.required auth.too_weak policy.relay_denied
    policy.sender_not_owned policy.sender_domain_unresolvable policy.client_blocklisted
    policy.ptr_missing policy.helo_rejected policy.greylisted policy.rate_limited policy.spf_fail
    policy.dkim_fail policy.dmarc_fail policy.content_rejected recipient.unknown
    recipient.mailbox_full recipient.syntax recipient.disabled capacity.too_many_connections
    capacity.service_unavailable capacity.insufficient_storage size.message_too_big
    size.not_advertised smtputf8.not_supported eightbit.not_supported protocol.malformed_reply
    protocol.unexpected_code protocol.connection_dropped latency.slow_response
    """
NAMED = frozenset(_IDS.split())
"""The ids that other programs rely on: none of them may go or change its name."""


def test_every_id_that_programs_rely_on_is_there() -> None:
    assert set(causes()) >= NAMED


def test_what_a_reason_comes_from_is_a_cause() -> None:
    assert {one.cause for one in reasons().values() if one.cause} <= set(causes())


def test_no_sign_stands_for_two_causes() -> None:
    assert causes_by_sign()["tcp:refused"] is cause("tcp.refused")


@pytest.mark.parametrize("one", causes().values(), ids=lambda one: one.id)
def test_a_fix_has_words_also_where_nothing_is_known(one: Cause) -> None:
    fix = one.fix_with()
    assert len(fix) > 20
    assert "{" not in fix


def test_what_is_known_is_filled_in() -> None:
    made = Cause("a.b", "", "", "Ask {host}.", "fail", "", "check {host}:{port}")
    assert made.fix_with({"host": "mail.example"}) == "Ask mail.example."
    assert made.command_with({"host": "mail.example", "port": "25"}) == "check mail.example:25"


def test_a_command_that_needs_more_than_is_known_is_left_out() -> None:
    made = Cause("a.b", "", "", "Ask.", "fail", "", "check {host}:{port}")
    assert made.command_with({"host": "mail.example"}) == ""


def test_a_part_in_brackets_that_needs_more_than_is_known_is_left_out() -> None:
    made = Cause("a.b", "", "", "Take a name that fits ({names}). It has {size} bytes.", "fail", "")
    assert made.fix_with() == "Take a name that fits."
    assert made.fix_with({"names": "a"}) == "Take a name that fits (a)."


def test_the_page_of_causes_is_made_from_the_table() -> None:
    written = (Path(__file__).parents[3] / "docs" / "reference" / "causes.md").read_text("utf-8")
    assert written == page(), (
        "python -m waypost.knowledge.cause_reference > docs/reference/causes.md"
    )

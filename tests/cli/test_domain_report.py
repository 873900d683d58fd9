"""How the health of a domain is shown, against a name server on loopback."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from name_server import NameServer
from waypost.doctor.domain_health import HealthReport, HealthRequest, health_report
from waypost.faces.cli.domain_report import (
    chosen_lists,
    document,
    print_report,
    sender_addresses,
)
from waypost.faces.cli.failure import Failure
from waypost.knowledge.causes import cause
from waypost.net.clock import SystemClock
from waypost.net.dns import DnsResolver
from waypost.net.static_web import StaticWeb

ROOT = Path(__file__).parents[2]

ZONE = """
example.com MX 10 mx.example.com.
mx.example.com A 8.8.4.4
4.4.8.8.in-addr.arpa PTR mx.example.com.
example.com TXT "v=spf1 mx -all"
_dmarc.example.com TXT "v=DMARC1; p=reject; rua=mailto:a@example.com"
evil.example MX 10 mx.example.com.
evil.example TXT "v=spf1 \\027[31mred -all"
plus.example MX 10 mx.example.com.
plus.example TXT "v=spf1 +all"
"""


def looked_at(
    domain: str, senders: Sequence[str] = (), failing: Sequence[str] = ()
) -> HealthReport:
    with NameServer(ZONE, signed=["example.com"], failing=failing) as server:
        host, port = server.place.split(":")
        resolver = DnsResolver(
            SystemClock(), nameservers=[host], port=int(port), question_seconds=1.0
        )
        lists = chosen_lists(["bl.example.net.", "bl.spamcop.net"])
        request = HealthRequest(domain, (), sender_addresses(senders), lists)
        return asyncio.run(health_report(request, resolver, StaticWeb()))


def shown(capsys: pytest.CaptureFixture[str], report: HealthReport) -> str:
    print_report(report)
    return capsys.readouterr().out


def test_a_good_domain_is_shown_with_its_records(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, looked_at("example.com", ["8.8.4.4"]))
    assert "  ok    an SPF record that costs 1 of 10 look-ups\n          v=spf1 mx -all\n" in out
    assert "not listed by bl.example.net, SpamCop" in out
    assert out.endswith("Nothing is wrong with the mail of example.com.\n")


def test_a_bad_one_is_shown_with_what_to_publish(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, looked_at("plus.example"))
    assert "  FAIL  the policy ends in +all" in out
    assert "        fix: End it in ~all" in out
    assert '        publish: _dmarc.plus.example. IN TXT "v=DMARC1; p=none; rua=mailto:' in out


def test_control_characters_of_strangers_are_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = shown(capsys, looked_at("evil.example"))
    assert "\x1b" not in out
    assert "[31mred" in out


def test_the_document_has_all_that_is_shown() -> None:
    made: dict[str, Any] = json.loads(json.dumps(document(looked_at("plus.example"))))
    assert (made["target"], made["verdict"]) == ("plus.example", "fail")
    finding = next(one for one in made["findings"] if one["name"] == "dmarc.missing")
    assert finding["status"] == "warn"
    assert finding["record"]["type"] == "TXT"
    assert finding["record"]["zone_line"].startswith("_dmarc.plus.example. IN TXT ")


def test_name_servers_that_fail_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, looked_at("example.com", failing=["example.com"]))
    assert "  ?     the name servers do not say where mail goes" in out


def test_lists_are_chosen_by_their_zone() -> None:
    chosen = chosen_lists(["ZEN.spamhaus.org.", "mine.example"])
    assert chosen is not None
    assert [one.title for one in chosen] == ["Spamhaus ZEN", "mine.example"]
    assert chosen_lists(["none"]) == ()
    assert chosen_lists(None) is None


def test_a_sender_that_is_no_address_is_wrong_usage() -> None:
    assert sender_addresses(["[2001:DB8::1]", "192.0.2.1"]) == ("2001:db8::1", "192.0.2.1")
    with pytest.raises(Failure) as caught:
        sender_addresses(["mx.example.com"])
    assert caught.value.code == 2


def test_every_cause_that_a_finding_names_is_known() -> None:
    source = "\n".join(
        path.read_text("utf-8") for path in (ROOT / "src/waypost/doctor/domain_health").glob("*.py")
    )
    named = set(re.findall(r'cause="([a-z0-9_.]+)"', source))
    assert len(named) > 6
    assert all(cause(one).fix for one in named)


def test_the_reference_names_every_finding_and_no_other() -> None:
    source = "\n".join(
        path.read_text("utf-8") for path in (ROOT / "src/waypost/doctor/domain_health").glob("*.py")
    )
    areas = "mx|spf|dkim|dmarc|mta_sts|tls_reports|dnssec|dane|ptr|blocklist|bimi"
    used = set(re.findall(rf'"((?:{areas})\.[a-z_]+)"', source))
    page = (ROOT / "docs/reference/domain-health.md").read_text("utf-8")
    named = set(re.findall(rf"^\| `((?:{areas})\.[a-z_]+)` \|", page, re.MULTILINE))
    assert named == used

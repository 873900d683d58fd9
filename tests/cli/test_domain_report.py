"""How the health of a domain is shown, against a name server on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from name_server import NameServer
from waypost.faces.cli.domain_report import check_domain
from waypost.faces.cli.failure import Failure
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


def shown(
    capsys: pytest.CaptureFixture[str],
    domain: str,
    *,
    json: bool = False,
    senders: Sequence[str] = (),
    lists: Sequence[str] | None = (),
    failing: Sequence[str] = (),
) -> tuple[int, str]:
    with NameServer(ZONE, signed=["example.com"], failing=failing) as server:
        host, port = server.place.split(":")
        resolver = DnsResolver(
            SystemClock(), nameservers=[host], port=int(port), question_seconds=1.0
        )
        code = check_domain(domain, resolver, StaticWeb(), senders=senders, lists=lists, json=json)
    return code, capsys.readouterr().out


def test_a_good_domain_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = shown(capsys, "example.com", senders=["8.8.4.4"])
    assert code == 0
    assert "  ok    an SPF record that costs 1 of 10 look-ups\n          v=spf1 mx -all\n" in out
    assert out.endswith("Nothing is wrong with the mail of example.com.\n")


def test_a_bad_one_ends_with_1_and_says_what_to_publish(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out = shown(capsys, "plus.example")
    assert code == 1
    assert "  FAIL  the policy ends in +all" in out
    assert "        fix: End it in ~all" in out
    assert '        publish: _dmarc.plus.example. IN TXT "v=DMARC1; p=none; rua=mailto:' in out


def test_control_characters_of_strangers_are_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out = shown(capsys, "evil.example")
    assert "\x1b" not in out
    assert "[31mred" in out


def test_the_document_has_all_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = shown(capsys, "plus.example", json=True)
    document: dict[str, Any] = json.loads(out)
    assert (code, document["target"], document["verdict"]) == (1, "plus.example", "fail")
    finding = next(one for one in document["findings"] if one["name"] == "dmarc.missing")
    assert finding["status"] == "warn"
    assert finding["record"]["type"] == "TXT"
    assert finding["record"]["zone_line"].startswith("_dmarc.plus.example. IN TXT ")


def test_name_servers_that_fail_end_with_75(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = shown(capsys, "example.com", failing=["example.com"])
    assert code == 75
    assert "the name servers do not say where mail goes" in out


def test_a_list_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = shown(capsys, "example.com", lists=["bl.example.net", "bl.spamcop.net"])
    assert "not listed by bl.example.net, SpamCop" in out
    _, out = shown(capsys, "example.com", lists=["none"])
    assert "Blocklists" not in out


@pytest.mark.parametrize(("domain", "senders"), [("x", ()), ("example.com", ("mx.example.com",))])
def test_wrong_usage_is_told(
    capsys: pytest.CaptureFixture[str], domain: str, senders: Sequence[str]
) -> None:
    with pytest.raises(Failure) as caught:
        shown(capsys, domain, senders=senders)
    assert caught.value.code == 2


def test_the_reference_names_every_finding_and_no_other() -> None:
    source = "\n".join(
        path.read_text("utf-8") for path in (ROOT / "src/waypost/doctor/domain_health").glob("*.py")
    )
    areas = "mx|spf|dkim|dmarc|mta_sts|tls_reports|dnssec|dane|ptr|blocklist|bimi"
    used = set(re.findall(rf'"((?:{areas})\.[a-z_]+)"', source))
    page = (ROOT / "docs/reference/domain-health.md").read_text("utf-8")
    named = set(re.findall(rf"^\| `((?:{areas})\.[a-z_]+)` \|", page, re.MULTILINE))
    assert named == used

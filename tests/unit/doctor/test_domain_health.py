"""The look at a domain: each thing that can be wrong is found, with its remedy."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.doctor.domain_health import (
    AREAS,
    Finding,
    HealthReport,
    HealthRequest,
    NotADomain,
    Status,
    domain_name,
    health_report,
)
from waypost.knowledge.blocklists import Blocklist
from waypost.net.resolver import ResolutionFailure, ResolutionTemporaryFailure
from waypost.net.static_resolver import StaticResolver
from waypost.net.static_web import StaticWeb
from waypost.net.web import Page, WebFailure, WebTlsFailure

OUTSIDE = "8.8.4.4"
"""A public address; nothing is sent there."""
POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmax_age: 604800\r\n"
STS = "https://mta-sts.example.com/.well-known/mta-sts.txt"
LIST = Blocklist(
    "list.example", "The List", codes={"127.0.0.2": "spam"}, page="https://list.example"
)


def key_record(bits: int) -> str:
    key = rsa.generate_private_key(65537, bits).public_key()
    data = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"v=DKIM1; k=rsa; p={base64.b64encode(data).decode()}"


GOOD_KEY = key_record(2048)
SHORT_KEY = key_record(1024)


@dataclass
class Zone:
    """A domain where all is well, to be changed by a test."""

    mx: Mapping[str, Sequence[tuple[int, str]] | ResolutionFailure] = field(
        default_factory=lambda: {"example.com": [(10, "mx.example.com")]}
    )
    addresses: dict[str, Sequence[str] | ResolutionFailure] = field(
        default_factory=lambda: {"mx.example.com": [OUTSIDE], "example.com": [OUTSIDE]}
    )
    names: dict[str, str | ResolutionFailure] = field(
        default_factory=lambda: {OUTSIDE: "mx.example.com"}
    )
    texts: dict[str, Sequence[str] | ResolutionFailure] = field(
        default_factory=lambda: {
            "example.com": ["v=spf1 mx -all"],
            "google._domainkey.example.com": [GOOD_KEY],
            "_dmarc.example.com": ["v=DMARC1; p=reject; rua=mailto:dmarc@example.com"],
            "_mta-sts.example.com": ["v=STSv1; id=20261124"],
            "_smtp._tls.example.com": ["v=TLSRPTv1; rua=mailto:tls@example.com"],
        }
    )
    records: dict[tuple[str, str], Sequence[str] | ResolutionFailure] = field(
        default_factory=lambda: {("_25._tcp.mx.example.com", "TLSA"): ["3 1 1 " + "ab" * 32]}
    )
    authenticated: list[str] = field(
        default_factory=lambda: ["example.com", "_25._tcp.mx.example.com"]
    )
    pages: dict[str, Page | WebFailure | bytes] = field(
        default_factory=lambda: {STS: Page(STS, 200, "text/plain", POLICY)}
    )

    def report(
        self,
        domain: str = "example.com",
        *,
        selectors: Sequence[str] = (),
        senders: Sequence[str] = (),
        lists: Sequence[Blocklist] = (LIST,),
    ) -> HealthReport:
        resolver = StaticResolver(
            self.mx, self.addresses, self.names, self.texts, self.records, self.authenticated
        )
        request = HealthRequest(domain, tuple(selectors), tuple(senders), lists)
        return asyncio.run(health_report(request, resolver, StaticWeb(self.pages)))


def one(report: HealthReport, name: str) -> Finding:
    found = [finding for finding in report.findings if finding.name == name]
    assert found, [finding.name for finding in report.findings]
    return found[0]


def test_where_all_is_well_nothing_is_wrong() -> None:
    report = Zone().report(senders=[OUTSIDE])
    assert report.verdict is Status.OK
    assert {finding.name for finding in report.findings if finding.status is Status.OK} == {
        "mx.found", "spf.found", "spf.sender", "dkim.found", "dmarc.found", "mta_sts.found",
        "tls_reports.found", "dnssec.signed", "dane.found", "ptr.found", "blocklist.clean",
    }  # fmt: skip
    assert [AREAS.index(finding.area) for finding in report.findings] == sorted(
        AREAS.index(finding.area) for finding in report.findings
    )


def test_a_domain_that_has_nothing_is_told_what_to_publish() -> None:
    report = Zone(
        texts={"example.com": ["something else"]}, records={}, pages={}, names={}
    ).report()
    published = {
        finding.name: finding.suggestion.zone_line
        for finding in report.findings
        if finding.suggestion is not None
    }
    assert published["spf.missing"] == 'example.com. IN TXT "v=spf1 mx ~all"'
    assert published["dmarc.missing"] == (
        '_dmarc.example.com. IN TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@example.com"'
    )
    assert published["mta_sts.missing"] == '_mta-sts.example.com. IN TXT "v=STSv1; id=1"'
    assert published["tls_reports.missing"].startswith('_smtp._tls.example.com. IN TXT "v=TLSRPT')
    assert published["ptr.missing"] == "4.4.8.8.in-addr.arpa. IN PTR mail.example.com."
    assert report.verdict is Status.WARN


# --- exchangers -----------------------------------------------------------------------------------


def test_a_domain_that_is_not_there() -> None:
    report = Zone().report("gone.example")
    assert [finding.name for finding in report.findings] == ["mx.no_such_domain"]
    assert (report.verdict, report.findings[0].cause) == (Status.FAIL, "dns.no_such_host")


def test_a_null_mx_wants_no_more() -> None:
    zone = Zone(mx={"example.com": [(0, "")]}, texts={"example.com": ["x"]}, records={}, pages={})
    report = zone.report()
    assert one(report, "mx.null").status is Status.NOTE
    suggestion = one(report, "spf.missing").suggestion
    assert suggestion is not None
    assert suggestion.value == "v=spf1 -all"
    assert not report.of("mta_sts")
    assert not report.of("dane")


@pytest.mark.parametrize(
    ("mx", "addresses", "name", "status", "cause"),
    [
        ([(0, ""), (10, "mx.example.com")], {}, "mx.null_among_others", Status.FAIL, "dns.null_mx"),
        ([(10, "192.0.2.1")], {}, "mx.is_address", Status.FAIL, ""),
        ([(10, "gone.example.com")], {}, "mx.unreachable", Status.FAIL, "dns.no_address"),
        (
            [(10, "mx.example.com"), (20, "gone.example.com")], {}, "mx.no_address", Status.WARN,
            "dns.no_address",
        ),
        (
            [(10, "in.example.com")], {"in.example.com": ["10.0.0.1"]}, "mx.private_address",
            Status.FAIL, "",
        ),
        (
            [(10, "in.example.com")], {"in.example.com": ["127.0.0.1", OUTSIDE]},
            "mx.private_address", Status.WARN, "",
        ),
    ],
)  # fmt: skip
def test_exchangers_that_lead_nowhere(
    mx: list[tuple[int, str]],
    addresses: dict[str, Sequence[str] | ResolutionFailure],
    name: str,
    status: Status,
    cause: str,
) -> None:
    zone = Zone(mx={"example.com": mx})
    zone.addresses |= addresses
    finding = one(zone.report(), name)
    assert (finding.status, finding.cause) == (status, cause)


def test_an_exchanger_that_is_an_alias() -> None:
    zone = Zone(mx={"example.com": [(10, "alias.example.com")]})
    zone.records["alias.example.com", "CNAME"] = ["mx.example.com"]
    finding = one(zone.report(), "mx.is_alias")
    assert (finding.status, finding.cause) == (Status.WARN, "dns.mx_is_cname")
    assert "alias.example.com CNAME mx.example.com" in finding.evidence


def test_no_mx_falls_back_to_the_address() -> None:
    zone = Zone(mx={})
    assert one(zone.report(), "mx.missing").status is Status.WARN
    del zone.addresses["example.com"]
    assert one(zone.report(), "mx.missing").status is Status.FAIL


def test_name_servers_that_do_not_answer_leave_all_unknown() -> None:
    fault = ResolutionTemporaryFailure("example.com", "MX", "SERVFAIL")
    texts: dict[str, Sequence[str] | ResolutionFailure] = {"example.com": fault}
    report = Zone(mx={"example.com": fault}, texts=texts, records={}, pages={}).report()
    assert one(report, "mx.unknown").status is Status.UNKNOWN
    assert one(report, "spf.unknown").status is Status.UNKNOWN


# --- SPF ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "name", "status"),
    [
        (["v=spf1 -all", "v=spf1 mx ~all"], "spf.several", Status.FAIL),
        (["v=spf1 mx foo -all"], "spf.malformed", Status.FAIL),
        (["v=spf1 include:none.example -all"], "spf.dead_end", Status.FAIL),
        (["v=spf1 +all"], "spf.passes_all", Status.FAIL),
        (["v=spf1 mx"], "spf.no_ending", Status.WARN),
        (["v=spf1 mx ?all"], "spf.no_ending", Status.WARN),
        (["v=spf1 mx ptr -all"], "spf.uses_ptr", Status.WARN),
        (["v=spf1 mx -all ip4:192.0.2.1"], "spf.behind_all", Status.WARN),
        (["v=spf1 mx x=y -all"], "spf.unknown_modifier", Status.NOTE),
        (["v=spf1 a:x.example -all"], "spf.void_lookups", Status.WARN),
        (["v=spf1 a:x.example a:y.example a:z.example -all"], "spf.void_lookups", Status.FAIL),
        (["v=spf1" + " mx:example.com" * 9 + " -all"], "spf.many_lookups", Status.NOTE),
        (["v=spf1" + " mx:example.com" * 11 + " -all"], "spf.too_many_lookups", Status.FAIL),
    ],
)
def test_policies_that_do_not_do_what_they_should(
    record: list[str], name: str, status: Status
) -> None:
    zone = Zone()
    zone.texts["example.com"] = record
    finding = one(zone.report(), name)
    assert finding.status is status
    assert finding.fix or status is Status.NOTE


def test_several_policies_are_merged_for_copying() -> None:
    zone = Zone()
    zone.texts["example.com"] = ["v=spf1 mx include:a.example -all", "v=spf1 mx ip4:192.0.2.1 ~all"]
    suggestion = one(zone.report(), "spf.several").suggestion
    assert suggestion is not None
    assert suggestion.value == "v=spf1 mx include:a.example ip4:192.0.2.1 ~all"


def test_an_address_that_may_not_send_is_told() -> None:
    finding = one(Zone().report(senders=["192.0.2.99"]), "spf.sender")
    assert (finding.status, finding.cause) == (Status.FAIL, "policy.spf_fail")
    assert "ip4:192.0.2.99" in finding.fix


# --- DKIM -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "name", "status"),
    [
        ([SHORT_KEY], "dkim.short", Status.WARN),
        ([key_record(1024).replace("DKIM1", "DKIM2")], "dkim.malformed", Status.FAIL),
        (["v=DKIM1; p="], "dkim.revoked", Status.NOTE),
        (["v=DKIM1; p=notbase64!"], "dkim.malformed", Status.FAIL),
        (["v=DKIM1; k=ed25519; p=AAAA"], "dkim.malformed", Status.FAIL),
        (["v=DKIM1; k=dsa; p=AAAA"], "dkim.malformed", Status.FAIL),
        (["v=DKIM1; k=rsa"], "dkim.malformed", Status.FAIL),
        ([GOOD_KEY + "; t=y"], "dkim.testing", Status.WARN),
        ([GOOD_KEY + "; h=sha1"], "dkim.malformed", Status.FAIL),
        ([GOOD_KEY + "; s=web"], "dkim.malformed", Status.FAIL),
        ([GOOD_KEY, SHORT_KEY], "dkim.several", Status.FAIL),
        (
            ["v=DKIM1; k=ed25519; p=" + base64.b64encode(b"x" * 32).decode()],
            "dkim.found",
            Status.OK,
        ),
    ],
)
def test_keys_are_judged(texts: list[str], name: str, status: Status) -> None:
    zone = Zone()
    zone.texts["google._domainkey.example.com"] = texts
    assert one(zone.report(), name).status is status


def test_a_given_selector_without_a_key_is_a_fault_and_a_usual_one_is_none() -> None:
    report = Zone().report(selectors=["mine"])
    finding = one(report, "dkim.missing")
    assert finding.status is Status.FAIL
    assert finding.suggestion is not None
    assert finding.suggestion.name == "mine._domainkey.example.com"
    zone = Zone()
    del zone.texts["google._domainkey.example.com"]
    assert one(zone.report(), "dkim.not_found").status is Status.NOTE


def test_a_wildcard_proves_nothing() -> None:
    class Wildcard(StaticResolver):
        async def records(self, name: str, record_type: str):  # type: ignore[no-untyped-def]  # test
            if "._domainkey." in name:
                return await super().records("google._domainkey.example.com", record_type)
            return await super().records(name, record_type)

    zone = Zone()
    resolver = Wildcard(zone.mx, zone.addresses, zone.names, zone.texts)
    request = HealthRequest("example.com", blocklists=())
    report = asyncio.run(health_report(request, resolver, StaticWeb()))
    assert [finding.name for finding in report.of("dkim")] == ["dkim.wildcard", "dkim.not_found"]


# --- DMARC ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "name", "status"),
    [
        (["v=DMARC1; p=none; rua=mailto:a@example.com"], "dmarc.only_watches", Status.WARN),
        (["v=DMARC1; p=reject"], "dmarc.no_reports", Status.WARN),
        (["v=DMARC1; p=reject; pct=20; rua=mailto:a@example.com"], "dmarc.partly", Status.WARN),
        (["v=DMARC1; p=reject; t=y; rua=mailto:a@example.com"], "dmarc.testing", Status.WARN),
        (
            ["v=DMARC1; p=reject; sp=none; rua=mailto:a@example.com"], "dmarc.lax_subdomains",
            Status.WARN,
        ),
        (["v=DMARC1; rua=mailto:a@example.com"], "dmarc.malformed", Status.WARN),
        (["v=DMARC1; p=refuse"], "dmarc.malformed", Status.FAIL),
        (["v=dmarc1; p=reject; rua=mailto:a@example.com"], "dmarc.malformed", Status.WARN),
        (["v=DMARC1; p=reject; rua=a@example.com"], "dmarc.malformed", Status.WARN),
        (["v=DMARC1; p=reject; rua=mailto:a@example.com; x=1"], "dmarc.odd", Status.NOTE),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "dmarc.several", Status.FAIL),
        (
            ["v=DMARC1; p=reject; rua=mailto:a@reports.example"], "dmarc.reports_refused",
            Status.WARN,
        ),
    ],
)  # fmt: skip
def test_dmarc_records_are_judged(texts: list[str], name: str, status: Status) -> None:
    zone = Zone()
    zone.texts["_dmarc.example.com"] = texts
    assert one(zone.report(), name).status is status


def test_reports_may_go_elsewhere_where_that_agrees() -> None:
    zone = Zone()
    zone.texts["_dmarc.example.com"] = ["v=DMARC1; p=reject; rua=mailto:a@reports.example!10m"]
    finding = one(zone.report(), "dmarc.reports_refused")
    assert finding.suggestion is not None
    zone.texts[finding.suggestion.name] = [finding.suggestion.value]
    assert zone.report().verdict is Status.OK


def test_a_subdomain_has_the_policy_of_the_organisation() -> None:
    zone = Zone(mx={"a.b.example.com": [(10, "mx.example.com")]})
    zone.texts["_dmarc.example.com"] = [
        "v=DMARC1; p=none; sp=reject; rua=mailto:a@example.com"
    ]  # fmt: skip
    report = zone.report("a.b.example.com")
    assert "at example.com" in one(report, "dmarc.found").text
    assert not [finding for finding in report.findings if finding.name == "dmarc.only_watches"]


def test_a_registry_does_not_speak_for_those_below_it() -> None:
    zone = Zone(mx={"shop.co.example": [(10, "mx.example.com")]})
    zone.texts["_dmarc.co.example"] = ["v=DMARC1; p=reject; psd=y"]
    assert one(zone.report("shop.co.example"), "dmarc.missing")


def test_a_policy_without_authentication_is_told() -> None:
    zone = Zone()
    zone.texts["example.com"] = ["x"]
    del zone.texts["google._domainkey.example.com"]
    assert one(zone.report(), "dmarc.nothing_passes").status is Status.FAIL


# --- TLS ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "name", "status"),
    [
        (WebFailure(STS, "no answer"), "mta_sts.policy", Status.FAIL),
        (WebTlsFailure(STS, "expired"), "mta_sts.policy", Status.FAIL),
        (Page(STS, 404, "text/html", b""), "mta_sts.policy", Status.FAIL),
        (Page(STS, 301, "text/html", b""), "mta_sts.policy", Status.FAIL),
        (b"version: STSv1\nmode: enforce\nmax_age: 1000000\n", "mta_sts.policy", Status.FAIL),
        (b"mode: enforce\nmx: mx.example.com\nmax_age: 1000000\n", "mta_sts.policy", Status.FAIL),
        (POLICY.replace(b"mx.example", b"*.other"), "mta_sts.other_servers", Status.FAIL),
        (POLICY.replace(b"enforce", b"testing"), "mta_sts.mode", Status.NOTE),
        (POLICY.replace(b"604800", b"60"), "mta_sts.max_age", Status.WARN),
        (Page(STS, 200, "text/html", POLICY), "mta_sts.content_type", Status.WARN),
        (POLICY.replace(b"mx.example", b"*.example"), "mta_sts.found", Status.OK),
    ],
)
def test_transport_policies_are_judged(
    page: Page | WebFailure | bytes, name: str, status: Status
) -> None:
    finding = one(Zone(pages={STS: page}).report(), name)
    assert finding.status is status


def test_a_transport_record_without_id_is_malformed() -> None:
    zone = Zone()
    zone.texts["_mta-sts.example.com"] = ["v=STSv1; id=2026-11-24"]
    assert one(zone.report(), "mta_sts.malformed").status is Status.FAIL


def test_reports_on_tls_are_wanted_where_tls_is_required() -> None:
    zone = Zone()
    del zone.texts["_smtp._tls.example.com"]
    assert one(zone.report(), "tls_reports.missing").status is Status.WARN
    zone.texts["_smtp._tls.example.com"] = ["v=TLSRPTv1; rua=tls@example.com"]
    assert one(zone.report(), "tls_reports.malformed").status is Status.FAIL


@pytest.mark.parametrize(
    ("record", "authenticated", "name", "status"),
    [
        ("3 1 1 " + "ab" * 32, ["example.com"], "dane.not_signed", Status.WARN),
        (
            "3 1 1 " + "ab" * 32, ["_25._tcp.mx.example.com"], "dane.exchanger_not_signed",
            Status.WARN,
        ),
        ("1 1 1 " + "ab" * 32, ["example.com"], "dane.unusable", Status.WARN),
        ("3 1 1 abcd", ["example.com"], "dane.unusable", Status.WARN),
        ("3 7 1 " + "ab" * 32, ["example.com"], "dane.unusable", Status.WARN),
        ("3 1 9 abcd", ["example.com"], "dane.unusable", Status.WARN),
        ("nonsense", ["example.com"], "dane.unusable", Status.WARN),
    ],
)  # fmt: skip
def test_pinned_certificates_are_judged(
    record: str, authenticated: list[str], name: str, status: Status
) -> None:
    zone = Zone(
        records={("_25._tcp.mx.example.com", "TLSA"): [record]}, authenticated=authenticated
    )
    assert one(zone.report(), name).status is status


def test_a_tlsa_record_that_cannot_be_had_is_told() -> None:
    fault = ResolutionTemporaryFailure("_25._tcp.mx.example.com", "TLSA", "SERVFAIL")
    zone = Zone(records={("_25._tcp.mx.example.com", "TLSA"): fault})
    assert one(zone.report(), "dane.unknown").status is Status.UNKNOWN


# --- names and lists ------------------------------------------------------------------------------


def test_a_sender_without_a_name_fails_and_an_exchanger_does_not() -> None:
    zone = Zone(names={})
    assert one(zone.report(), "ptr.missing").status is Status.NOTE
    finding = one(zone.report(senders=[OUTSIDE]), "ptr.missing")
    assert (finding.status, finding.cause) == (Status.FAIL, "policy.ptr_missing")


def test_a_name_that_does_not_lead_back() -> None:
    zone = Zone(names={OUTSIDE: "elsewhere.example"})
    zone.addresses["elsewhere.example"] = ["192.0.2.1"]
    finding = one(zone.report(senders=[OUTSIDE]), "ptr.does_not_lead_back")
    assert finding.status is Status.FAIL
    assert "elsewhere.example is at 192.0.2.1" in finding.evidence


@pytest.mark.parametrize(
    "name", ["8-8-4-4.pool.example", "host4.4.8.8.example", "ip008008004004.x.example"]
)
def test_a_name_that_only_spells_the_address(name: str) -> None:
    zone = Zone(names={OUTSIDE: name})
    zone.addresses[name] = [OUTSIDE]
    assert one(zone.report(senders=[OUTSIDE]), "ptr.generic").status is Status.WARN


@pytest.mark.parametrize(
    ("answers", "name", "status", "said"),
    [
        ({"4.4.8.8.list.example": ["127.0.0.2"]}, "blocklist.listed", Status.FAIL, "spam"),
        (
            {"4.4.8.8.list.example": ["127.0.0.9"]}, "blocklist.listed", Status.FAIL,
            "the answer 127.0.0.9",
        ),
        (
            {"1.0.0.127.list.example": ["127.0.0.2"], "4.4.8.8.list.example": ["127.0.0.2"]},
            "blocklist.broken", Status.NOTE, "answers for everything",
        ),
        (
            {"1.0.0.127.list.example": ["127.255.255.254"]}, "blocklist.unknown", Status.UNKNOWN,
            "public resolvers",
        ),
        (
            {"4.4.8.8.list.example": ["127.255.255.255"]}, "blocklist.unknown", Status.UNKNOWN,
            "refuses this resolver",
        ),
        (
            {"4.4.8.8.list.example": ["198.51.100.1"]}, "blocklist.unknown", Status.UNKNOWN,
            "no answer of a list",
        ),
        ({"9.9.9.9.list.example": ["127.0.0.2"]}, "blocklist.clean", Status.OK, "not listed"),
    ],
)  # fmt: skip
def test_lists_are_understood(
    answers: dict[str, list[str]], name: str, status: Status, said: str
) -> None:
    zone = Zone()
    zone.addresses |= answers
    finding = one(zone.report(senders=[OUTSIDE]), name)
    assert finding.status is status
    assert said in finding.text


def test_an_exchanger_on_a_list_is_a_warning() -> None:
    zone = Zone()
    zone.addresses["4.4.8.8.list.example"] = ["127.0.0.2"]
    assert one(zone.report(), "blocklist.listed").status is Status.WARN


def test_a_domain_on_a_list() -> None:
    zone = Zone()
    zone.addresses["example.com.dbl.example"] = ["127.0.1.2"]
    lists = [Blocklist("dbl.example", "Domains", "domain")]
    assert one(zone.report(lists=lists), "blocklist.listed").status is Status.FAIL


# --- logo -----------------------------------------------------------------------------------------

LOGO = "https://example.com/logo.svg"


@pytest.mark.parametrize(
    ("record", "name", "status"),
    [
        (f"v=BIMI1; l={LOGO}; a=https://example.com/c.pem", "bimi.found", Status.OK),
        (f"v=BIMI1; l={LOGO}", "bimi.no_certificate", Status.NOTE),
        ("v=BIMI1; l=", "bimi.declined", Status.NOTE),
        ("v=BIMI1", "bimi.malformed", Status.FAIL),
        ("v=BIMI1; l=http://example.com/logo.svg", "bimi.malformed", Status.FAIL),
        ("v=BIMI1; l=https://example.com/none.svg", "bimi.logo", Status.WARN),
    ],
)
def test_logos_are_judged(record: str, name: str, status: Status) -> None:
    zone = Zone()
    zone.texts["default._bimi.example.com"] = [record]
    zone.pages[LOGO] = b"<svg/>"
    assert one(zone.report(), name).status is status


def test_a_logo_needs_an_enforced_policy() -> None:
    zone = Zone()
    zone.texts["default._bimi.example.com"] = [f"v=BIMI1; l={LOGO}"]
    zone.texts["_dmarc.example.com"] = ["v=DMARC1; p=none; rua=mailto:a@example.com"]
    zone.pages[LOGO] = b"<svg/>"
    assert one(zone.report(), "bimi.no_policy").status is Status.WARN


# --- names of domains -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "", "localhost", "a b.example", "https://example.com", "a@b.example", "example.com:25",
        "192.0.2.1", "x" * 64 + ".example",
    ],
)  # fmt: skip
def test_what_is_no_domain_is_told(text: str) -> None:
    with pytest.raises(NotADomain, match="no domain name"):
        domain_name(text)


def test_a_domain_may_be_written_in_its_own_letters() -> None:
    assert domain_name(" BÜCHER.example. ") == "xn--bcher-kva.example"


# --- anything -------------------------------------------------------------------------------------

PIECES = st.sampled_from([
    "v=spf1", "v=DMARC1", "v=STSv1", "v=TLSRPTv1", "v=BIMI1", "v=DKIM1", "; p=", "p=reject",
    " include:example.com", " a:%{d}", "rua=mailto:a@b.example", "id=1", "l=https://x.example/",
    " -all", "p=AAAA", ";", "=", " ", "\x00", "ü", "\\", '"', " redirect=_dmarc.example.com", "!",
])  # fmt: skip
TEXTS = st.lists(
    st.one_of(st.text(max_size=20), st.lists(PIECES, max_size=6).map("".join)), max_size=3
)
NAMES = [
    "example.com", "google._domainkey.example.com", "_dmarc.example.com", "_mta-sts.example.com",
    "_smtp._tls.example.com", "default._bimi.example.com",
]  # fmt: skip


@settings(max_examples=150)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, TEXTS)),
    st.binary(max_size=60),
    st.lists(st.text(max_size=20), max_size=2),
)
def test_no_domain_makes_the_look_fail(
    texts: dict[str, list[str]], policy: bytes, associations: list[str]
) -> None:
    zone = Zone(pages={STS: policy, "https://x.example/": policy})
    zone.texts |= texts
    zone.records["_25._tcp.mx.example.com", "TLSA"] = associations
    report = zone.report(senders=["192.0.2.1"])
    assert report.verdict in (Status.OK, Status.WARN, Status.FAIL)
    assert all(finding.text and finding.area in AREAS for finding in report.findings)
    assert all(
        finding.suggestion is None or "\n" not in finding.suggestion.zone_line
        for finding in report.findings
    )

"""The presets of providers: whole, usable in a route, recognised by domain and exchanger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waypost.delivery.route import Smarthost, TlsMode
from waypost.delivery.route_url import InvalidRouteUrl, parse_route_url
from waypost.knowledge import tables
from waypost.knowledge.provider_reference import page
from waypost.knowledge.providers import (
    TABLES,
    Provider,
    ProviderPort,
    UnsupportedProvider,
    _provider,
    provider_of_domain,
    provider_of_exchanger,
    providers,
    unsupported_providers,
)
from waypost.knowledge.tables import FaultyTable

ALL = list(providers().values())

WHOLE = {
    "name": "example", "title": "Example", "host": "smtp.example.com", "ports": ["587 starttls"],
    "authentication": ["password"], "credentials": "the address", "source": "a page",
}  # fmt: skip


def test_the_well_known_ones_are_there() -> None:
    wanted = {
        "gmail", "google-relay", "outlook365", "outlook", "yahoo", "aol", "icloud", "zoho",
        "zoho-eu", "fastmail", "proton", "ses", "sendgrid", "sendgrid-eu", "mailgun",
        "mailgun-eu", "postmark", "sparkpost", "sparkpost-eu", "brevo", "mailjet", "mandrill",
        "resend", "mailersend", "smtp2go", "elastic-email", "scaleway", "ovh", "infomaniak",
        "gandi", "ionos", "yandex", "mailru", "gmx", "webde", "t-online", "naver", "qq",
        "netease-163", "rackspace", "dreamhost", "namecheap", "hostinger", "mailtrap", "azure",
    }  # fmt: skip
    assert wanted <= set(providers())
    assert len(providers()) >= 100


@pytest.mark.parametrize("provider", ALL, ids=lambda one: one.name)
def test_each_can_be_written_as_a_route(provider: Provider) -> None:
    region = f":{provider.region_example}" if provider.region_example else ""
    hop = parse_route_url(provider.name + region)
    assert isinstance(hop, Smarthost)
    assert hop.host == provider.host_in(provider.region_example)
    assert (hop.port, hop.tls.value, hop.provider) == (
        provider.port,
        provider.tls,
        provider.name,
    )
    assert hop.tls in (TlsMode.REQUIRED, TlsMode.IMPLICIT)


@pytest.mark.parametrize("provider", ALL, ids=lambda one: one.name)
def test_each_is_whole(provider: Provider) -> None:
    assert re.fullmatch(r"[a-z0-9.{}-]+\.[a-z]+", provider.host)
    numbers = [port.number for port in provider.ports]
    assert len(numbers) == len(set(numbers))
    assert all(port.tls == "implicit" for port in provider.ports if port.number in (465, 2465))
    for text in (*provider.domains, *provider.exchangers):
        assert text == text.lower().strip(".")
    for url in (provider.credentials_url, provider.second_source, provider.limits.source):
        assert not url or url.startswith("http")


def test_no_domain_belongs_to_two() -> None:
    for column in ("domains", "exchangers"):
        names = [name for one in (*ALL, *unsupported_providers()) for name in getattr(one, column)]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("exchanger", "name"),
    [
        ("aspmx.l.google.com", "gmail"),
        ("ALT1.ASPMX.L.GOOGLE.COM.", "gmail"),
        ("example-com.mail.protection.outlook.com", "outlook365"),
        ("outlook-com.olc.protection.outlook.com", "outlook"),
        ("mx-aol.mail.gm0.yahoodns.net", "aol"),
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("in1-smtp.messagingengine.com", "fastmail"),
        ("mx00.kundenserver.de", "ionos"),
        ("mail.tutanota.de", "tuta"),
        ("notgoogle.example", None),
        ("evilaspmx.l.google.com.example", None),
        ("xaspmx.l.google.com", None),
    ],
)
def test_an_exchanger_tells_the_provider(exchanger: str, name: str | None) -> None:
    found = provider_of_exchanger(exchanger)
    assert (found.name if found else None) == name


def test_a_domain_tells_its_provider() -> None:
    found = provider_of_domain("GMail.com.")
    assert isinstance(found, Provider)
    assert found.name == "gmail"
    assert isinstance(provider_of_domain("tuta.io"), UnsupportedProvider)
    assert provider_of_domain("example.com") is None


def test_another_port_of_a_provider_can_be_chosen() -> None:
    hop = parse_route_url("gmail://user:pass@:465")
    assert isinstance(hop, Smarthost)
    assert (hop.host, hop.port, hop.tls) == ("smtp.gmail.com", 465, TlsMode.IMPLICIT)
    with pytest.raises(InvalidRouteUrl, match="it has 587, 465"):
        parse_route_url("gmail://user:pass@:25")


def test_limits_say_whose_they_are() -> None:
    limits = providers()["infomaniak"].limits
    assert (limits.messages_per_day, limits.recipients_per_message) == (1440, 100)
    assert limits.messages_per_second is None
    assert limits.source.startswith("https://")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Gmail"}, "cannot stand in a route"),
        ({"ports": []}, "has no ports"),
        ({"ports": ["587"]}, "no port such as"),
        ({"ports": ["0 starttls"]}, "no port such as"),
        ({"ports": ["465 tls"]}, "no port such as"),
        ({"host": "smtp.{region}.example.com"}, "needs a region_example"),
        ({"authentication": ["magic"]}, "unknown word"),
        ({"authentication": []}, "unknown word, or none"),
        ({"limits": {"size": 1}}, "limits_source"),
        ({"limits_source": "a page"}, "limits_source"),
        ({"limits": {"pigeons": 1}, "limits_source": "x"}, "unknown column"),
        ({"limits": {"size": 0}, "limits_source": "x"}, "at least 1"),
        ({"limits": 3, "limits_source": "x"}, "must be a table"),
        ({"source_date": "2026-01-01"}, "belong together"),
        ({"source_date": "soon", "source_date_is": "x"}, "is no date"),
        ({"colour": "blue"}, "unknown column"),
    ],
)
def test_a_faulty_row_is_told(change: dict[str, object], said: str) -> None:
    assert _provider("t", WHOLE, "hosting").ports == (ProviderPort(587, "required"),)
    with pytest.raises(FaultyTable, match=said):
        _provider("t", {**WHOLE, **change}, "hosting")


def test_each_kind_has_its_table() -> None:
    for kind, table in TABLES.items():
        rows = tables.rows(table, "provider")
        assert len(rows) == sum(one.kind == kind for one in ALL)


def test_the_reference_is_made_from_the_tables() -> None:
    reference = Path(__file__).parents[3] / "docs" / "reference" / "providers.md"
    assert reference.read_text("utf-8") == page(), (
        "python -m waypost.knowledge.provider_reference > docs/reference/providers.md"
    )

"""Recipients that cannot be reached are refused at RCPT; a DNS in trouble is no reason to."""

from __future__ import annotations

import asyncio

import pytest

from waypost.net.resolver import (
    MailExchanger,
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
    ResolutionTemporaryFailure,
)
from waypost.relay.recipient_policy import (
    NEEDS_LOOKUP,
    REMEMBERED_SECONDS,
    RecipientPolicy,
    RecipientSettings,
)
from waypost.smtp.reply import Reply

Answer = tuple[MailExchanger, ...] | type[ResolutionFailure]


class Dns:
    """Answers by domain: what it has as exchangers, and as addresses."""

    def __init__(
        self, exchangers: Answer, addresses: type[ResolutionFailure] | None = None
    ) -> None:
        self._exchangers = exchangers
        self._addresses = addresses
        self.asked: list[str] = []

    async def mail_exchangers(self, domain: str) -> tuple[MailExchanger, ...]:
        self.asked.append(domain)
        if isinstance(self._exchangers, tuple):
            return self._exchangers
        raise self._exchangers(domain, "MX", "told so")

    async def addresses(self, host: str) -> tuple[str, ...]:
        if self._addresses is not None:
            raise self._addresses(host, "A/AAAA", "told so")
        return ("192.0.2.1",)

    async def host_name(self, address: str) -> str:
        raise NoSuchRecord(address, "PTR", "told so")

    async def text(self, name: str) -> tuple[str, ...]:
        raise NoSuchRecord(name, "TXT", "told so")


HAS_MX = (MailExchanger(10, "mx.example.com"),)


def policy(dns: Dns | None = None, **settings: object) -> RecipientPolicy:
    return RecipientPolicy(
        RecipientSettings(**settings),  # type: ignore[arg-type]
        dns or Dns(HAS_MX),
        lambda address: "hard bounce" if address == "gone@example.com" else None,
    )


def checked(dns: Dns, address: str = "a@example.com", **settings: object) -> Reply | None:
    return asyncio.run(policy(dns, domain=True, **settings).check(address, 0.0))


def test_what_is_no_mailbox_is_refused_at_once() -> None:
    refusal = policy().quick("a..b@example.com", 0)
    assert isinstance(refusal, Reply)
    assert (refusal.code, str(refusal.enhanced)) == (553, "5.1.3")
    assert "a dot" in refusal.text
    assert policy(syntax=False).quick("a..b@example.com", 0) is None


def test_a_suppressed_recipient_is_refused_with_the_reason_and_the_way_out() -> None:
    refusal = policy().quick("gone@example.com", 0)
    assert isinstance(refusal, Reply)
    assert (refusal.code, str(refusal.enhanced)) == (550, "5.7.1")
    assert "hard bounce" in refusal.text
    assert "waypost suppress remove gone@example.com" in refusal.text
    assert policy(suppressions=False).quick("gone@example.com", 0) is None


def test_without_the_check_of_domains_the_dns_is_not_asked() -> None:
    assert policy().quick("a@nowhere.invalid", 0) is None


@pytest.mark.parametrize(
    ("exchangers", "addresses", "expected"),
    [
        (HAS_MX, None, None),
        (NoSuchRecord, None, None),
        (NoSuchDomain, None, (550, "5.1.2")),
        (NoSuchRecord, NoSuchRecord, (550, "5.1.2")),
        (NoSuchRecord, NoSuchDomain, (550, "5.1.2")),
        ((MailExchanger(0, ""),), None, (556, "5.1.10")),
    ],
)
def test_a_domain_must_exist_and_take_mail(
    exchangers: Answer,
    addresses: type[ResolutionFailure] | None,
    expected: tuple[int, str] | None,
) -> None:
    refusal = checked(Dns(exchangers, addresses))
    assert (None if refusal is None else (refusal.code, str(refusal.enhanced))) == expected


@pytest.mark.parametrize(
    "dns",
    [Dns(ResolutionTemporaryFailure), Dns(NoSuchRecord, ResolutionTemporaryFailure)],
)
def test_a_dns_in_trouble_lets_pass_or_defers_and_is_asked_again(dns: Dns) -> None:
    assert checked(dns) is None
    refusal = checked(dns, on_dns_failure="defer")
    assert refusal is not None
    assert (refusal.code, str(refusal.enhanced)) == (450, "4.4.3")
    asking = policy(dns, domain=True)
    asyncio.run(asking.check("a@example.com", 0.0))
    assert asking.quick("a@example.com", 1.0) is NEEDS_LOOKUP


def test_an_answer_is_remembered_for_a_while_for_the_whole_domain() -> None:
    dns = Dns(NoSuchDomain)
    asking = policy(dns, domain=True)
    assert asking.quick("a@example.com", 0.0) is NEEDS_LOOKUP
    refusal = asyncio.run(asking.check("a@example.com", 0.0))
    assert asking.quick("B@EXAMPLE.com", REMEMBERED_SECONDS - 1) is refusal
    assert asking.quick("b@example.com", REMEMBERED_SECONDS) is NEEDS_LOOKUP
    assert dns.asked == ["example.com"]


@pytest.mark.parametrize(
    ("domain", "good"),
    [
        ("[192.0.2.1]", True),
        ("[IPv6:2001:db8::1]", True),
        ("[192.0.2.999]", False),
        ("[2001:db8::1]", False),
        ("[[192.0.2.1]]", False),
        ("[x]", False),
    ],
)
def test_a_literal_needs_no_dns(domain: str, good: bool) -> None:
    dns = Dns(NoSuchDomain)
    refusal = checked(dns, f"a@{domain}", syntax=False)
    assert (refusal is None) is good
    assert dns.asked == []

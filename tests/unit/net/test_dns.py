"""The real resolver, asked against a name server on loopback that says what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import TypeVar, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from waypost.net.clock import Timer
from waypost.net.dns import DnsResolver
from waypost.net.dns_servers import ABSENCE_KEPT, FAILURE_KEPT
from waypost.net.hosts_file import parse_hosts
from waypost.net.records import (
    TlsAssociation,
    alias,
    published_addresses,
    reverse_name,
    services,
    tls_associations,
)
from waypost.net.resolver import (
    MailExchanger,
    NoSuchDomain,
    NoSuchRecord,
    Records,
    ResolutionFailure,
    ResolutionTemporaryFailure,
)
from waypost.net.static_resolver import StaticResolver

Result = TypeVar("Result")

ZONE = {
    ("example.com.", "MX"): "300 IN MX 20 b.example.com.|300 IN MX 10 A.Example.COM.",
    ("null.example.", "MX"): "300 IN MX 0 .",
    ("both.example.", "A"): "300 IN A 192.0.2.1",
    ("both.example.", "AAAA"): "300 IN AAAA 2001:db8::1",
    ("four.example.", "A"): "60 IN A 192.0.2.4",
    ("six.example.", "AAAA"): "300 IN AAAA 2001:db8::6",
    ("half.example.", "A"): "300 IN A 192.0.2.5",
    ("half.example.", "AAAA"): "SERVFAIL",
    ("broken.example.", "A"): "SERVFAIL",
    ("broken.example.", "AAAA"): "SERVFAIL",
    ("torn.example.", "A"): "NODATA",
    ("torn.example.", "AAAA"): "SERVFAIL",
    ("empty.example.", "A"): "NODATA",
    ("empty.example.", "AAAA"): "NODATA",
    ("empty.example.", "MX"): "NODATA",
    ("xn--bcher-kva.example.", "A"): "300 IN A 192.0.2.8",
    ("1.2.0.192.in-addr.arpa.", "PTR"): "300 IN PTR Mail.Example.COM.",
    ("text.example.", "TXT"): '300 IN TXT "v=spf1 " "-all"|300 IN TXT "other"',
    ("_submission._tcp.example.com.", "SRV"): "300 IN SRV 0 1 587 Mail.Example.COM.",
    ("_25._tcp.signed.example.", "TLSA"): "300 IN TLSA 3 1 1 " + "ab" * 32,
    ("alias.example.", "CNAME"): "300 IN CNAME Both.Example.",
    ("forever.example.", "A"): "2147483647 IN A 192.0.2.9",
    ("local-name.", "A"): "300 IN A 192.0.2.10",
}


class Nameserver(asyncio.DatagramProtocol):
    """Answers from the zone; NXDOMAIN for what is not in it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        question = dns.message.from_wire(data)
        name = question.question[0].name.to_text().lower()
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        self.asked.append((name, kind))
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        if "signed" in name and question.flags & dns.flags.AD:
            answer.flags |= dns.flags.AD
        else:
            answer.flags &= ~dns.flags.AD
        records = ZONE.get((name, kind), "NXDOMAIN")
        if records == "SERVFAIL":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif records in ("NXDOMAIN", "NODATA"):
            if records == "NXDOMAIN":
                answer.set_rcode(dns.rcode.NXDOMAIN)
            soa = "ns.example. me.example. 1 2 3 4 3600"
            answer.authority.append(dns.rrset.from_text("example.", 7200, "IN", "SOA", soa))
        else:
            rows = [record.split(" ", 3) for record in records.split("|")]
            values = [row[3] for row in rows]
            answer.answer.append(dns.rrset.from_text(name, int(rows[0][0]), "IN", kind, *values))
        self.transport.sendto(answer.to_wire(), addr)


class SetClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        raise NotImplementedError("not needed here")

    async def sleep(self, delay: float) -> None:
        raise NotImplementedError("not needed here")


Story = Callable[[DnsResolver, Nameserver, SetClock], Coroutine[object, object, Result]]


def tell(story: Story[Result], *, ipv6: bool = True, maximum_answers: int = 100) -> Result:
    async def run() -> Result:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(
            Nameserver, local_addr=("127.0.0.1", 0)
        )
        clock = SetClock()
        resolver = DnsResolver(
            clock,
            nameservers=["127.0.0.1"],
            port=transport.get_extra_info("sockname")[1],
            hosts={"in-hosts.example": ("192.0.2.77",)},
            ipv6_route=lambda: ipv6,
            maximum_answers=maximum_answers,
            server_seconds=1.0,
            question_seconds=2.0,
        )
        try:
            return await story(resolver, server, clock)
        finally:
            transport.close()

    return asyncio.run(run())


def addresses(host: str, *, ipv6: bool = True) -> tuple[str, ...]:
    async def story(
        resolver: DnsResolver, _server: Nameserver, _clock: SetClock
    ) -> tuple[str, ...]:
        return await resolver.addresses(host)

    return tell(story, ipv6=ipv6)


def exchangers(domain: str) -> tuple[MailExchanger, ...]:
    async def story(
        resolver: DnsResolver, _server: Nameserver, _clock: SetClock
    ) -> tuple[MailExchanger, ...]:
        return await resolver.mail_exchangers(domain)

    return tell(story)


def test_exchangers_come_by_preference_in_lower_case() -> None:
    assert exchangers("Example.COM.") == (
        MailExchanger(10, "a.example.com"),
        MailExchanger(20, "b.example.com"),
    )


def test_a_null_mx_has_an_empty_host() -> None:
    assert exchangers("null.example") == (MailExchanger(0, ""),)


def test_a_reverse_name_and_texts_are_read() -> None:
    async def story(
        resolver: DnsResolver, _server: Nameserver, _clock: SetClock
    ) -> tuple[str, tuple[str, ...]]:
        return await resolver.host_name("192.0.2.1"), await resolver.text("text.example")

    name, texts = tell(story)
    assert name == "mail.example.com"
    assert set(texts) == {"v=spf1 -all", "other"}


@pytest.mark.parametrize(
    ("host", "ipv6", "found"),
    [
        ("both.example", True, ("2001:db8::1", "192.0.2.1")),
        ("both.example", False, ("192.0.2.1",)),
        ("six.example", False, ("2001:db8::6",)),
        ("half.example", True, ("192.0.2.5",)),
        ("BÜCHER.example", True, ("192.0.2.8",)),
        ("192.0.2.200", True, ("192.0.2.200",)),
        ("[2001:DB8::1]", True, ("2001:db8::1",)),
        ("localhost", True, ("127.0.0.1", "::1")),
        ("x.localhost.", True, ("127.0.0.1", "::1")),
        ("In-Hosts.example", True, ("192.0.2.77",)),
    ],
)
def test_addresses_come_in_the_order_to_try_them(
    host: str, ipv6: bool, found: tuple[str, ...]
) -> None:
    assert addresses(host, ipv6=ipv6) == found


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("gone.example", NoSuchDomain),
        ("empty.example", NoSuchRecord),
        ("broken.example", ResolutionTemporaryFailure),
        ("torn.example", ResolutionTemporaryFailure),
        ("a..b", NoSuchDomain),
        ("x" * 64 + ".example", NoSuchDomain),
        ("", NoSuchDomain),
        ("\u2024.example", NoSuchDomain),
    ],
)
def test_failures_are_typed(host: str, kind: type[ResolutionFailure]) -> None:
    with pytest.raises(ResolutionFailure) as caught:
        addresses(host)
    assert type(caught.value) is kind


def test_no_exchangers_and_no_domain_are_told_apart() -> None:
    with pytest.raises(NoSuchRecord):
        exchangers("empty.example")
    with pytest.raises(NoSuchDomain):
        exchangers("gone.example")


def asked_again_after(
    name: str, seconds: tuple[float, float], maximum_answers: int = 100
) -> tuple[int, int]:
    """How often a name was asked for: shortly before and after a time."""

    async def story(resolver: DnsResolver, server: Nameserver, clock: SetClock) -> tuple[int, int]:
        async def ask() -> int:
            with contextlib.suppress(ResolutionFailure):
                await resolver.addresses(name)
            return sum(asked == (f"{name}.", "A") for asked in server.asked)

        first = await ask()
        assert first >= 1
        clock.time += seconds[0]
        before = await ask()
        clock.time += seconds[1] - seconds[0]
        return before // first, await ask() // first

    return tell(story, maximum_answers=maximum_answers)


def test_an_answer_is_kept_as_long_as_its_ttl_says() -> None:
    assert asked_again_after("four.example", (59.0, 61.0)) == (1, 2)


def test_no_answer_is_kept_longer_than_a_day() -> None:
    assert asked_again_after("forever.example", (86399.0, 86401.0)) == (1, 2)


def test_an_absence_is_kept_for_a_bounded_time() -> None:
    assert asked_again_after("gone.example", (ABSENCE_KEPT - 1, ABSENCE_KEPT + 1)) == (1, 2)


def test_a_failure_is_kept_for_a_few_seconds_only() -> None:
    assert asked_again_after("broken.example", (FAILURE_KEPT - 1, FAILURE_KEPT + 1)) == (1, 2)


def test_the_same_question_of_many_is_asked_once() -> None:
    async def story(resolver: DnsResolver, server: Nameserver, _clock: SetClock) -> int:
        await asyncio.gather(*(resolver.mail_exchangers("example.com") for _ in range(50)))
        return len(server.asked)

    assert tell(story) == 1


def test_one_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    async def story(
        resolver: DnsResolver, _server: Nameserver, _clock: SetClock
    ) -> tuple[MailExchanger, ...]:
        impatient = asyncio.ensure_future(resolver.mail_exchangers("example.com"))
        patient = asyncio.ensure_future(resolver.mail_exchangers("example.com"))
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert len(tell(story)) == 2


def test_what_is_kept_is_bounded() -> None:
    async def story(resolver: DnsResolver, _server: Nameserver, _clock: SetClock) -> int:
        for number in range(60):
            with pytest.raises(NoSuchDomain):
                await resolver.text(f"n{number}.example")
        return len(resolver._kept)

    assert tell(story, maximum_answers=20) <= 20


def test_a_dead_name_server_is_temporary() -> None:
    async def story(resolver: DnsResolver, server: Nameserver, _clock: SetClock) -> None:
        server.transport.close()
        await asyncio.sleep(0)
        with pytest.raises(ResolutionTemporaryFailure):
            await resolver.mail_exchangers("example.com")

    tell(story)


def test_hosts_entries_are_read_whatever_else_is_in_the_file() -> None:
    text = (
        "# note\n127.0.0.1 localhost  Me.Local # mine\n::1 localhost\n"
        "nonsense\n\nfe80::1%lo0 me.local\n"
    )
    assert parse_hosts(text) == {
        "localhost": ("127.0.0.1", "::1"),
        "me.local": ("127.0.0.1", "fe80::1"),
    }


@pytest.mark.parametrize(
    ("name", "record_type", "found"),
    [
        ("_submission._tcp.Example.com", "SRV", Records(("0 1 587 mail.example.com",))),
        ("_25._tcp.signed.example", "TLSA", Records((f"3 1 1 {'ab' * 32}",), authenticated=True)),
        ("alias.example", "CNAME", Records(("both.example",))),
        ("both.example", "AAAA", Records(("2001:db8::1",))),
        ("example.com", "MX", Records(("20 b.example.com", "10 a.example.com"))),
    ],
)
def test_records_of_any_type_come_as_the_dns_has_them(
    name: str, record_type: str, found: Records
) -> None:
    async def story(resolver: DnsResolver, _server: Nameserver, _clock: SetClock) -> Records:
        return await resolver.records(name, record_type)

    answer = tell(story)
    assert sorted(answer.values) == sorted(found.values)
    assert answer.authenticated == found.authenticated


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("both.example", ("2001:db8::1", "192.0.2.1")),
        ("half.example", ("192.0.2.5",)),
        ("in-hosts.example", NoSuchDomain),
        ("empty.example", NoSuchRecord),
        ("torn.example", ResolutionTemporaryFailure),
    ],
)
def test_published_addresses_are_those_of_the_dns_alone(
    host: str, found: tuple[str, ...] | type[ResolutionFailure]
) -> None:
    async def story(
        resolver: DnsResolver, _server: Nameserver, _clock: SetClock
    ) -> tuple[str, ...]:
        return await published_addresses(resolver, host)

    if isinstance(found, tuple):
        assert tell(story) == found
    else:
        with pytest.raises(found):
            tell(story)


def test_an_unknown_record_type_is_a_mistake_of_the_program() -> None:
    async def story(resolver: DnsResolver, _server: Nameserver, _clock: SetClock) -> None:
        with pytest.raises(ValueError, match="NONSENSE"):
            await resolver.records("example.com", "NONSENSE")

    tell(story)


def test_typed_records_leave_out_what_has_not_their_form() -> None:
    resolver = StaticResolver(
        records={
            ("_submissions._tcp.x.example", "SRV"): [
                "10 1 465 late.x.example", "0 1 465 small.x.example", "0 9 465 Big.x.example",
                "1 465 torn", "5 0 0 .",
            ],
            ("_25._tcp.mx.x.example", "TLSA"): ["3 1 1 0A0b", "3 1 1 0A0", "torn"],
            ("www.x.example", "CNAME"): ["x.example"],
        },
        addresses={"x.example": ["192.0.2.1", "2001:db8::1"]},
        host_names={"192.0.2.1": "x.example"},
        authenticated=["_25._tcp.mx.x.example"],
    )  # fmt: skip

    async def story() -> None:
        found = await services(resolver, "_submissions._tcp.x.example")
        assert [one.host for one in found] == [
            "big.x.example", "small.x.example", "", "late.x.example",
        ]  # fmt: skip
        assert await tls_associations(resolver, "mx.x.example", 25) == (
            (TlsAssociation(3, 1, 1, b"\x0a\x0b"),),
            True,
        )
        assert await alias(resolver, "www.x.example") == "x.example"
        assert (await resolver.records("www.x.example", "AAAA")).values == ("2001:db8::1",)
        assert await resolver.addresses("www.x.example") == ("192.0.2.1", "2001:db8::1")
        pointer = await resolver.records(reverse_name("192.0.2.1"), "PTR")
        assert pointer == Records(("x.example",))

    asyncio.run(story())


def test_a_static_resolver_tells_absent_names_from_absent_records() -> None:
    resolver = StaticResolver({"x.example": [(2, "b"), (1, "a")]}, {"x.example": []})

    async def story() -> None:
        found = await resolver.mail_exchangers("X.example.")
        assert [record.host for record in found] == ["a", "b"]
        with pytest.raises(NoSuchRecord):
            await resolver.addresses("x.example")
        with pytest.raises(NoSuchDomain):
            await resolver.text("y.example")

    asyncio.run(story())

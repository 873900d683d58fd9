"""Discovery: who is asked, who is believed, and what is printed of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import pytest

from waypost.delivery.route import Smarthost, TlsMode
from waypost.delivery.route_url import UrlContext, parse_route_url
from waypost.doctor.discovery import (
    Discovery,
    DiscoveryOptions,
    InvalidSubject,
    Setting,
    Source,
    Statement,
    discover,
    parse_subject,
)
from waypost.doctor.line_opening import World
from waypost.net.clock import SystemClock
from waypost.net.network import AsyncioNetwork
from waypost.net.resolver import ResolutionFailure, ResolutionTemporaryFailure
from waypost.net.static_resolver import StaticResolver
from waypost.net.static_web import StaticWeb
from waypost.net.web import Page, WebFailure

AUTOCONFIG = b"""<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="example.com">
  <incomingServer type="imap"><hostname>imap.example.com</hostname><port>993</port>
    <socketType>SSL</socketType><username>%EMAILADDRESS%</username></incomingServer>
  <outgoingServer type="smtp"><hostname>out.%EMAILDOMAIN%</hostname><port>587</port>
    <socketType>STARTTLS</socketType><username>%EMAILLOCALPART%</username>
    <authentication>password-cleartext</authentication></outgoingServer>
</emailProvider></clientConfig>"""

AUTODISCOVER = b"""<?xml version="1.0"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">
 <Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a">
  <Account><Protocol><Type>IMAP</Type><Server>imap.example.com</Server><Port>993</Port></Protocol>
  <Protocol><Type>SMTP</Type><Server>exchange.example.com</Server><Port>587</Port>
   <LoginName>user</LoginName><SSL>on</SSL><Encryption>TLS</Encryption></Protocol></Account>
 </Response></Autodiscover>"""

FILE = "https://autoconfig.example.com/mail/config-v1.1.xml?emailaddress=user%40example.com"
XML = "https://autodiscover.example.com/autodiscover/autodiscover.xml"


def found(
    text: str = "user@example.com",
    *,
    mx: Sequence[tuple[int, str]] | ResolutionFailure = ((10, "mx.example.com"),),
    records: Mapping[tuple[str, str], Sequence[str]] | None = None,
    pages: Mapping[str, Page | WebFailure | bytes] | None = None,
    signed: Sequence[str] = (),
    thorough: bool = False,
) -> Discovery:
    resolver = StaticResolver(
        {"example.com": mx}, {"unrelated.example": ["192.0.2.1"]}, records=records,
        authenticated=signed,
    )  # fmt: skip
    world = World(SystemClock(), AsyncioNetwork(), resolver)
    options = DiscoveryOptions(thorough=thorough)
    return asyncio.run(discover(parse_subject(text), world, StaticWeb(pages or {}), options))


def best(discovery: Discovery) -> Setting:
    assert discovery.best is not None, discovery.attempts
    return discovery.best


def test_a_server_that_a_record_names_is_asked_whether_it_is_so() -> None:
    """One that has no STARTTLS is no way to send, however sure the record is."""

    async def run() -> Discovery:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 smtp.example.com ESMTP\r\n")
            while line := await reader.readline():
                done = line.upper().startswith(b"QUIT")
                writer.write(b"221 bye\r\n" if done else b"250-smtp\r\n250 AUTH PLAIN\r\n")
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        resolver = StaticResolver(
            {"example.com": ((10, "mx.example.com"),)}, {"smtp.example.com": ["127.0.0.1"]},
            records={("_submission._tcp.example.com", "SRV"): [f"0 1 {port} smtp.example.com"]},
        )  # fmt: skip
        world = World(SystemClock(), AsyncioNetwork(), resolver)
        try:
            subject = parse_subject("user@example.com")
            return await discover(subject, world, StaticWeb({}), DiscoveryOptions(inside=True))
        finally:
            server.close()

    told = best(asyncio.run(run()))
    assert told.security == "starttls"
    assert "takes logins without TLS" in told.problem


def test_a_provider_s_own_domain_needs_no_network() -> None:
    result = found("user@gmail.com")
    assert result.attempts == ()
    assert best(result).key == ("smtp.gmail.com", 587, "starttls")
    assert best(result).route("x") == "gmail://user%40gmail.com:${SMTP_PASSWORD}@"
    assert [one.route("x") for one in result.settings][1] == (
        "gmail://user%40gmail.com:${SMTP_PASSWORD}@:465"
    )


def test_the_provider_of_the_exchangers_is_known() -> None:
    result = found(mx=[(0, "example-com.mail.protection.outlook.com")])
    assert best(result).provider == "outlook365"
    assert best(result).statements[0].source is Source.PROVIDER_EXCHANGER


def test_a_provider_without_smtp_ends_the_search() -> None:
    result = found("user@tuta.io")
    assert (result.best, result.attempts) == (None, ())
    assert "no SMTP server" in result.notes[0]
    assert not result.nobody_answered


def test_service_records_are_read_and_weighed() -> None:
    records = {
        ("_submissions._tcp.example.com", "SRV"): ["0 1 465 smtp.example.com"],
        ("_submission._tcp.example.com", "SRV"): ["0 1 587 relay.elsewhere.example"],
    }
    result = found(records=records)
    assert [one.key for one in result.settings] == [
        ("smtp.example.com", 465, "tls"),
        ("relay.elsewhere.example", 587, "starttls"),
    ]
    assert result.settings[0].confidence > result.settings[1].confidence
    signed = found(records=records, signed=["_submission._tcp.example.com"])
    assert best(signed).host == "relay.elsewhere.example"


def test_a_service_that_is_said_not_to_be_there_is_told() -> None:
    result = found(records={("_submission._tcp.example.com", "SRV"): ["0 0 0 ."]})
    assert result.settings == ()
    assert "no such service" in result.notes[0]


def test_autoconfig_is_filled_in() -> None:
    result = found(pages={FILE: AUTOCONFIG})
    setting = best(result)
    assert setting.key == ("out.example.com", 587, "starttls")
    assert (setting.user, setting.authentication) == ("user", ("password-cleartext",))
    assert [(one.protocol, one.host) for one in result.reading] == [("IMAP", "imap.example.com")]


def test_autoconfig_in_the_clear_is_believed_less() -> None:
    clear = FILE.replace("https", "http")
    setting = best(found(pages={clear: AUTOCONFIG}))
    assert setting.confidence < best(found(pages={FILE: AUTOCONFIG})).confidence


def test_the_well_known_place_is_asked_without_the_address() -> None:
    web = StaticWeb()
    world = World(SystemClock(), AsyncioNetwork(), StaticResolver({"example.com": [(0, "x.x")]}))
    asyncio.run(discover(parse_subject("user@example.com"), world, web))
    urls = [request.url for request in web.asked]
    assert "https://example.com/.well-known/autoconfig/mail/config-v1.1.xml" in urls
    assert FILE in urls


def test_autodiscover_in_xml_is_read() -> None:
    result = found(pages={XML: AUTODISCOVER})
    setting = best(result)
    assert (setting.key, setting.user) == (("exchange.example.com", 587, "starttls"), "user")


def test_autodiscover_in_json_tells_microsoft() -> None:
    url = (
        "https://autodiscover.example.com/autodiscover/autodiscover.json"
        f"?Email={quote('user@example.com', safe='')}&Protocol=AutodiscoverV1"
    )
    target = b'{"Protocol":"AutodiscoverV1","Url":"https://outlook.office365.com/x"}'
    assert best(found(pages={url: target})).provider == "outlook365"
    for other in (b'{"Url":"https://evil.example/"}', b"[]", b"{", b'{"Url":7}', b"[" * 100_000):
        assert found(pages={url: other[:60_000]}).best is None


def test_an_alias_of_microsoft_s_autodiscover_tells_it_too() -> None:
    records = {("autodiscover.example.com", "CNAME"): ["autodiscover.outlook.com"]}
    assert best(found(records=records)).provider == "outlook365"


def test_a_login_that_is_asked_for_is_told() -> None:
    result = found(pages={XML: Page(XML, 401, "text/html", b"")})
    assert any("asking for a login" in one.outcome for one in result.attempts)


def test_sources_that_agree_make_it_more_certain() -> None:
    records = {("_submission._tcp.example.com", "SRV"): ["0 1 587 out.example.com"]}
    one = best(found(records=records))
    two = best(found(records=records, pages={FILE: AUTOCONFIG}))
    assert two.key == one.key
    assert two.confidence > one.confidence
    assert {s.source for s in two.statements} == {Source.SRV, Source.AUTOCONFIG}
    assert two.user == "user"


def test_sources_that_disagree_are_shown() -> None:
    result = found(
        records={("_submission._tcp.example.com", "SRV"): ["0 1 587 smtp.example.com"]},
        pages={FILE: AUTOCONFIG},
    )
    assert result.conflicts == ("srv names smtp.example.com, autoconfig names out.example.com",)


@pytest.mark.parametrize(
    ("text", "host", "protocol"),
    [
        ("imap.gmail.com", "smtp.gmail.com", "IMAP"),
        ("imap.gmail.com:993", "smtp.gmail.com", "IMAP"),
        ("imaps://imap.gmail.com", "smtp.gmail.com", "IMAP"),
        ("pop.gmail.com:995", "smtp.gmail.com", "POP3"),
        ("pop3://pop.web.de", "smtp.web.de", "POP3"),
        ("outlook.office365.com:993", "smtp.office365.com", "IMAP"),
        ("imap-mail.outlook.com", "smtp-mail.outlook.com", "IMAP"),
        ("imap.mail.me.com:143", "smtp.mail.me.com", "IMAP"),
        ("smtp.gmail.com:587", "smtp.gmail.com", "SMTP"),
        ("secure.emailsrvr.com:995", "secure.emailsrvr.com", "POP3"),
    ],
)
def test_a_server_for_reading_leads_to_the_one_for_sending(
    text: str, host: str, protocol: str
) -> None:
    result = found(text)
    assert best(result).host == host
    assert result.subject.protocol == protocol
    told = any(f"is for reading mail ({protocol})" in note for note in result.notes)
    assert told is (protocol != "SMTP")


def test_a_server_for_reading_of_nobody_known_leads_to_its_domain() -> None:
    result = found("pop3.example.com:110", pages={FILE.partition("?")[0]: AUTOCONFIG})
    assert best(result).host == "out.example.com"


@pytest.mark.parametrize(
    "text",
    ["", "user@", "@example.com", "a b", "localhost", "http://example.com", "example.com:80",
     "example.com:0", "example.com:99999", "192.0.2.1", "ses", "gmail", "x" * 300, "a@b@c",
     "ex ample.com", "imap://", "user@localhost", "[2001:db8::1]:25"],
)  # fmt: skip
def test_wrong_input_is_told_in_one_line(text: str) -> None:
    with pytest.raises(InvalidSubject) as caught:
        parse_subject(text)
    assert "\n" not in str(caught.value)


def test_a_name_in_its_own_letters_is_taken() -> None:
    assert parse_subject("bücher.example").domain == "xn--bcher-kva.example"


def test_a_domain_that_is_not_there_is_told() -> None:
    result = found("user@gone.example")
    assert "does not exist" in result.notes[0]
    assert result.best is None
    assert not result.nobody_answered


def test_that_nobody_answers_is_no_answer() -> None:
    fault = ResolutionTemporaryFailure("example.com", "MX", "no answer")

    class Deaf(StaticResolver):
        async def addresses(self, host: str) -> tuple[str, ...]:
            raise ResolutionTemporaryFailure(host, "A", "no answer")

        async def records(self, name: str, record_type: str):  # type: ignore[no-untyped-def]  # test
            raise ResolutionTemporaryFailure(name, record_type, "no answer")

    world = World(SystemClock(), AsyncioNetwork(), Deaf({"example.com": fault}))
    result = asyncio.run(discover(parse_subject("user@example.com"), world, StaticWeb()))
    assert result.nobody_answered


@pytest.mark.parametrize(
    ("setting", "host", "port", "tls"),
    [
        (Setting("h.example", 465, "tls", ()), "h.example", 465, TlsMode.IMPLICIT),
        (Setting("h.example", 587, "starttls", ()), "h.example", 587, TlsMode.REQUIRED),
        (Setting("h.example", 25, "none", ()), "h.example", 25, TlsMode.NONE),
        (
            Setting("smtp.gmail.com", 465, "tls", (), provider="gmail"), "smtp.gmail.com", 465,
            TlsMode.IMPLICIT,
        ),
        (
            Setting("smtp.gmail.com", 25, "starttls", (), provider="gmail"), "smtp.gmail.com", 25,
            TlsMode.REQUIRED,
        ),
    ],
)  # fmt: skip
def test_the_route_that_is_printed_can_be_used(
    setting: Setting, host: str, port: int, tls: TlsMode
) -> None:
    context = UrlContext(environment={"SMTP_PASSWORD": "se:cr@t"})
    hop = parse_route_url(setting.route("o'neil+x@example.com"), context)
    assert isinstance(hop, Smarthost)
    assert (hop.host, hop.port, hop.tls) == (host, port, tls)
    assert hop.credentials is not None
    assert (hop.credentials.user, hop.credentials.password) == ("o'neil+x@example.com", "se:cr@t")


def test_what_does_not_encrypt_comes_last() -> None:
    clear = AUTOCONFIG.replace(b"STARTTLS", b"plain")
    result = found(pages={FILE: clear, XML: AUTODISCOVER})
    assert [one.security for one in result.settings] == ["starttls", "none"]


def test_certainties_add_up_to_less_than_one() -> None:
    statements = tuple(Statement(source, "", 0.9) for source in (Source.SRV, Source.AUTOCONFIG))
    assert Setting("h", 1, "tls", statements).confidence == 0.99

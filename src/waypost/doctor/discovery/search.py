"""Asks all who may know about one subject, and keeps what each says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from waypost.doctor.discovery import autoconfig, autodiscover
from waypost.doctor.discovery.autoconfig import ReadingServer
from waypost.doctor.discovery.probing import PORTS, probe, probe_as_told
from waypost.doctor.discovery.result import Attempt, DiscoveryOptions
from waypost.doctor.discovery.safe_xml import UnsafeXml
from waypost.doctor.discovery.setting import Security, Setting, Source, Statement, merged
from waypost.doctor.discovery.subject import Subject
from waypost.doctor.line_opening import World
from waypost.doctor.target import provider_of_host
from waypost.knowledge.providers import (
    Provider,
    ProviderTls,
    UnsupportedProvider,
    provider_of_domain,
    provider_of_exchanger,
    providers,
)
from waypost.net.records import alias, services
from waypost.net.resolver import NoSuchDomain, NoSuchRecord, ResolutionFailure
from waypost.net.web import Page, Web, WebFailure, WebRequest

OWN_DOMAIN: Final = 0.99
OWN_HOST: Final = 0.95
BY_EXCHANGER: Final = 0.85
BY_SRV: Final = 0.9
BY_SIGNED_SRV: Final = 0.97
BY_FOREIGN_SRV: Final = 0.8
"""The record is not signed and names a server of another domain (RFC 6186 6)."""

MAXIMUM_CONFIRMED: Final = 4
"""Servers that the domain names, and that are asked whether it is so."""

_OF_THE_DOMAIN: Final = frozenset({Source.SRV, Source.AUTOCONFIG, Source.AUTODISCOVER})

_SECURITY: Final[dict[ProviderTls, Security]] = {"required": "starttls", "implicit": "tls"}


@dataclass(slots=True)
class Findings:
    """What has come in so far."""

    settings: list[Setting] = field(default_factory=list)
    reading: list[ReadingServer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)


class Search:
    """One subject and those who are asked about it."""

    def __init__(self, subject: Subject, world: World, web: Web, options: DiscoveryOptions) -> None:
        self._subject = subject
        self._world = world
        self._resolver = world.resolver
        self._web = web
        self._options = options
        self._exchangers: tuple[str, ...] = ()
        self.found = Findings()
        self.hopeless = False
        """There is nothing to find: no SMTP there, or no such domain."""

    # --- what the tables know ---------------------------------------------------------------

    def known(self) -> None:
        """From the tables, without asking anybody."""
        subject = self._subject
        if subject.server and subject.protocol in ("IMAP", "POP3"):
            port = f":{subject.port}" if subject.port else ""
            self.found.notes.append(
                f"{subject.server}{port} is for reading mail ({subject.protocol}); to send, a "
                "program needs the SMTP server, which is another one"
            )
        owner = provider_of_domain(subject.domain)
        if owner is not None:
            evidence = f"{subject.domain} belongs to {owner.title}"
            self._of_provider(owner, Source.PROVIDER_DOMAIN, evidence, OWN_DOMAIN)
        elif subject.server:
            near = provider_of_host(subject.server) or _neighbour(subject.server)
            if near is not None:
                evidence = f"{subject.server} belongs to {near.title}"
                self._of_provider(near, Source.PROVIDER_HOST, evidence, OWN_HOST)

    def _of_provider(
        self,
        provider: Provider | UnsupportedProvider,
        source: Source,
        evidence: str,
        confidence: float,
    ) -> None:
        if isinstance(provider, UnsupportedProvider):
            self.hopeless = True
            self.found.notes.append(provider.reason)
            return
        statement = Statement(source, evidence, confidence)
        if provider.region_example:
            return
        user = provider.user or self._user_of(provider)
        for port in provider.ports:
            found = Setting(
                provider.host, port.number, _SECURITY[port.tls], (statement,), user,
                provider.authentication, provider.name,
            )  # fmt: skip
            self.found.settings.append(found)

    def _user_of(self, provider: Provider) -> str:
        local = provider.credentials.startswith("the part of the address before the @")
        return self._subject.local_part if local else self._subject.user

    # --- what the domain says ---------------------------------------------------------------

    async def ask_the_domain(self) -> None:
        """Its exchangers and SRV records, then its autoconfig and autodiscover files."""
        await asyncio.gather(
            self._ask_exchangers(),
            self._ask_services("_submissions", "tls"),
            self._ask_services("_submission", "starttls"),
        )
        if not any(one.reached for one in self.found.attempts):
            # Whoever cannot be asked for names cannot be asked for pages either.
            self.hopeless = True
        if not self.hopeless:
            await asyncio.gather(self._ask_autoconfig(), self._ask_autodiscover())

    async def _ask_exchangers(self) -> None:
        what = f"MX of {self._subject.domain}"
        try:
            records = await self._resolver.mail_exchangers(self._subject.domain)
        except ResolutionFailure as fault:
            self._tell(Source.PROVIDER_EXCHANGER, what, fault)
            if isinstance(fault, NoSuchDomain) and not self._subject.server:
                self.hopeless = True
                text = f"the domain {self._subject.domain} does not exist; is it spelt right?"
                self.found.notes.append(text)
            return
        hosts = tuple(one.host for one in records if one.host)
        self._exchangers = hosts
        self._tell(Source.PROVIDER_EXCHANGER, what, ", ".join(hosts) or "the domain takes no mail")
        for host in hosts:
            provider = provider_of_exchanger(host)
            if provider is not None:
                evidence = f"mail goes to {host}, a server of {provider.title}"
                self._of_provider(provider, Source.PROVIDER_EXCHANGER, evidence, BY_EXCHANGER)
                return

    async def _ask_services(self, label: str, security: Security) -> None:
        name = f"{label}._tcp.{self._subject.domain}"
        try:
            records = await services(self._resolver, name)
            signed = (await self._resolver.records(name, "SRV")).authenticated
        except ResolutionFailure as fault:
            self._tell(Source.SRV, f"SRV of {name}", fault)
            return
        lines = [f"{one.host or '.'}:{one.port}" for one in records]
        self._tell(Source.SRV, f"SRV of {name}", ", ".join(lines))
        for one in records:
            if not one.host:
                text = f"{name} says that there is no such service (RFC 6186 3.4)"
                self.found.notes.append(text)
                continue
            if signed:
                confidence = BY_SIGNED_SRV
            else:
                own = f".{one.host}".endswith(f".{self._subject.domain}")
                confidence = BY_SRV if own else BY_FOREIGN_SRV
            line = f"{name} SRV {one.priority} {one.weight} {one.port} {one.host}"
            statement = Statement(Source.SRV, line, confidence)
            found = Setting(one.host, one.port, security, (statement,))
            self.found.settings.append(_with_provider(found))

    async def _ask_autoconfig(self) -> None:
        requests = [WebRequest(url) for url in autoconfig.addresses_of(self._subject)]
        for request, page in await self._pages(Source.AUTOCONFIG, requests):
            try:
                settings, reading = autoconfig.read_autoconfig(page.body, page.url, self._subject)
            except UnsafeXml as fault:
                self._tell(Source.AUTOCONFIG, request.url, f"the answer is no such file: {fault}")
                continue
            self._tell(Source.AUTOCONFIG, request.url, _servers(settings))
            self.found.settings.extend(_with_provider(one) for one in settings)
            self.found.reading.extend(reading)
            return

    async def _ask_autodiscover(self) -> None:
        host = f"autodiscover.{self._subject.domain}"
        try:
            target = await alias(self._resolver, host)
        except ResolutionFailure:
            target = ""
        if target == autodiscover.MICROSOFT_ALIAS:
            self._tell(Source.AUTODISCOVER, f"CNAME of {host}", target)
            self.found.settings.append(autodiscover.at_microsoft(f"{host} CNAME {target}"))
            return
        try:
            records = await services(self._resolver, f"_autodiscover._tcp.{self._subject.domain}")
        except ResolutionFailure:
            records = ()
        service = records[0].host if records else ""
        body = autodiscover.request_for(self._subject)
        requests = [
            WebRequest(autodiscover.json_address_of(self._subject)),
            *(
                WebRequest(url, body, "text/xml; charset=utf-8")
                for url in autodiscover.addresses_of(self._subject.domain, service)
            ),
        ]
        for request, page in await self._pages(Source.AUTODISCOVER, requests):
            if request.body is None:
                settings = autodiscover.read_json(page.body, request.url)
                outcome = "Microsoft 365" if settings else "it does not lead to Microsoft 365"
            else:
                try:
                    settings = autodiscover.read_autodiscover(page.body, page.url)
                    outcome = _servers(settings)
                except UnsafeXml as fault:
                    settings, outcome = [], f"the answer is no such file: {fault}"
            self._tell(Source.AUTODISCOVER, request.url, outcome)
            self.found.settings.extend(_with_provider(one) for one in settings)
            if settings:
                return

    async def _pages(
        self, source: Source, requests: list[WebRequest]
    ) -> list[tuple[WebRequest, Page]]:
        """Those that are there, asked for at once, in the order given."""
        pages = await asyncio.gather(*(self._page(source, one) for one in requests))
        return [(one, page) for one, page in zip(requests, pages, strict=True) if page is not None]

    async def _page(self, source: Source, request: WebRequest) -> Page | None:
        """A page that is there; None where it is not, which is told."""
        try:
            page = await self._web.page(request)
        except WebFailure as fault:
            self.found.attempts.append(Attempt(source, request.url, fault.reason, reached=False))
            return None
        if page.status == 200:
            return page
        text = f"it answers {page.status}" + (", asking for a login" if page.status == 401 else "")
        self._tell(source, request.url, text)
        return None

    # --- whether it is so -------------------------------------------------------------------

    async def confirm(self) -> None:
        """Ask the servers that the domain itself has named. What they say makes a name surer, or
        is its problem; one that cannot be reached from here changes nothing."""
        named = [
            one for one in merged(self.found.settings)
            if not one.provider and one.statements[0].source in _OF_THE_DOMAIN
        ][:MAXIMUM_CONFIRMED]  # fmt: skip
        options = self._options
        answers = await asyncio.gather(
            *(
                probe_as_told(self._world, one, inside=options.inside, ehlo=options.ehlo)
                for one in named
            )
        )
        for told, answer in zip(named, answers, strict=True):
            if not (answer.port and answer.answered):
                continue
            what = f"{told.host}:{told.port}"
            self.found.attempts.append(Attempt(Source.PROBE, what, answer.text, reached=True))
            seen = answer.setting
            if seen is not None and seen.security == told.security and not seen.problem:
                self.found.settings.append(seen)
            else:
                problem = seen.problem if seen is not None else ""
                self.found.settings.append(replace(told, problem=problem or answer.text))

    # --- usual names ------------------------------------------------------------------------

    async def try_usual_names(self) -> None:
        """smtp.example.com and the like, and the exchangers, on the ports for sending."""
        subject = self._subject
        if subject.server and subject.protocol == "SMTP":
            hosts: tuple[str, ...] = (subject.server,)
            ports: tuple[int, ...] = (subject.port,) if subject.port else tuple(PORTS)
        else:
            domain = subject.domain
            hosts = (f"smtp.{domain}", f"mail.{domain}", *self._exchangers[:2])
            ports = tuple(PORTS)
        probed = await probe(
            self._world, hosts, ports, inside=self._options.inside, ehlo=self._options.ehlo
        )
        for one in probed:
            what = f"{one.host}:{one.port}" if one.port else one.host
            self.found.attempts.append(Attempt(Source.PROBE, what, one.text, one.answered))
            if one.setting is not None:
                self.found.settings.append(_with_provider(one.setting))

    def _tell(self, source: Source, what: str, outcome: str | ResolutionFailure) -> None:
        if isinstance(outcome, ResolutionFailure):
            reached = isinstance(outcome, NoSuchDomain | NoSuchRecord)
            self.found.attempts.append(Attempt(source, what, outcome.reason, reached))
        else:
            self.found.attempts.append(Attempt(source, what, outcome, reached=True))


def _servers(settings: list[Setting]) -> str:
    names = ", ".join(f"{one.host}:{one.port}" for one in settings)
    return names or "it names no server for sending"


def _with_provider(one: Setting) -> Setting:
    """The same, with the preset whose server it is."""
    provider = provider_of_host(one.host)
    if provider is None:
        return one
    return Setting(
        one.host, one.port, one.security, one.statements, one.user,
        one.authentication or provider.authentication, provider.name, one.problem,
    )  # fmt: skip


def _neighbour(server: str) -> Provider | None:
    """The provider whose sending server lies beside a server for reading, as smtp.gmail.com does
    beside imap.gmail.com."""
    parent = server.partition(".")[2]
    if parent.count(".") < 1:
        return None
    return next((one for one in providers().values() if one.host.partition(".")[2] == parent), None)

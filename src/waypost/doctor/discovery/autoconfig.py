"""Mozilla's autoconfig: a file of the domain that says how mail programs are set up.

The form is that of https://www.bucksch.org/1/projects/thunderbird/autoconfiguration/ (config
version 1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from waypost.doctor.discovery.safe_xml import Element, UnsafeXml, read_xml
from waypost.doctor.discovery.setting import Security, Setting, Source, Statement
from waypost.doctor.discovery.subject import Subject

_SECURITY: Final[dict[str, Security]] = {"ssl": "tls", "starttls": "starttls", "plain": "none"}
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")

OVER_HTTPS: Final = 0.9
OVER_HTTP: Final = 0.5
"""Whoever is in between can write it."""


@dataclass(frozen=True, slots=True)
class ReadingServer:
    """A server for reading, told along the way."""

    protocol: str
    """IMAP or POP3."""
    host: str
    port: int


def addresses_of(subject: Subject) -> Iterator[str]:
    """Where the file may be, the safest first."""
    query = f"?emailaddress={quote(subject.address, safe='')}" if subject.address else ""
    domain = subject.domain
    yield f"https://autoconfig.{domain}/mail/config-v1.1.xml{query}"
    # The well-known place is asked without the address, as any visitor would.
    yield f"https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"
    yield f"http://autoconfig.{domain}/mail/config-v1.1.xml{query}"
    yield f"http://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"


def read_autoconfig(
    body: bytes, url: str, subject: Subject
) -> tuple[list[Setting], list[ReadingServer]]:
    """The servers of a file; those that are not whole are left out. Raises UnsafeXml."""
    root = read_xml(body)
    if root.name != "clientconfig":
        raise UnsafeXml(f"it is a {root.name}, not a clientConfig")
    confidence = OVER_HTTPS if url.startswith("https:") else OVER_HTTP
    statement = Statement(Source.AUTOCONFIG, url, confidence)
    sending: list[Setting] = []
    for server in root.everywhere("outgoingserver"):
        if server.attributes.get("type", "smtp").lower() != "smtp":
            continue
        place = _place(server, subject)
        security = _SECURITY.get(server.text_of("sockettype").lower())
        if place is None or security is None:
            continue
        methods = tuple(one.text for one in server.all("authentication") if one.text)
        user = _filled(server.text_of("username"), subject)
        sending.append(Setting(*place, security, (statement,), user, methods))
    reading = [
        ReadingServer("IMAP" if kind == "imap" else "POP3", *place)
        for server in root.everywhere("incomingserver")
        if (kind := server.attributes.get("type", "").lower()) in ("imap", "pop3")
        and (place := _place(server, subject)) is not None
    ]
    return sending, reading


def _place(server: Element, subject: Subject) -> tuple[str, int] | None:
    host = _filled(server.text_of("hostname"), subject).rstrip(".").lower()
    port = server.text_of("port")
    if not _HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port):
        return None
    return (host, int(port)) if 1 <= int(port) <= 65535 else None


def _filled(text: str, subject: Subject) -> str:
    """The placeholders of the form put in."""
    return (
        text.replace("%EMAILADDRESS%", subject.user)
        .replace("%EMAILLOCALPART%", subject.local_part)
        .replace("%EMAILDOMAIN%", subject.domain)
    )

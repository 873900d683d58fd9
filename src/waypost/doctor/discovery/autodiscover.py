"""Microsoft's autodiscover: the domain's own answer to what Outlook asks (MS-OXDSCLI).

The answer for Exchange itself needs a login and names no SMTP server; providers that speak the
form for other programs name one. The newer form in JSON only says where to ask, which tells whether
a domain is at Microsoft 365.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

from waypost.doctor.discovery.safe_xml import Element, UnsafeXml, read_xml
from waypost.doctor.discovery.setting import Security, Setting, Source, Statement
from waypost.doctor.discovery.subject import Subject
from waypost.knowledge.providers import providers

CONFIDENCE: Final = 0.8
AT_MICROSOFT: Final = 0.85
MICROSOFT_HOSTS: Final = ("outlook.office365.com", "autodiscover-s.outlook.com", "outlook.com")
MICROSOFT_ALIAS: Final = "autodiscover.outlook.com"
_REQUEST_SCHEMA: Final = (
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
)
_RESPONSE_SCHEMA: Final = (
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


def addresses_of(domain: str, service: str = "") -> Iterator[str]:
    """Where the answer in XML may be; `service` is the target of _autodiscover._tcp."""
    for host in (service, f"autodiscover.{domain}", domain):
        if host:
            yield f"https://{host}/autodiscover/autodiscover.xml"


def json_address_of(subject: Subject) -> str:
    """Where the answer in JSON may be."""
    address = quote(subject.user, safe="")
    return (
        f"https://autodiscover.{subject.domain}/autodiscover/autodiscover.json"
        f"?Email={address}&Protocol=AutodiscoverV1"
    )


def request_for(subject: Subject) -> bytes:
    """The question in XML."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<Autodiscover xmlns="{_REQUEST_SCHEMA}"><Request>'
        f"<EMailAddress>{escape(subject.user)}</EMailAddress>"
        f"<AcceptableResponseSchema>{_RESPONSE_SCHEMA}</AcceptableResponseSchema>"
        "</Request></Autodiscover>"
    ).encode()


def read_autodiscover(body: bytes, url: str) -> list[Setting]:
    """The SMTP servers of an answer. Raises UnsafeXml."""
    root = read_xml(body)
    if root.name != "autodiscover":
        raise UnsafeXml(f"it is a {root.name}, not an Autodiscover")
    statement = Statement(Source.AUTODISCOVER, url, CONFIDENCE)
    found = []
    for one in root.everywhere("protocol"):
        kind = one.text_of("type") or one.attributes.get("type", "")
        setting = _setting(one, statement) if kind.upper() == "SMTP" else None
        if setting is not None:
            found.append(setting)
    return found


def _setting(one: Element, statement: Statement) -> Setting | None:
    host, port = one.text_of("server").rstrip(".").lower(), one.text_of("port")
    if not _HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port):
        return None
    if not 1 <= int(port) <= 65535:
        return None
    encryption = one.text_of("encryption").upper()
    wants_tls = one.text_of("ssl").lower() not in ("off", "")
    security: Security
    if encryption == "TLS":
        security = "starttls"
    elif encryption == "SSL":
        security = "tls"
    elif wants_tls:
        security = "tls" if int(port) == 465 else "starttls"
    else:
        security = "none"
    return Setting(host, int(port), security, (statement,), one.text_of("loginname"))


def read_json(body: bytes, url: str) -> list[Setting]:
    """Microsoft 365's server where the answer leads there; none where it leads elsewhere."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return []
    target = answer.get("Url") if isinstance(answer, dict) else None
    if not isinstance(target, str):
        return []
    try:
        host = urlsplit(target).hostname or ""
    except ValueError:
        return []
    return [at_microsoft(url)] if host in MICROSOFT_HOSTS else []


def at_microsoft(evidence: str) -> Setting:
    """The preset of Microsoft 365 as a finding."""
    preset = providers()["outlook365"]
    statement = Statement(Source.AUTODISCOVER, evidence, AT_MICROSOFT)
    return Setting(
        preset.host, preset.port, "starttls", (statement,),
        authentication=preset.authentication, provider=preset.name,
    )  # fmt: skip

"""What somebody gives to discovery: an address, a domain, or a server, which may be the wrong one.

Who sets up a program often has the name of a server for reading at hand, such as
imap.example.com:993. It is told what that is, and the way to the one for sending is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import idna

from waypost.knowledge.providers import providers
from waypost.mail.address import InvalidAddress, parse_address
from waypost.sender_policy.evaluation import is_name

Protocol = Literal["IMAP", "POP3", "SMTP"]

_SCHEMES: Final[dict[str, Protocol]] = {
    "imap": "IMAP", "imaps": "IMAP", "pop": "POP3", "pop3": "POP3", "pop3s": "POP3",
    "smtp": "SMTP", "smtps": "SMTP",
}  # fmt: skip
_READING_PORTS: Final[dict[int, Protocol]] = {143: "IMAP", 993: "IMAP", 110: "POP3", 995: "POP3"}
SENDING_PORTS: Final = (587, 465, 25, 2525)
_READING_LABEL: Final = re.compile(r"(imap|pop)s?[0-9]*(?:-[a-z0-9-]+)?")
_SENDING_LABEL: Final = re.compile(r"smtps?[0-9]*(?:-[a-z0-9-]+)?|submission|mail|mx[0-9]*")
_PLACE: Final = re.compile(r"(?:([A-Za-z0-9+.-]+)://)?(\[[^\]]*\]|[^:/\s]+)(?::([0-9]{1,5}))?/?")

FORMS: Final = "write you@example.com, example.com, or the server you know, as imap.example.com:993"


class InvalidSubject(ValueError):
    """What nothing can be discovered for. Its text may be shown."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What to discover for."""

    text: str
    domain: str
    """Whose settings are looked for."""
    address: str = ""
    """"" where only a domain or a server was given."""
    server: str = ""
    """The server that was named; "" for none."""
    port: int | None = None
    protocol: Protocol | None = None
    """What the named server is for, as far as its name and port tell."""

    @property
    def user(self) -> str:
        """The address, or one that stands for it."""
        if self.address:
            return self.address
        # A server's name is not the domain of anybody's address.
        return "you@your.domain" if self.domain == self.server else f"you@{self.domain}"

    @property
    def local_part(self) -> str:
        """Before the @."""
        return self.user.rpartition("@")[0]


def parse_subject(text: str) -> Subject:
    """Read what was given. Raises InvalidSubject."""
    text = text.strip()
    preset = providers().get(text.lower())
    if preset is not None:
        route = preset.name + (f":{preset.region_example}" if preset.region_example else "")
        raise InvalidSubject(
            f"{text!r} is the preset of {preset.title} already: its route is {route}, and it takes "
            f"{preset.credentials}"
        )
    if "@" in text and "://" not in text:
        return _of_address(text)
    found = _PLACE.fullmatch(text)
    if found is None:
        raise InvalidSubject(f"{text[:100]!r} is no address, domain or server; {FORMS}")
    scheme = (found[1] or "").lower()
    if scheme and scheme not in _SCHEMES:
        raise InvalidSubject(f"{text[:100]!r} has the unknown kind {scheme}; {FORMS}")
    port = int(found[3]) if found[3] else None
    if port is not None and not 1 <= port <= 65535:
        raise InvalidSubject(f"{text[:100]!r} has a port that is none; {FORMS}")
    name = _domain(text, found[2])
    label, _, parent = name.partition(".")
    protocol = _SCHEMES.get(scheme) or (_READING_PORTS.get(port) if port is not None else None)
    if protocol is None and (reading := _READING_LABEL.fullmatch(label)) is not None:
        protocol = "IMAP" if reading[1] == "imap" else "POP3"
    if protocol is None and (
        port in SENDING_PORTS or (_SENDING_LABEL.fullmatch(label) and is_name(parent))
    ):
        protocol = "SMTP"
    if protocol is None and port is not None:
        raise InvalidSubject(f"{text[:100]!r} has a port that is not for mail; {FORMS}")
    if protocol is None:
        return Subject(text, name)
    service = _READING_LABEL.fullmatch(label) or _SENDING_LABEL.fullmatch(label)
    domain = parent if service and is_name(parent) else name
    return Subject(text, domain, server=name, port=port, protocol=protocol)


def _of_address(text: str) -> Subject:
    try:
        address = parse_address(text, smtputf8=True)
    except InvalidAddress as fault:
        raise InvalidSubject(f"{text[:100]!r} is no address: {fault}; {FORMS}") from fault
    written = str(address)
    return Subject(text, _domain(text, written.rpartition("@")[2]), written)


def _domain(text: str, name: str) -> str:
    bare = name.rstrip(".").lower()
    if not bare.isascii():
        try:
            bare = idna.encode(bare, uts46=True).decode("ascii")
        except idna.IDNAError as fault:
            raise InvalidSubject(f"{text[:100]!r} has no domain: {fault}; {FORMS}") from fault
    if not is_name(bare) or not re.fullmatch(r"[a-z0-9._-]+", bare):
        raise InvalidSubject(f"{text[:100]!r} has no domain in it; {FORMS}")
    return bare

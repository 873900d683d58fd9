"""The certificate that a mail server shows, to compare with what its zone pins (RFC 7672).

Only the server's own certificate can be seen, so records of usage 3 (DANE-EE) are compared; those
of usage 2 name an authority, which a connection does not show.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from waypost.delivery.next_hop import Smarthost, TlsMode
from waypost.doctor.line_connection import LineConnection, Unanswered
from waypost.doctor.line_dialogue import Dialogue
from waypost.doctor.line_opening import StageFailed, World, open_lines
from waypost.knowledge.special_addresses import special_network
from waypost.net.records import TlsAssociation

STAGE_SECONDS: Final = 8.0

SERVER_SECONDS: Final = 20.0
"""For all stages together, however slowly the server goes on."""

DANE_EE: Final = 3


class NotSeen(Exception):
    """The server shows no certificate. The text says why."""


async def certificate_of(
    world: World, host: str, port: int, addresses: Iterable[str], *, inside: bool, ehlo: str
) -> bytes:
    """The certificate after STARTTLS, in DER. Raises NotSeen."""
    try:
        async with asyncio.timeout(SERVER_SECONDS):
            return await _shown(world, host, port, addresses, inside=inside, ehlo=ehlo)
    except TimeoutError as fault:
        raise NotSeen(f"it came to no end within {SERVER_SECONDS:g} seconds") from fault


async def _shown(
    world: World, host: str, port: int, addresses: Iterable[str], *, inside: bool, ehlo: str
) -> bytes:
    asked = tuple(one for one in addresses if inside or special_network(one) is None)
    if not asked:
        raise NotSeen(f"{host} has no public address")
    hop = Smarthost(host, port, TlsMode.REQUIRED, verify=False)
    made: list[LineConnection] = []

    def make() -> LineConnection:
        made.append(LineConnection(world.clock))
        return made[-1]

    try:
        opened = await open_lines(hop, world, make, STAGE_SECONDS, asked)
        dialogue = Dialogue(opened.connection, STAGE_SECONDS)
        greeting = await dialogue.greeting()
        hello = await dialogue.ask(f"EHLO {ehlo}")
        if not (greeting.is_positive and hello.is_positive):
            raise NotSeen(f"it said {greeting}, then {hello}")
        answer, described = await dialogue.start_tls(hop, world.network)
        encrypted = opened.connection.encrypted
        if described is None or encrypted is None:
            raise NotSeen(f"it refuses STARTTLS: {answer}")
        certificate = encrypted.getpeercert(binary_form=True)
        with suppress(Unanswered):
            await dialogue.ask("QUIT")
    except StageFailed as fault:
        raise NotSeen(fault.text) from fault
    except Unanswered as fault:
        raise NotSeen(fault.text) from fault
    finally:
        for connection in made:
            connection.abort()
    if certificate is None:
        raise NotSeen("it shows no certificate")
    return certificate


def is_pinned(certificate: bytes, records: Iterable[TlsAssociation]) -> bool:
    """Whether one of the records of usage 3 is that of a certificate (RFC 6698 2.1).

    Raises ValueError where it is no certificate.
    """
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for one in records:
        if one.usage != DANE_EE:
            continue
        data = certificate if one.selector == 0 else spki
        if one.data == _digest(one.matching, data):
            return True
    return False


def record_for(certificate: bytes) -> str:
    """The record to publish for a certificate: 3 1 1 and its digest. Raises ValueError."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"3 1 1 {hashlib.sha256(spki).hexdigest()}"


def _digest(matching: int, data: bytes) -> bytes:
    if matching == 1:
        return hashlib.sha256(data).digest()
    return hashlib.sha512(data).digest() if matching == 2 else data

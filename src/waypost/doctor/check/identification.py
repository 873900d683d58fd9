"""Who is there, when it is not SMTP in the clear: asked on connections of their own.

A server that says nothing may wait for a TLS handshake, or for the request of a web browser. Both
are tried at once, while the greeting is still waited for.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from waypost.doctor.check.connection import ProbeConnection, Protocol, protocol_of
from waypost.doctor.check.reaching import open_connection
from waypost.doctor.check.settings import ServerToCheck
from waypost.doctor.line_connection import Unanswered
from waypost.doctor.line_opening import World, server_name
from waypost.net.happy_eyeballs import ConnectFailure
from waypost.net.tls import any_server_context
from waypost.smtp.client_replies import readable

FIRST_WORDS_SECONDS: Final = 2.0
"""How long what answers is listened to."""

REQUEST: Final = b"GET / HTTP/1.0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Identified:
    """What answers on a port."""

    protocol: Protocol
    under_tls: bool = False
    evidence: str = ""


async def identify_silent(
    server: ServerToCheck, address: str, world: World, seconds: float
) -> Identified:
    """What a server is that says nothing by itself; `silent` where nobody can tell."""
    tries = [
        asyncio.ensure_future(under_tls(server, address, world, seconds)),
        asyncio.ensure_future(_on_request(server, address, world, seconds)),
    ]
    try:
        for one in asyncio.as_completed(tries, timeout=seconds):
            found = await one
            if found.protocol != "silent":
                return found
    except TimeoutError:
        pass
    finally:
        for task in tries:
            task.cancel()
    return Identified("silent")


async def identify_under_tls(
    server: ServerToCheck, address: str, world: World, seconds: float
) -> Identified:
    """What a server is that says nothing by itself under TLS: a web server is to be asked."""
    connection = await _connection(server, address, world, seconds)
    if connection is None:
        return Identified("silent")
    try:
        await connection.start_tls(
            world.network, any_server_context(), server_name(server.hop), seconds
        )
        connection.say(REQUEST)
        await _listen(connection, seconds)
        found = _identified(connection)
    except (Unanswered, OSError, EOFError):
        return Identified("silent")
    finally:
        connection.abort()
    return found if found.protocol == "http" else Identified("silent")


async def under_tls_here(
    connection: ProbeConnection, server: ServerToCheck, world: World, seconds: float
) -> Identified:
    """What speaks behind a TLS handshake on a connection that has been silent so far.

    A server that takes one connection after the other answers on no other while this one is open.
    """
    return await _shake_hands(connection, server, world, seconds)


async def first_words(
    server: ServerToCheck, address: str, world: World, seconds: float
) -> Identified:
    """What a port says in the clear, by itself or to the request of a browser."""
    connection = await _connection(server, address, world, seconds)
    if connection is None:
        return Identified("silent")
    try:
        await _listen(connection, min(seconds, FIRST_WORDS_SECONDS))
        if not connection.first and connection.ended is None:
            connection.say(REQUEST)
            await _listen(connection, min(seconds, FIRST_WORDS_SECONDS))
        return _identified(connection)
    finally:
        connection.abort()


async def under_tls(
    server: ServerToCheck, address: str, world: World, seconds: float
) -> Identified:
    """What speaks behind a TLS handshake; `silent` where there is none."""
    connection = await _connection(server, address, world, seconds)
    if connection is None:
        return Identified("silent")
    return await _shake_hands(connection, server, world, seconds)


async def _shake_hands(
    connection: ProbeConnection, server: ServerToCheck, world: World, seconds: float
) -> Identified:
    try:
        await connection.start_tls(
            world.network, any_server_context(), server_name(server.hop), seconds
        )
    except (Unanswered, OSError, EOFError) as fault:
        if isinstance(fault, ssl.SSLError) and _is_alert(fault):
            return Identified("tls", True, f"it answered a TLS handshake with an alert: {fault}")
        return Identified("silent")
    else:
        await _listen(connection, min(seconds, FIRST_WORDS_SECONDS))
        found = _identified(connection)
        protocol = "smtp" if found.protocol == "silent" else found.protocol
        return Identified(protocol, True, found.evidence)
    finally:
        connection.abort()


def _is_alert(fault: ssl.SSLError) -> bool:
    return "ALERT" in str(getattr(fault, "reason", None) or "").upper()


async def _on_request(
    server: ServerToCheck, address: str, world: World, seconds: float
) -> Identified:
    connection = await _connection(server, address, world, seconds)
    if connection is None:
        return Identified("silent")
    try:
        connection.say(REQUEST)
        await _listen(connection, seconds)
        found = _identified(connection)
    finally:
        connection.abort()
    if found.protocol == "pop3" and connection.first.lower().startswith(b"-err"):
        # POP3 would have greeted; others answer so what they do not understand (Redis).
        return Identified("other", False, found.evidence)
    # A slow SMTP server is no discovery; what it says to a request begins with a code. Bytes that
    # are no text may be those of TLS.
    readable_text = connection.first[:40].isascii() and connection.first[:1].isalpha()
    told = found.protocol in ("http", "imap", "pop3", "ssh")
    if told or (found.protocol == "other" and readable_text):
        return found
    return Identified("silent")


async def _connection(
    server: ServerToCheck, address: str, world: World, seconds: float
) -> ProbeConnection | None:
    try:
        opened, _ = await open_connection(
            server, (address,), world, lambda: ProbeConnection(world.clock), seconds
        )
    except ConnectFailure:
        return None
    return opened


async def _listen(connection: ProbeConnection, seconds: float) -> None:
    """Until a line has come, the connection ends, or the time is over."""
    with suppress(Unanswered):
        await connection.reply(seconds)


def _identified(connection: ProbeConnection) -> Identified:
    first = connection.first
    return Identified(protocol_of(first), False, readable(first.partition(b"\n")[0])[:300])

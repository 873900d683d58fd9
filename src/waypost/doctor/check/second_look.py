"""Connections beside the session, made only to look: brought to TLS on other terms than delivery's.

Nothing is said over them but EHLO and STARTTLS, and never a secret.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from waypost.delivery.next_hop import TlsMode
from waypost.doctor.check.connection import ProbeConnection
from waypost.doctor.check.reaching import open_connection
from waypost.doctor.line_connection import NotAReply, Unanswered
from waypost.doctor.line_opening import server_name
from waypost.net.happy_eyeballs import ConnectFailure
from waypost.net.tls import any_server_context

if TYPE_CHECKING:
    from waypost.doctor.check.session import Session

LOOKING_SECONDS: Final = 5.0
"""For each stage of a connection that is made only to look."""


async def legacy_look(session: Session) -> tuple[ProbeConnection | None, Exception | None]:
    try:
        opened = await _second_connection(session, any_server_context())
    except (OSError, EOFError) as fault:
        return None, fault
    return opened, None


async def second_look(
    session: Session, context: ssl.SSLContext, seconds: float = LOOKING_SECONDS
) -> ProbeConnection | None:
    try:
        return await _second_connection(session, context, seconds)
    except (OSError, EOFError):
        return None  # what the first handshake said has to do


async def _second_connection(
    session: Session, context: ssl.SSLContext, seconds: float = LOOKING_SECONDS
) -> ProbeConnection | None:
    """Another connection, brought to TLS; None where it does not come so far.

    Its lines are not recorded. Raises OSError and EOFError of the handshake.
    """
    server, world = session.server, session.world
    seconds = min(seconds, server.seconds)
    try:
        connection, _ = await open_connection(
            server, (session.address,), world, lambda: ProbeConnection(world.clock), seconds
        )
    except ConnectFailure:
        return None
    secured = False
    try:
        if server.hop.tls is not TlsMode.IMPLICIT:
            name = server.hop.ehlo or server.hostname
            for line, code in (("", 220), (f"EHLO {name}", 250), ("STARTTLS", 220)):
                if line:
                    connection.say(line.encode() + b"\r\n")
                heard = await connection.reply(seconds)
                if isinstance(heard, NotAReply) or heard.code != code:
                    return None
        await connection.start_tls(world.network, context, server_name(server.hop), seconds)
        secured = True
    except Unanswered:
        return None
    finally:
        if not secured:
            connection.abort()
    return connection

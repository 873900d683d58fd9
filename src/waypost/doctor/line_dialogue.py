"""Exchanges of more than one line that a probe and a person want done right: EHLO, STARTTLS, AUTH.

They go over a LineConnection, one line at a time. `told` is called with each line that is said, as
it may be shown: what may hold a secret is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from waypost.delivery.next_hop import Smarthost
from waypost.doctor.line_connection import LineConnection, NotAReply, Unanswered
from waypost.doctor.line_opening import secure
from waypost.net.network import Network
from waypost.net.tls import TlsDescription
from waypost.smtp.auth import BearerToken, ClientMechanism, Password, choose_mechanism
from waypost.smtp.client_authentication import AuthenticationExchange
from waypost.smtp.client_replies import REDACTED
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import Reply

CHALLENGE: Final = 334
READY_FOR_TLS: Final = 220
WITH_A_TOKEN: Final = frozenset({"XOAUTH2", "OAUTHBEARER"})
"""Mechanisms whose password is an access token of OAuth 2.0."""

Told = Callable[[str], None]


def _untold(_line: str) -> None:
    """For who does not look."""


def is_done(answer: Reply) -> bool:
    """2yz. What is positive and not done, 3yz, is no answer to any of these lines but AUTH."""
    return 200 <= answer.code < 300


class AuthenticationBroken(Exception):
    """Our side does not go on, or does not believe the server. `reply` is what it said last."""

    def __init__(self, reason: str, reply: Reply) -> None:
        self.reason = reason
        self.reply = reply
        super().__init__(reason)


class Dialogue:
    """The lines of one connection. `seconds` bounds the wait for each reply."""

    def __init__(
        self, connection: LineConnection, seconds: float, told: Told | None = None
    ) -> None:
        self.connection = connection
        self._seconds = seconds
        self._told = told or _untold

    async def greeting(self) -> Reply:
        """What the server says first. Raises Unanswered."""
        return self._reply(await self.connection.reply(self._seconds))

    async def ask(self, line: str, shown: str | None = None) -> Reply:
        """Say a line and wait for its reply. Raises Unanswered.

        A server that spoke out of turn is not asked: its next word would answer something else.
        """
        if self.connection.spoke_unasked:
            raise Unanswered("not-smtp", "the server speaks without being asked")
        self._told(line if shown is None else shown)
        self.connection.say(line.encode() + b"\r\n")
        return self._reply(await self.connection.reply(self._seconds))

    async def start_tls(
        self, hop: Smarthost, network: Network
    ) -> tuple[Reply, TlsDescription | None]:
        """STARTTLS and the handshake; None where it was refused. EHLO is due behind it.

        Raises Unanswered and StageFailed.
        """
        answer = await self.ask("STARTTLS")
        if answer.code != READY_FOR_TLS:
            return answer, None
        return answer, await secure(self.connection, hop, network, self._seconds)

    async def authenticate(self, mechanism: ClientMechanism) -> Reply:
        """One exchange (RFC 4954 4). Raises Unanswered and AuthenticationBroken."""
        exchange = AuthenticationExchange(mechanism)
        answer = await self.ask(exchange.line, exchange.shown)
        while answer.code == CHALLENGE:
            line = exchange.respond(answer)
            if line is None:
                answer = await self.ask("*")
                raise AuthenticationBroken(exchange.reason or "the exchange was cancelled", answer)
            answer = await self.ask(line, REDACTED)
        if is_done(answer):
            doubt = exchange.doubt()
            if doubt is not None:
                raise AuthenticationBroken(doubt, answer)
        return answer

    @staticmethod
    def _reply(heard: Reply | NotAReply) -> Reply:
        if isinstance(heard, Reply):
            return heard
        text = f"the server sent what is no SMTP reply ({heard.reason}): {heard.line.text[:200]!r}"
        raise Unanswered("not-smtp", text)


def mechanism_for(
    hop: Smarthost, capabilities: Capabilities, nonce: str, *, encrypted: bool,
    without: Sequence[str] = (),
) -> ClientMechanism:  # fmt: skip
    """The mechanism for a target's credentials, as delivery chooses it, but for some.

    Raises AuthenticationFailure, its NoCommonMechanism among them.
    """
    given = hop.credentials
    assert given is not None, "the target has credentials"
    kind = BearerToken if given.mechanism in WITH_A_TOKEN else Password
    return choose_mechanism(
        kind(given.user, given.password),
        [one for one in capabilities.auth if one.upper() not in without],
        encrypted=encrypted,
        nonce=nonce,
        allowed=(given.mechanism,) if given.mechanism else None,
        allow_clear_text=hop.clear_text_auth,
    )

"""AUTH in a session: done for whoever asks, or by hand, and never by accident in the clear.

A login asks for its secret by returning LoginWanted, as only the face can ask without an echo.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from waypost.delivery.next_hop import Smarthost
from waypost.doctor.line_connection import Unanswered
from waypost.doctor.line_dialogue import CHALLENGE, WITH_A_TOKEN, AuthenticationBroken, Dialogue
from waypost.doctor.line_opening import World
from waypost.doctor.shell import explaining
from waypost.doctor.shell.commands import IN_CLEAR, Said
from waypost.doctor.shell.entries import Entry
from waypost.doctor.shell.hearing import Hearing
from waypost.smtp.auth import (
    IN_CLEAR_TEXT,
    AuthenticationFailure,
    BearerToken,
    Password,
    choose_mechanism,
)
from waypost.smtp.client_replies import REDACTED
from waypost.smtp.reply import Reply

KNOWN_MECHANISMS: Final = (
    "SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5", "OAUTHBEARER", "XOAUTH2",
)  # fmt: skip
"""Logins that are done here; best first for somebody who has a password."""


@dataclass(frozen=True, slots=True)
class LoginWanted:
    """The face is to ask for a login, and to call `log_in` with it."""

    mechanism: str
    in_clear: bool

    @property
    def secret(self) -> str:
        """What the secret is called."""
        return "Access token" if self.mechanism in WITH_A_TOKEN else "Password"


class Logins(Hearing):
    """A connection over which somebody can log in."""

    def __init__(
        self,
        hop: Smarthost,
        place: str,
        hostname: str,
        world: World,
        show: Callable[[Entry], None],
        nonce: Callable[[], str],
        seconds: float,
    ) -> None:
        super().__init__(hop, place, hostname, world, show, seconds)
        self._nonce = nonce
        self.raw = False
        """Lines go out as they are typed."""

    async def login(self, mechanism: str, *, in_clear: bool) -> LoginWanted | None:
        """A login by a mechanism that is known here, or by the best one ("")."""
        if not self.connected:
            self._trouble("there is no connection; /reconnect makes a new one")
            return None
        offered = self.capabilities.auth if self.capabilities is not None else ()
        given = self.hop.credentials
        mechanism = mechanism or (given.mechanism if given is not None else "") or ""
        if not mechanism:
            mechanism = next((name for name in KNOWN_MECHANISMS if name in offered), "")
            if not mechanism:
                self._trouble(
                    f"the server offers {' '.join(offered) or 'no login'}"
                    + ("; say EHLO first" if self.capabilities is None else "")
                )
                return None
        elif self.capabilities is not None and mechanism not in offered:
            self.say("explanation", f"the server does not offer {mechanism}; it is tried")
        in_clear = in_clear or self.hop.clear_text_auth
        if not self._may_show(mechanism, in_clear=in_clear):
            return None
        wanted = LoginWanted(mechanism, in_clear)
        if given is None:
            return wanted
        await self.log_in(wanted, given.user, given.password)
        return None

    async def log_in(self, wanted: LoginWanted, user: str, secret: str) -> None:
        """Do the login that was asked for."""
        kind = BearerToken if wanted.mechanism in WITH_A_TOKEN else Password
        try:
            mechanism = choose_mechanism(
                kind(user, secret),
                (wanted.mechanism,),
                encrypted=self.tls is not None,
                nonce=self._nonce(),
                allowed=(wanted.mechanism,),
                allow_clear_text=wanted.in_clear,
            )
        except AuthenticationFailure as fault:
            self._trouble(str(fault))
            return
        connection = self._connection
        assert connection is not None, "looked at before the login was asked for"
        dialogue = Dialogue(connection, self._seconds, lambda line: self.say("sent", line))
        self._begin_asking("AUTH")
        begun = self._world.clock.monotonic()
        self._secret_replies = True
        try:
            answer = await dialogue.authenticate(mechanism)
        except Unanswered as fault:
            self._unanswered(fault)
            return
        except AuthenticationBroken as broken:
            self._failed = True
            self._trouble(broken.reason)
            return
        except asyncio.CancelledError:
            self._drop("the login was given up in its midst, so the connection is cut")
            raise
        finally:
            self._secret_replies = False
        self._answered("AUTH", f"AUTH {mechanism.name}", answer, begun)
        told = getattr(mechanism, "server_error", "")
        if told:
            self.say("explanation", f"the server gave this reason: {told}")

    async def _say_auth(self, said: Said) -> LoginWanted | None:
        words = [word for word in said.words[1:] if word.lower() != IN_CLEAR]
        in_clear = len(words) < len(said.words) - 1
        if not words:
            return await self.login("", in_clear=in_clear)
        mechanism = words[0].upper()
        if len(words) == 1 and mechanism in KNOWN_MECHANISMS and not self.raw:
            return await self.login(mechanism, in_clear=in_clear)
        if not self._may_show(mechanism, in_clear=in_clear or self.hop.clear_text_auth):
            return None
        line = " ".join((said.words[0], *words))
        self._secret_replies = True
        answer = await self.ask(line, "AUTH", shown=said.shown, typed=line == said.shown)
        self._after_challenge(answer)
        return None

    async def _respond(self, line: str) -> None:
        """A response to a challenge, as it was typed."""
        self._responding = False
        self._after_challenge(await self.ask(line, "AUTH", shown=REDACTED))

    def _after_challenge(self, answer: Reply | None) -> None:
        self._responding = answer is not None and answer.code == CHALLENGE
        self._secret_replies = self._responding
        if self._responding and answer is not None:
            words = explaining.challenge_words(answer)
            self.say("explanation", f"{words}; your answer, in base64, is not kept; * gives up")

    def _may_show(self, mechanism: str, *, in_clear: bool) -> bool:
        if mechanism not in IN_CLEAR_TEXT or self.tls is not None or in_clear:
            return True
        self._trouble(
            f"{mechanism} without TLS would show the secret to whoever listens, so nothing was "
            f"sent; say STARTTLS first, or in full knowledge AUTH {mechanism} {IN_CLEAR}"
        )
        return False

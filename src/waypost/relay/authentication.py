"""AUTH on the relay: PLAIN, LOGIN and SCRAM-SHA-256 with the users' store behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from waypost.relay.credentials import CredentialStore
from waypost.smtp.reply import Reply, reply
from waypost.smtp.scram import ScramFault, ScramServer

MECHANISMS = ("SCRAM-SHA-256", "PLAIN", "LOGIN")
"""What is offered, in this order."""

BAD_CREDENTIALS = reply(535, "5.7.8", "Authentication failed: user name or password is wrong")


@dataclass(frozen=True, slots=True)
class Step:
    """What to say next: a challenge, success for a user, or a refusal."""

    challenge: bytes | None = None
    user: str | None = None
    refusal: Reply | None = None


class Authentication:
    """One exchange. `permit` is asked for a user before any password is looked at."""

    def __init__(
        self,
        store: CredentialStore,
        mechanism: str,
        nonce: str,
        permit: Callable[[str], Reply | None],
    ) -> None:
        self.mechanism = mechanism
        self.attempted_user = ""
        """Who the client says it is."""
        self._store = store
        self._permit = permit
        self._scram = ScramServer(nonce)
        self._scram_stage = 0
        self._login_user: str | None = None

    async def start(self, initial: bytes | None) -> Step:
        """The exchange begins, with the initial response if AUTH had one."""
        if initial is None:
            return Step(challenge=b"Username:" if self.mechanism == "LOGIN" else b"")
        return await self.respond(initial)

    async def respond(self, response: bytes) -> Step:
        """The client's next message."""
        try:
            if self.mechanism == "PLAIN":
                return await self._plain(response)
            if self.mechanism == "LOGIN":
                return await self._login(response)
            return self._scram_step(response)
        except (ScramFault, UnicodeDecodeError, ValueError) as fault:
            return Step(refusal=reply(501, "5.5.2", f"Malformed response: {fault}"))

    async def _plain(self, response: bytes) -> Step:
        parts = response.decode().split("\0")
        if len(parts) != 3:
            raise ValueError("PLAIN has three parts")
        acting_as, name, password = parts
        if acting_as and acting_as != name:
            return Step(refusal=reply(535, "5.7.8", "Acting as another user is not offered"))
        return await self._check(name, password)

    async def _login(self, response: bytes) -> Step:
        if self._login_user is None:
            self._login_user = response.decode()
            return Step(challenge=b"Password:")
        return await self._check(self._login_user, response.decode())

    async def _check(self, name: str, password: str) -> Step:
        self.attempted_user = name[:255]
        refusal = self._permit(self.attempted_user)
        if refusal is not None:
            return Step(refusal=refusal)
        if await self._store.verify(name, password):
            return Step(user=name)
        return Step(refusal=BAD_CREDENTIALS)

    def _scram_step(self, response: bytes) -> Step:
        self._scram_stage += 1
        if self._scram_stage == 1:
            self.attempted_user = self._scram.first(response)[:255]
            refusal = self._permit(self.attempted_user)
            if refusal is not None:
                return Step(refusal=refusal)
            verifier = self._store.scram_verifier(self.attempted_user)
            return Step(challenge=self._scram.challenge(verifier))
        if self._scram_stage == 2:
            signature = self._scram.final(response)
            if signature is None or self._store.find(self.attempted_user) is None:
                return Step(refusal=BAD_CREDENTIALS)
            return Step(challenge=signature)
        # RFC 4954 4: data with success is not possible, so the signature was a challenge of its
        # own, and this is the client's empty answer to it.
        if response:
            raise ScramFault("the last message must be empty")
        return Step(user=self.attempted_user)

"""STARTTLS and AUTH of a session: the parts that take a task, so that nobody else waits."""

from __future__ import annotations

import asyncio

from waypost.relay.authentication import Authentication
from waypost.relay.session_state import COMMAND_SECONDS, HANDSHAKE_SECONDS, SessionState
from waypost.smtp.reply import Reply
from waypost.smtp.server_events import (
    AuthenticationCancelled,
    AuthenticationRequested,
    AuthenticationResponded,
    TlsRequested,
)


class SecuredSession(SessionState):
    """See the module."""

    __slots__ = ()

    def _on_starttls(self, _event: TlsRequested) -> None:
        self.protocol.accept()

    async def _upgrade(self) -> None:
        """The handshake after 220 to STARTTLS."""
        transport = self._transport
        if transport is None:
            return
        listener = self.listener
        self.deadline = self._monotonic() + HANDSHAKE_SECONDS
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                transport, self, listener.tls_context(), server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )  # fmt: skip
        except (OSError, EOFError) as fault:  # ssl.SSLError and timeouts are OSErrors
            listener.log.info(
                "TLS handshake failed", client=self.address, why=str(fault) or type(fault).__name__
            )
            self.abort()
            self.connection_lost(None)  # nobody else says so where it was reset meanwhile
            return
        if upgraded is None:
            self.connection_lost(None)
            return
        self._transport = upgraded
        self.protocol.tls_established()
        self._note_tls()
        self._identify(None)
        self.deadline = self._monotonic() + COMMAND_SECONDS
        early, self._early = self._early, b""
        if early:
            self.protocol.receive(early)
            self._pump()

    def _on_auth(self, event: AuthenticationRequested) -> None:
        listener = self.listener
        self._authentication = Authentication(
            listener.credentials, event.mechanism, listener.nonce(), self._may_authenticate
        )
        self._start(self._authenticate(event.initial, first=True))

    def _may_authenticate(self, user: str) -> Reply | None:
        listener = self.listener
        return listener.limits.may_authenticate(self.address, user, self._monotonic())

    def _on_auth_response(self, event: AuthenticationResponded) -> None:
        self._start(self._authenticate(event.response, first=False))

    async def _authenticate(self, data: bytes | None, *, first: bool) -> None:
        authentication = self._authentication
        assert authentication is not None
        listener = self.listener
        step = await (authentication.start(data) if first else authentication.respond(data or b""))
        if step.refusal is not None and step.refusal.code == 535:
            user = authentication.attempted_user
            listener.log.warning(
                "authentication failed", client=self.address, user=user,
                mechanism=authentication.mechanism,
            )  # fmt: skip
            await listener.clock.sleep(
                listener.limits.authentication_failed(self.address, user, self._monotonic())
            )
        if not self.protocol.waiting:
            return  # the connection has ended while we thought
        if step.challenge is not None:
            self.protocol.challenge(step.challenge)
        elif step.user is not None:
            self.protocol.authenticated(step.user)
            self._identify(step.user)
        else:
            assert step.refusal is not None
            self.protocol.answer(step.refusal)
        self._pump()

    def _on_auth_cancelled(self, _event: AuthenticationCancelled) -> None:
        self._authentication = None

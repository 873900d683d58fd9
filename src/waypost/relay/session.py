"""One client's connection to the relay: the server protocol, the policy and the intake, joined.

The ordinary message never waits for a task: each command is judged as it is read, and only
password checks, DNS look-ups and TLS handshakes go through the event loop. The one thing that
always waits is the reply to the content, which comes when the message is durable.

What a session knows and its small steps are in session_state.py, STARTTLS and AUTH in
session_security.py, faults on purpose in session_faults.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from waypost.mail.trace import protocol_name
from waypost.relay.bounces import BounceIntake, Bounces
from waypost.relay.intake import Intake, Origin
from waypost.relay.proxy_protocol import MalformedProxyHeader, ProxyHeaderParser
from waypost.relay.recipient_policy import NEEDS_LOOKUP
from waypost.relay.session_faults import FaultySession
from waypost.relay.session_state import (
    COMMAND_SECONDS,
    CONTENT_SECONDS,
    HANDSHAKE_SECONDS,
    MAXIMUM_BACKLOG,
    plain_address,
)
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import Reply, reply
from waypost.smtp.server_events import (
    AuthenticationCancelled,
    AuthenticationRequested,
    AuthenticationResponded,
    CommandRefused,
    ContentEnded,
    ContentReceived,
    ContentRequested,
    HelloReceived,
    MailReceived,
    QuitReceived,
    RecipientReceived,
    ServerEvent,
    TlsRequested,
    TransactionDropped,
    VerifyReceived,
)


class Session(FaultySession):
    """See the module. Made by the listener for each connection."""

    __slots__ = ()

    # --- the connection ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, or TLS is established."""
        known = self._transport is not None
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        if known:
            return
        listener = self.listener
        if not self.address:
            peer = transport.get_extra_info("peername")
            self.address = plain_address(peer[0]) if isinstance(peer, tuple) else "unix"
        listener.sessions.add(self)
        listener.deadlines.add(self)
        if not self._introduced and listener.expects_proxy_header(self.address):
            self._proxy = ProxyHeaderParser()
            self.deadline = self._monotonic() + HANDSHAKE_SECONDS
            return
        self._welcome()

    def _welcome(self) -> None:
        """Greet the client, or refuse it."""
        listener = self.listener
        if listener.implicit_tls:
            self._note_tls()
        refusal = self.refusal
        if not self._introduced:
            refusal = listener.limits.connection_opened(self.address, self._monotonic())
            self.registered = refusal is None
        self._identify(None)
        faults = listener.faults
        if faults is not None and refusal is None and self._struck_at_connect(faults):
            return
        self.protocol.greet(refusal)
        self.deadline = self._monotonic() + COMMAND_SECONDS
        self._pump()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._proxy is not None:
            self._take_proxy_header(data)
            return
        protocol = self.protocol
        plain = self.listener.faults is None
        if protocol.in_content:
            content = protocol.whole_content(data) if plain else None
            if content is not None:
                self._take_content(content)
                self._finish_content()
                return
        else:
            asked = protocol.ask(data) if plain else None
            if asked is not None:
                self._answer(asked)
                return
            if protocol.in_handshake and self._tasks:
                # asyncio hands over what came right behind the handshake before `start_tls`
                # returns; in the clear nothing comes any more, as reading was paused before.
                self._early += data
                return
        protocol.receive(data)
        self._pump()

    def pause_writing(self) -> None:
        """The client does not read its answers: it is not read from either."""
        self._pause(4)

    def resume_writing(self) -> None:
        """It reads again."""
        self._resume(4)

    def eof_received(self) -> bool:
        """The client will send no more. What it is owed is still said, but not under TLS, which
        has no half-closed connections; where it has waited long on purpose, it has gone."""
        self._ended = True
        return self.protocol.waiting and not self.protocol.encrypted and self._held is None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The connection is gone; a message that is being committed stays accepted. May be called
        again."""
        self._transport = None
        listener = self.listener
        listener.sessions.discard(self)
        listener.deadlines.remove(self)
        if self.registered:
            self.registered = False
            listener.limits.connection_closed(self.address, self._monotonic())
        if self._intake is not None and not self._intake.finishing:
            self._intake.discard()
        self._intake = None
        if self._held is not None:
            self._held.cancel()
            self._held = None
        if self._tasks:
            for task in self._tasks:
                task.cancel()

    def deadline_passed(self) -> None:
        """The client said nothing for too long."""
        self.deadline = self._monotonic() + HANDSHAKE_SECONDS
        if self.protocol.closing or self._proxy is not None or self.protocol.in_handshake:
            self.abort()
            return
        if self.protocol.waiting:
            self.deadline = self._monotonic() + COMMAND_SECONDS
            return  # it is we who owe an answer
        self.protocol.disconnect(reply(421, "4.4.2", "Timeout: nothing was received; closing"))
        self._pump()

    def shut_down(self) -> None:
        """The relay stops: 421 as soon as no answer is owed."""
        if self.protocol.waiting:
            return
        self.protocol.disconnect(reply(421, "4.3.2", "The service is shutting down; try again"))
        self._pump()

    def _take_proxy_header(self, data: bytes) -> None:
        parser = self._proxy
        assert parser is not None
        try:
            header = parser.feed(data)
        except MalformedProxyHeader as fault:
            self.listener.log.warning("PROXY header refused", client=self.address, why=str(fault))
            self.abort()
            return
        if header is None:
            return
        self._proxy = None
        if header.source is not None:
            self.address = header.source.address
        rest = parser.rest
        self._welcome()
        if rest:
            self.data_received(rest)

    # --- the fast lane ----------------------------------------------------------------------

    def _answer(self, asked: Envelope | Recipient) -> None:
        """Answer an ordinary MAIL, RCPT or DATA that came alone."""
        protocol = self.protocol
        if isinstance(asked, Recipient):
            self._judge_recipient(asked.address)
        elif protocol.question == "mail":
            self._decide(self._judge_sender(asked))
        else:
            self._begin_content(asked)
        self._say()

    def _say(self) -> None:
        """Send the answer that was given, where nothing is left to be read. Where anything more is
        to be done, do that as well."""
        protocol = self.protocol
        transport = self._transport
        if (
            transport is None
            or protocol.deaf
            or protocol.question is not None
            or protocol.backlog
            or self._ended
            or self._paused_by
        ):
            self._pump()
            return
        transport.write(protocol.take())
        self.deadline = self._monotonic() + (
            CONTENT_SECONDS if protocol.in_content else COMMAND_SECONDS
        )

    # --- events -----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Handle what has been received and send what there is to say, in one write."""
        protocol = self.protocol
        next_event = protocol.next_event
        faults = self.listener.faults
        while (event := next_event()) is not None:
            if faults is None or not self._struck(faults, event):
                _HANDLERS[type(event)](self, event)
        transport = self._transport
        if transport is None:
            return
        out = protocol.take()
        if out:
            transport.write(out)
        if protocol.deaf or self._ended:
            if protocol.closing or (self._ended and not protocol.waiting):
                self._close(transport)
                return
            if protocol.in_handshake and not self._tasks:
                transport.pause_reading()
                self._start(self._upgrade())
        elif protocol.question is not None and protocol.backlog > MAXIMUM_BACKLOG:
            self._pause(1)
        elif self._paused_by & 1:
            self._resume(1)
        if protocol.in_content:
            self.deadline = self._monotonic() + CONTENT_SECONDS
        elif out:  # half a command buys no time
            self.deadline = self._monotonic() + COMMAND_SECONDS

    def _close(self, transport: asyncio.Transport) -> None:
        """Close after what is written; a client that does not take it is cut off."""
        if self._intake is not None and not self._intake.finishing:
            self._intake.discard()
            self._intake = None
        if not transport.is_closing():
            transport.close()
            self.deadline = self._monotonic() + HANDSHAKE_SECONDS

    # --- handlers, one for each event -------------------------------------------------------

    def _handle(self, event: ServerEvent) -> None:
        _HANDLERS[type(event)](self, event)

    def _on_hello(self, _event: HelloReceived) -> None:
        self._origin = None
        self.protocol.accept()

    def _on_mail(self, event: MailReceived) -> None:
        self._decide(self._judge_sender(event.envelope))

    def _judge_sender(self, envelope: Envelope) -> Reply | None:
        listener = self.listener
        identity = self.identity
        assert identity is not None
        self._returned = None
        refusal = (
            listener.access.decide_sender(identity, envelope.reverse_path)
            or listener.limits.message(self.address, identity.user, self._monotonic())
            or listener.admission(envelope.declared_size or 0)
        )
        if refusal is not None:
            listener.refused(self, envelope.reverse_path, "", refusal)
        return refusal

    def _on_rcpt(self, event: RecipientReceived) -> None:
        self._judge_recipient(event.recipient.address)

    def _judge_recipient(self, address: str) -> None:
        """Decide, at once where all is known that has to be."""
        listener = self.listener
        identity = self.identity
        assert identity is not None
        bounces = listener.bounces
        if bounces is not None and bounces.concerns(self.protocol.envelope, address):
            self._start(self._judge_return_path(bounces, address))
            return
        decision = listener.access.decide_recipient(identity, address)
        if decision is None:
            verdict = listener.recipients.quick(address, self._monotonic())
            if verdict is NEEDS_LOOKUP:
                self._start(self._look_up(address))
                return
            assert verdict is None or isinstance(verdict, Reply)
            decision = verdict
        self._decide_recipient(address, decision)

    async def _look_up(self, address: str) -> None:
        now = self._monotonic()
        self._decide_recipient(address, await self.listener.recipients.check(address, now))
        self._pump()

    async def _judge_return_path(self, bounces: Bounces, address: str) -> None:
        found = await bounces.judge(self.protocol.envelope, address)
        if isinstance(found, Reply):
            self._decide_recipient(address, found)
        else:
            self._returned = found
            self._decide_recipient(address, None)
        self._pump()

    def _decide_recipient(self, address: str, decision: Reply | None) -> None:
        listener = self.listener
        identity = self.identity
        assert identity is not None
        now = self._monotonic()
        if decision is None:
            decision = listener.limits.recipient(self.address, identity.user, now)
        elif decision.is_permanent:
            self._count_error(listener.limits.error(self.address, now))
            if self.protocol.closing:
                return
        if decision is not None:
            envelope = self.protocol.envelope
            listener.refused(self, envelope.reverse_path if envelope else "", address, decision)
        self._decide(decision)

    def _on_content(self, event: ContentRequested) -> None:
        self._begin_content(event.envelope)

    def _begin_content(self, envelope: Envelope) -> None:
        listener = self.listener
        identity = self.identity
        assert identity is not None
        protocol = self.protocol
        origin = self._origin
        if origin is None or envelope.smtputf8:
            origin = Origin(
                hello_name=protocol.hello_name,
                address=self.address,
                protocol=protocol_name(
                    extended=protocol.extended,
                    secured=protocol.encrypted,
                    authenticated=identity.user is not None,
                    smtputf8=envelope.smtputf8,
                ),
                tls=self._tls_text,
                user=identity.user,
                submission=listener.is_submission,
            )
            if not envelope.smtputf8:
                self._origin = origin
        judged = listener.is_submission or not identity.may_relay
        head_source = listener.head_source if judged else None
        bounces, returned = listener.bounces, self._returned
        if bounces is not None and returned is not None:
            self._intake = BounceIntake(
                listener.intake_settings, listener.spool, listener.engine, listener.dates,
                envelope, origin, head_source, bounces, returned,
            )  # fmt: skip
        else:
            self._intake = Intake(
                listener.intake_settings, listener.spool, listener.engine, listener.dates,
                envelope, origin, head_source,
            )  # fmt: skip
        protocol.accept()

    def _on_piece(self, event: ContentReceived) -> None:
        self._take_content(event.data)

    def _take_content(self, content: bytes) -> None:
        intake = self._intake
        assert intake is not None
        intake.take(content)
        if intake.writer.congested and not self._paused_by & 2:
            self._pause(2)
            intake.writer.when_drained(lambda: self._resume(2))

    def _on_end(self, _event: ContentEnded) -> None:
        self._finish_content()

    def _finish_content(self) -> None:
        intake = self._intake
        assert intake is not None
        intake.finish(self._stored)

    def _stored(self, refusal: Reply | None, identifier: str) -> None:
        """The message is durable, or cannot be."""
        self._intake = None
        if self._transport is None:
            return  # accepted without the client hearing it; it may send the message again
        if refusal is None:
            self.protocol.accept(f"Ok: queued as {identifier}")
        else:
            self.listener.log.warning("message refused", client=self.address, why=str(refusal))
            self.protocol.answer(refusal)
        if self.protocol.backlog:
            self._pump()
        else:
            self._say()
        if self.listener.stopping:
            self.shut_down()

    def _on_drop(self, _event: TransactionDropped) -> None:
        if self._intake is not None:
            self._intake.discard()
            self._intake = None

    def _on_verify(self, _event: VerifyReceived) -> None:
        self.protocol.accept()

    def _on_refused(self, _event: CommandRefused) -> None:
        now = self._monotonic()
        self._count_error(self.listener.limits.error(self.address, now))

    def _on_quit(self, _event: QuitReceived) -> None:
        """221 is said by the protocol; the connection is closed behind it."""


_HANDLERS: Final[dict[type, Callable[[Session, Any], None]]] = {
    HelloReceived: Session._on_hello,
    MailReceived: Session._on_mail,
    RecipientReceived: Session._on_rcpt,
    ContentRequested: Session._on_content,
    ContentReceived: Session._on_piece,
    ContentEnded: Session._on_end,
    TransactionDropped: Session._on_drop,
    TlsRequested: Session._on_starttls,
    AuthenticationRequested: Session._on_auth,
    AuthenticationResponded: Session._on_auth_response,
    AuthenticationCancelled: Session._on_auth_cancelled,
    VerifyReceived: Session._on_verify,
    CommandRefused: Session._on_refused,
    QuitReceived: Session._on_quit,
}

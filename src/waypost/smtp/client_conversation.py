"""What replies do: the queue of steps, and the reactions of `client_states` carried out.

`ClientProtocol` builds on this with the intents of the program; its module tells the theory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from waypost.smtp.client_authentication import AuthenticationExchange
from waypost.smtp.client_events import (
    Answered,
    Authenticated,
    AuthenticationRefused,
    Capable,
    ClientEvent,
    Closed,
    Disconnected,
    Greeted,
    GreetingRefused,
    HelloRefused,
    ProtocolBroken,
    ShutdownAnnounced,
    TlsReady,
    TlsRefused,
    TransactionFinished,
)
from waypost.smtp.client_outgoing import READY, Mode, Outgoing
from waypost.smtp.client_replies import REDACTED
from waypost.smtp.client_states import REACTIONS, STAGE_OF, Reaction, Step
from waypost.smtp.client_transaction import OpenTransaction, TransactionOutcome
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import MalformedReply, Reply

# Members of an enumeration cost a search at each use; those of the ordinary transaction are many.
_TAKEN: Final = Reaction.TAKEN
_REFUSED: Final = Reaction.REFUSED
_GO_AHEAD: Final = Reaction.GO_AHEAD
_MAIL: Final = Step.MAIL
_RCPT: Final = Step.RCPT
_CONTENT: Final = Step.CONTENT


class Conversation(Outgoing):
    """One connection as its client sees it, without the intents."""

    def receive(self, data: bytes) -> list[ClientEvent]:
        """Take what the socket read, return what it means. Never raises for what a peer sends."""
        events: list[ClientEvent] = []
        if self._deaf:
            if self._mode is Mode.HANDSHAKE:
                reason = "the peer spoke in the clear where the TLS handshake was due"
                self._break(reason, data, events)
            return events
        reader = self._reader
        lines = reader.lines(data)
        if self._mode is READY and (known := reader.read_known(lines)) is not None:
            for one in known:
                self._react(one, events)
                if self._deaf:
                    break
            return events
        behind = len(lines)
        try:
            for line in lines:
                behind -= 1
                answer = reader.read(line)
                if answer is None:
                    continue
                self._react(answer, events)
                if self._deaf:
                    self._refuse_injection(lines[len(lines) - behind :], events)
                    return events
            if reader.rest:
                reader.check_rest()
        except MalformedReply as fault:
            self._break(fault.reason, fault.evidence, events)
        return events

    def receive_eof(self) -> list[ClientEvent]:
        """The peer has closed the connection, or it broke."""
        if self._mode is Mode.OVER:
            return []
        stage = self.stage
        self._hang_up()
        if stage == "quit":
            return [Closed(None)]
        return [Disconnected(stage, self._reader.rest[:200])]

    def abandon(self) -> tuple[TransactionOutcome, ...]:
        """The connection is lost or given up: the outcomes of what was open, oldest first."""
        outcomes = tuple(current.outcome(current.stage) for current in self._open)
        self._open.clear()
        self._hang_up()
        return outcomes

    # --- reactions --------------------------------------------------------------------------

    def _react(self, answer: Reply, events: list[ClientEvent]) -> None:
        """Do what the table says for one reply."""
        expected = self._expected
        if len(expected) > self._untaken:
            step = expected.popleft()
        elif self._open and self._open[0].started_content:
            step = Step.STREAMING
        else:
            step = Step.NOTHING
        reaction = REACTIONS[step][answer.code - 200]
        if reaction is _TAKEN:
            self._note(step, answer, events, taken=True)
        elif reaction is _REFUSED:
            self._note(step, answer, events, taken=False)
        elif reaction is _GO_AHEAD:
            self._go_ahead(answer, events)
        else:
            _REACTIONS[reaction](self, step, answer, events)

    def _note(self, step: Step, answer: Reply, events: list[ClientEvent], *, taken: bool) -> None:
        """A step of the oldest transaction is done or refused."""
        current = self._open[0]
        if step is _CONTENT:  # means nothing where no recipient is left, or a chunk had failed
            if current.content is None and current.deliverable:
                current.content = answer
            self._finish(current, events)
            return
        if step is _RCPT:
            current.recipients[current.answered] = answer
            current.answered += 1
            if taken:
                current.accepted += 1
        elif step is _MAIL:
            current.mail = answer
            current.mail_taken = taken
        elif step is Step.DATA:
            current.data = answer
        elif step is Step.CHUNK:
            if current.content is None and not taken:
                current.content = answer
                current.wanting = False
            if current.content is None or self._expected:
                return
        if not self._expected:
            self._advance(current, events)

    def _advance(self, current: OpenTransaction, events: list[ClientEvent]) -> None:
        """All that was sent is answered: send what is next, or finish."""
        if current.mail is not None and not current.mail_taken:
            self._finish(current, events)
        elif current.sent < len(current.commands):
            self._send_commands(current)
        elif current.accepted == 0 or current.data is not None or current.content is not None:
            self._finish(current, events)
        elif not current.chunking:
            self._say("DATA", Step.DATA)
        else:
            self._open_content(current, events)

    def _finish(self, current: OpenTransaction, events: list[ClientEvent]) -> None:
        self._open.popleft()
        if not self._open:  # else the next one has begun with RSET, where that was needed
            self._left_open = current.left_open
        events.append(TransactionFinished(current.outcome()))

    def _go_ahead(self, answer: Reply, events: list[ClientEvent]) -> None:
        current = self._open[0]
        current.data = answer
        if current.deliverable:
            self._open_content(current, events)
            return
        # Pipelined DATA was accepted although nobody is left (RFC 2920 3.1): an empty message
        # to no one ends this.
        self._say(".", Step.EMPTY_CONTENT)

    def _ignored(self, step: Step, _answer: Reply, events: list[ClientEvent]) -> None:
        current = self._open[0]
        if step is Step.EMPTY_CONTENT:
            self._finish(current, events)
        elif not self._expected:
            self._send_commands(current)

    def _cut_short(self, _step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        # The peer refuses what it has not wholly read. What it makes of the rest cannot be known.
        current = self._open[0]
        if current.content is None:
            current.content = answer
        self._finish(current, events)
        self._break("the peer answered before the end of the content", str(answer).encode(), events)

    def _shut_down(self, step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        if self._open:
            current = self._open[0]
            if step is Step.MAIL:
                current.mail = answer
            elif step is Step.RCPT:
                current.recipients[current.answered] = answer
            elif step is Step.DATA:
                current.data = answer
            elif step in (Step.STREAMING, Step.CHUNK, Step.CONTENT) and current.content is None:
                current.content = answer
        for current in self._open:
            current.shutdown = answer
            events.append(TransactionFinished(current.outcome()))
        self._open.clear()
        self._hang_up()
        events.append(ShutdownAnnounced(answer))

    def _unexpected(self, step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        stage = STAGE_OF[step]
        reason = (
            "the peer sent a reply to nothing"
            if step is Step.NOTHING
            else f"{answer.code} answers nothing that is asked at the stage {stage}"
        )
        self._break(reason, str(answer).encode()[:200], events)

    def _greeted(self, _step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        self._mode = Mode.GREETED
        events.append(Greeted(answer))

    def _greeting_refused(self, _step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        events.append(GreetingRefused(answer))

    def _capable(self, step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        self.capabilities = Capabilities.parse(answer) if step is Step.EHLO else Capabilities()
        self._pipelining = self.settings.use_pipelining and self.capabilities.pipelining
        self._left_open = False  # EHLO clears as RSET does (RFC 5321 4.1.4)
        self._mode = Mode.READY
        events.append(Capable(self.capabilities))

    def _fall_back(self, _step: Step, _answer: Reply, _events: list[ClientEvent]) -> None:
        self._hello(Step.HELO)

    def _hello_refused(self, _step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        events.append(HelloRefused(answer))

    def _tls_ready(self, _step: Step, _answer: Reply, events: list[ClientEvent]) -> None:
        self._mode = Mode.HANDSHAKE
        self._deaf = True
        events.append(TlsReady())

    def _refuse_injection(self, lines: list[bytes], events: list[ClientEvent]) -> None:
        """Anything read together with the 220 to STARTTLS was injected: TlsReady is taken back."""
        injected = b"\n".join([*lines, self._reader.rest])
        if injected and self._mode is Mode.HANDSHAKE:
            events.pop()
            self._break(
                "the peer sent bytes in the clear behind its 220 to STARTTLS", injected, events
            )

    def _tls_refused(self, _step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        events.append(TlsRefused(answer))

    def _answered(self, step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        if step is Step.RSET and answer.is_positive:
            self._left_open = False
        events.append(Answered(answer))

    def _closed(self, _step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        self._hang_up()
        events.append(Closed(answer))

    def _challenged(self, _step: Step, answer: Reply, _events: list[ClientEvent]) -> None:
        line = self._current_exchange().respond(answer)
        if line is None:
            self._say("*", Step.AUTH_CANCELLED)
        else:
            self._say(line, Step.AUTH, shown=REDACTED)

    def _authenticated(self, _step: Step, answer: Reply, events: list[ClientEvent]) -> None:
        doubt = self._current_exchange().doubt()
        self._exchange = None
        if doubt is not None:
            self._break(doubt, str(answer).encode(), events)
            return
        self.authenticated = True
        events.append(Authenticated(answer))

    def _authentication_refused(
        self, _step: Step, answer: Reply, events: list[ClientEvent]
    ) -> None:
        reason = self._current_exchange().reason
        self._exchange = None
        events.append(AuthenticationRefused(answer, reason))

    def _current_exchange(self) -> AuthenticationExchange:
        if self._exchange is None:
            raise RuntimeError("a step of AUTH stands in the queue without an exchange")
        return self._exchange

    def _break(self, reason: str, evidence: bytes, events: list[ClientEvent]) -> None:
        self._hang_up()
        events.append(ProtocolBroken(reason, evidence[:200]))


# What is left of the table's reactions: all but the three of the ordinary transaction, which
# `_react` looks for itself.
_Handler = Callable[[Conversation, Step, Reply, list[ClientEvent]], None]

_REACTIONS: Final[Mapping[Reaction, _Handler]] = {
    Reaction.BROKEN: Conversation._unexpected,
    Reaction.SHUTDOWN: Conversation._shut_down,
    Reaction.GREETED: Conversation._greeted,
    Reaction.GREETING_REFUSED: Conversation._greeting_refused,
    Reaction.CAPABLE: Conversation._capable,
    Reaction.FALL_BACK: Conversation._fall_back,
    Reaction.HELLO_REFUSED: Conversation._hello_refused,
    Reaction.TLS_READY: Conversation._tls_ready,
    Reaction.TLS_REFUSED: Conversation._tls_refused,
    Reaction.CHALLENGED: Conversation._challenged,
    Reaction.AUTHENTICATED: Conversation._authenticated,
    Reaction.AUTH_REFUSED: Conversation._authentication_refused,
    Reaction.CUT_SHORT: Conversation._cut_short,
    Reaction.IGNORED: Conversation._ignored,
    Reaction.ANSWERED: Conversation._answered,
    Reaction.CLOSED: Conversation._closed,
}

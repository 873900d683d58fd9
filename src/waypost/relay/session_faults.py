"""Faults on purpose in a session: what the rules of the sandbox say happens in place of answers.

A delayed answer leaves the client's question open, and while one is open nothing more is read; so
what was pipelined behind it waits as it would at a slow server, and answers stay in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from waypost.faults.rule import COMMANDS, Command
from waypost.faults.rules import FaultRules, Strike
from waypost.relay.session_security import SecuredSession
from waypost.relay.session_state import COMMAND_SECONDS
from waypost.smtp.reply import Reply
from waypost.smtp.server_events import ContentEnded, MailReceived, RecipientReceived, ServerEvent


class FaultySession(SecuredSession):
    """See the module. Where no rule is set nothing here is called."""

    __slots__ = ()

    def _handle(self, event: ServerEvent) -> None:
        """What happens where no rule says otherwise."""
        raise NotImplementedError

    def _stored(self, refusal: Reply | None, identifier: str) -> None:
        """The message is durable, or cannot be."""
        raise NotImplementedError

    def _struck_at_connect(self, faults: FaultRules) -> bool:
        """Whether a rule takes the greeting over."""
        strike = self._ask(faults, "connect", "", ())
        if strike is None:
            return False
        self.protocol.hold_greeting()
        self.deadline = self._monotonic() + COMMAND_SECONDS
        protocol = self.protocol
        act = protocol.hang_up if strike.drop else partial(protocol.greet, strike.reply)
        self._later(strike.delay, act)
        if self._held is None:
            self._pump()
        return True

    def _struck(self, faults: FaultRules, event: ServerEvent) -> bool:
        """Whether a rule takes the answer to a command over."""
        command = COMMANDS.get(type(event))
        if command is None:
            return False
        strike = self._ask(faults, command, *self._about(event))
        if strike is None:
            return False
        if isinstance(event, ContentEnded):
            self._strike_content(strike)
        elif strike.drop:
            self._later(strike.delay, self.protocol.hang_up)
        elif strike.reply is not None:
            self._later(strike.delay, partial(self.protocol.answer, strike.reply))
        else:
            self._later(strike.delay, partial(self._handle, event))
        return True

    def _strike_content(self, strike: Strike) -> None:
        """A refused message is not kept. One whose answer is late or lost is kept first, as at a
        real server: a client that gives up and sends it again makes two of it."""
        intake = self._intake
        assert intake is not None
        if strike.reply is None:
            intake.finish(partial(self._kept, strike))
            return
        intake.discard()
        self._intake = None
        self._later(strike.delay, partial(self.protocol.answer, strike.reply))

    def _kept(self, strike: Strike, refusal: Reply | None, identifier: str) -> None:
        if self._transport is None:
            self._intake = None
            return
        if strike.drop:
            act: Callable[[], None] = self.protocol.hang_up
        else:
            act = partial(self._stored, refusal, identifier)
        self._later(strike.delay, act)
        if self._held is None:
            self._pump()

    def _about(self, event: ServerEvent) -> tuple[str, tuple[str, ...]]:
        """Sender and recipients that a rule is asked about; at RCPT this recipient alone."""
        if isinstance(event, MailReceived):
            return event.envelope.reverse_path, ()
        envelope = self.protocol.envelope
        if envelope is None:
            return "", ()
        if isinstance(event, RecipientReceived):
            return envelope.reverse_path, (event.recipient.address,)
        return envelope.reverse_path, tuple(one.address for one in envelope.recipients)

    def _ask(
        self, faults: FaultRules, command: Command, sender: str, recipients: tuple[str, ...]
    ) -> Strike | None:
        strike = faults.strike(command, sender, recipients, self._monotonic())
        if strike is not None:
            self.listener.log.debug(
                "fault on purpose", client=self.address, rule=strike.number, at=command
            )
        return strike

    def _later(self, delay: float, act: Callable[[], None]) -> None:
        """Do it now, where `_pump` is under way, or after a delay."""
        if delay <= 0:
            act()
            return

        def now() -> None:
            self._held = None
            if self._transport is not None:
                act()
                self._pump()

        self._held = self.listener.clock.call_later(delay, now)

"""How long a server takes, stage by stage: one session opened as mail would open it, and left.

Each stage is a wait that delivery has as well: the name, the connection, the greeting, EHLO, TLS,
the login, MAIL and RCPT. No mail is sent: the transaction ends with RSET, and neither that nor
QUIT is measured. With STARTTLS, `tls` is the command and the handshake, and the second EHLO counts
with the first. A session that does not come to its end is lost, with the stage and the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal, get_args

from waypost.delivery.next_hop import Smarthost, TlsMode
from waypost.delivery.outcome import outcome_of_reply
from waypost.doctor.fix import fix_for
from waypost.doctor.line_connection import LineConnection, Unanswered
from waypost.doctor.line_dialogue import AuthenticationBroken, Dialogue, is_done, mechanism_for
from waypost.doctor.line_opening import REASONS, StageFailed, World, open_lines
from waypost.smtp.auth import AuthenticationFailure
from waypost.smtp.client_commands import Transaction, mail_command, rcpt_command
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import Reply

Stage = Literal["dns", "connect", "greeting", "ehlo", "tls", "auth", "mail", "rcpt"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

CLOSING_SECONDS: Final = 1.0
"""For the replies to RSET and QUIT, which are not measured."""

_NO_EHLO: Final = frozenset({500, 502, 504})
"""What a server older than RFC 1869 answers; it is greeted with HELO (RFC 5321 3.2)."""


@dataclass(frozen=True, slots=True)
class LatencySettings:
    """What is asked of the server each time."""

    hop: Smarthost
    hostname: str
    """Said in EHLO."""
    nonce: Callable[[], str]
    """For SCRAM, anew each time."""
    seconds: float = 30.0
    """For each stage."""
    sender: str = ""
    recipient: str | None = None
    """Asked for with RCPT; None: the session ends before MAIL."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a session did not come to its end."""

    stage: str
    reason: str
    """The name in outcomes.toml."""
    text: str
    fix: str
    answered: bool
    """The server said no; otherwise nobody spoke SMTP with us, or stopped to."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One session. Times in seconds."""

    number: int
    at: float
    """When it began, since the epoch."""
    stages: Mapping[Stage, float]
    """Those that were passed."""
    address: str
    """Which address answered; "" where none did."""
    tls: str
    """Version and cipher; "" without TLS."""
    loss: Loss | None = None

    @property
    def total(self) -> float | None:
        """All stages together; None where the session was lost."""
        return None if self.loss is not None else sum(self.stages.values())


async def measure(settings: LatencySettings, world: World, number: int = 1) -> Measured:
    """Open one session and leave it. What the server does wrong is in the result."""
    session = _Session(settings, world)
    at = world.clock.now()
    loss = None
    try:
        await session.run()
    except StageFailed as fault:
        loss = Loss(
            fault.stage, fault.reason, fault.text,
            fault.fix or fix_for(fault.reason, settings.hop.host), answered=False,
        )  # fmt: skip
    except Unanswered as fault:
        loss = session.loss(REASONS[fault.why], fault.text, answered=False)
    except AuthenticationFailure as fault:
        loss = session.loss("no-common-mechanism", str(fault), answered=True)
    except AuthenticationBroken as fault:
        text = f"{fault.reason}; the server said {fault.reply}"
        loss = session.loss("authentication-refused", text, answered=True)
    except _Refused as fault:
        stage = "starttls" if session.stage == "tls" else session.stage
        reason = outcome_of_reply(stage, fault.reply, "smarthost").reason or "protocol-error"
        loss = session.loss(reason, f"the server said {fault.reply}", answered=True)
    except _NoTls:
        text = "the server does not offer STARTTLS, and the target asks for TLS"
        loss = session.loss("tls-not-offered", text, answered=True)
    finally:
        await session.leave()
    return Measured(number, at, session.stages, session.address, session.tls, loss)


class _Refused(Exception):
    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(str(reply))


class _NoTls(Exception):
    pass


class _Session:
    """One session on its way, with the times of the stages that it has passed."""

    def __init__(self, settings: LatencySettings, world: World) -> None:
        self._settings = settings
        self._world = world
        self._connection: LineConnection | None = None
        self._spoken = False
        self.stage: Stage = "dns"
        self.stages: dict[Stage, float] = {}
        self.address = ""
        self.tls = ""

    def loss(self, reason: str, text: str, *, answered: bool) -> Loss:
        """A loss at the stage that was reached."""
        fix = fix_for(reason, self._settings.hop.host, self.stage)
        return Loss(self.stage, reason, text[:500], fix, answered)

    async def run(self) -> None:
        """All stages in their order. Raises what ends the session before its end."""
        settings, hop = self._settings, self._settings.hop
        opened = await open_lines(hop, self._world, self._make, settings.seconds)
        self.stages |= {stage: opened.seconds[stage] for stage in opened.seconds}
        self.address = opened.address
        self.tls = str(opened.tls or "")
        dialogue = Dialogue(opened.connection, settings.seconds)
        with self._timed("greeting"):
            _done(await dialogue.greeting())
        self._spoken = True
        capabilities = await self._hello(dialogue)
        if hop.tls in (TlsMode.REQUIRED, TlsMode.OPPORTUNISTIC):
            capabilities = await self._start_tls(dialogue, capabilities)
        if hop.credentials is not None:
            with self._timed("auth"):
                mechanism = mechanism_for(
                    hop, capabilities, settings.nonce(), encrypted=bool(self.tls)
                )
                _done(await dialogue.authenticate(mechanism))
        if settings.recipient is not None:
            await self._transaction(dialogue, settings.recipient, capabilities)

    async def leave(self) -> None:
        """End the session: in order where the server speaks with us."""
        connection = self._connection
        if connection is None or connection.ended is not None:
            return
        with suppress(Unanswered):
            if self._spoken and connection.at_peace:
                await Dialogue(connection, CLOSING_SECONDS).ask("QUIT")
        connection.abort()

    def _make(self) -> LineConnection:
        self._connection = LineConnection(self._world.clock)
        return self._connection

    @contextmanager
    def _timed(self, stage: Stage) -> Iterator[None]:
        """Count the time of a stage, if it comes to its end."""
        self.stage = stage
        begun = self._world.clock.monotonic()
        yield
        took = self._world.clock.monotonic() - begun
        self.stages[stage] = self.stages.get(stage, 0.0) + took

    async def _hello(self, dialogue: Dialogue) -> Capabilities:
        name = self._settings.hop.ehlo or self._settings.hostname
        with self._timed("ehlo"):
            answer = await dialogue.ask(f"EHLO {name}")
            if answer.code in _NO_EHLO:
                _done(await dialogue.ask(f"HELO {name}"))
                return Capabilities()
            return Capabilities.parse(_done(answer))

    async def _start_tls(self, dialogue: Dialogue, capabilities: Capabilities) -> Capabilities:
        hop = self._settings.hop
        if not capabilities.starttls:
            if hop.tls is TlsMode.REQUIRED:
                self.stage = "tls"
                raise _NoTls
            return capabilities
        with self._timed("tls"):
            answer, tls = await dialogue.start_tls(hop, self._world.network)
            if tls is None:
                raise _Refused(answer)
        self.tls = str(tls)
        return await self._hello(dialogue)

    async def _transaction(
        self, dialogue: Dialogue, address: str, capabilities: Capabilities
    ) -> None:
        recipient = Recipient(address)
        transaction = Transaction(Envelope(self._settings.sender, (recipient,)), size=0)
        with self._timed("mail"):
            _done(await dialogue.ask(mail_command(transaction, capabilities)))
        with self._timed("rcpt"):
            _done(await dialogue.ask(rcpt_command(recipient, capabilities)))
        with suppress(Unanswered):
            await Dialogue(dialogue.connection, CLOSING_SECONDS).ask("RSET")


def _done(answer: Reply) -> Reply:
    """The reply, if the server goes along."""
    if not is_done(answer):
        raise _Refused(answer)
    return answer

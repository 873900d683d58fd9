"""One session with a server, driven by lines that somebody types or a script holds.

`take` is given one line and returns when the server has answered it, or not in time. A secret goes
out in the clear only by an explicit word (commands.IN_CLEAR), and into what is shown or kept never.
Each wait has its seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from waypost.delivery.next_hop import Smarthost
from waypost.doctor.line_connection import LineConnection, Unanswered
from waypost.doctor.line_dialogue import Dialogue
from waypost.doctor.line_opening import StageFailed, World, open_lines
from waypost.doctor.shell import explaining
from waypost.doctor.shell.commands import OwnCommand, Said, read_input
from waypost.doctor.shell.completion import Situation
from waypost.doctor.shell.content import END, Content, DotContent, chunk
from waypost.doctor.shell.entries import Entry
from waypost.doctor.shell.logins import Logins, LoginWanted
from waypost.doctor.shell.own_commands import run_own
from waypost.smtp.reply import Reply

LEAVING_SECONDS: Final = 3.0
"""For the reply to QUIT where nobody typed it."""


class ShellSession(Logins):
    """See the module."""

    def __init__(
        self,
        hop: Smarthost,
        place: str,
        hostname: str,
        world: World,
        show: Callable[[Entry], None],
        nonce: Callable[[], str],
        *,
        seconds: float,
        script: bool,
    ) -> None:
        super().__init__(hop, place, hostname, world, show, nonce, seconds)
        self._script = script
        self._content_verb = ""
        self._skipping = False

    # --- what the face looks at -------------------------------------------------------------

    @property
    def prompt(self) -> str:
        """What is asked for."""
        if self._content is not None:
            return self._content.prompt
        if self._responding:
            return "response> "
        if not self.connected:
            return "(closed)> "
        return "tls> " if self.tls is not None else "> "

    @property
    def takes_command(self) -> bool:
        """A command is due, and not content or a secret: it may go into the history."""
        return self._content is None and not self._responding and not self._skipping

    @property
    def situation(self) -> Situation:
        """What completion depends on."""
        return Situation(self.hostname, self.capabilities, self.tls is not None)

    # --- what the face does -----------------------------------------------------------------

    async def connect(self) -> bool:
        """Connect and hear the greeting. False where there is no connection."""
        self._forget()
        clock = self._world.clock
        begun = clock.monotonic()

        def make() -> LineConnection:
            self._asking, self._lines_of_reply = explaining.GREETING, 0
            return LineConnection(clock, self._heard_line, self._heard_unasked)

        self.say("note", f"connecting to {self.place}")
        try:
            opened = await open_lines(self.hop, self._world, make, self._seconds)
        except StageFailed as fault:
            self._stage_failed(fault)
            return False
        self._connection = opened.connection
        self._reached = True
        took = (clock.monotonic() - begun) * 1000
        self.say("note", f"connected to {opened.address} in {took:.1f} ms")
        if opened.tls is not None:
            self.secured(opened.tls)
        await self._hear(explaining.GREETING, "(greeting)")
        return True

    async def take(self, line: str) -> LoginWanted | None:
        """Take a line that was typed."""
        if self._skipping:
            self._skipping = line.encode("utf-8", "surrogateescape") != END
            return None
        if self._content is not None:
            await self._take_content(self._content, line)
            return None
        if self._responding:
            await self._respond(line)
            return None
        given = read_input(line)
        if isinstance(given, OwnCommand):
            return await run_own(self, given)
        if not given.verb:
            return None
        return await self._say_command(given)

    async def interrupt(self) -> None:
        """Ctrl-C: leave what has begun."""
        if self._responding:
            self._responding = False
            await self.ask("*", "AUTH")
        elif self._content is not None and self._content.on_its_way:
            text = "a message that has begun can only be taken back by ending the connection"
            self._drop(f"{text} (RFC 5321 4.1.1.5)")
        elif self._content is not None:
            self._content = None
            self.say("note", "nothing was sent")

    async def end_of_input(self) -> None:
        """Ctrl-D, or the end of a script: leave the server in order."""
        if self._content is not None and self._content.on_its_way and self.connected:
            self._failed = True
            self._drop("the content has no end, so it is not sent: the connection is cut")
        elif self.connected and not self._responding:
            self._content = None
            await self.ask("QUIT", "QUIT", seconds=LEAVING_SECONDS)
        self.close()

    def close(self) -> None:
        """End the connection without a word."""
        self.over = True
        if self._connection is not None:
            self._connection.abort()

    # --- commands ---------------------------------------------------------------------------

    async def start_tls(self, *, typed: bool) -> bool:
        """STARTTLS with its handshake; whether TLS is in force now."""
        connection = self._connection
        if connection is None or connection.ended is not None:
            await self.ask("STARTTLS", "STARTTLS")
            return False
        if self.tls is not None:
            self._trouble("TLS is in force already, and cannot be begun twice (RFC 3207 4.2)")
            return False
        told = Dialogue(connection, self._seconds, lambda line: self.say("sent", line, typed=typed))
        self._begin_asking("STARTTLS")
        begun = self._world.clock.monotonic()
        try:
            answer, tls = await told.start_tls(self.hop, self._world.network)
        except Unanswered as fault:
            self._unanswered(fault)
            return False
        except StageFailed as fault:
            self._stage_failed(fault)
            self._lost()
            return False
        self._answered("STARTTLS", "STARTTLS", answer, begun)
        if tls is None:
            return False
        self.capabilities = None
        self.secured(tls)
        self.say("explanation", "what was said before does not count: greet it again with EHLO")
        return True

    async def _say_command(self, said: Said) -> LoginWanted | None:
        if not self._fit(said.line):
            return None
        verb = said.verb
        if verb == "STARTTLS" and not self.raw:
            await self.start_tls(typed=True)
        elif verb == "AUTH" and len(said.words) > 1:
            return await self._say_auth(said)
        elif verb == "AUTH" and not self.raw:
            return await self.login("", in_clear=False)
        elif verb == "BDAT":
            await self._say_bdat(said)
        else:
            answer = await self.ask(said.line, verb, typed=True)
            if verb == "DATA":
                self._after_data(answer)
            elif verb == "QUIT":
                self.close()
        return None

    async def _say_bdat(self, said: Said) -> None:
        if not self.connected:
            await self.ask(said.line, "BDAT")
            return
        content = chunk(said.words)
        if isinstance(content, str):
            self._trouble(content)
            return
        if content.prompt.startswith("0 "):
            await self.ask(said.line, "BDAT", typed=True)
            return
        self._content, self._content_verb = content, "BDAT"

    def _after_data(self, answer: Reply | None) -> None:
        if answer is not None and 300 <= answer.code < 400:
            self._content, self._content_verb = DotContent(raw=self.raw), explaining.CONTENT
        elif self._script and self.connected:
            self._skipping = True
            self.say("note", "DATA was not taken: the lines up to the lone dot are left out")

    async def _take_content(self, content: Content, line: str) -> None:
        connection = self._connection
        if connection is None or connection.ended is not None:
            self._content = None
            self._trouble("there is no connection; /reconnect makes a new one")
            return
        if not self._fit(line):
            return
        piece = content.line(line.encode("utf-8", "surrogateescape"))
        connection.say(piece.send)
        if not piece.ended:
            try:
                await connection.drain(self._seconds)
            except Unanswered as fault:
                self._drop(fault.text)
            return
        self._content = None
        if piece.note:
            self.say("note", piece.note)
        what = f"[{content.size} bytes of content]"
        self.say("sent", what)
        await self._hear(self._content_verb, what)

    def _fit(self, line: str) -> bool:
        """Whether a line may go out: a CR in its midst would make two of it to some servers."""
        if self.raw or "\r" not in line:
            return True
        self._trouble("the line holds a bare CR and was not sent; with /raw on it is")
        return False

    def _forget(self) -> None:
        """Leave the connection there is, if any."""
        if self._connection is not None:
            self._connection.abort()
        self._connection = None
        self._skipping = False
        self._lost()
        self._failed = False

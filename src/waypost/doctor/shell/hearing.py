"""One connection of a session: lines go out, what comes back is shown and explained.

The lowest of three rooms: `logins` adds AUTH, `session` what can be typed. Each line of the server
is shown as it arrives, also one that nobody asked for, such as 421 after a long pause.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from waypost.delivery.next_hop import Smarthost
from waypost.doctor.fix import fix_for
from waypost.doctor.line_connection import Ended, Heard, Line, LineConnection, NotAReply, Unanswered
from waypost.doctor.line_dialogue import CHALLENGE, is_done
from waypost.doctor.line_opening import REASONS, StageFailed, World
from waypost.doctor.shell import explaining
from waypost.doctor.shell.content import Content
from waypost.doctor.shell.entries import Entry, Kind, Transcript
from waypost.net.tls import TlsDescription
from waypost.smtp.client_replies import REDACTED
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import Reply

MAXIMUM_SHOWN: Final = 1000
"""Characters of one line that are shown."""

MAXIMUM_TIMINGS: Final = 1000
"""Replies whose times are kept."""


class Hearing:
    """The connection of a session, and all that is shown of it."""

    def __init__(
        self,
        hop: Smarthost,
        place: str,
        hostname: str,
        world: World,
        show: Callable[[Entry], None],
        seconds: float,
    ) -> None:
        self.hop = hop
        self.place = place
        self.hostname = hop.ehlo or hostname
        self.transcript = Transcript(
            f"waypost shell {place}", world.clock.now(), world.clock.monotonic
        )
        self.timings: list[tuple[str, float, int]] = []
        """What was said, seconds to its reply, the reply's code."""
        self.over = False
        """Nothing more is to be taken: QUIT was said."""
        self.tls: TlsDescription | None = None
        self.capabilities: Capabilities | None = None
        self._world = world
        self._show = show
        self._seconds = seconds
        self._connection: LineConnection | None = None
        self._content: Content | None = None
        self._responding = False
        """The next line answers a challenge of AUTH."""
        self._secret_replies = False
        """Challenges are not shown."""
        self._asking = ""
        self._lines_of_reply = 0
        self._reached = False
        self._failed = False

    # --- what the face looks at -------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """A connection is there."""
        return self._connection is not None and self._connection.ended is None

    @property
    def reached(self) -> bool:
        """A server was connected to."""
        return self._reached

    @property
    def failed(self) -> bool:
        """The last reply, other than to QUIT, was a refusal, or the connection was lost."""
        return self._failed

    # --- showing ----------------------------------------------------------------------------

    def say(self, kind: Kind, text: str, beside: str = "", *, typed: bool = False) -> None:
        """Show and keep a line. Whoever wrote it, it holds no control characters after this."""
        if not text.isprintable():
            text = text.encode("unicode_escape").decode("ascii")
        if len(text) > MAXIMUM_SHOWN:
            text = f"{text[:MAXIMUM_SHOWN]} [{len(text) - MAXIMUM_SHOWN} more characters]"
        entry = Entry(kind, text, beside, typed)
        self.transcript.add(entry)
        self._show(entry)

    def secured(self, tls: TlsDescription) -> None:
        """TLS is in force; show what it has."""
        self.tls = tls
        self.tell_tls()

    def tell_tls(self) -> None:
        """Show what the TLS in force has."""
        assert self.tls is not None, "TLS is in force"
        insecure = not self.hop.verify
        for words in explaining.tls_words(self.tls, self._world.clock.now(), insecure=insecure):
            self.say("note", words)

    # --- asking and hearing -----------------------------------------------------------------

    async def ask(
        self, line: str, verb: str, *, typed: bool = False, shown: str = "", seconds: float = 0.0
    ) -> Reply | None:
        """Say a line and hear its reply; None where there was none."""
        connection = self._connection
        if connection is None or connection.ended is not None:
            self._trouble("there is no connection; /reconnect makes a new one")
            return None
        self.say("sent", shown or line, typed=typed)
        connection.say(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return await self._hear(verb, shown or line, seconds)

    def _begin_asking(self, verb: str) -> None:
        self._asking, self._lines_of_reply = verb, 0

    async def _hear(self, verb: str, said: str, seconds: float = 0.0) -> Reply | None:
        """Wait for the reply to what was said last, and explain it."""
        connection = self._connection
        assert connection is not None, "something was said over it"
        if verb != explaining.GREETING:
            self._begin_asking(verb)
        begun = self._world.clock.monotonic()
        try:
            heard = await connection.reply(seconds or self._seconds)
        except Unanswered as fault:
            if verb == "QUIT" and connection.ended is not None:
                self.say("explanation", "the connection is closed")
            else:
                self._unanswered(fault)
            return None
        if isinstance(heard, NotAReply):
            self._failed = True
            self._explain_stray(heard)
            return None
        self._answered(verb, said, heard, begun)
        return heard

    def _answered(self, verb: str, said: str, answer: Reply, begun: float) -> None:
        took = self._world.clock.monotonic() - begun
        if verb != "QUIT":
            self._failed = answer.code >= 400 or not self.connected
        if len(self.timings) < MAXIMUM_TIMINGS:
            self.timings.append((said, took, answer.code))
        if verb in ("EHLO", "HELO") and is_done(answer):
            self.capabilities = Capabilities.parse(answer) if verb == "EHLO" else Capabilities()
        words = explaining.reply_words(verb, answer)
        self.say("explanation", f"{words}; {took * 1000:.1f} ms")
        fix = explaining.reply_fix(verb, answer, self.hop.host)
        if fix:
            self.say("explanation", fix)

    def _heard_line(self, line: Line) -> None:
        text = line.text
        self._lines_of_reply += 1
        beside = ""
        if self._secret_replies and text.startswith(str(CHALLENGE)):
            text = f"{CHALLENGE} {REDACTED}"
        elif self._asking == "EHLO" and self._lines_of_reply > 1 and text.startswith("250"):
            beside = explaining.offer_words(text)
        if line.cut:
            text += " [the line goes on; the rest was passed over]"
        self.say("received", text, beside)

    def _heard_unasked(self, heard: Heard) -> None:
        if isinstance(heard, Ended):
            if self._asking == "QUIT":
                return  # as it should be (RFC 5321 4.1.1.10)
            self._trouble(heard.text)
            self._lost()
        elif isinstance(heard, NotAReply):
            self._explain_stray(heard)
        else:
            words = explaining.reply_words("", heard) if heard.code >= 400 else "nobody had asked"
            self.say("explanation", f"said unasked, or too late: {words}")

    def _explain_stray(self, heard: NotAReply) -> None:
        implicit = self.tls is not None
        words = explaining.stray_words(heard.line.text, heard.reason, implicit=implicit)
        self.say("explanation", words)

    # --- ends -------------------------------------------------------------------------------

    def _trouble(self, text: str) -> None:
        self.say("trouble", text)

    def _unanswered(self, fault: Unanswered) -> None:
        self._failed = True
        greeting = self._asking == explaining.GREETING
        if fault.why == "timeout":
            self._trouble(f"{fault.text}; the connection is still there")
        else:
            self._trouble(fault.text)
            self._lost()
        if greeting:
            stage = "greeting" if fault.why == "timeout" else ""
            self.say("explanation", fix_for(REASONS[fault.why], self.hop.host, stage))
            if self.tls is None:
                self.say("explanation", explaining.SILENT_PORT)

    def _stage_failed(self, fault: StageFailed) -> None:
        self._failed = True
        self._trouble(fault.text)
        fix = fault.fix or fix_for(fault.reason, self.hop.host)
        if fix:
            self.say("explanation", fix)

    def _drop(self, text: str) -> None:
        if self._connection is not None:
            self._connection.abort()
        self._trouble(text)
        self._lost()

    def _lost(self) -> None:
        self._content = None
        self._responding = self._secret_replies = False
        self.tls, self.capabilities = None, None
        if not self.over:
            self._failed = True

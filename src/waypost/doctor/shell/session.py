"""One session with a server, driven by lines that somebody types or a script holds.

`take` is given one line and returns when the server has answered it, or not in time. What is shown
comes through `show`: each line of the server as it arrives, also one that nobody asked for, such
as 421 after a long pause, and what it means. A login asks for its secret by returning
LoginWanted, as only the face can ask without an echo.

A secret goes out in the clear only by an explicit word (commands.IN_CLEAR), and into what is shown
or kept never. Nothing here ends by itself but with the connection; each wait has its seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from waypost.delivery.route import Smarthost
from waypost.doctor.line_connection import Ended, Heard, Line, LineConnection, NotAReply, Unanswered
from waypost.doctor.line_dialogue import CHALLENGE, WITH_A_TOKEN, AuthenticationBroken, Dialogue
from waypost.doctor.line_opening import StageFailed, World, open_lines
from waypost.doctor.shell import explaining
from waypost.doctor.shell.commands import IN_CLEAR, OwnCommand, Said, read_input
from waypost.doctor.shell.completion import Situation
from waypost.doctor.shell.content import END, Content, DotContent, chunk
from waypost.doctor.shell.entries import Entry, Kind, Transcript
from waypost.doctor.shell.own_commands import run_own
from waypost.knowledge.advice import advice_for_operator
from waypost.net.tls import TlsDescription
from waypost.smtp.auth import (
    IN_CLEAR_TEXT,
    AuthenticationFailure,
    BearerToken,
    Password,
    choose_mechanism,
)
from waypost.smtp.client_replies import REDACTED
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import Reply

MAXIMUM_SHOWN: Final = 1000
"""Characters of one line that are shown."""

MAXIMUM_TIMINGS: Final = 1000
"""Replies whose times are kept."""

LEAVING_SECONDS: Final = 3.0
"""For the reply to QUIT where nobody typed it."""

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


class ShellSession:
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
        self.hop = hop
        self.place = place
        self.hostname = hop.ehlo or hostname
        self.transcript = Transcript(
            f"waypost shell {place}", world.clock.now(), world.clock.monotonic
        )
        self.raw = False
        """Lines go out as they are typed."""
        self.timings: list[tuple[str, float, int]] = []
        """What was said, seconds to its reply, the reply's code."""
        self.over = False
        """Nothing more is to be taken: QUIT was said."""
        self.tls: TlsDescription | None = None
        self.capabilities: Capabilities | None = None
        self._world = world
        self._show = show
        self._nonce = nonce
        self._seconds = seconds
        self._script = script
        self._connection: LineConnection | None = None
        self._content: Content | None = None
        self._content_verb = ""
        self._skipping = False
        self._responding = False
        self._secret_replies = False
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

    @property
    def reached(self) -> bool:
        """A server was connected to."""
        return self._reached

    @property
    def failed(self) -> bool:
        """The last reply, other than to QUIT, was a refusal, or the connection was lost."""
        return self._failed

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
        finally:
            self._secret_replies = False
        self._answered("AUTH", f"AUTH {mechanism.name}", answer, begun)
        told = getattr(mechanism, "server_error", "")
        if told:
            self.say("explanation", f"the server gave this reason: {told}")

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

    # --- what the shell's own commands use (own_commands.py) --------------------------------

    def say(self, kind: Kind, text: str, beside: str = "", *, typed: bool = False) -> None:
        """Show and keep a line."""
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

    async def login(self, mechanism: str, *, in_clear: bool) -> LoginWanted | None:
        """A login by a mechanism that is known here, or by the best one ("")."""
        if not self.connected:
            self._trouble("there is no connection; /reconnect makes a new one")
            return None
        offered = self.capabilities.auth if self.capabilities is not None else ()
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
        given = self.hop.credentials
        if given is None:
            return wanted
        await self.log_in(wanted, given.user, given.password)
        return None

    # --- commands ---------------------------------------------------------------------------

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

    # --- hearing ----------------------------------------------------------------------------

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
            self._failed = answer.code >= 400
        if len(self.timings) < MAXIMUM_TIMINGS:
            self.timings.append((said, took, answer.code))
        if verb in ("EHLO", "HELO") and answer.is_positive:
            self.capabilities = Capabilities.parse(answer) if verb == "EHLO" else Capabilities()
        words = explaining.reply_words(verb, answer)
        self.say("explanation", f"{words}; {took * 1000:.1f} ms")

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
        if fault.why == "timeout":
            self._trouble(f"{fault.text}; the connection is still there")
            return
        self._trouble(fault.text)
        self._lost()

    def _stage_failed(self, fault: StageFailed) -> None:
        self._failed = True
        self._trouble(fault.text)
        fix = fault.fix or advice_for_operator(fault.reason)
        if fix:
            self.say("explanation", fix)

    def _drop(self, text: str) -> None:
        self._trouble(text)
        if self._connection is not None:
            self._connection.abort()
        self._lost()

    def _lost(self) -> None:
        self._content = None
        self._responding = self._secret_replies = False
        self.tls, self.capabilities = None, None
        if not self.over:
            self._failed = True

    def _forget(self) -> None:
        """Leave the connection there is, if any."""
        if self._connection is not None:
            self._connection.abort()
        self._connection = None
        self._skipping = False
        self._lost()
        self._failed = False

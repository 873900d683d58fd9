"""The server of a test, in a thread of its own."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import shutil
import ssl
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import quote

from waypost.faults.rule import Command, FaultRule
from waypost.faults.rules import FaultRules
from waypost.lab.trap import Trap, Trapped, TrapSettings
from waypost.lab.trap_logins import MECHANISMS
from waypost.net.clock import SystemClock
from waypost.relay.certificates import self_signed
from waypost.smtp.server_settings import ServerSettings
from waypost.testing.received import ReceivedMessage

WAIT_SECONDS: Final = 10.0
START_SECONDS: Final = 30.0

TlsOffer = Literal["none", "starttls", "implicit"]


class NothingCame(AssertionError):
    """A message that was waited for did not come; the text says what came instead."""


class MailServer:
    """See the package. `with MailServer() as server:`, or `start` and `stop`.

    - `tls`: "none", "starttls" (offered), or "implicit"; the certificate is in `ca_file`.
    - `users`: names and passwords that may log in; with `require_login` nobody else may send.
    - `maximum_size` in bytes, `maximum_recipients`, `smtputf8`, `chunking`: what is offered.
    - `seed`: of the chance that rules with a share use; the same seed, the same faults.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        hostname: str = "mail.test",
        tls: TlsOffer = "none",
        users: Mapping[str, str] | None = None,
        require_login: bool = False,
        maximum_size: int = 50 * 1024 * 1024,
        maximum_recipients: int = 1000,
        smtputf8: bool = True,
        chunking: bool = True,
        seed: int = 0,
    ) -> None:
        self.host = host
        self.port = port
        """0 until it is started, if none was given."""
        self._tls: TlsOffer = tls
        self._hostname = hostname
        self._users = dict(users or {})
        self._require_login = require_login
        self._settings = ServerSettings(
            hostname,
            maximum_size=maximum_size,
            maximum_recipients=maximum_recipients,
            starttls=tls == "starttls",
            auth_mechanisms=MECHANISMS if self._users else (),
            auth_in_clear=tls == "none",
            smtputf8=smtputf8,
            chunking=chunking,
        )
        self._rules = FaultRules(random.Random(seed))  # noqa: S311 - faults, not secrets
        self._came = threading.Condition()
        self._messages: list[ReceivedMessage] = []
        self._folder: Path | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._trap: Trap | None = None
        self._server: asyncio.Server | None = None

    # --- life -------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen. Raises OSError where the port is taken."""
        if self._thread is not None:
            raise RuntimeError("this mail server is started already")
        tls = self._make_tls() if self._tls != "none" else None
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=loop.run_forever, name="waypost-mail-server", daemon=True
        )
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(tls), loop).result(START_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close every connection and stop listening. The messages stay."""
        loop, self._loop = self._loop, None
        thread, self._thread = self._thread, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), loop).result(START_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_SECONDS)
        loop.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # --- where it is --------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """For a Mailer, a route or `waypost send --via`; with the first user's login."""
        scheme = {"none": "smtp+plain", "starttls": "smtp", "implicit": "smtps"}[self._tls]
        login, options = "", ""
        for name, password in list(self._users.items())[:1]:
            login = f"{quote(name, safe='')}:{quote(password, safe='')}@"
        if self._tls != "none":
            options = f"?ca_file={quote(str(self.ca_file))}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{login}{host}:{self.port}{options}"

    @property
    def ca_file(self) -> Path:
        """The certificate to trust, in PEM; good for localhost, 127.0.0.1 and `hostname`."""
        if self._folder is None:
            raise RuntimeError("this mail server has no certificate: start it, with tls given")
        return self._folder / "self-signed.pem"

    @property
    def connections(self) -> int:
        """Connections since the start."""
        return self._trap.connections if self._trap is not None else 0

    # --- faults -------------------------------------------------------------------------------

    def fail(
        self,
        *,
        on: Command,
        reply: str = "",
        delay: float = 0.0,
        drop: bool = False,
        sender: str = "",
        recipient: str = "",
        after: int = 0,
        times: int | None = None,
        share: float = 1.0,
        rate: str = "",
    ) -> None:
        """Add a rule (FaultRule tells what each means). Raises InvalidRule.

        fail(on="rcpt", recipient="bad@*", reply="550 5.1.1 No such user")
        fail(on="mail", rate="10/minute", reply="421 4.7.0 Too many messages")
        fail(on="content", delay=2.0, share=0.1)
        """
        self.add_rule(
            FaultRule(on, reply, delay, drop, sender, recipient, after, times, share, rate)
        )

    def add_rule(self, rule: FaultRule) -> None:
        """Add a rule behind the others. Raises InvalidRule."""
        self._rules.add(rule)

    def heal(self) -> None:
        """Forget all rules."""
        self._rules.clear()

    # --- what came ----------------------------------------------------------------------------

    @property
    def messages(self) -> Sequence[ReceivedMessage]:
        """What came so far, the oldest first."""
        with self._came:
            return tuple(self._messages)

    def clear(self) -> None:
        """Forget what came."""
        with self._came:
            self._messages.clear()

    def wait_for(
        self,
        *,
        to: str | None = None,
        sender: str | None = None,
        subject: str | None = None,
        seconds: float = WAIT_SECONDS,
    ) -> ReceivedMessage:
        """The first message to a recipient, from a sender, with a subject that holds some words.

        Waits for it if it is not here yet. Raises NothingCame, which is an AssertionError.
        """

        def fits(one: ReceivedMessage) -> bool:
            return (
                (to is None or to.lower() in [address.lower() for address in one.recipients])
                and (sender is None or sender.lower() == one.sender.lower())
                and (subject is None or subject in one.subject)
            )

        def found() -> ReceivedMessage | None:
            return next((one for one in self._messages if fits(one)), None)

        with self._came:
            message = self._came.wait_for(found, seconds)
            if message is None:
                raise NothingCame(self._what_came(to, sender, subject, seconds))
        return message

    def wait_for_count(self, count: int, seconds: float = WAIT_SECONDS) -> list[ReceivedMessage]:
        """All messages, once there are so many. Raises NothingCame."""
        with self._came:
            if not self._came.wait_for(lambda: len(self._messages) >= count, seconds):
                raise NothingCame(
                    f"{count} messages were waited for; after {seconds:g} s there are "
                    f"{len(self._messages)}: {self._messages[:10]}"
                )
            return list(self._messages)

    def assert_nothing_came(self) -> None:
        """No message is here. Raises AssertionError."""
        if self.messages:
            raise AssertionError(f"nothing was to be sent, and this came: {self.messages[:10]}")

    def _what_came(
        self, to: str | None, sender: str | None, subject: str | None, seconds: float
    ) -> str:
        wanted = {"to": to, "from": sender, "with a subject like": subject}
        named = " ".join(f"{word} {value!r}" for word, value in wanted.items() if value is not None)
        came = (
            f"{len(self._messages)} came: {self._messages[:10]}"
            if self._messages
            else (f"nothing came over {self.connections} connections")
        )
        return f"no message {named} within {seconds:g} s; {came}"

    # --- in the thread ------------------------------------------------------------------------

    def _make_tls(self) -> ssl.SSLContext:
        self._folder = Path(tempfile.mkdtemp(prefix="waypost-testing-"))
        certificate, key = self_signed(self._folder, self._hostname, dt.datetime.now(dt.UTC))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    async def _listen(self, tls: ssl.SSLContext | None) -> None:
        settings = TrapSettings(
            self._settings, tls, self._tls == "implicit", self._users, self._require_login
        )
        trap = self._trap = Trap(settings, self._rules, SystemClock(), self._keep)
        self._server = await asyncio.get_running_loop().create_server(
            trap.accept, self.host, self.port, ssl=tls if self._tls == "implicit" else None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._trap is not None:
            self._trap.close_sessions()
        await SystemClock().sleep(0)  # what was cut is told so before the loop ends

    def _keep(self, trapped: Trapped) -> None:
        with self._came:
            self._messages.append(ReceivedMessage(trapped))
            self._came.notify_all()

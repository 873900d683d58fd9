"""`Mailer`: the library for programs with threads, or with none.

The messages go through one event loop in a thread behind (`background`), which all mailers of the
process share: so connections are pooled over all threads, and a call waits without polling. Works
the same inside of a running event loop, which it blocks for as long as any blocking call does:
there, `AsyncMailer` is the better choice.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from waypost.delivery.opening import Logins
from waypost.errors import MailerClosed, WaypostError
from waypost.faces.library import background
from waypost.faces.library.bulk import Batch
from waypost.faces.library.engine import Engine
from waypost.faces.library.environment import make_engine
from waypost.faces.library.prepared import Parts, Prepared, Sendable
from waypost.faces.library.result import Result
from waypost.faces.library.retry import Retry
from waypost.faces.library.settings import Settings, read_settings
from waypost.faces.library.signing import prepare_signed, signing
from waypost.net.clock import SystemClock

if TYPE_CHECKING:
    from waypost.mail.dkim import DkimSigner
    from waypost.mail.smime import SmimeSigner


class Mailer:
    """Sends messages over connections that it keeps. May be used by many threads at once.

        mailer = Mailer("smtp://user:password@mail.example.com:587")
        mailer.send(from_="app@example.com", to="ann@example.org", subject="Hello", text="Hi")

    `url` is one URL or several; without any, the environment's WAYPOST_URL, and without that the
    relay of this machine (smtp+plain://127.0.0.1:2525). Times are in seconds.

    - `strategy`: "failover" takes the first URL that works; "weighted" takes turns by ?weight=.
    - `pool_size`: connections open at once. `max_age`, `messages_per_connection`: after that a
      connection gets no further message. `idle_seconds`: unused for so long it is closed;
      `check_after`: unused for so long it is asked whether it is still there before it is used.
    - `rate`: messages, such as "10/second", or several rates in a list.
    - `retry`: a `Retry`, or the number of attempts. `patience`: the longest wait for a connection.
    - `timeout` for every stage, or `timeouts` by stage: connect, greeting, ehlo, starttls, auth,
      mail, rcpt, data, content, content_reply, noop, rset, quit.
    - `source`: the local address. `proxy`: socks5://, socks5h:// or http://.
    - `ca_file`: authorities to trust in place of the system's; `verify=False` trusts anybody.
    - `hostname`: said in EHLO.
    - `logins`: where credentials come from that are not in the URL, as those of waypost.oauth.
    - `dkim`: a signer of waypost.signing, or several; `smime`: one as well.
    """

    def __init__(
        self,
        url: str | Sequence[str] | None = None,
        *,
        strategy: str = "failover",
        pool_size: int = 10,
        max_age: float = 600.0,
        messages_per_connection: int = 0,
        idle_seconds: float = 30.0,
        check_after: float = 5.0,
        recipients_per_transaction: int = 100,
        rate: str | Sequence[str] | None = None,
        retry: Retry | int | None = None,
        patience: float = 60.0,
        timeout: float | None = None,
        timeouts: Mapping[str, float] | None = None,
        source: str | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
        verify: bool | None = None,
        hostname: str | None = None,
        pipelining: bool = True,
        chunking: bool = True,
        avoid_after: float = 5.0,
        logins: Logins | None = None,
        dkim: DkimSigner | Sequence[DkimSigner] | None = None,
        smime: SmimeSigner | None = None,
    ) -> None:
        """Raises ConfigurationError. Nothing is connected before the first message."""
        settings = read_settings(
            url, strategy=strategy, rate=rate, retry=retry, timeout=timeout, timeouts=timeouts,
            source=source, proxy=proxy, ca_file=ca_file, verify=verify, hostname=hostname,
            pool_size=pool_size, max_age=max_age, messages_per_connection=messages_per_connection,
            idle_seconds=idle_seconds, check_after=check_after, patience=patience,
            recipients_per_transaction=recipients_per_transaction, pipelining=pipelining,
            chunking=chunking, avoid_after=avoid_after,
        )  # fmt: skip
        self.settings: Settings = replace(settings, signing=signing(dkim, smime))
        self._logins = logins
        self._clock = SystemClock()
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._closed = False
        background.join(self)

    def send(self, message: Sendable | None = None, /, **parts: Unpack[Parts]) -> Result:
        """Send a message and wait until each recipient is accepted or refused.

        Takes an EmailMessage, a mapping, bytes with from_ and to, or keywords. Raises
        DeliveryError where no recipient was accepted (`error.result` has them all),
        InvalidMessage, MailerClosed. Where some were accepted nothing is raised: look at
        `result.refused`, or call `result.raise_for_refused()`.
        """
        settings = self.settings
        prepared = prepare_signed(message, parts, self._clock, settings.hostname, settings.signing)
        return self.deliver(prepared)

    def deliver(self, prepared: Prepared) -> Result:
        """The same for a message that is ready."""
        self._check()
        result = background.wait_for(self._deliver(prepared))
        if result.error is not None:
            result.raise_for_refused()
        return result

    def send_many(
        self,
        messages: Iterable[Sendable],
        *,
        concurrency: int | None = None,
        on_result: Callable[[Result], object] | None = None,
    ) -> Batch:
        """Send a stream of messages; nothing is raised for a message that fails.

            for result in mailer.send_many(messages): ...
            tally = mailer.send_many(messages, on_result=print).run()

        At most `concurrency` messages are under way (by default three for each connection), and
        `messages` is read as they go. Results come in the order in which messages are finished;
        `result.number` is a message's place in the stream.
        """
        self._check()
        return Batch(
            self._engine_here, self._clock, self.settings, messages, concurrency, on_result
        )

    def close(self, grace: float = 30.0) -> None:
        """Wait up to `grace` seconds for messages under way, then say QUIT. May be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            engine, self._engine = self._engine, None
        background.leave(self)
        if engine is not None:
            background.wait_for(engine.close(grace))

    @property
    def connections(self) -> dict[str, int]:
        """Connections by what they do, and how many messages wait: for a monitor."""
        engine = self._engine
        return background.wait_for(_connections(engine)) if engine is not None else {}

    def forked(self) -> list[int]:
        """In a forked child: begin anew; the descriptors of the parent's connections."""
        engine, self._engine = self._engine, None
        self._lock = threading.Lock()
        return engine.abandon() if engine is not None else []

    def _check(self) -> None:
        if self._closed:
            raise MailerClosed("the mailer is closed", fix="make another one")
        if background.is_here():
            raise WaypostError(
                "a Mailer was used in the very thread that does its work, which would never end",
                fix="use an AsyncMailer in coroutines, or send from another thread",
            )

    async def _deliver(self, prepared: Prepared) -> Result:
        engine = self._engine_here()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(result: Result) -> None:
            if not future.done():
                future.set_result(result)

        shipment = engine.submit(prepared, done)
        try:
            return await future
        except asyncio.CancelledError:
            engine.cancel(shipment)
            raise

    def _engine_here(self) -> Engine:
        """The engine; called in the thread behind."""
        with self._lock:
            if self._closed:
                raise MailerClosed("the mailer is closed", fix="make another one")
            if self._engine is None:
                self._engine = make_engine(self.settings, self._logins)
            return self._engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(30.0 if error is None else 0.0)


async def _connections(engine: Engine) -> dict[str, int]:
    return engine.connections

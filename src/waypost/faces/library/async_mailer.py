"""`AsyncMailer`: the library in the caller's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from waypost.delivery.opening import Logins
from waypost.errors import MailerClosed
from waypost.faces.library.bulk import AsyncBatch
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


class AsyncMailer:
    """Sends messages over connections that it keeps.

    Use it as a context manager, or `close` it. It may be used by many tasks at once. See
    `waypost.Mailer` for the settings; both take the same.
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
        """Raises ConfigurationError."""
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
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def send(self, message: Sendable | None = None, /, **parts: Unpack[Parts]) -> Result:
        """Send a message and wait until each recipient is accepted or refused.

        Takes an EmailMessage, a mapping, bytes with from_ and to, or keywords. Raises
        DeliveryError where no recipient was accepted (`error.result` has them all),
        InvalidMessage, MailerClosed. Where some were accepted nothing is raised: look at
        `result.refused`, or call `result.raise_for_refused()`.

        Cancelled before its message was handed over whole, it is not delivered; after that, it
        may be.
        """
        settings = self.settings
        prepared = prepare_signed(message, parts, self._clock, settings.hostname, settings.signing)
        return await self.deliver(prepared)

    async def deliver(self, prepared: Prepared) -> Result:
        """The same for a message that is ready."""
        engine = self.engine()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(result: Result) -> None:
            if not future.done():
                future.set_result(result)

        shipment = engine.submit(prepared, done)
        try:
            result = await future
        except asyncio.CancelledError:
            engine.cancel(shipment)
            raise
        if result.error is not None:
            result.raise_for_refused()
        return result

    def send_many(
        self,
        messages: Iterable[Sendable] | AsyncIterable[Sendable],
        *,
        concurrency: int | None = None,
        on_result: Callable[[Result], object] | None = None,
    ) -> AsyncBatch:
        """Send a stream of messages; nothing is raised for a message that fails.

            async for result in mailer.send_many(messages): ...
            tally = await mailer.send_many(messages, on_result=print)

        At most `concurrency` messages are under way (by default two for each connection), and as
        many results wait to be taken: `messages` is read as they go. Results come in the order in
        which messages are finished; `result.message_id` tells which it is, and `result.number`
        its place in the stream.
        """
        return AsyncBatch(self.engine, self._clock, self.settings, messages, concurrency, on_result)

    def engine(self) -> Engine:
        """The engine of the running loop. A mailer may be used in one loop after another."""
        running = asyncio.get_running_loop()
        if self._closed:
            raise MailerClosed("the mailer is closed", fix="make another one")
        if self._engine is None or self._loop is not running:
            if self._loop is not None and self._loop is not running and self._loop.is_running():
                raise MailerClosed(
                    "the mailer belongs to another event loop, which is running",
                    fix="make an AsyncMailer in each loop, or use waypost.Mailer from threads",
                )
            self._engine, self._loop = make_engine(self.settings, self._logins), running
        return self._engine

    async def close(self, grace: float = 30.0) -> None:
        """Wait up to `grace` seconds for messages under way, then say QUIT. May be called twice."""
        self._closed = True
        engine, self._engine = self._engine, None
        if engine is not None and self._loop is asyncio.get_running_loop():
            await engine.close(grace)

    @property
    def connections(self) -> dict[str, int]:
        """Connections by what they do, and how many messages wait: for a monitor."""
        return self._engine.connections if self._engine is not None else {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close(30.0 if error is None else 0.0)

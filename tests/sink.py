"""The next hop of tests: a server in a thread of its own that keeps what it was sent."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

from waypost.lab.simulated_peer import Fault, Received, SimulatedPeer
from waypost.smtp.server_settings import ServerSettings

WAIT = 60.0


class Sink:
    """See the module. `port` is on 127.0.0.1; `make` gives another protocol to serve with."""

    def __init__(
        self,
        faults: Sequence[Fault | None] = (),
        port: int = 0,
        make: Callable[[], asyncio.Protocol] | None = None,
        **settings: object,
    ) -> None:
        wanted = {"maximum_size": 200 * 1024 * 1024, **settings}
        self.peer = SimulatedPeer(faults, ServerSettings("sink.example", **wanted))  # type: ignore[arg-type]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            self._listen(make or self.peer.accept, port), self._loop
        ).result(WAIT)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _listen(self, make: Callable[[], asyncio.Protocol], port: int) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(make, "127.0.0.1", port)

    @property
    def received(self) -> list[Received]:
        return self.peer.received

    def for_recipient(self, address: str) -> list[Received]:
        """The messages to an address, so far."""
        return [
            one
            for one in list(self.peer.received)
            if any(recipient.address == address for recipient in one.envelope.recipients)
        ]

    def wait_for(self, address: str, seconds: float = WAIT) -> Received:
        """The message to an address, when it is here."""
        until = time.monotonic() + seconds
        while not (found := self.for_recipient(address)):
            assert time.monotonic() < until, f"nothing for {address} within {seconds:.0f} s"
            time.sleep(0.01)
        assert len(found) == 1, "it came twice"
        return found[0]

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(WAIT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT)
        self._loop.close()

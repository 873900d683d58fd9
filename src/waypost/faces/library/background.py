"""The event loop behind `Mailer`: one thread for all mailers of the process.

The loop is uvloop's where it is installed. Its thread is a daemon: a program may end without
closing anything, and at its exit the mailers are closed (QUIT, with a short limit).

A fork copies neither thread nor loop, but the descriptors of its connections: the child closes its
copies, so that a connection ends when its owner says so, and begins anew when it sends. Nothing of
the parent's loop is run or closed there, as it shares the kernel's poll object with the parent.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeVar

Returned = TypeVar("Returned")


class Client(Protocol):
    """What uses the loop: a mailer."""

    def close(self) -> None:
        """At the end of the program."""

    def forked(self) -> list[int]:
        """In a forked child: forget the connections; returns the descriptors to close."""


class _Background:
    """The thread, the loop, and who uses it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: threading.Thread | None = None

    def running(self) -> asyncio.AbstractEventLoop:
        with self.lock:
            if self.loop is None or self.thread is None or not self.thread.is_alive():
                self.loop = _new_loop()
                self.thread = threading.Thread(
                    target=_run, args=(self.loop,), name="waypost", daemon=True
                )
                self.thread.start()
            return self.loop


_background = _Background()
_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_of_the_parent: list[object] = []
"""Loops of a parent process, kept so that nothing of them is ever closed by being forgotten."""


def join(client: Client) -> None:
    """Tell a client when the program ends or forks."""
    _clients.add(client)


def leave(client: Client) -> None:
    """Tell it no more."""
    _clients.discard(client)


def loop() -> asyncio.AbstractEventLoop:
    """The running loop of the thread behind; started if need be."""
    return _background.running()


def is_here() -> bool:
    """Whether this is the thread behind itself, which must never wait for itself."""
    return threading.current_thread() is _background.thread


def wait_for(coroutine: Coroutine[Any, Any, Returned]) -> Returned:
    """Run a coroutine in the loop behind and wait for it. What interrupts the wait cancels it."""
    future: Future[Returned] = asyncio.run_coroutine_threadsafe(coroutine, loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def call(function: Callable[..., object], *arguments: object) -> None:
    """Call a function in the loop behind, soon."""
    loop().call_soon_threadsafe(function, *arguments)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _run(running: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(running)
    running.run_forever()


def _close_all() -> None:
    for client in list(_clients):
        client.close()


def _after_fork() -> None:
    _of_the_parent.append(_background.loop)
    _background.reset()
    for client in list(_clients):
        for descriptor in client.forked():
            with suppress(OSError):
                os.close(descriptor)


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

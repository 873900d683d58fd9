"""The content of a message, read for the pages that show it: bounded, beside the event loop.

A message may be as large as the relay takes, and its parts are a stranger's. At most
`MAXIMUM_LOOKED_AT` bytes of it are held, by `AT_ONCE` requests at a time; taking them apart runs in
a thread, so that no mail waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from waypost.administration import NoSuchMessage
from waypost.control.room import ControlRoom
from waypost.mail.parts import MAXIMUM_LOOKED_AT, ReadMessage, read_message
from waypost.spool.contract import BodyDamaged

AT_ONCE: Final = 3

_Result = TypeVar("_Result")

_turns: WeakKeyDictionary[ControlRoom, asyncio.Semaphore] = WeakKeyDictionary()


class NoContent(Exception):
    """The relay has no content of this message any more; the text says why."""


async def read_content(
    room: ControlRoom, message: int, work: Callable[[ReadMessage], _Result]
) -> _Result:
    """Read a message and do something with it, in a thread. Raises NoContent, NoSuchMessage."""
    async with _turns.setdefault(room, asyncio.Semaphore(AT_ONCE)):
        content = await _content(room, message)
        return await asyncio.to_thread(lambda: work(read_message(content)))


async def _content(room: ControlRoom, message: int) -> bytes:
    pieces: list[bytes] = []
    held = 0
    try:
        body = await room.administration.content(message)
        if body.whole is not None:
            return body.whole[: MAXIMUM_LOOKED_AT + 1]
        async for piece in body.chunks():
            pieces.append(piece)
            held += len(piece)
            if held > MAXIMUM_LOOKED_AT:
                break
    except NoSuchMessage:
        raise
    except BodyDamaged as fault:
        raise NoContent(await _why_not(room, message, fault)) from fault
    return b"".join(pieces)[: MAXIMUM_LOOKED_AT + 1]


async def _why_not(room: ControlRoom, message: int, fault: BodyDamaged) -> str:
    story = await room.administration.story(message)
    if all(one.state.is_final for one in story.message.recipients):
        return (
            "Nobody waits for this message any more, so its content is gone: it is kept only while "
            "a recipient waits for it, or when the sandbox has caught it."
        )
    return f"Its content cannot be read: {fault}."

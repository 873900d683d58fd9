"""A message as a file of the drop: a line of JSON with the envelope, then the content.

Apart from the drop itself, because a program that leaves a message loads nothing else of the relay.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from waypost.outbox.entry import UnreadableEntry, envelope_from_json, envelope_to_json
from waypost.smtp.envelope import Envelope

SUFFIX: Final = ".mail"

MAXIMUM_ENVELOPE: Final = 1024 * 1024
"""Bytes of the first line."""


def leave(folder: Path, name: str, envelope: Envelope, content: bytes) -> Path:
    """Leave a message; it is durable when this returns. `name` is nobody else's. Raises OSError."""
    path = folder / f"{name}{SUFFIX}"
    written = folder / f".{name}.writing"
    # For this user and the folder's group: where programs of other users leave mail, the folder
    # belongs to the relay's group and hands that on (setgid).
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(envelope_to_json(envelope).encode() + b"\n")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        written.rename(path)
    except BaseException:
        with suppress(OSError):
            written.unlink()
        raise
    with suppress(PermissionError):  # a folder that may be written to but not read
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    return path


def read(path: Path, maximum_size: int) -> tuple[Envelope, bytes]:
    """The message of a file; of the content at most a byte more than `maximum_size`.

    Raises UnreadableEntry and OSError.
    """
    # Whoever may write here must not make the relay read a file of its own user, or wait on a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise UnreadableEntry(f"{path} is no file of its own")
        head = file.readline(MAXIMUM_ENVELOPE)
        if not head.endswith(b"\n"):
            raise UnreadableEntry(f"{path} does not begin with a line of at most 1 MiB")
        content = file.read(maximum_size + 1)
    return envelope_from_json(head.decode("utf-8", "replace")), content

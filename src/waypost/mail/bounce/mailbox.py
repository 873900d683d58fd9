"""Takes the messages out of an mbox, the file in which mail programs and servers keep many."""

from __future__ import annotations

import re
from typing import Final

MAXIMUM_MESSAGES: Final = 200
"""Messages of one file that are looked at."""

# The line that begins a message names a sender and a time (RFC 4155); one that only begins with
# "From " is a line of somebody's text.
_BEGINNING: Final = re.compile(
    rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\n]{1,300}\d\d:\d\d[^\n]{0,80}\n"
)


def messages_of(content: bytes) -> list[bytes]:
    """The messages of an mbox, each as it stands there; one alone where it is no mbox."""
    starts = []
    for found in _BEGINNING.finditer(content):
        starts.append(found.start())
        if len(starts) > MAXIMUM_MESSAGES:
            break
    if not starts or starts[0] != 0 or len(starts) < 2:
        return [content]
    ends = [*starts[1:], len(content)]
    return [content[a:b] for a, b in zip(starts, ends, strict=True)][:MAXIMUM_MESSAGES]

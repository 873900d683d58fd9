"""What a client is told at its start."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from waypost.smtp.reply import MAXIMUM_LINE, MAXIMUM_LINES

UNSPEAKABLE: Final = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
"""What no value in a command may hold, as the inside of a character class: controls, with the
line ends that would start another command, and surrogates, which are no text."""

_HOSTNAME = re.compile(rf"[^ {UNSPEAKABLE}]{{1,255}}")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How a client presents itself and what it bears. Sizes in bytes."""

    hostname: str
    """Said in EHLO (RFC 5321 4.1.4): the host's own name, or an address literal."""
    maximum_line: int = MAXIMUM_LINE
    maximum_lines: int = MAXIMUM_LINES
    use_pipelining: bool = True
    use_chunking: bool = True
    chunk_size: int = 256 * 1024
    """Streamed content is gathered into BDAT chunks of at least this."""
    immediate_chunk: int = 16 * 1024
    """Content up to this goes out by BDAT together with MAIL and RCPT, before their replies."""
    recipients_window: int = 100
    """RCPTs sent before their replies are waited for: their replies must fit the buffers between
    us and the peer, or both sides would wait to write (RFC 2920 3.1)."""
    auth_in_clear: bool = False
    """Whether mechanisms that show the secret may go without TLS; for loopback only."""
    normalise_line_ends: bool = False
    """Bare CR and LF in content become CRLF; otherwise such content is refused."""

    def __post_init__(self) -> None:
        if _HOSTNAME.fullmatch(self.hostname) is None:
            raise ValueError(f"not a host name for EHLO: {self.hostname!r}")
        if self.recipients_window < 1:
            raise ValueError("recipients_window must be at least 1")

"""The client's state machine as data: what a reply may answer, and what each reply then means.

Two rules. Every decision that depends on a reply code is a cell of `TABLE`, and the client has no
other. And a reply is judged by its first digit, as RFC 5321 4.3.2 asks for codes that are not
listed; the few codes that mean more than their digit stand in `EXCEPTIONS`.

Theory of operation. SMTP's replies come in the order of its commands, pipelined or not. So the
state of a client is a queue of *steps*: for each command sent and not yet answered, what its
reply will be about. A reply takes the first step off the queue, and (step, code) is looked up
here. The step NOTHING stands for the empty queue, STREAMING for content that is on its way and
not finished: nothing is due then, and what comes is either the end of the session or a fault.

421 may answer anything, or nothing at all (RFC 5321 3.8): the server closes the channel. Only
for the greeting and for QUIT has it no meaning of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum, auto
from types import MappingProxyType
from typing import Final, Literal


class Step(IntEnum):
    """What the next reply answers."""

    NOTHING = 0
    GREETING = auto()
    EHLO = auto()
    HELO = auto()
    STARTTLS = auto()
    AUTH = auto()
    """AUTH itself, or a response to a challenge."""
    AUTH_CANCELLED = auto()
    """The "*" that ends an exchange (RFC 4954 4)."""
    CLEARING = auto()
    """RSET that the client itself puts before MAIL, to clear a transaction that broke off."""
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    STREAMING = auto()
    CHUNK = auto()
    """BDAT that is not the last."""
    CONTENT = auto()
    """The final dot, or BDAT LAST."""
    EMPTY_CONTENT = auto()
    """The lone dot after a 354 that came although every recipient was refused."""
    RSET = auto()
    NOOP = auto()
    VRFY = auto()
    HELP = auto()
    QUIT = auto()


class Reaction(Enum):
    """What the client does about a reply."""

    BROKEN = "the peer does not speak the protocol: nothing it says counts any more"
    SHUTDOWN = "the peer closes the channel; open transactions end with this reply"
    GREETED = "ready for EHLO"
    GREETING_REFUSED = "no service here; only QUIT is left"
    CAPABLE = "what the peer offers is known"
    FALL_BACK = "the peer does not know EHLO: say HELO"
    HELLO_REFUSED = "EHLO or HELO may be tried again, or QUIT said"
    TLS_READY = "the handshake is due"
    TLS_REFUSED = "the session goes on in the clear"
    CHALLENGED = "the mechanism must respond"
    AUTHENTICATED = "the peer takes us for who we say"
    AUTH_REFUSED = "the session goes on without an identity"
    TAKEN = "this step of the transaction is done"
    REFUSED = "this step of the transaction failed; the outcome holds the reply"
    GO_AHEAD = "send the content"
    CUT_SHORT = "refused while the content is on its way: the outcome holds it, the session ends"
    IGNORED = "the step is over, whatever it said"
    ANSWERED = "told to the program as it is"
    CLOSED = "the session is over"


_R = Reaction

# fmt: off
TABLE: Final[Mapping[Step, tuple[Reaction, Reaction, Reaction, Reaction]]] = MappingProxyType({
    # step                 2yz               3yz          4yz 5yz              421
    Step.NOTHING:        (_R.BROKEN,        _R.BROKEN,   _R.BROKEN,           _R.SHUTDOWN),
    Step.GREETING:       (_R.GREETED,       _R.BROKEN,   _R.GREETING_REFUSED, _R.GREETING_REFUSED),
    Step.EHLO:           (_R.CAPABLE,       _R.BROKEN,   _R.HELLO_REFUSED,    _R.SHUTDOWN),
    Step.HELO:           (_R.CAPABLE,       _R.BROKEN,   _R.HELLO_REFUSED,    _R.SHUTDOWN),
    Step.STARTTLS:       (_R.BROKEN,        _R.BROKEN,   _R.TLS_REFUSED,      _R.SHUTDOWN),
    Step.AUTH:           (_R.AUTHENTICATED, _R.BROKEN,   _R.AUTH_REFUSED,     _R.SHUTDOWN),
    Step.AUTH_CANCELLED: (_R.BROKEN,        _R.BROKEN,   _R.AUTH_REFUSED,     _R.SHUTDOWN),
    Step.CLEARING:       (_R.IGNORED,       _R.BROKEN,   _R.IGNORED,          _R.SHUTDOWN),
    Step.MAIL:           (_R.TAKEN,         _R.BROKEN,   _R.REFUSED,          _R.SHUTDOWN),
    Step.RCPT:           (_R.TAKEN,         _R.BROKEN,   _R.REFUSED,          _R.SHUTDOWN),
    Step.DATA:           (_R.BROKEN,        _R.GO_AHEAD, _R.REFUSED,          _R.SHUTDOWN),
    Step.STREAMING:      (_R.BROKEN,        _R.BROKEN,   _R.CUT_SHORT,        _R.SHUTDOWN),
    Step.CHUNK:          (_R.TAKEN,         _R.BROKEN,   _R.REFUSED,          _R.SHUTDOWN),
    Step.CONTENT:        (_R.TAKEN,         _R.BROKEN,   _R.REFUSED,          _R.SHUTDOWN),
    Step.EMPTY_CONTENT:  (_R.IGNORED,       _R.BROKEN,   _R.IGNORED,          _R.SHUTDOWN),
    Step.RSET:           (_R.ANSWERED,      _R.BROKEN,   _R.ANSWERED,         _R.SHUTDOWN),
    Step.NOOP:           (_R.ANSWERED,      _R.BROKEN,   _R.ANSWERED,         _R.SHUTDOWN),
    Step.VRFY:           (_R.ANSWERED,      _R.BROKEN,   _R.ANSWERED,         _R.SHUTDOWN),
    Step.HELP:           (_R.ANSWERED,      _R.BROKEN,   _R.ANSWERED,         _R.SHUTDOWN),
    Step.QUIT:           (_R.CLOSED,        _R.CLOSED,   _R.CLOSED,           _R.CLOSED),
})
# fmt: on

EXCEPTIONS: Final[Mapping[tuple[Step, int], Reaction]] = MappingProxyType(
    {
        # A server older than RFC 1869 does not know EHLO (RFC 5321 3.2, 4.2.4).
        (Step.EHLO, 500): _R.FALL_BACK,
        (Step.EHLO, 502): _R.FALL_BACK,
        (Step.EHLO, 504): _R.FALL_BACK,
        # Only 220 starts the handshake (RFC 3207 4): a guess here would talk TLS to plain text.
        (Step.STARTTLS, 220): _R.TLS_READY,
        # 3yz says "go on", but with what differs: 334 wants a response, 354 the content.
        (Step.AUTH, 334): _R.CHALLENGED,
        (Step.DATA, 334): _R.BROKEN,
    }
)


def _row(step: Step) -> tuple[Reaction, ...]:
    """The reactions to 200 up to 599 at one step, so that a reply costs an index and no search."""
    done, go_on, refused, closing = TABLE[step]
    row = [done] * 100 + [go_on] * 100 + [refused] * 200
    row[421 - 200] = closing
    for (exceptional, code), reaction in EXCEPTIONS.items():
        if exceptional is step:
            row[code - 200] = reaction
    return tuple(row)


REACTIONS: Final = tuple(_row(step) for step in Step)
"""The same as `reaction_to`, to be read without a call: by step, then by code less 200."""


def reaction_to(step: Step, code: int) -> Reaction:
    """The cell of the table for a reply with this code (200 to 599) at this step."""
    return REACTIONS[step][code - 200]


Stage = Literal[
    "greeting",
    "ehlo",
    "starttls",
    "auth",
    "idle",
    "mail",
    "rcpt",
    "data",
    "content",
    "content_reply",
    "rset",
    "noop",
    "quit",
    "closed",
]
"""What a connection waits for, as timeouts, logs and errors name it."""

STAGE_OF: Final[Mapping[Step, Stage]] = MappingProxyType(
    {
        Step.NOTHING: "idle",
        Step.GREETING: "greeting",
        Step.EHLO: "ehlo",
        Step.HELO: "ehlo",
        Step.STARTTLS: "starttls",
        Step.AUTH: "auth",
        Step.AUTH_CANCELLED: "auth",
        Step.CLEARING: "rset",
        Step.MAIL: "mail",
        Step.RCPT: "rcpt",
        Step.DATA: "data",
        Step.STREAMING: "content",
        Step.CHUNK: "content",
        Step.CONTENT: "content_reply",
        Step.EMPTY_CONTENT: "content_reply",
        Step.RSET: "rset",
        Step.NOOP: "noop",
        Step.VRFY: "noop",
        Step.HELP: "noop",
        Step.QUIT: "quit",
    }
)

DEFAULT_TIMEOUTS: Final[Mapping[Stage, float]] = MappingProxyType(
    {
        "greeting": 300.0,  # RFC 5321 4.5.3.2.1
        "ehlo": 300.0,  # not in the RFC; as for MAIL
        "starttls": 120.0,  # not in the RFC; from the command to the end of the handshake
        "auth": 120.0,  # not in RFC 4954; for each challenge
        "mail": 300.0,  # RFC 5321 4.5.3.2.2
        "rcpt": 300.0,  # RFC 5321 4.5.3.2.3
        "data": 120.0,  # RFC 5321 4.5.3.2.4
        "content": 180.0,  # RFC 5321 4.5.3.2.5: for each write, or each chunk
        "content_reply": 600.0,  # RFC 5321 4.5.3.2.6: shorter ones make duplicates
        "rset": 20.0,  # nothing is lost by giving up early
        "noop": 20.0,
        "quit": 10.0,
    }
)
"""Seconds to wait at each stage. "idle" and "closed" wait for nothing."""

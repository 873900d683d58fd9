"""An attempt's transcript as a conversation: which step each line belongs to, what each reply
answers, the time between lines, and beside each refusal what it means and what to do.

Commands are sent ahead (pipelining), so a reply answers the oldest command that still waits for
one. The lines are those of delivery/transcript.py: milliseconds, direction, text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from waypost.faces.http.panel.explanations import Explanation, explanation_of_reply
from waypost.knowledge.outcomes import Through
from waypost.knowledge.reply_contexts import Stage

MAXIMUM_LINES: Final = 400
"""A transcript has fewer (delivery/transcript.py)."""

_LINE: Final = re.compile(r"(-|[0-9]{1,12}(?:\.[0-9]{1,6})?) ([<>*]) ?(.*)", re.DOTALL)
_REPLY: Final = re.compile(r"([2-5][0-9][0-9])([ -]|$)(.*)", re.DOTALL)
_VERB: Final = re.compile(r"[A-Za-z]{4,8}")

_STAGES: Final[dict[str, Stage]] = {
    "EHLO": "ehlo", "HELO": "ehlo", "LHLO": "ehlo", "STARTTLS": "starttls", "AUTH": "auth",
    "MAIL": "mail", "RCPT": "rcpt", "DATA": "data", "BDAT": "content",
}  # fmt: skip

STAGE_NAMES: Final = {
    "greeting": "Connection", "ehlo": "Greeting", "starttls": "TLS", "auth": "Login",
    "mail": "Sender", "rcpt": "Recipients", "data": "Content", "content": "Content",
    "end": "End", "": "",
}  # fmt: skip
"""What a step is called on the page."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one side said at a time: a command, a reply with all its lines, or a note of ours."""

    at: float | None
    """Milliseconds since the attempt began; None: not known."""
    gap: float | None
    """Milliseconds since what stands before it."""
    who: str
    """us, them or note."""
    lines: tuple[str, ...]
    stage: str
    """A key of STAGE_NAMES."""
    answers: str = ""
    """Of a reply: the command, where others stand in between."""
    tone: str = ""
    """good, wait or bad for a reply; bad for a note that ends the attempt."""
    explanation: Explanation | None = None

    @property
    def stage_name(self) -> str:
        """The step, for people."""
        return STAGE_NAMES[self.stage]


@dataclass(slots=True)
class _Pending:
    stage: Stage
    command: str
    recipient: str = ""


def read_transcript(text: str, *, host: str, through: Through | None) -> tuple[Said, ...]:
    """The conversation. `host` is who answered, for the explanations; `through` what it is to us,
    None where that is not known any more. Takes any text."""
    reader = _Reader(host, through)
    for line in text.split("\n", MAXIMUM_LINES)[:MAXIMUM_LINES]:
        if line:
            reader.line(line)
    return _with_gaps(reader.finish())


class _Reader:
    """Goes through the lines in order."""

    def __init__(self, host: str, through: Through | None) -> None:
        self._host = host
        self._through = through
        self._said: list[Said] = []
        self._pending: deque[_Pending] = deque()
        self._stage: str = "greeting"
        self._reply: list[str] = []
        self._reply_at: float | None = None
        self._refused: set[str] = set()

    def line(self, line: str) -> None:
        """One line of the transcript."""
        found = _LINE.fullmatch(line)
        if found is None:
            self._end_reply()
            self._add(None, "note", (line,), self._stage)
            return
        at = None if found[1] == "-" else float(found[1])
        direction, text = found[2], found[3]
        if direction == "<":
            self._received(at, text)
            return
        self._end_reply()
        if direction == ">":
            self._sent(at, text)
        else:
            self._noted(at, text)

    def finish(self) -> list[Said]:
        """What was said."""
        self._end_reply()
        return self._said

    def _add(self, at: float | None, who: str, lines: tuple[str, ...], stage: str) -> None:
        self._said.append(Said(at, None, who, lines, stage))

    def _sent(self, at: float | None, text: str) -> None:
        verb = _VERB.match(text)
        stage = _STAGES.get(verb[0].upper()) if verb is not None else None
        last = self._pending[-1] if self._pending else None
        if text.startswith("[") and text.endswith("of content]"):
            if last is None or last.stage != "content":
                self._pending.append(_Pending("content", "the content"))
            self._stage = "content"
        elif stage is not None:
            recipient = text[8:].strip("<> ").partition(">")[0] if stage == "rcpt" else ""
            self._pending.append(_Pending(stage, text[:120], recipient))
            self._stage = stage
        elif last is not None and last.stage == "auth":
            pass  # the next step of a login
        elif text[:4].upper() in ("QUIT", "RSET", "NOOP"):
            self._stage = "end"
        self._add(at, "us", (text,), self._stage)

    def _received(self, at: float | None, text: str) -> None:
        reply = _REPLY.match(text)
        if self._reply and (reply is None or reply[1] != self._reply[0][:3]):
            self._end_reply()
        if reply is None:
            self._add(at, "them", (text,), self._stage)
            return
        if not self._reply:
            self._reply_at = at
        self._reply.append(text)
        if reply[2] != "-":
            self._end_reply()

    def _end_reply(self) -> None:
        """A reply is whole, or was cut off."""
        lines, self._reply = tuple(self._reply), []
        if not lines:
            return
        code = int(lines[0][:3])
        pending, is_next = self._answered(code)
        stage: str = pending.stage if pending is not None else self._stage
        tone = "bad" if code >= 500 else "wait" if code >= 400 else "good"
        explanation = None
        if code >= 400:
            known: Stage | None = pending.stage if pending is not None else None
            if known is None and stage == "greeting":
                known = "greeting"
            explanation = explanation_of_reply(
                code, tuple(one[4:] for one in lines), stage=known, through=self._through,
                host=self._host, recipient=pending.recipient if pending is not None else "",
            )  # fmt: skip
            self._refused.add(" ".join(one[4:] for one in lines))
        answers = "" if pending is None or is_next else pending.command
        self._said.append(
            Said(self._reply_at, None, "them", lines, stage, answers, tone, explanation)
        )

    def _answered(self, code: int) -> tuple[_Pending | None, bool]:
        """Which command a reply answers, and whether that is the line just before it."""
        if not self._pending or (code == 421 and not self._said):
            return None, True
        if code == 334:
            return self._pending[0], True  # the login goes on
        waiting = len(self._pending)
        before = self._said[-1] if self._said else None
        return self._pending.popleft(), waiting == 1 and before is not None and before.who == "us"

    def _noted(self, at: float | None, text: str) -> None:
        if text.startswith("connected to ") and self._stage == "greeting" and self._said:
            self._before_greeting(at, text)
            return
        if text.startswith(("TLS", "SSL")):
            self._add(at, "note", (text,), "starttls")
            return
        if any(words and words in text for words in self._refused):
            return  # says again what the server has just said
        self._add(at, "note", (text,), self._stage)

    def _before_greeting(self, at: float | None, text: str) -> None:
        """The engine notes the connection when the greeting is there: it came before."""
        last = self._said[-1]
        if last.who == "them" and len(self._said) == 1:
            self._said.insert(0, Said(last.at, None, "note", (text,), "greeting"))
        else:
            self._add(at, "note", (text,), "greeting")


def _with_gaps(said: Sequence[Said]) -> tuple[Said, ...]:
    """The same with the time since what stands before."""
    result: list[Said] = []
    last = 0.0
    for one in said:
        if one.at is None:
            result.append(one)
            continue
        result.append(replace(one, gap=max(0.0, one.at - last)))
        last = max(last, one.at)
    return tuple(result)


def explained(said: Iterable[Said]) -> bool:
    """Whether a refusal in it is explained."""
    return any(one.explanation is not None for one in said)

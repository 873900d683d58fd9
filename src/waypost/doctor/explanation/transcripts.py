"""Reads sessions as programs print them: swaks, telnet, curl -v, smtplib, PHPMailer, our own log.

Who speaks is told by the mark before a line, or else by what the line is: three digits are the
server's, a verb the client's. The stage of a reply follows from the command before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from waypost.doctor.explanation.heard import MAXIMUM_EVIDENCE, MAXIMUM_FINDINGS, Heard
from waypost.knowledge.outcomes import Stage
from waypost.mail.bounce.addresses import address_in
from waypost.smtp.reply import EnhancedStatus

MAXIMUM_LINES: Final = 5000
MAXIMUM_LINE: Final = 2000

_VERBS: Final = r"EHLO|HELO|LHLO|STARTTLS|AUTH|MAIL FROM|RCPT TO|DATA|BDAT|QUIT|RSET|NOOP|VRFY"
_STAMP: Final = (
    r"(?:\[?\d{4}-\d\d-\d\d[T ][\d:.,Z+-]{5,20}\]?\s{1,4}|\d\d:\d\d:\d\d[.\d]{0,7}\s{1,4}"
    r"|(?:-|-?[\d.]{1,12})(?: ms)?\s{1,4})?"
)
_SERVER: Final = re.compile(
    rf"(?i)^\s{{0,20}}{_STAMP}(?:<\s?-|<~|<\*\*|<<<?|<=|<--|<(?=\s?\d)|s:|server(?: ?-> ?client)?:"
    rf"|they\b|smtp <<|in:(?=\s*\d)|received:?|recv:?|remote:|r:)"
    rf"\s{{0,4}}(?P<said>[2345]\d\d(?:[ -].*)?)$"
)
_CLIENT: Final = re.compile(
    rf"(?i)^\s{{0,20}}{_STAMP}(?:-\s?>|~>|\*\*>|>>>?|=>|-->|>|c:|client(?: ?-> ?server)?:|we\b"
    rf"|send:\s?['\"]?b?['\"]?|smtp >>|sent:?|out:|l:)\s{{0,4}}(?P<said>\S.*)$"
)
_BARE_REPLY: Final = re.compile(r"^\s{0,4}(?P<said>[2345]\d\d(?:[ -].*)?)$")
_BARE_COMMAND: Final = re.compile(rf"(?i)^\s{{0,4}}(?P<said>(?:{_VERBS})\b.*)$")
_RETCODE: Final = re.compile(r"reply: retcode \((\d{3})\); Msg: b?(['\"])(.*)\2")
_STAGES: Final[dict[str, Stage]] = {
    "": "greeting", "EHLO": "ehlo", "HELO": "ehlo", "LHLO": "ehlo", "STARTTLS": "starttls",
    "AUTH": "auth", "MAIL": "mail", "RCPT": "rcpt", "DATA": "data", "BDAT": "content",
    ".": "content",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply of a session, and the command that it answers."""

    stage: Stage | None
    command: str
    code: int
    lines: tuple[str, ...]
    """Without the code."""

    @property
    def evidence(self) -> str:
        """The reply as it stands, on one line."""
        return f"{self.code} {' '.join(self.lines)}".strip()[:MAXIMUM_EVIDENCE]


def heard_in_transcript(text: str) -> tuple[Heard, ...]:
    """What a session came to: its refusals, or where there are none its last reply; () where the
    text is no session."""
    lines = [
        line[:MAXIMUM_LINE].rstrip() for line in text.split("\n", MAXIMUM_LINES)[:MAXIMUM_LINES]
    ]
    turns, spoken = _turns(lines)
    if not turns or spoken < 2:
        return ()
    refused = [turn for turn in turns if turn.code >= 400]
    wanted = [turn for turn in refused if not _follows_from_another(turn, refused)]
    if wanted:
        return tuple(map(_heard, wanted[:MAXIMUM_FINDINGS]))
    last = [turn for turn in turns if turn.stage == "content"] or turns
    return (_heard(last[-1]),)


def _heard(turn: Turn) -> Heard:
    words = " ".join(turn.lines)
    return Heard(
        "transcript",
        (f"{turn.command} -> " if turn.command else "") + turn.evidence,
        words,
        turn.code,
        EnhancedStatus.parse(words),
        turn.stage,
        recipient=address_in(turn.command) if turn.stage == "rcpt" else "",
        delivered=turn.stage == "content" and turn.code < 300,
    )


def _follows_from_another(turn: Turn, refused: Sequence[Turn]) -> bool:
    """503 and "no valid recipients" only say that what came before was refused."""
    return turn is not refused[0] and (
        turn.code == 503 or (turn.stage == "data" and "valid recipients" in turn.evidence.lower())
    )


def _turns(lines: Sequence[str]) -> tuple[list[Turn], int]:
    """The replies with their commands, and how many lines are of a session at all."""
    turns: list[Turn] = []
    command, verb, ended = "", "", False
    code = 0
    texts: list[str] = []
    spoken = 0
    for who, said in _spoken(lines):
        spoken += 1
        if who == "client":
            if code:
                turns.append(Turn(_stage(verb, code), command, code, tuple(texts)))
                code, texts = 0, []
            given = re.match(rf"(?i)({_VERBS})\b", said)
            if given is not None:
                verb, command = given[1].upper().split()[0], _without_secret(said)
                ended = False
            elif said == "." or (verb == "DATA" and not ended):
                ended = said == "."
                if ended:
                    verb, command = ".", "."
            continue
        number, text = int(said[:3]), said[4:].strip()
        if code and number != code:
            turns.append(Turn(_stage(verb, code), command, code, tuple(texts)))
            texts = []
            if verb == "DATA" and code == 354:
                verb, command = ".", "."
        code = number
        texts.append(text)
        if said[3:4] != "-":
            turns.append(Turn(_stage(verb, code), command, code, tuple(texts)))
            if verb == "DATA" and code == 354:
                verb, command = ".", "."
            code, texts = 0, []
    if code:
        turns.append(Turn(_stage(verb, code), command, code, tuple(texts)))
    return turns, spoken


def _stage(verb: str, code: int) -> Stage | None:
    if not verb and code not in (220, 421, 554, 450, 521):
        return None
    return _STAGES.get(verb)


def _spoken(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        retcode = _RETCODE.search(line)
        if retcode is not None:
            # smtplib shows each reply twice; the second is the whole of it.
            for one in retcode[3].split("\\n"):
                yield "server", f"{retcode[1]}-{one}"
            yield "server", f"{retcode[1]} "
            continue
        if line.lstrip().startswith("reply:"):
            continue
        for who, pattern in (
            ("server", _SERVER),
            ("client", _CLIENT),
            ("server", _BARE_REPLY),
            ("client", _BARE_COMMAND),
        ):
            found = pattern.match(line)
            if found is not None:
                yield who, found["said"].strip().removesuffix("\\r\\n'").removesuffix("\\r\\n")
                break


def _without_secret(command: str) -> str:
    """A login as it may be shown: its mechanism, not its credentials."""
    found = re.match(r"(?i)(AUTH\s+\S+)", command)
    return found[1] if found is not None else command[:200]

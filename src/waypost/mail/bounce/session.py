"""Reads the part of a session that a report quotes: what was sent, and what was answered.

Sendmail and many after it quote `>>> RCPT TO:<...>` and `<<< 550 ...`; others write `SENT:` and
`Received >>>`. Lines that are a reply by themselves, such as `550 5.1.1 <user@example.com>... User
unknown`, are replies without a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from waypost.mail.bounce.report import MAXIMUM_DIAGNOSTIC
from waypost.mail.encoded_words import displayable

_SENT: Final = re.compile(
    r"(?i)^[\s|]{0,8}(?:>>>|-->|==>|->|sent(?: <<<)?:?|command:?|in:|our side:|hmailserver "
    r"sent:)\s{0,4}"
    r"(EHLO|HELO|LHLO|STARTTLS|AUTH|MAIL|RCPT|DATA|BDAT|QUIT|RSET|\.)(?:\s{1,4}(?:FROM"
    r"|TO)\s{0,2}:)?\s{0,4}(.*)$"
)
_RECEIVED: Final = re.compile(
    r"(?i)^[\s|]{0,8}(?:<<<|<--|<==|<-|received(?: >>>)?:?|response:?|out:|remote side:|remote "
    r"server replied:)\s{0,4}"
    r"([2345]\d\d(?:[ -].*)?)$"
)
_BARE: Final = re.compile(r"^\s{0,4}([45]\d\d[ -].*)$")
_QUOTES: Final = re.compile(
    r"(?i)\b(?:said|replied|responded|returned)\s?:(?:\s{1,4}[245]\d\d\b|\s*$)"
)
"""The start of a reply within a sentence."""
MAXIMUM_FOLDED: Final = 20
"""Lines that one such sentence takes."""
_TALKING: Final = re.compile(r"(?i)while talking to ([\w.-]{1,255})")
_STEPS: Final = {
    "": "", "EHLO": "ehlo", "HELO": "ehlo", "LHLO": "ehlo", "STARTTLS": "starttls", "AUTH": "auth",
    "MAIL": "mail", "RCPT": "rcpt", "DATA": "data", "BDAT": "content", ".": "content",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exchange:
    """A command and its answer; either may be missing."""

    line: int
    verb: str
    argument: str
    reply: str
    host: str
    """Whom the session was with."""
    bare: bool = False
    """The reply stands alone, as the reporting system's own words."""

    @property
    def step(self) -> str:
        """The stage's name."""
        return _STEPS.get(self.verb, "")

    @property
    def refuses(self) -> bool:
        """Whether it was answered by 4yz or 5yz."""
        return self.reply[:1] in ("4", "5")


def exchanges_in(lines: Sequence[str]) -> Iterator[Exchange]:
    """What a report quotes of a session."""
    verb, argument, host = "", "", ""
    pending: Exchange | None = None
    for number, line in enumerate(lines):
        talking = _TALKING.search(line)
        if talking is not None:
            host = talking[1].rstrip(".")
        sent = _SENT.match(line)
        received = None if sent is not None else _RECEIVED.match(line)
        bare = _BARE.match(line) if sent is None and received is None else None
        if bare is not None and _is_folded(lines, number):
            bare = None
        if pending is not None and received is not None and _continues(pending, received[1]):
            reply = f"{pending.reply} {received[1]}"[:MAXIMUM_DIAGNOSTIC]
            pending = Exchange(pending.line, pending.verb, pending.argument, reply, host)
            continue
        if pending is not None and (sent or received or bare or not line.strip()):
            yield pending
            pending = None
        if sent is not None:
            if verb:
                yield Exchange(number, verb, argument, "", host)
            verb, argument = sent[1].upper(), sent[2]
        elif received is not None:
            pending = Exchange(number, verb, argument, displayable(received[1]), host)
            verb, argument = "", ""
        elif bare is not None:
            words = [bare[1]]
            for more in lines[number + 1 : number + 4]:
                if not more.startswith((" ", "\t")) or not more.strip() or _SENT.match(more):
                    break
                words.append(more.strip())
            yield Exchange(
                number, "", "", displayable(" ".join(words))[:MAXIMUM_DIAGNOSTIC], host, True
            )
    if pending is not None:
        yield pending
    if verb:
        yield Exchange(len(lines), verb, argument, "", host)


def refusal_of(address: str, original: str, exchanges: Sequence[Exchange]) -> Exchange | None:
    """The answer that decided about a recipient; None where nothing was answered.

    What names the recipient counts first: the answer to its RCPT, then the reporting system's own
    line about it; then the last refusal of the session, which was for all.
    """
    names = {one.lower() for one in (address, original) if one}
    refusals = [one for one in exchanges if one.refuses]
    for one in refusals:
        if one.verb == "RCPT" and any(name in one.argument.lower() for name in names):
            return one
    named = [one for one in refusals if any(name in one.reply.lower() for name in names)]
    for one in named:
        if not one.bare:
            return one
        # The reporting system's own line sums up what it heard just before.
        before = [other for other in exchanges if other.line < one.line and other.reply]
        heard = before[-1] if before else one
        return one if heard.bare or not heard.refuses or heard.reply[:3] == "503" else heard
    said = [one for one in refusals if not one.bare and not one.reply.startswith("503")]
    general = said or refusals
    return general[0] if general else None


def _is_folded(lines: Sequence[str], number: int) -> bool:
    """Whether a line only goes on with a sentence that was folded before it: a reply of several
    lines, when it is wrapped, has its code anywhere, also at the start of a line."""
    for before in range(number - 1, max(-1, number - MAXIMUM_FOLDED), -1):
        line = lines[before]
        if not line.strip():
            return False
        if _QUOTES.search(line) is not None:
            return True
    return False


def _continues(pending: Exchange, reply: str) -> bool:
    """Whether a line goes on the reply before: `550-first`, then `550 last`."""
    return pending.reply[:3] == reply[:3] and re.match(r"\d\d\d-", pending.reply) is not None

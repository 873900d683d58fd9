"""Reads what a notice tells people: which recipients, and in whose words.

Systems without a delivery status each have their own form, but all say the same few things, so the
lines are read by what they are and not by who wrote them. A recipient may stand at the start of a
line, behind a label, in a session, in a sentence. These are tried in this order, as each is surer
than the next, and the first that finds somebody counts: a notice that lists its recipients may
quote any other address in its sentences. Who sent the original message is no recipient, nor is the
postmaster who may be asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from waypost.mail.bounce.addresses import ADDRESS, address_in, addresses_in, tidied, typed_address
from waypost.mail.bounce.notice_words import telling, words_about
from waypost.mail.bounce.report import MAXIMUM_RECIPIENTS, ReportedRecipient
from waypost.mail.bounce.session import Exchange, exchanges_in, refusal_of
from waypost.mail.bounce.steps import host_in, step_in
from waypost.mail.bounce.structure import MAXIMUM_LINE

MAXIMUM_LINES: Final = 2000
MAXIMUM_MENTIONS: Final = 3
"""Times that words about the same recipient are looked for."""
LONGEST_BLOCK: Final = 30
"""Lines about one recipient."""

_LISTED: Final = re.compile(
    rf"""(?ix)^[\s>*•+|-]{{0,40}}(?:\d{{1,3}}[.)]\s{{1,4}})?
    (?:<(?P<bracketed>{ADDRESS})>|["']?(?:smtp:|mailto:)?(?P<plain>{ADDRESS})["']?)
    (?P<rest>\s*(?:$|[:;,(\[<]|\.{{3}}|\s-|\ on\ |\ [245]\d\d\b
      |\s+(?:invalid|unknown|user|failed|undeliver|could|mailbox)
      |\s+(?:not|was|is|has|smtp|host)\s
    ).*)$"""
)
_LABEL: Final = re.compile(
    r"""(?ix)^[\s>*•|#-]{0,40}
    (?:failed|final|original|intended|undelivered|undeliverable|invalid|bad|unknown|the|your)?\s{0,3}
    (?P<label>
      (?:e-?mail\ )?recipients?(?:'s)?(?:\ (?:e-?mail\ )?address(?:es)?)?(?:\(s\))?
    | (?:e-?mail\ )?address(?:es)?(?:\(s\))?(?:\ failed)?
    | addressed\ to | sent\ to | rcpt\ to | delivered?\ to | destination(?:\ address)? | mailbox
    | account
    | (?:final\ delivery\ )?user(?:id|name)?(?:\ unknown)? | failed\ addresses\ follow
    | (?:invalid\ final\ delivery\ userid) | user\ mailbox | for | empf\S{1,3}nger | destinataire
    | destinatario
    | undeliverable\ (?:to|address) | (?:could\ not\ be\ |un)?delivered\ to
    | delivery\ (?:failed|to)[^:<@]{0,40} | get\ address | name
    )\s{0,4}[:=]?\s{0,8}(?P<value>[^\n]*@[^\n]*)$"""
)
_SENTENCE: Final = re.compile(
    rf"(?i)(?:\b(?:to|address|recipients?|user|mailbox|account|for|of|from|à|a|an|для"
    rf"|box)\b[\s:]{{1,8}}|\b)"
    rf"[<\"'(\[]{{0,2}}(?:mailto:|smtp:)?({ADDRESS})"
)
_TROUBLE: Final = re.compile(
    r"(?i)deliver|undeliver|reach|unknown|fail|reject|not (?:exist|valid|found|known|accept)"
    r"|block|return"
    r"|disabled|unable|invalid|couldn't|could not|can(?:not|'t)|no such|quota|full|refus|bounce"
    r"|discontinu"
    r"|unavailable|not a member|недост|доставл|impossible|entreg|zugestell|remis|délivr"
)
_NOT_ONE: Final = re.compile(
    r"(?i)^[\s>*|-]{0,20}(?:from|sender|reply-to|return-path|mail from|message-id|contact|mailto"
    r"|envelope-from"
    r"|sent|date|subject|cc|in-reply-to|references|x-[a-z-]+|von|de|message id|queue-id"
    r"|remetente)\s{0,3}[:=]"
)
_TO_FIELD: Final = re.compile(r"(?i)^[\s>*|-]{0,20}(?:to|an|para|cc|bcc)\s{0,3}:\s*(.*)")
_HELP: Final = re.compile(
    r"(?i)contact|assistance|questions?\b|please (?:e-?mail|write|send)|help|support"
    r"|forward(?:ed)? (?:this|it) to|complain"
)
_EXPANDED: Final = re.compile(
    rf"(?i)\((?:expanded|generated|forwarded|originally|ultimately generated"
    rf"|translated)[^()@\n]{{0,30}}?[: ]\s{{0,4}}<?({ADDRESS}|[\w.+-]{{1,64}})>?\)"
)
_OFFICES: Final = re.compile(
    r"(?i)(?:postmaster|mailer-daemon|abuse|hostmaster|helpdesk|noreply|no-reply|support)@"
)
_X400: Final = re.compile(rf"(?i)(?:dda:smtp|;smtp|\[smtp)\s?[=:]\s?({ADDRESS})")
_DELAYED: Final = re.compile(
    r"(?i)warning message only|has been delayed|will (?:be|continue to be) (?:retried|tried"
    r"|attempted)"
    r"|delivery attempts will continue|still (?:be )?trying|not (?:yet )?been delivered (?:yet"
    r"|within|after)"
    r"|delayed (?:mail|message)|temporarily deferred|will keep trying|could not be delivered "
    r"for the last"
    r"|don't need to resend|do not need to resend|message is delayed|not yet been delivered"
)
_FINAL: Final = re.compile(
    r"(?i)permanent|given up|giving up|permanently|gave up|returned to sender|been removed from "
    r"the queue"
)


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known beside the notice's text."""

    senders: frozenset[str] = frozenset()
    """Addresses in lower case that sent the original or write the notice: no recipients."""
    failed: tuple[str, ...] = ()
    """The field X-Failed-Recipients."""
    original: tuple[str, ...] = ()
    """Whom the original message was for, by its own header."""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line that names a recipient."""

    line: int
    address: str
    rest: str
    original: str = ""


def read_notice(text: str, hints: Hints) -> tuple[ReportedRecipient, ...]:
    """The recipients that a notice, without the returned message, is about. Never raises."""
    lines = [
        line[:MAXIMUM_LINE].rstrip() for line in text.split("\n", MAXIMUM_LINES)[:MAXIMUM_LINES]
    ]
    exchanges = tuple(exchanges_in(lines))
    entries = _entries(lines, exchanges, hints)
    delayed = _is_delay(text, hints.subject)
    found: dict[str, ReportedRecipient] = {}
    asked: Counter[str] = Counter()
    for entry, end in zip(entries, _ends(entries, len(lines)), strict=True):
        asked[entry.address.lower()] += 1
        if asked[entry.address.lower()] > MAXIMUM_MENTIONS:
            continue
        one = _reported(entry, lines, end, exchanges, delayed=delayed)
        known = found.get(one.address.lower())
        if known is None or telling(known.diagnostic) < telling(one.diagnostic):
            found[one.address.lower()] = one
        if len(found) >= MAXIMUM_RECIPIENTS:
            break
    return tuple(found.values())


def _ends(entries: Sequence[_Entry], last: int) -> list[int]:
    """For each entry the line of the next that is about another recipient."""
    ends = [last] * len(entries)
    for number in range(len(entries) - 2, -1, -1):
        here, after = entries[number], entries[number + 1]
        other = after.address.lower() != here.address.lower() and after.line > here.line
        ends[number] = after.line if other else ends[number + 1]
    return ends


def heard_in(text: str) -> ReportedRecipient | None:
    """What the session that a notice quotes came to, for whomever; None where it quotes none."""
    lines = [line[:MAXIMUM_LINE] for line in text.split("\n", MAXIMUM_LINES)[:MAXIMUM_LINES]]
    refusal = refusal_of("", "", tuple(exchanges_in(lines)))
    if refusal is None:
        return None
    return ReportedRecipient(
        "", diagnostic=refusal.reply, remote_mta=refusal.host, step=refusal.step
    )


def _is_delay(text: str, subject: str) -> bool:
    if re.search(r"(?i)\bdelay|warning|not yet delivered", subject):
        return True
    return _DELAYED.search(text) is not None and _FINAL.search(text) is None


def _entries(lines: Sequence[str], exchanges: Sequence[Exchange], hints: Hints) -> list[_Entry]:
    """The lines about recipients, by the surest way that finds any."""
    ways = (
        _listed(lines),
        _in_session(exchanges),
        _in_sentences(lines, with_trouble=True),
        _in_sentences(lines, with_trouble=False),
        _behind_to(lines),
    )
    if hints.failed:
        return _with_failed(list(_without(ways[0], hints.senders)), hints.failed, lines)
    for way in ways:
        found = list(_without(way, hints.senders))
        if found:
            return found
    at = next((number for number, line in enumerate(lines) if line.strip()), 0)
    for addresses in (hints.original, _all_named(lines, hints.senders)):
        if addresses:
            return [_Entry(at - 1, address, "") for address in addresses]
    return []


def _all_named(lines: Sequence[str], senders: Collection[str]) -> tuple[str, ...]:
    """Where the message came back to its own recipient, as tests of one's own server do."""
    named = [entry.address for entry in _listed(lines)]
    return tuple(named) if named and {one.lower() for one in named} <= set(senders) else ()


def _without(entries: Iterator[_Entry], senders: Collection[str]) -> Iterator[_Entry]:
    for entry in entries:
        if entry.address and entry.address.lower() not in senders:
            yield entry


def _with_failed(listed: list[_Entry], failed: Sequence[str], lines: Sequence[str]) -> list[_Entry]:
    """What X-Failed-Recipients names, with the words about it from the list in the notice."""
    by_address = {entry.address.lower(): entry for entry in listed}
    entries = []
    for address in failed:
        known = by_address.get(address.lower())
        if known is None:
            local = address.partition("@")[0].lower()
            at = [n for n, line in enumerate(lines) if line.strip().lower().rstrip(":") == local]
            alias = [
                entry for entry in listed if entry.original.lower() in (local, address.lower())
            ]
            if alias:
                entries += alias
                continue
            others = [
                entry
                for entry in listed
                if entry.address.lower() not in set(map(str.lower, failed))
            ]
            if not at and len(failed) == 1 and len(others) == 1:
                entries.append(replace(others[0], original=address))
                continue
            mentioned = [n for n, line in enumerate(lines) if address.lower() in line.lower()]
            start = (at or mentioned or [0])[0]
            known = _Entry(start, address, "" if at else lines[start] if mentioned else "")
        entries.append(known)
    return entries


def _listed(lines: Sequence[str]) -> Iterator[_Entry]:
    """Recipients at the start of a line, or behind a label."""
    for number, line in enumerate(lines):
        if "@" not in line or _is_command(line):
            expanded = _EXPANDED.search(line)
            if (
                expanded is not None
                and number
                and lines[number - 1].strip().startswith(("|", '"|', "/", ":include:"))
            ):
                yield _Entry(number, tidied(expanded[1]), "")
            continue
        found = _LISTED.match(line)
        if found is not None and not _NOT_ONE.match(line):
            address = tidied(found["bracketed"] or found["plain"])
            follows = lines[number + 1] if number + 1 < len(lines) else ""
            expanded = _EXPANDED.search(f"{found['rest']} {follows}")
            yield _Entry(number, address, found["rest"], tidied(expanded[1]) if expanded else "")
            continue
        x400 = _X400.search(line)
        if x400 is not None and ("=" in line or "[" in line):
            yield _Entry(number, tidied(x400[1]), line[x400.end() :])
            continue
        label = _LABEL.match(line)
        if label is None or _NOT_ONE.match(line):
            continue
        several = addresses_in(label["value"])
        if not several or _OFFICES.match(several[0]):
            continue
        value = label["value"]
        if len(several) == 1 or not _only_addresses(value):
            address = typed_address(value) if value.lstrip().startswith("@") else several[0]
            rest = value.partition(several[0])[2]
            yield _Entry(number, address if "@" in address else several[0], rest)
        else:
            for address in several:
                yield _Entry(number, address, "")


def _only_addresses(value: str) -> bool:
    return re.fullmatch(rf"(?:[\s,;<>]*{ADDRESS})+[\s,;<>]*", value[:1000]) is not None


def _in_session(exchanges: Sequence[Exchange]) -> Iterator[_Entry]:
    """Whom a command names that was refused, or a reply that stands alone."""
    for one in exchanges:
        if one.verb == "RCPT" and not one.reply.startswith("2"):
            yield _Entry(one.line, address_in(one.argument), "")
        elif one.bare and "..." in one.reply:
            yield _Entry(one.line, address_in(one.reply), "")


def _in_sentences(lines: Sequence[str], *, with_trouble: bool) -> Iterator[_Entry]:
    """Addresses in running text; with `with_trouble` only where it says that something failed."""
    for number, line in enumerate(lines):
        if "@" not in line or _is_command(line) or _NOT_ONE.match(line) or _TO_FIELD.match(line):
            continue
        near = " ".join((lines[number - 1] if number else "", line))
        if with_trouble and _TROUBLE.search(near) is None:
            continue
        if _HELP.search(line) is not None and _TROUBLE.search(line) is None:
            continue
        for found in _SENTENCE.finditer(line):
            address = tidied(found[1])
            if not _OFFICES.match(address):
                yield _Entry(number, address, line)


def _behind_to(lines: Sequence[str]) -> Iterator[_Entry]:
    for number, line in enumerate(lines):
        found = _TO_FIELD.match(line)
        if found is not None:
            for address in addresses_in(found[1]):
                yield _Entry(number, address, "")


def _is_command(line: str) -> bool:
    return line.lstrip().startswith(
        (">>>", "<<<", "-->", "<--", "==>", "->", "<-", "Sent <<<", "Received >>>")
    )


def _reported(
    entry: _Entry, lines: Sequence[str], end: int, exchanges: Sequence[Exchange], *, delayed: bool
) -> ReportedRecipient:
    words = words_about(lines, entry.line, end, entry.rest)
    block = "\n".join(lines[max(entry.line, 0) : min(end, entry.line + LONGEST_BLOCK)])
    step = step_in(words) or step_in(block)
    host = host_in(words) or host_in(block)
    refusal = refusal_of(entry.address, entry.original, exchanges)
    if refusal is not None:
        words, step = refusal.reply, refusal.step or step
        host = host or refusal.host
    return ReportedRecipient(
        entry.address,
        entry.original if entry.original.lower() != entry.address.lower() else "",
        "delayed" if delayed else "failed",
        "",
        words,
        host,
        step,
    )

"""What comes in from other servers: do SPF, DKIM and DMARC say that it is what it claims to be?

The answer stands in front of the message as Authentication-Results (RFC 8601), where filters and
mail programs read it; fields of that kind that claim to be ours are taken out first, as anyone can
write one. With `enforce`, mail whose author's domain asks to have it rejected is refused.

SPF is asked for while the content comes; the keys of signatures when it is whole. All of it has
ASK_SECONDS: a name server that is slow costs a message its verdict, never its delivery.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import getaddresses
from typing import Final

from waypost.mail.address import InvalidAddress, domain_to_ascii
from waypost.mail.dkim_field import Signature
from waypost.mail.dkim_verification import (
    MAXIMUM_SIGNATURES,
    DkimResult,
    DkimVerdict,
    DkimVerification,
    unreachable,
)
from waypost.mail.headers import HeaderBlock
from waypost.net.records import texts_of
from waypost.net.resolver import ResolutionFailure, Resolver
from waypost.sender_policy import Result, Sending, Verdict, evaluate
from waypost.sender_policy.dmarc import DmarcResult, DmarcVerdict, evaluate_dmarc
from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import Reply, reply

ASK_SECONDS: Final = 20.0
"""For all questions about one message (RFC 7208 4.6.4 wants at least this for SPF alone)."""

LONGEST_VALUE: Final = 255
"""Characters of a name, a reason or an address in the field."""

LONGEST_FROM: Final = 2000
"""Bytes of From that are looked at."""

LONGEST_REASON: Final = 100

_PER_METHOD: Final = 2 * LONGEST_VALUE + LONGEST_REASON + 150
"""Bytes of the longest line: a signature with its reason, domain and selector."""

_WIDEST: Final = 990
"""Octets of a line that is padded; it may have 998 (RFC 5322 2.1.1)."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9@._+=/-]")
_OWN_FIELD: Final = re.compile(
    rb"authentication-results[ \t]*:(?:[ \t]|\r\n[ \t])*([^;\s]*)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class IncomingSettings:
    """How incoming mail is judged."""

    authenticate: bool = False
    enforce: bool = False
    """Refuse what the author's domain asks to have rejected."""


class IncomingAuthentication:
    """For the listeners of one relay. `hostname` is the authserv-id."""

    def __init__(self, hostname: str, resolver: Resolver, *, enforce: bool) -> None:
        self.hostname = hostname
        self.resolver = resolver
        self.enforce = enforce

    def begin(
        self,
        block: HeaderBlock,
        added: bytes,  # noqa: ARG002 - what we add is not judged
        envelope: Envelope,
        *,
        client: tuple[str, str],
        user: str | None,
        now: float,
    ) -> IncomingMessage | None:
        """A message from elsewhere; nothing is asked of who has logged in."""
        if user is not None:
            return None
        return IncomingMessage(self, block, envelope.reverse_path, client, now)


class IncomingMessage:
    """One message (head_fields.HeadFields)."""

    def __init__(
        self,
        relay: IncomingAuthentication,
        block: HeaderBlock,
        reverse_path: str,
        client: tuple[str, str],
        now: float,
    ) -> None:
        self._relay = relay
        self._now = now
        self._authors = _author_domains(block)
        self._dkim = DkimVerification(block.block)
        self._address, self._hello = client
        self._reverse_path = reverse_path
        self.block = _without_own(block, relay.hostname)
        signatures = len(self._dkim.pending) + len(self._dkim.settled)
        self.room = 100 + len(relay.hostname) + _PER_METHOD * (2 + max(1, signatures))
        assert signatures <= MAXIMUM_SIGNATURES
        self._spf: asyncio.Task[Verdict | None] = asyncio.get_running_loop().create_task(
            self._ask_spf()
        )
        self._end: asyncio.Task[None] | None = None

    def body(self, data: bytes) -> None:
        """More of the body."""
        if self._dkim.is_signed:
            self._dkim.body(data)

    def finish(self, done: Callable[[bytes | Reply], None]) -> None:
        """Ask, and judge."""
        self._dkim.finish()
        self._end = asyncio.get_running_loop().create_task(self._judge(done))

    def discard(self) -> None:
        """Ask no more."""
        self._spf.cancel()
        if self._end is not None:
            self._end.cancel()

    def padded(self, fields: bytes) -> bytes:
        """White space at the folds, which means nothing (RFC 5322 2.2.3)."""
        missing = self.room - len(fields)
        lines = fields.removesuffix(b"\r\n").split(b"\r\n")
        for at in range(len(lines) - 1):
            some = min(missing, max(0, _WIDEST - len(lines[at])))
            lines[at] += b" " * some
            missing -= some
        assert missing == 0, "the room is larger than its lines can be"
        return b"\r\n".join(lines) + b"\r\n"

    async def _judge(self, done: Callable[[bytes | Reply], None]) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                spf = await self._spf
                signatures = await self._ask_dkim()
                dmarc = await self._ask_dmarc(spf, signatures)
        except TimeoutError:
            spf, dmarc = None, DmarcVerdict(DmarcResult.TEMPERROR, reason="no answer in time")
            signatures = [
                *self._dkim.settled,
                *(unreachable(one, "no answer in time") for one in self._dkim.pending),
            ]
        refusal = self._refusal(dmarc)
        done(refusal if refusal is not None else self._field(spf, signatures, dmarc))

    def _refusal(self, dmarc: DmarcVerdict) -> Reply | None:
        if not self._relay.enforce or dmarc.result is not DmarcResult.FAIL:
            return None
        if dmarc.policy != "reject":
            return None
        return reply(
            550, "5.7.26",
            f"The domain {dmarc.place} asks to reject mail from it that neither SPF nor DKIM "
            f"authenticates, as this from {self._address} (RFC 7489)",
        )  # fmt: skip

    # --- the questions ----------------------------------------------------------------------

    async def _ask_spf(self) -> Verdict | None:
        sending = Sending(self._address, self._reverse_path, self._hello)
        try:
            return await evaluate(self._relay.resolver, sending)
        except ValueError:  # a unix socket, or what else has no address
            return None

    async def _ask_dkim(self) -> list[DkimVerdict]:
        asked = await asyncio.gather(*(self._ask_key(one) for one in self._dkim.pending))
        return [*self._dkim.settled, *asked]

    async def _ask_key(self, signature: Signature) -> DkimVerdict:
        try:
            texts = await texts_of(self._relay.resolver, signature.key_name)
        except ResolutionFailure as fault:
            return unreachable(signature, fault.reason)
        return self._dkim.verdict(signature, texts, self._now)

    async def _ask_dmarc(self, spf: Verdict | None, dkim: Sequence[DkimVerdict]) -> DmarcVerdict:
        if len(self._authors) != 1:
            reason = "From names no domain, or several"
            return DmarcVerdict(DmarcResult.PERMERROR, reason=reason)
        passed = spf.domain if spf is not None and spf.result is Result.PASS else None
        return await evaluate_dmarc(
            self._relay.resolver, self._authors[0], passed,
            [one.domain for one in dkim if one.result is DkimResult.PASS],
        )  # fmt: skip

    # --- the answer -------------------------------------------------------------------------

    def _field(
        self, spf: Verdict | None, dkim: Sequence[DkimVerdict], dmarc: DmarcVerdict
    ) -> bytes:
        author = self._authors[0] if len(self._authors) == 1 else ""
        results = [_of_spf(spf, self._reverse_path, self._hello)]
        results += [_of_dkim(one) for one in dkim] or ["dkim=none"]
        results.append(_of_dmarc(dmarc, author))
        lines = ";\r\n\t".join((_safe(self._relay.hostname), *results))
        return f"Authentication-Results: {lines}\r\n".encode("ascii")


def _of_spf(spf: Verdict | None, reverse_path: str, hello: str) -> str:
    result = "temperror" if spf is None else spf.result.value
    asked = f"smtp.mailfrom={_safe(reverse_path)}" if reverse_path else f"smtp.helo={_safe(hello)}"
    return f"spf={result} {asked}"


def _of_dkim(one: DkimVerdict) -> str:
    text = f"dkim={one.result.value}"
    if one.reason:
        text += f' reason="{_quoted(one.reason)}"'
    for name, value in (
        ("header.d", one.domain), ("header.s", one.selector), ("header.a", one.algorithm),
        ("header.b", one.signature),
    ):  # fmt: skip
        if value:
            text += f" {name}={_safe(value)}"
    return text


def _of_dmarc(dmarc: DmarcVerdict, author: str) -> str:
    text = f"dmarc={dmarc.result.value}"
    if dmarc.result is DmarcResult.FAIL:
        text += f" (p={dmarc.policy})"
    return f"{text} header.from={_safe(author)}" if author else text


def _safe(text: str) -> str:
    """A value that needs no quotes and breaks out of nothing."""
    return _UNSAFE.sub("_", text[:LONGEST_VALUE]) or "_"


def _quoted(text: str) -> str:
    return re.sub(r"[^ -!#-\[\]-~]", "_", text[:LONGEST_REASON])


def _author_domains(block: HeaderBlock) -> tuple[str, ...]:
    """The domains of From. Several From fields are as if it had none (RFC 7489 6.6.1)."""
    if block.asked.count(b"from") != 1:
        return ()
    found: dict[str, None] = {}
    for _, address in getaddresses([block.raw_field(b"from", LONGEST_FROM)]):
        local, at, domain = address.rpartition("@")
        if not (local and at and domain):
            return ()
        try:
            found[domain_to_ascii(domain).lower()] = None
        except InvalidAddress:
            return ()
    return tuple(found)


def _without_own(block: HeaderBlock, hostname: str) -> bytes:
    """The header without fields that claim to be our own answers (RFC 8601 5)."""
    kept, at = [], 0
    for start, end in block.spans(b"authentication-results"):
        found = _OWN_FIELD.match(block.block, start, end)
        if found is not None and found[1].decode("latin-1").lower() == hostname.lower():
            kept.append(block.block[at:start])
            at = end
    kept.append(block.block[at:])
    return b"".join(kept)

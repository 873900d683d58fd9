"""What comes in from other servers: do SPF, DKIM and DMARC say that it is what it claims to be?

The answer stands in front of the message as Authentication-Results (RFC 8601), where filters and
mail programs read it; fields of that kind that claim to be ours are taken out first, as anyone can
write one. With `enforce`, mail whose author's domain asks to have it rejected is refused.

Where the relay has a key of its own domain, it seals what it found into the ARC chain (RFC 8617),
so that the servers behind it can believe it although forwarding has broken SPF.

SPF is asked for while the content comes; the keys of signatures when it is whole. All of it has
ASK_SECONDS: a name server that is slow costs a message its verdict, never its delivery.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from waypost.mail.arc import ArcChain, ArcVerdict, ChainStatus
from waypost.mail.authors import authors
from waypost.mail.dkim import CannotSign, DkimSigner, RelaxedBodyHash
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

LONGEST_REASON: Final = 100

_PER_METHOD: Final = 2 * LONGEST_VALUE + LONGEST_REASON + 150
"""Bytes of the longest line: a signature with its reason, domain and selector."""

MAXIMUM_CHAIN_KEYS: Final = 20
"""That are looked up for one ARC chain."""

_SEAL_BYTES: Final = 8 * 1024
"""For the message signature and the seal, beside the results: names in h= are what takes room."""

_WIDEST: Final = 990
"""Octets of a line that is padded; it may have 998 (RFC 5322 2.1.1)."""

_NOTHING: Final = b"\t(.)"
"""A line that is a comment."""

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
    seal: bool = True
    """Add to the ARC chain, where there is a key."""


class IncomingAuthentication:
    """For the listeners of one relay. `hostname` is the authserv-id."""

    def __init__(
        self,
        hostname: str,
        resolver: Resolver,
        *,
        enforce: bool,
        sealer: Callable[[], DkimSigner | None] = lambda: None,
    ) -> None:
        self.hostname = hostname
        self.resolver = resolver
        self.enforce = enforce
        self.sealer = sealer
        """The key that seals; None: nothing is sealed."""

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
        self._arc = ArcChain(block.block)
        self._sealer = relay.sealer()
        self._sealed_body = RelaxedBodyHash() if self._sealer is not None else None
        self._address, self._hello = client
        self._reverse_path = reverse_path
        self.block = _without_own(block, relay.hostname)
        signatures = len(self._dkim.pending) + len(self._dkim.settled)
        methods = 3 + max(1, signatures)
        lines = 100 + len(relay.hostname) + _PER_METHOD * methods
        self._header = self.block
        self.room = lines if self._sealer is None else 2 * lines + _SEAL_BYTES
        assert signatures <= MAXIMUM_SIGNATURES
        self._spf: asyncio.Task[Verdict | None] = asyncio.get_running_loop().create_task(
            self._ask_spf()
        )
        self._end: asyncio.Task[None] | None = None

    def body(self, data: bytes) -> None:
        """More of the body."""
        if self._dkim.is_signed:
            self._dkim.body(data)
        self._arc.body(data)
        if self._sealed_body is not None:
            self._sealed_body.update(data)

    def finish(self, done: Callable[[bytes | Reply], None]) -> None:
        """Ask, and judge."""
        self._dkim.finish()
        self._arc.finish()
        self._end = asyncio.get_running_loop().create_task(self._judge(done))

    def discard(self) -> None:
        """Ask no more."""
        self._spf.cancel()
        if self._end is not None:
            self._end.cancel()

    def padded(self, fields: bytes) -> bytes:
        """White space at the ends of lines and comments, which mean nothing (RFC 5322 3.2.2), nor
        to signatures in relaxed form."""
        lines = fields.removesuffix(b"\r\n").split(b"\r\n")
        missing = self.room - len(fields)
        behind = next((at for at, one in enumerate(lines[1:], 1) if not one[:1].isspace()), None)
        behind = len(lines) if behind is None else behind
        while sum(_WIDEST - min(len(one), _WIDEST) for one in lines) < missing:
            lines.insert(behind, _NOTHING)
            missing -= len(_NOTHING) + 2
        for at, one in enumerate(lines):
            some = min(missing, max(0, _WIDEST - len(one)))
            lines[at] += b" " * some
            missing -= some
        assert missing == 0
        return b"\r\n".join(lines) + b"\r\n"

    async def _judge(self, done: Callable[[bytes | Reply], None]) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                spf = await self._spf
                signatures = await self._ask_dkim()
                chain = await self._ask_arc()
                dmarc = await self._ask_dmarc(spf, signatures)
        except TimeoutError:
            chain = None
            spf, dmarc = None, DmarcVerdict(DmarcResult.TEMPERROR, reason="no answer in time")
            signatures = [
                *self._dkim.settled,
                *(unreachable(one, "no answer in time") for one in self._dkim.pending),
            ]
        refusal = self._refusal(dmarc)
        if refusal is not None:
            done(refusal)
            return
        results = self._results(spf, signatures, chain, dmarc)
        field = f"Authentication-Results: {results}\r\n".encode("ascii")
        sealed = field + await self._seal(results, chain)
        done(sealed if len(sealed) <= self.room else field)

    async def _seal(self, results: str, chain: ArcVerdict | None) -> bytes:
        """Our set of the ARC chain, made in a thread; b"" where there is none to be."""
        if self._sealer is None or self._sealed_body is None or chain is None:
            return b""
        signer, digest = self._sealer, self._sealed_body.digest()

        def made() -> bytes:
            try:
                return self._arc.next_set(
                    signer, self._header, digest, results, chain.status, int(self._now)
                )
            except CannotSign:  # it has no From
                return b""

        return await asyncio.get_running_loop().run_in_executor(None, made)

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

    async def _ask_arc(self) -> ArcVerdict | None:
        """None where the keys cannot be asked for: then it is neither judged nor sealed."""
        names = sorted({one.key_name for one in self._arc.pending})
        if len(names) > MAXIMUM_CHAIN_KEYS:
            return ArcVerdict(ChainStatus.FAIL, f"it wants {len(names)} keys")
        try:
            texts = await asyncio.gather(*(texts_of(self._relay.resolver, one) for one in names))
        except ResolutionFailure:
            return None
        return self._arc.verdict(dict(zip(names, texts, strict=True)))

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

    def _results(
        self,
        spf: Verdict | None,
        dkim: Sequence[DkimVerdict],
        chain: ArcVerdict | None,
        dmarc: DmarcVerdict,
    ) -> str:
        """What stands behind the colon."""
        author = self._authors[0] if len(self._authors) == 1 else ""
        results = [_of_spf(spf, self._reverse_path, self._hello)]
        results += [_of_dkim(one) for one in dkim] or ["dkim=none"]
        if self._arc.length or self._arc.fault:
            results.append(_of_arc(chain))
        results.append(_of_dmarc(dmarc, author))
        return ";\r\n\t".join((_safe(self._relay.hostname), *results))


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


def _of_arc(chain: ArcVerdict | None) -> str:
    if chain is None:
        return "arc=temperror"
    text = f"arc={chain.status.value}"
    if chain.reason:
        text += f' reason="{_quoted(chain.reason)}"'
    if chain.oldest_pass:
        text += f" header.oldest-pass={_safe(chain.oldest_pass)}"
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
    for author in authors(block):
        if author is None:
            return ()
        found[author[1]] = None
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

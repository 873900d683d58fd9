"""DKIM signatures of what applications submit: by whose keys, and where they are computed.

A message is signed for the domain that its reader sees, that of From, as DMARC asks (RFC 7489 3.1,
identifier alignment): by the keys of that domain, or of the nearest domain above it that has some.
A user who may only use certain senders gets no signature for others, so that nobody borrows the
good name of another's domain.

Signing is arithmetic, half a millisecond for an RSA key, and OpenSSL does it outside of the
interpreter's lock: threads do it while the loop goes on with other mail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from waypost.delivery.routing import Patterns
from waypost.mail.authors import authors
from waypost.mail.dkim import CannotSign, DkimSigner, PreparedSignature, RelaxedBodyHash
from waypost.mail.headers import HeaderBlock
from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import Reply, reply

THREADS: Final = 2

_CANNOT_SIGN: Final = reply(451, "4.3.0", "The message could not be signed: try again later")

OWN_FIELDS: Final = 1000


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key and what it signs for."""

    signer: DkimSigner
    subdomains: bool = True
    """Also mail from domains below its own that have no keys themselves."""


class MessageSigning:
    """The keys of one relay. `owned_senders` gives the patterns of a user's addresses."""

    def __init__(
        self,
        keys: Iterable[SigningKey],
        owned_senders: Callable[[str], Patterns | None],
        renewed: Callable[[], Iterable[SigningKey] | None] = lambda: None,
    ) -> None:
        self._renewed = renewed
        """Gives all keys where they have changed. Asked with every message."""
        self._owned_senders = owned_senders
        self._exact: dict[str, tuple[DkimSigner, ...]] = {}
        self._above: dict[str, tuple[DkimSigner, ...]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self.use(keys)

    def use(self, keys: Iterable[SigningKey]) -> None:
        """Sign with these from now on."""
        exact: dict[str, list[DkimSigner]] = {}
        above: dict[str, list[DkimSigner]] = {}
        for key in keys:
            exact.setdefault(key.signer.domain, []).append(key.signer)
            if key.subdomains:
                above.setdefault(key.signer.domain, []).append(key.signer)
        self._exact = {domain: tuple(signers) for domain, signers in exact.items()}
        self._above = {domain: tuple(signers) for domain, signers in above.items()}

    def _look_again(self) -> None:
        """Take up keys that have changed."""
        if (renewed := self._renewed()) is not None:
            self.use(renewed)

    def sealer(self, domain: str) -> DkimSigner | None:
        """The key of RSA, which every verifier knows, of a domain or of the nearest above it."""
        self._look_again()
        return next((one for one in self._keys_of(domain) if one.algorithm == "rsa-sha256"), None)

    def close(self) -> None:
        """No more is signed."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    def begin(
        self,
        block: HeaderBlock,
        added: bytes,
        envelope: Envelope,  # noqa: ARG002 - signatures speak of the content alone
        *,
        client: tuple[str, str],  # noqa: ARG002
        user: str | None,
        now: float,
    ) -> SigningMessage | None:
        """The signatures of a message (head_fields.HeadSource); None where no key is for it."""
        self._look_again()
        if not self._exact:
            return None
        signers = self._signers(block, user)
        if not signers:
            return None
        header = added + block.block
        try:
            prepared = [PreparedSignature(one, header, timestamp=int(now)) for one in signers]
        except CannotSign:  # From is there, and no field: it stands behind something malformed
            return None
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, "waypost-signing")
        return SigningMessage(prepared, block.block, self._pool)

    def at_once(self, content: bytes, now: float) -> bytes:
        """The signatures of a small message of our own; b"" where no key is for it."""
        block = HeaderBlock.scan(
            content, maximum_size=len(content), maximum_fields=OWN_FIELDS, whole=True
        )
        signers = self._signers(block, None) if block is not None else ()
        if block is None or not signers:
            return b""
        body = RelaxedBodyHash()
        body.update(content[len(block.block) + 2 :])
        digest = body.digest()
        return b"".join(
            PreparedSignature(one, block.block, timestamp=int(now)).field(digest) for one in signers
        )

    def _signers(self, block: HeaderBlock, user: str | None) -> tuple[DkimSigner, ...]:
        author = next(iter(authors(block)), None)
        if author is None:
            return ()
        local, domain = author
        found = self._keys_of(domain)
        if found and user is not None:
            owned = self._owned_senders(user)
            if owned is not None and not owned.match(f"{local.lower()}@{domain}", domain):
                return ()
        return found

    def _keys_of(self, domain: str) -> tuple[DkimSigner, ...]:
        """Those of a domain, or of the nearest above it that signs for domains below."""
        if found := self._exact.get(domain):
            return found
        while domain := domain.partition(".")[2]:
            if found := self._above.get(domain):
                return found
        return ()


class SigningMessage:
    """One message on its way in, that is to be signed (head_fields.HeadFields)."""

    __slots__ = ("_body", "_pool", "_prepared", "block", "room")

    def __init__(
        self, prepared: Sequence[PreparedSignature], block: bytes, pool: ThreadPoolExecutor
    ) -> None:
        self.block = block
        self._prepared = prepared
        self._pool = pool
        self._body = RelaxedBodyHash()
        self.room = sum(one.length for one in prepared)
        """Bytes of its signatures, exactly."""

    def body(self, data: bytes) -> None:
        """More of what stands behind the header's empty line."""
        self._body.update(data)

    def padded(self, fields: bytes) -> bytes:
        """They have the length that was foreseen."""
        return fields

    def discard(self) -> None:
        """Nothing is under way that would have to end."""

    def finish(self, done: Callable[[bytes | Reply], None]) -> None:
        """Sign, in a thread. A failure would be a fault of ours or of the key."""
        loop = asyncio.get_running_loop()
        digest = self._body.digest()

        def ended(future: asyncio.Future[bytes]) -> None:
            if future.cancelled() or future.exception() is not None:
                done(_CANNOT_SIGN)
            else:
                done(future.result())

        try:
            loop.run_in_executor(self._pool, self._fields, digest).add_done_callback(ended)
        except RuntimeError:  # the relay is stopping: nothing was answered, the client comes again
            loop.call_soon(done, _CANNOT_SIGN)

    def _fields(self, digest: bytes) -> bytes:
        """In a thread."""
        return b"".join(one.field(digest) for one in self._prepared)

"""The Authenticated Received Chain (RFC 8617): what was found of a message before it was changed.

A server that passes mail on breaks SPF, and often signatures. So it writes down what it found, and
seals that together with what the servers before it have sealed. Each puts three fields in front:
its results (ARC-Authentication-Results), a signature of the message as it passes it on
(ARC-Message-Signature), and a seal over all sets so far (ARC-Seal). The number of a set is i=.

Theory of operation. `ArcChain` reads the sets of a header and says at once where the chain cannot
be right. The body streams through, as for DKIM. Then the keys of the newest message signature and
of all seals are looked up elsewhere (`pending`), and `verdict` says none, pass or fail. `next_set`
makes the fields of the next server.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from waypost.mail.dkim import DkimSigner, chosen_fields, in_lines, named_lines, signed_value
from waypost.mail.dkim_canonical import BodyHash, RelaxedBodyHash, SimpleBodyHash, canonical_field
from waypost.mail.dkim_field import (
    Field,
    MalformedSignature,
    Signature,
    fields_of,
    needed,
    read_message_signature,
    read_seal,
    tags_of,
)
from waypost.mail.dkim_verification import Refused, check_value, signed_fields

MAXIMUM_SETS: Final = 50
"""RFC 8617 4.2.1."""

_RESULTS, _MESSAGE, _SEAL = (
    b"arc-authentication-results", b"arc-message-signature", b"arc-seal",
)  # fmt: skip
_KINDS: Final = (_RESULTS, _MESSAGE, _SEAL)
_INSTANCE: Final = re.compile(rb":(?:[ \t]|\r\n[ \t])*i[ \t]*=[ \t]*([0-9]{1,2})[ \t]*;")


class ChainStatus(StrEnum):
    """cv= (RFC 8617 4.4)."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 - a result
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class ArcVerdict:
    """What the chain came to."""

    status: ChainStatus
    reason: str = ""
    oldest_pass: str = ""
    """The domain of the first seal, of a chain that passes."""


class ArcChain:
    """One message. Feed `body`, call `finish`, look up `pending`, ask for the `verdict`."""

    def __init__(self, header: bytes) -> None:
        """`header`: the block in CRLF lines, without the empty line."""
        self._fields = fields_of(header)
        self._sets: list[tuple[Field, Field, Field]] = []
        self._message: Signature | None = None
        self._seals: list[Signature] = []
        self._body: BodyHash | None = None
        self._digest = b""
        self.fault = ""
        """Why the chain cannot be right; "" where that is not known yet."""
        try:
            self._sets = _sets(self._fields)
            self._read()
        except MalformedSignature as fault:
            self.fault = str(fault)

    def _read(self) -> None:
        if not self._sets:
            return
        for number, (_, _, seal) in enumerate(self._sets, 1):
            status = needed(tags_of(seal), "cv").lower()
            if status != ("none" if number == 1 else "pass"):
                raise MalformedSignature(f"the seal {number} says cv={status[:10]}")
            self._seals.append(read_seal(seal))
        self._message = read_message_signature(self._sets[-1][1])
        if _SEAL in self._message.names:
            raise MalformedSignature("a message signature covers no seals")
        if self._message.body_length is not None:
            raise MalformedSignature("it may cover a part of the body only (l=)")
        form = self._message.body_form
        self._body = RelaxedBodyHash() if form == "relaxed" else SimpleBodyHash()

    @property
    def length(self) -> int:
        """How many sets there are."""
        return len(self._sets)

    @property
    def pending(self) -> Sequence[Signature]:
        """Whose keys are to be looked up."""
        if self.fault or self._message is None:
            return ()
        return (self._message, *self._seals)

    def body(self, piece: bytes) -> None:
        """More of what stands behind the header's empty line."""
        if self._body is not None:
            self._body.update(piece)

    def finish(self) -> None:
        """The body has ended."""
        if self._body is not None:
            self._digest = self._body.digest()

    def verdict(self, records: Mapping[str, Sequence[str]]) -> ArcVerdict:
        """With the texts at the `key_name` of each of `pending`."""
        if self.fault:
            return ArcVerdict(ChainStatus.FAIL, self.fault)
        message = self._message
        if message is None:
            return ArcVerdict(ChainStatus.NONE)
        try:
            if self._digest != message.body_hash:
                return ArcVerdict(ChainStatus.FAIL, "the body is not what was signed")
            check_value(
                message, records.get(message.key_name, ()), signed_fields(message, self._fields)
            )
            for number, seal in enumerate(self._seals, 1):
                data = _sealed(self._sets[:number], seal.without_value)
                check_value(seal, records.get(seal.key_name, ()), data)
        except Refused as refused:
            return ArcVerdict(ChainStatus.FAIL, str(refused))
        return ArcVerdict(ChainStatus.PASS, oldest_pass=self._seals[0].domain)

    def next_set(
        self,
        signer: DkimSigner,
        header: bytes,
        body_hash: bytes,
        results: str,
        status: ChainStatus,
        timestamp: int,
    ) -> bytes:
        """The three fields of the next set, newest first, with their CRLF.

        `header` is the header as it is passed on, `body_hash` the digest of RelaxedBodyHash,
        `results` what stands in Authentication-Results behind the colon. Raises CannotSign. b""
        where the chain is too long, or has failed at a server before (RFC 8617 5.1.2).
        """
        number = self.length + 1
        if number > MAXIMUM_SETS or (status is ChainStatus.FAIL and self._has_failed_before()):
            return b""
        found = f"ARC-Authentication-Results: i={number}; {results}".encode()
        signed = _message_signature(signer, number, header, body_hash, timestamp)
        unsealed = (
            f"ARC-Seal: i={number}; a={signer.algorithm}; t={timestamp}; cv={status};\r\n"
            f"\td={signer.domain}; s={signer.selector};\r\n\tb="
        ).encode()
        # A chain that fails is sealed as if this were its only set.
        before = self._sets if status is ChainStatus.PASS else []
        own = (Field(_RESULTS, found), Field(_MESSAGE, signed), Field(_SEAL, unsealed))
        seal = unsealed + in_lines(
            base64.b64encode(signed_value(signer.key, _sealed([*before, own], unsealed))),
            first=len("\tb="),
        )
        return seal + b"\r\n" + signed + b"\r\n" + found + b"\r\n"

    def _has_failed_before(self) -> bool:
        return any(
            field.name == _SEAL and re.search(rb"cv[ \t]*=[ \t]*fail", field.raw, re.IGNORECASE)
            for field in self._fields
        )


def _sets(fields: Sequence[Field]) -> list[tuple[Field, Field, Field]]:
    """The sets in their order. Raises MalformedSignature."""
    found: dict[int, dict[bytes, Field]] = {}
    for field in fields:
        if field.name not in _KINDS:
            continue
        text = _instance(field)
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 0
        if not 1 <= number <= MAXIMUM_SETS:
            raise MalformedSignature("a field of the chain has no number from 1 to 50")
        if field.name in found.setdefault(number, {}):
            raise MalformedSignature(f"the set {number} has a field twice")
        found[number][field.name] = field
    if sorted(found) != list(range(1, len(found) + 1)):
        raise MalformedSignature("a set is missing")
    for number, one in found.items():
        if len(one) != len(_KINDS):
            raise MalformedSignature(f"the set {number} is not whole")
    return [
        (found[number][_RESULTS], found[number][_MESSAGE], found[number][_SEAL])
        for number in sorted(found)
    ]


def _instance(field: Field) -> str:
    """i=: first in the results, which are no list of tags behind it; anywhere in the others."""
    if field.name != _RESULTS:
        return needed(tags_of(field), "i")
    found = _INSTANCE.search(field.raw)
    return found[1].decode() if found is not None else ""


def _sealed(sets: Sequence[tuple[Field, Field, Field]], last: bytes) -> bytes:
    """What a seal covers (RFC 8617 5.1.1): all sets, its own with an empty b=."""
    *before, own = sets
    pieces = [canonical_field(field.raw, "relaxed") for one in before for field in one]
    pieces += [canonical_field(field.raw, "relaxed") for field in own[:2]]
    return b"\r\n".join([*pieces, canonical_field(last, "relaxed")])


def _message_signature(
    signer: DkimSigner, number: int, header: bytes, body_hash: bytes, timestamp: int
) -> bytes:
    names, hashed = chosen_fields(header, also=(b"dkim-signature",))
    lines = [
        f"ARC-Message-Signature: i={number}; a={signer.algorithm}; c=relaxed/relaxed;".encode(),
        f"\td={signer.domain}; s={signer.selector}; t={timestamp};".encode(),
        *named_lines(names),
        b"\tbh=" + base64.b64encode(body_hash) + b";",
        b"\tb=",
    ]
    unsigned = b"\r\n".join(lines)
    value = signed_value(signer.key, hashed + canonical_field(unsigned, "relaxed"))
    return unsigned + in_lines(base64.b64encode(value), first=len("\tb="))

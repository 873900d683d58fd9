"""Signatures of a mailer: S/MIME first, over the body, then DKIM, over all of it.

What is signed may not be encoded anew on the way: a body in 8 bits is written in 7 before it is
signed, whatever the server offers (RFC 6376 5.3, RFC 8551 3.1.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from waypost.errors import ConfigurationError, InvalidMessage
from waypost.faces.library.prepared import Parts, Prepared, Sendable, prepare
from waypost.mail.compose import Outgoing
from waypost.net.clock import Clock

if TYPE_CHECKING:
    from waypost.mail.dkim import DkimSigner
    from waypost.mail.smime import SmimeSigner


@dataclass(frozen=True, slots=True)
class Signing:
    """What signs the messages of a mailer."""

    dkim: tuple[DkimSigner, ...] = ()
    smime: SmimeSigner | None = None


def signing(
    dkim: DkimSigner | Sequence[DkimSigner] | None, smime: SmimeSigner | None
) -> Signing | None:
    """What a caller gives, checked. Raises ConfigurationError."""
    if dkim is None and smime is None:
        return None  # and the signing library is not loaded
    from waypost.mail.dkim import DkimSigner
    from waypost.mail.smime import SmimeSigner

    several = () if dkim is None else (dkim,) if isinstance(dkim, DkimSigner) else tuple(dkim)
    if not all(isinstance(one, DkimSigner) for one in several):
        raise ConfigurationError(
            "dkim is no signer", fix="make one: waypost.signing.dkim_signer(domain, selector, key)"
        )
    if smime is not None and not isinstance(smime, SmimeSigner):
        raise ConfigurationError(
            "smime is no signer", fix="make one: waypost.signing.smime_signer(path)"
        )
    return Signing(several, smime)


def prepare_signed(
    given: Sendable | None, parts: Parts, clock: Clock, hostname: str, signs: Signing | None
) -> Prepared:
    """Make a message ready, and sign it. Raises errors.InvalidMessage."""
    prepared = prepare(given, parts, clock, hostname)
    if signs is None:
        return prepared
    from waypost.mail.dkim import CannotSign, sign
    from waypost.mail.smime import smime_sign

    content = prepared.for_server(eight_bit=False).source
    try:
        if signs.smime is not None:
            content = smime_sign(content, signs.smime)
        if signs.dkim:
            content = sign(content, signs.dkim, timestamp=int(clock.now()))
    except (CannotSign, OSError, ValueError) as fault:
        raise InvalidMessage(
            f"the message cannot be signed: {fault}",
            fix="give what is missing, or send it by a mailer without signatures",
            reason="invalid-message",
        ) from fault
    envelope = replace(
        prepared.envelope,
        declared_size=content.size,
        body="8BITMIME" if content.is_8bit else None,
    )
    return Prepared(Outgoing(envelope, content, prepared.message_id))

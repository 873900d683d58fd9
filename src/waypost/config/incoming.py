"""The sections about mail from other servers: whether it is what it claims to be, and what comes
back of our own."""

from __future__ import annotations

from typing import Final

from waypost.config.kinds import HostName, PatternList, Truth
from waypost.config.section import Section, setting
from waypost.relay.incoming import IncomingSettings

_INCOMING: Final = IncomingSettings()


class IncomingSection(Section):
    """[incoming]: mail that comes to listeners of kind relay from who may not relay anywhere."""

    authenticate: Truth = setting(
        True, "Ask SPF, DKIM and DMARC, and write what they say into Authentication-Results."
    )
    seal: Truth = setting(
        True,
        "Seal what was found into the ARC chain, where the relay has a DKIM key for its own name.",
    )
    enforce: Truth = setting(
        _INCOMING.enforce, "Refuse what the domain in From asks to have rejected (DMARC)."
    )


class BouncesSection(Section):
    """[bounces]: where mail comes back to. The domain's MX is a listener of kind relay here."""

    domain: HostName | None = setting(
        None,
        "Mail leaves with a return path of its own in this domain, and what comes back there is "
        "matched to its message.",
        unset="mail comes back to its sender",
    )
    senders: PatternList = setting(
        (),
        "Senders whose mail does; without any, those of the domain directly above "
        "`bounces.domain`.",
    )

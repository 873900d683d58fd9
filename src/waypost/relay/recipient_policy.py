"""Recipients that cannot be reached are refused at RCPT, where the sender still learns of it.

Each check can be switched off. What is known already (syntax, suppressions, domains asked about
before) is answered at once; only a domain not seen before needs a look-up, and a failing DNS lets
the recipient pass unless the settings say otherwise: it is checked again at delivery.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from waypost.mail.address import Address, InvalidAddress, parse_address
from waypost.net.resolver import (
    NoSuchDomain,
    NoSuchRecord,
    ResolutionFailure,
    ResolutionTemporaryFailure,
    Resolver,
)
from waypost.smtp.reply import Reply, reply


class _NeedsLookup:
    """The answer is not known yet."""


NEEDS_LOOKUP: Final = _NeedsLookup()

REMEMBERED: Final = 20_000
"""Domains whose answer is kept."""

REMEMBERED_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class RecipientSettings:
    """What is checked."""

    syntax: bool = True
    domain: bool = False
    """The domain exists and takes mail (no null MX, RFC 7505). Off by default: a relay to a
    smarthost need not have a view of the DNS."""
    suppressions: bool = True
    on_dns_failure: Literal["accept", "defer"] = "accept"


class RecipientPolicy:
    """See the module."""

    def __init__(
        self,
        settings: RecipientSettings,
        resolver: Resolver,
        suppression_reason: Callable[[str], str | None],
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._suppression_reason = suppression_reason
        self._domains: dict[str, tuple[float, Reply | None]] = {}

    def quick(self, address: str, now: float) -> Reply | _NeedsLookup | None:
        """The answer as far as it is known; None: the recipient may pass."""
        settings = self._settings
        if settings.syntax:
            try:
                parse_address(address, smtputf8=True)
            except InvalidAddress as fault:
                return reply(553, "5.1.3", f"<{address}>: not a mailbox: {fault.reason}")
        if settings.suppressions:
            reason = self._suppression_reason(address)
            if reason is not None:
                return reply(
                    550, "5.7.1",
                    f"<{address}>: on the suppression list of this relay ({reason}); to release "
                    f"it: waypost suppress remove {address}",
                )  # fmt: skip
        if not settings.domain:
            return None
        known = self._domains.get(address[address.rfind("@") + 1 :].lower())
        if known is None or known[0] <= now:
            return NEEDS_LOOKUP
        return known[1]

    async def check(self, address: str, now: float) -> Reply | None:
        """The answer after a look-up of the domain."""
        domain = address[address.rfind("@") + 1 :].lower()
        if domain.startswith("["):
            return self._remember(domain, now, _literal(domain))
        try:
            exchangers = await self._resolver.mail_exchangers(domain)
        except NoSuchDomain:
            return self._remember(
                domain, now, reply(550, "5.1.2", f"Recipient domain {domain} does not exist")
            )
        except NoSuchRecord:
            return await self._check_addresses(domain, now)
        except ResolutionTemporaryFailure as fault:
            return self._unknown(fault)
        if len(exchangers) == 1 and not exchangers[0].host:
            return self._remember(
                domain, now,
                reply(556, "5.1.10", f"Recipient domain {domain} takes no mail (null MX)"),
            )  # fmt: skip
        return self._remember(domain, now, None)

    async def _check_addresses(self, domain: str, now: float) -> Reply | None:
        try:
            await self._resolver.addresses(domain)
        except (NoSuchDomain, NoSuchRecord):
            return self._remember(
                domain, now,
                reply(550, "5.1.2", f"Recipient domain {domain} has neither MX nor address"),
            )  # fmt: skip
        except ResolutionTemporaryFailure as fault:
            return self._unknown(fault)
        return self._remember(domain, now, None)

    def _unknown(self, fault: ResolutionFailure) -> Reply | None:
        if self._settings.on_dns_failure == "accept":
            return None
        return reply(450, "4.4.3", f"Recipient domain could not be checked: {fault}")

    def _remember(self, domain: str, now: float, answer: Reply | None) -> Reply | None:
        if len(self._domains) >= REMEMBERED:
            self._domains.clear()  # rare and cheap: the answers come back with the next look-ups
        self._domains[domain] = (now + REMEMBERED_SECONDS, answer)
        return answer


def _literal(domain: str) -> Reply | None:
    if Address("", domain).literal is None:
        return reply(553, "5.1.2", f"{domain} is no address literal")
    return None

"""From what happened to what is done next, as data.

`outcome_of_reply` and `outcome_of_failure` look the answer up in the table of waypost.knowledge;
nothing here decides by itself. A reply counts by the command it answers (RFC 5321 4.2.1), so its
stage is part of the question, and so is who said it: a smarthost that does not want us is the
operator's to mend, an exchanger that does not want the recipient is the sender's to know.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from waypost.delivery.exchangers import DestinationFailure
from waypost.knowledge.outcomes import (
    DELIVERED,
    Kind,
    Next,
    Scope,
    Through,
    Verdict,
    outcome_table,
)
from waypost.knowledge.reply_contexts import Stage
from waypost.net.happy_eyeballs import ConnectFailure
from waypost.net.resolver import NoSuchDomain, NoSuchRecord, ResolutionFailure
from waypost.smtp.reply import EnhancedStatus, Reply
from waypost.values import unguarded

MAXIMUM_TEXT: Final = 1000
"""Characters of an outcome's text."""


@unguarded
@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to for a recipient, and what to do next."""

    verdict: Verdict
    text: str
    """The words that decided, as received or our own; bounded."""
    status: EnhancedStatus | None = None
    """As given, or ours for a failure without a reply; for a notification."""

    @property
    def kind(self) -> Kind:
        """delivered, temporary or permanent."""
        return self.verdict.kind

    @property
    def is_delivered(self) -> bool:
        """The peer has taken responsibility."""
        return self.verdict.kind == "delivered"

    @property
    def is_permanent(self) -> bool:
        """It must not be tried again (invariant 7)."""
        return self.verdict.kind == "permanent"

    @property
    def scope(self) -> Scope:
        """Whom it is about: only this recipient, the message, or the whole destination."""
        return self.verdict.scope

    @property
    def reason(self) -> str:
        """From outcomes.toml; "" for a success."""
        return self.verdict.reason

    @property
    def next(self) -> Next:
        """ "at-once": in the next transaction. "other-host": this counts only if there is none."""
        return self.verdict.next

    @property
    def back_off(self) -> bool:
        """Leave the destination alone for a while (Slots.back_off)."""
        return self.verdict.back_off

    @property
    def suspend(self) -> bool:
        """Leave this next hop alone and use the others (Circuits.failed)."""
        return self.verdict.suspend

    @property
    def alert(self) -> bool:
        """Only the operator can mend it."""
        return self.verdict.alert


_STAGES: Final[Mapping[str, Stage]] = {
    "greeting": "greeting", "ehlo": "ehlo", "starttls": "starttls", "auth": "auth",
    "mail": "mail", "rcpt": "rcpt", "data": "data", "content": "content",
    "content_reply": "content", "MAIL": "mail", "RCPT": "rcpt", "DATA": "data",
    "idle": "mail", "rset": "mail", "noop": "mail", "quit": "mail", "closed": "mail",
}  # fmt: skip
"""The client protocol's stages and its deciding commands, as the table has them. What comes
between transactions is about the next one."""


def outcome_of_reply(stage: str, reply: Reply, through: Through = "mx") -> Outcome:
    """What a reply means at a stage of the client protocol (client_states.Stage, or a command).

    `through` says what the peer is to us.
    """
    code = reply.code
    if code < 400:
        return Outcome(DELIVERED, str(reply)[:MAXIMUM_TEXT], reply.enhanced)
    verdict = outcome_table().of_reply(_STAGES[stage], reply, through)
    return Outcome(verdict, str(reply)[:MAXIMUM_TEXT], reply.enhanced)


def outcome_of_failure(reason: str, text: str, status: EnhancedStatus | None = None) -> Outcome:
    """What a failure without a reply means. Raises KeyError for one that outcomes.toml lacks."""
    rule = outcome_table().of_failure(reason)
    return Outcome(rule.verdict, text[:MAXIMUM_TEXT], status or rule.status)


def outcome_of_destination(failure: DestinationFailure) -> Outcome:
    """What it means that no exchanger can be tried."""
    outcome = outcome_of_failure(failure.reason, failure.text, failure.status)
    assert outcome.is_permanent == failure.permanent, f"outcomes.toml contradicts {failure!r}"
    return outcome


def reason_of_error(error: Exception) -> str:
    """The name, in outcomes.toml, of what went wrong while connecting."""
    if isinstance(error, ConnectFailure):
        # TLS trouble tells more than an address that was not there; silence tells least.
        names = [reason_of_error(one) for _, one in error.attempts]
        order = ("certificate-refused", "tls-failed", "connection-refused", "connection-lost")
        for name in order:
            if name in names:
                return name
        return names[0] if names else "unreachable"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate-refused"
    if isinstance(error, ssl.SSLError):
        return "tls-failed"
    if isinstance(error, NoSuchDomain | NoSuchRecord):
        return "smarthost-unknown"
    if isinstance(error, ResolutionFailure):
        return "dns-temporary"
    if isinstance(error, TimeoutError):
        return "connect-timeout"
    if isinstance(error, ConnectionRefusedError):
        return "connection-refused"
    if isinstance(error, ConnectionError | EOFError):
        return "connection-lost"
    if isinstance(error, OSError) and error.errno == errno.ENOENT:
        return "connection-refused"  # a unix socket that nobody listens on
    return "unreachable"


def outcome_of_error(error: Exception, text: str | None = None) -> Outcome:
    """What an error of resolving, connecting or TLS means; for a smarthost's name as well."""
    return outcome_of_failure(reason_of_error(error), str(error) if text is None else text)


def outcome_of_break(text: str, *, timed_out: bool, malformed: bool = False) -> Outcome:
    """What it means that a connection ended or stood still in the middle."""
    reason = "timeout" if timed_out else "not-smtp" if malformed else "connection-lost"
    return outcome_of_failure(reason, text)

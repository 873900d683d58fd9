"""What the engine found, as the errors that a program gets.

The judgement itself is data (outcomes.toml, reasons.toml, causes.toml): here it only gets its
class, its words and its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from waypost import errors
from waypost.delivery.opening import OpeningFailed
from waypost.delivery.outcome import Outcome
from waypost.errors import DeliveryError
from waypost.faces.library.settings import OWN_RELAY
from waypost.knowledge.advice import advice_for_operator
from waypost.knowledge.causes import causes
from waypost.knowledge.classification import classify
from waypost.knowledge.outcomes import Stage
from waypost.knowledge.reasons import reasons
from waypost.smtp.reply import Reply

_OF_STAGE: Final[Mapping[str, tuple[type[DeliveryError], str]]] = {
    "MAIL": (errors.SenderRefused, "the server does not take mail from {sender}"),
    "RCPT": (errors.RecipientRefused, "the server does not take mail for {recipient}"),
    "DATA": (errors.MessageRefused, "the server does not take the message"),
    "content": (errors.MessageRefused, "the server does not take the message"),
}
_STAGES: Final[Mapping[str, Stage]] = {
    "MAIL": "mail", "RCPT": "rcpt", "DATA": "data", "content": "content",
}  # fmt: skip

_OF_REASON: Final[Mapping[str, type[DeliveryError]]] = {
    "smarthost-unknown": errors.NameNotFound,
    "dns-temporary": errors.NameNotFound,
    "connect-timeout": errors.ConnectTimedOut,
    "tls-not-offered": errors.TlsFailed,
    "tls-refused": errors.TlsFailed,
    "tls-failed": errors.TlsFailed,
    "certificate-refused": errors.TlsFailed,
    "exchanger-not-in-policy": errors.TlsFailed,
    "greeting-refused": errors.ServiceRefused,
    "hello-refused": errors.ServiceRefused,
    "accepts-no-mail": errors.ServiceRefused,
    "service-closing": errors.ServiceRefused,
    "not-smtp": errors.ServiceRefused,
    "authentication-refused": errors.AuthenticationFailed,
    "authentication-required": errors.AuthenticationFailed,
    "authentication-temporary": errors.AuthenticationFailed,
    "no-common-mechanism": errors.AuthenticationFailed,
    "no-such-domain": errors.RecipientRefused,
    "bad-domain": errors.RecipientRefused,
    "null-mx": errors.RecipientRefused,
    "no-exchanger-address": errors.RecipientRefused,
    "nowhere-address": errors.RecipientRefused,
    "private-address": errors.RecipientRefused,
}
"""Of a session that did not come about; ConnectionFailed for what is not here."""


_IN_CODE: Final[Mapping[str, str]] = {
    "auth.required": "Put the login into the URL: smtp://user:password@{host}:587 (in user name "
    "and password write @ as %40, : as %3A, / as %2F).",
    "policy.relay_denied": "The server passes on mail only for those it knows: put the login into "
    "the URL, smtp://user:password@{host}:587, or have this machine's address allowed there.",
    "auth.oauth_required": "Give the mailer a source of tokens in place of the password: "
    "Mailer(url, logins=...), with google() or microsoft() of waypost.faces.library.oauth.",
}
"""Where a developer does something else than who runs a command: in words of the library."""


def fix_for(reason: str, cause: str, facts: Mapping[str, str]) -> str:
    """What to do: by the cause, else by the reason."""
    ours = _IN_CODE.get(cause)
    if ours is not None:
        return ours.format(host=facts.get("host") or "host")
    found = causes().get(cause)
    if found is not None:
        return found.fix_with(facts)
    return advice_for_operator(reason)


def refused(
    stage: str,
    reply: Reply,
    outcome: Outcome,
    *,
    sender: str,
    recipient: str,
    server: str,
    transcript: str,
    local: bool,
) -> DeliveryError:
    """A reply has decided a recipient, at this command (Decision.stage)."""
    found = classify(reply, stage=_STAGES[stage])
    kind, words = _OF_STAGE[stage]
    facts = {"host": _host(server), "sender": sender or "<>", "recipient": recipient,
             "domain": recipient.rpartition("@")[2],
             "sender_domain": sender.rpartition("@")[2]}  # fmt: skip
    if found.reason == "authentication-required":
        kind, words = errors.AuthenticationFailed, "the server wants a login before it takes mail"
    elif stage == "MAIL" and (local or found.cause == "size.message_too_big"):
        kind, words = errors.MessageRefused, "the message cannot go to this server"
    said = "its EHLO tells" if local else f"answered to {_COMMANDS[stage]}"
    return kind(
        f"{words.format_map(facts)}: {reply}",
        evidence=f"{server or 'the server'}: {said}",
        fix=fix_for(found.reason, found.cause, facts),
        reason=found.reason,
        cause=found.cause,
        temporary=reply.is_temporary or outcome.next == "at-once",
        reply=reply,
        transcript=transcript,
    )


_COMMANDS: Final = {"MAIL": "MAIL", "RCPT": "RCPT", "DATA": "DATA", "content": "the content"}


def not_opened(failed: OpeningFailed, outcome: Outcome, transcript: str) -> DeliveryError:
    """No session came about."""
    reply = failed.failures[-1].reply if failed.failures else None
    reason = outcome.reason
    cause = reasons()[reason].cause if reason in reasons() else ""
    turned_away = errors.ConnectionFailed if reply is None else errors.ServiceRefused
    kind = _OF_REASON.get(reason, turned_away)
    if reply is not None:
        found = classify(reply)
        if found.reason != "unknown" and found.cause:
            reason, cause = found.reason, found.cause
    fix = fix_for(reason, cause, {"host": _host(failed.next_hop)})
    if reason == "connection-refused" and failed.next_hop == _OWN_RELAY:
        fix = (
            "Start the relay of this machine with `waypost serve`, or say where to send to: "
            "a URL such as smtp://user:password@host:587, or the variable WAYPOST_URL."
        )
    several = "; ".join(
        failure.outcome.text for failure in failed.failures if failure.outcome is not outcome
    )
    return kind(
        f"{_OPENING.get(kind, 'no session with the server came about')}: {outcome.text}",
        evidence=several,
        fix=fix,
        reason=reason,
        cause=cause,
        temporary=outcome.kind == "temporary" and not outcome.alert,
        reply=reply,
        transcript=transcript,
    )


_OWN_RELAY: Final = OWN_RELAY.removeprefix("smtp+plain://")

_OPENING: Final[Mapping[type[DeliveryError], str]] = {
    errors.AuthenticationFailed: "the login failed",
    errors.NameNotFound: "the server's name has no address",
    errors.ConnectTimedOut: "the server does not answer",
    errors.TlsFailed: "there is no TLS with the server",
    errors.ServiceRefused: "the server offers no service",
    errors.RecipientRefused: "nobody takes mail for that domain",
}


def lost(outcome: Outcome, *, server: str, transcript: str, uncertain: bool) -> DeliveryError:
    """The connection ended or stood still in the middle of a transaction."""
    reason = outcome.reason
    cause = reasons()[reason].cause if reason in reasons() else ""
    if uncertain:
        return errors.DeliveryUncertain(
            f"the message may have been delivered: {outcome.text}",
            evidence=f"{server}: the whole content was sent, and the answer to it did not come",
            fix="It was not sent again, as the recipient might get it twice. Look in the server's "
            "log for its Message-ID; send it again (with the same Message-ID) only if twice is "
            "better than not at all.",
            reason=reason,
            cause=cause,
            transcript=transcript,
        )
    return errors.ConnectionLost(
        f"the connection was lost before the message was over: {outcome.text}",
        evidence=f"{server}: the content was not ended, so it cannot have been delivered",
        fix=fix_for(reason, cause, {"host": _host(server)}),
        reason=reason,
        cause=cause,
        temporary=True,
        transcript=transcript,
    )


def no_capacity(seconds: float, why: str) -> DeliveryError:
    """It waited in vain for a connection."""
    return errors.NoCapacity(
        f"no connection was free within {seconds:g} seconds",
        evidence=why,
        fix="Raise pool_size or patience, or send less at a time; where the server is slow, "
        "hand the mail to a relay (`waypost serve`), which accepts at once.",
        reason="no-capacity",
        temporary=True,
    )


def closed() -> DeliveryError:
    """The mailer was closed while it waited."""
    return errors.NoCapacity(
        "the mailer was closed before this was sent",
        evidence="it had not begun when the time that close() waits was over",
        fix="Give close() a longer grace, or send less before it.",
        reason="mailer-closed",
        temporary=True,
    )


def unreadable(fault: Exception, transcript: str) -> DeliveryError:
    """The content could not be read to its end; the server cannot have taken the message."""
    return errors.MessageRefused(
        f"the content could not be read to its end: {fault}",
        evidence="the connection was closed before the end, so nothing was delivered",
        fix="Keep the file of an attachment unchanged, and open, until the message is sent.",
        reason="invalid-message",
        transcript=transcript,
    )


def _host(server: str) -> str:
    return server.partition("[")[0] or server.strip("[").partition("]")[0].partition(":")[0]

"""What the library raises: one tree, and each error tells a developer what to do.

    WaypostError
        ConfigurationError          a URL or setting that cannot be used
        InvalidMessage              the parts make no message; nothing was sent
        MailerClosed                it was closed, and something was to be sent
        DeliveryError               it was to be sent, and was not
            ConnectionFailed        no session with the server came about
                NameNotFound        its name has no address
                ConnectTimedOut     nothing answered
                TlsFailed           no TLS, or a certificate that proves nothing
                ServiceRefused      the server turned us away before the login
            AuthenticationFailed    the login failed
            SenderRefused           MAIL was refused
            RecipientRefused        RCPT was refused, or the address has nowhere to go
            MessageRefused          DATA or the content was refused, or cannot go there as it is
            ConnectionLost          the session ended or stood still before the message was over
            DeliveryUncertain       ... after the message was over: it may have been taken
            NoCapacity              no connection was free in time
            RecipientsRefused       every recipient was refused, not all for the same reason

`print(error)` has what happened, what was said and what to do. For programs: `reason` (a name of
Waypost's taxonomy), `cause` (a dotted id, as `waypost check` prints it; "" where none fits), `fix`,
`reply`, `transcript`, `temporary`: whether the same message may succeed later. Whether a failure
passes is not a class: each of them may be of either kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waypost.faces.library.result import Result
    from waypost.smtp.reply import Reply

__all__ = [
    "AuthenticationFailed",
    "ConfigurationError",
    "ConnectTimedOut",
    "ConnectionFailed",
    "ConnectionLost",
    "DeliveryError",
    "DeliveryUncertain",
    "InvalidMessage",
    "MailerClosed",
    "MessageRefused",
    "NameNotFound",
    "NoCapacity",
    "RecipientRefused",
    "RecipientsRefused",
    "SenderRefused",
    "ServiceRefused",
    "TlsFailed",
    "WaypostError",
]


class WaypostError(Exception):
    """What all errors of the library are. See the module for what its attributes mean."""

    def __init__(
        self,
        what: str,
        *,
        fix: str = "",
        evidence: str = "",
        reason: str = "",
        cause: str = "",
        temporary: bool = False,
        reply: Reply | None = None,
        transcript: str = "",
    ) -> None:
        super().__init__(what)
        self.what = what
        """What happened, in one line."""
        self.evidence = evidence
        """What was said or seen, and where; "" where `what` has it already."""
        self.fix = fix
        """What to do next; "" where there is nothing helpful to say."""
        self.reason = reason
        self.cause = cause
        self.temporary = temporary
        self.reply = reply
        """What the server said, where it was a reply that decided."""
        self.transcript = transcript
        """The session with the server, line by line, without secrets; "" where none began."""
        self.result: Result | None = None
        """Of an error that `send` raises: what became of every recipient."""

    def __str__(self) -> str:
        lines = [self.what]
        if self.evidence:
            lines.append(f"  evidence:   {self.evidence}")
        if self.fix:
            lines.append(f"  what to do: {self.fix}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # Keywords do not survive the default way, and task queues pickle what a task raises.
        return _restored, (type(self), self.what, self.__dict__)


def _restored(kind: type[WaypostError], what: str, state: dict[str, Any]) -> WaypostError:
    error = kind(what)
    error.__dict__.update(state)
    return error


class ConfigurationError(WaypostError, ValueError):
    """A URL or setting that cannot be used."""


class InvalidMessage(WaypostError, ValueError):
    """The parts make no message: nothing was sent."""


class MailerClosed(WaypostError):
    """The mailer was closed before this was sent."""


class DeliveryError(WaypostError):
    """A message, or one recipient of it, was not delivered."""


class ConnectionFailed(DeliveryError):
    """No session with the server came about."""


class NameNotFound(ConnectionFailed):
    """The server's name has no address, or the DNS could not tell."""


class ConnectTimedOut(ConnectionFailed):
    """Nothing answered at that address and port."""


class TlsFailed(ConnectionFailed):
    """TLS could not be had, or the certificate does not prove who the server is."""


class ServiceRefused(ConnectionFailed):
    """The server turned us away at its greeting or at EHLO, or does not speak SMTP."""


class AuthenticationFailed(DeliveryError):
    """The server did not take user name and password, or there is no common way to log in."""


class SenderRefused(DeliveryError):
    """The server does not take mail from this sender."""


class RecipientRefused(DeliveryError):
    """The server does not take mail for this recipient, or nobody does."""


class MessageRefused(DeliveryError):
    """The server does not take this message."""


class ConnectionLost(DeliveryError):
    """The session ended or stood still. The message is certainly not delivered."""


class DeliveryUncertain(DeliveryError):
    """The message was handed over whole, and the answer to it was lost.

    The server may have taken it. It is never sent again by itself: who would rather have it twice
    than not at all sends it again, under the same Message-ID.
    """


class NoCapacity(DeliveryError):
    """Every connection was in use, or the rate used up, for longer than was to be waited."""


class RecipientsRefused(DeliveryError):
    """Not one recipient was accepted, for different reasons; `result` has each."""

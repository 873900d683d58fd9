"""The sections about mail that comes in: listeners, access, limits, recipients, content.

The description of a key is its text in the reference and in `waypost config init`. Defaults come
from the settings of the parts themselves, so that there is one place for each.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from waypost.config.kinds import (
    Address,
    Count,
    Database,
    FilePath,
    NetworkList,
    PatternList,
    Positive,
    Seconds,
    SizeAboveZero,
    Truth,
    UserName,
)
from waypost.config.section import WORD, Section, setting
from waypost.outbox.worker import WorkerSettings
from waypost.relay.access import LOOPBACK, AccessSettings, ListenerKind
from waypost.relay.intake import IntakeSettings
from waypost.relay.peer_limits import PeerLimitSettings
from waypost.relay.recipient_policy import RecipientSettings
from waypost.smtp.server_settings import ServerSettings

_SERVER: Final = ServerSettings("localhost")
_ACCESS: Final = AccessSettings()
_PEERS: Final = PeerLimitSettings()
_RECIPIENTS: Final = RecipientSettings()
_INTAKE: Final = IntakeSettings("localhost")
_WORKER: Final = WorkerSettings()


class ListenerSection(Section):
    """[[listener]]: where mail is accepted. Without any: submission on 127.0.0.1:2525."""

    address: Address = Field(
        description="Where to listen: 127.0.0.1:2525, [::1]:587, *:25, unix:/path?mode=0660, or "
        "systemd:NAME for a socket that systemd has opened."
    )
    kind: Annotated[ListenerKind | None, WORD] = setting(
        None,
        "`relay` (port 25, from other servers), `submission` (from programs and people) or "
        "`submissions` (the same, TLS from the first byte).",
        unset="by port: relay on 25, submissions on 465, otherwise submission",
    )
    starttls: Truth | None = setting(
        None,
        "Offer STARTTLS.",
        unset="true, but on loopback only with a certificate in [tls]",
    )
    authentication: Truth | None = setting(
        None,
        "Offer AUTH. It is offered in the clear on loopback only, everywhere else under TLS.",
        unset="true, but false for kind relay",
    )
    proxy_from: NetworkList = setting(
        (), "Load balancers: connections from there must, and alone may, begin with a PROXY header."
    )
    maximum_size: SizeAboveZero | None = setting(
        None, "The largest message.", unset="content.maximum_size"
    )
    maximum_recipients: Positive = setting(_SERVER.maximum_recipients, "Recipients of one message.")
    maximum_messages: Count = setting(
        _SERVER.maximum_messages, "Messages of one connection; 0: no limit."
    )
    maximum_errors: Positive = setting(
        _SERVER.maximum_errors, "Bad commands of one connection before it is closed."
    )
    maximum_idle_commands: Positive = setting(
        _SERVER.maximum_idle_commands,
        "NOOP, RSET, VRFY, HELP and EHLO between two messages before the connection is closed.",
    )
    maximum_command_line: Annotated[Positive, Field(ge=512)] = setting(
        _SERVER.maximum_command_line, "Bytes of a command line; at least 512 (RFC 5321)."
    )
    smtputf8: Truth = setting(_SERVER.smtputf8, "Offer SMTPUTF8: addresses in any script.")
    chunking: Truth = setting(_SERVER.chunking, "Offer CHUNKING: content by BDAT.")
    dsn: Truth = setting(_SERVER.dsn, "Offer DSN: clients choose their delivery reports.")
    requiretls: Truth = setting(
        _SERVER.require_tls, "Offer REQUIRETLS under TLS: a message may ask for TLS all the way."
    )


class OutboxSection(Section):
    """[[outbox]]: an application's outbox, whose mail the relay takes. Without any: none."""

    database: Database = Field(
        description="Where the application keeps it: sqlite:PATH or postgresql://user@host/name "
        "(the password in PGPASSWORD, in ~/.pgpass or in the URL)."
    )
    user: UserName | None = setting(
        None, "Whose mail it is, for routes and the log.", unset="nobody's"
    )
    poll: Seconds = setting(_WORKER.poll_seconds, "Between two looks for new mail.")
    lease: Seconds = setting(
        _WORKER.lease_seconds,
        "After so long without a sign of life, what one relay had begun is another's.",
    )
    retention: Seconds = setting(
        _WORKER.retention, "How long the row of a message that was taken, and its key, are kept."
    )


class TlsSection(Section):
    """[tls]: the relay's own certificate. Without it a self-signed one is made."""

    certificate: FilePath | None = setting(
        None, "PEM file with the certificate and its chain.", unset="self-signed"
    )
    key: FilePath | None = setting(None, "PEM file with its private key.", unset="self-signed")


class AccessSection(Section):
    """[access]: who may relay where, and in whose name."""

    trusted_networks: NetworkList = setting(
        LOOPBACK, "Clients there may send anywhere without logging in."
    )
    relay_domains: PatternList = setting(
        _ACCESS.relay_domains,
        "Recipient domains that mail is taken for from anybody, on listeners of kind relay.",
    )
    require_authentication: Truth = setting(
        _ACCESS.require_authentication,
        "Submission listeners ask even the trusted networks to log in.",
    )
    enforce_sender_ownership: Truth = setting(
        _ACCESS.enforce_sender_ownership,
        "Users with sender addresses of their own (`waypost user add --sender`) may use no other.",
    )


class LimitsSection(Section):
    """[limits]: what clients may do. 0 means no limit."""

    connections: Count = setting(_PEERS.connections, "Open at once, over all addresses.")
    connections_per_address: Count = setting(
        _PEERS.connections_per_address, "Open at once from one address (IPv6: one /64)."
    )
    connections_per_minute: Count = setting(
        _PEERS.connections_per_minute, "New ones from one address."
    )
    messages_per_minute: Count = setting(_PEERS.messages_per_minute, "From one address.")
    recipients_per_hour: Count = setting(_PEERS.recipients_per_hour, "From one address.")
    user_messages_per_hour: Count = setting(_PEERS.user_messages_per_hour, "From one user.")
    user_recipients_per_hour: Count = setting(_PEERS.user_recipients_per_hour, "From one user.")
    errors_per_hour: Count = setting(
        _PEERS.errors_per_hour,
        "Bad commands and unknown recipients from one address before it is banned.",
    )
    failed_logins_per_hour: Count = setting(
        _PEERS.failed_logins_per_hour,
        "From one address before its logins are refused; ten times as many for one user.",
    )
    ban: Seconds = setting(
        _PEERS.ban_seconds, "How long an address is banned after too many errors."
    )
    exempt_loopback: Truth = setting(
        _PEERS.exempt_loopback, "The limits by address do not count for programs of this machine."
    )
    tracked: Positive = setting(_PEERS.tracked, "Addresses and users remembered at once.")


class RecipientsSection(Section):
    """[recipients]: what is checked when a recipient is named, before the message is taken."""

    syntax: Truth = setting(_RECIPIENTS.syntax, "The address is well formed.")
    domain: Truth = setting(
        _RECIPIENTS.domain, "The domain exists and takes mail (no null MX); asks the DNS."
    )
    suppressions: Truth = setting(
        _RECIPIENTS.suppressions, "The address is not on the suppression list."
    )
    on_dns_failure: Annotated[Literal["accept", "defer"], WORD] = setting(
        _RECIPIENTS.on_dns_failure,
        "When the DNS does not answer: `accept` (it is asked again at delivery), or `defer` (450).",
    )


class ContentSection(Section):
    """[content]: what is asked of a message."""

    maximum_size: SizeAboveZero = setting(
        _SERVER.maximum_size, "The largest message, where a listener does not say otherwise."
    )
    maximum_header: SizeAboveZero = setting(_INTAKE.maximum_header, "The largest header block.")
    maximum_fields: Positive = setting(_INTAKE.maximum_fields, "Header fields of one message.")
    maximum_hops: Positive = setting(
        _INTAKE.maximum_hops, "Received fields above which a message is taken to be in a loop."
    )
    bare_line_ends: Annotated[Literal["refuse", "normalise"], WORD] = setting(
        "refuse", "A CR or LF alone in the content: `refuse` the message, or `normalise` to CRLF."
    )

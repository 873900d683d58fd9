"""The settings, as the file has them: sections, their keys, and the meaning of each.

The description of a key is its text in the reference and in `waypost config init`. Defaults come
from the settings of the parts themselves, so that there is one place for each.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from waypost.config.kinds import (
    Address,
    Count,
    DelayList,
    FilePath,
    Hops,
    HostName,
    Kind,
    NetworkList,
    Panel,
    Part,
    PatternList,
    PerPeriod,
    Positive,
    RouteName,
    Seconds,
    SecondsOrNever,
    Size,
    SizeAboveZero,
    SpoolFolder,
    Truth,
    array,
    toml_text,
)
from waypost.delivery.engine import EngineSettings
from waypost.delivery.retry import DEFAULT_EXPIRY, RetrySchedule
from waypost.delivery.route import RouteLimits
from waypost.relay.access import LOOPBACK, AccessSettings, ListenerKind
from waypost.relay.intake import IntakeSettings
from waypost.relay.peer_limits import PeerLimitSettings
from waypost.relay.recipient_policy import RecipientSettings
from waypost.smtp.client_states import DEFAULT_TIMEOUTS
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.sqlite import SqliteSettings

_SERVER: Final = ServerSettings("localhost")
_ACCESS: Final = AccessSettings()
_PEERS: Final = PeerLimitSettings()
_RECIPIENTS: Final = RecipientSettings()
_INTAKE: Final = IntakeSettings("localhost")
_ENGINE: Final = EngineSettings("localhost")
_ROUTE: Final = RouteLimits()
_RETRY: Final = RetrySchedule()
_RETENTION: Final = 14 * 86400.0
_IDLE: Final = 10.0
_MIB: Final = 1024 * 1024

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["console", "json"]

_WORD: Final = Kind("word", toml_text)


def _set(default: Any, meaning: str, *, unset: str = "") -> Any:
    """A key with its default and meaning; `unset` says what the lack of a value means."""
    return Field(
        default=default, description=meaning, json_schema_extra={"unset": unset} if unset else None
    )


class Section(BaseModel):
    """A table of the file. Unknown keys and values of another type are refused."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True
    )


class ListenerSection(Section):
    """[[listener]]: where mail is accepted. Without any: submission on 127.0.0.1:2525."""

    address: Address = Field(
        description="Where to listen: 127.0.0.1:2525, [::1]:587, *:25, unix:/path?mode=0660, or "
        "systemd:NAME for a socket that systemd has opened."
    )
    kind: Annotated[ListenerKind | None, _WORD] = _set(
        None,
        "`relay` (port 25, from other servers), `submission` (from programs and people) or "
        "`submissions` (the same, TLS from the first byte).",
        unset="by port: relay on 25, submissions on 465, otherwise submission",
    )
    starttls: Truth | None = _set(
        None,
        "Offer STARTTLS.",
        unset="true, but on loopback only with a certificate in [tls]",
    )
    authentication: Truth | None = _set(
        None,
        "Offer AUTH. It is offered in the clear on loopback only, everywhere else under TLS.",
        unset="true, but false for kind relay",
    )
    proxy_from: NetworkList = _set(
        (), "Load balancers: connections from there must, and alone may, begin with a PROXY header."
    )
    maximum_size: SizeAboveZero | None = _set(
        None, "The largest message.", unset="content.maximum_size"
    )
    maximum_recipients: Positive = _set(_SERVER.maximum_recipients, "Recipients of one message.")
    maximum_messages: Count = _set(
        _SERVER.maximum_messages, "Messages of one connection; 0: no limit."
    )
    maximum_errors: Positive = _set(
        _SERVER.maximum_errors, "Bad commands of one connection before it is closed."
    )
    maximum_idle_commands: Positive = _set(
        _SERVER.maximum_idle_commands,
        "NOOP, RSET, VRFY, HELP and EHLO between two messages before the connection is closed.",
    )
    maximum_command_line: Annotated[Positive, Field(ge=512)] = _set(
        _SERVER.maximum_command_line, "Bytes of a command line; at least 512 (RFC 5321)."
    )
    smtputf8: Truth = _set(_SERVER.smtputf8, "Offer SMTPUTF8: addresses in any script.")
    chunking: Truth = _set(_SERVER.chunking, "Offer CHUNKING: content by BDAT.")
    dsn: Truth = _set(_SERVER.dsn, "Offer DSN: clients choose their delivery reports.")
    requiretls: Truth = _set(
        _SERVER.require_tls, "Offer REQUIRETLS under TLS: a message may ask for TLS all the way."
    )


class TlsSection(Section):
    """[tls]: the relay's own certificate. Without it a self-signed one is made."""

    certificate: FilePath | None = _set(
        None, "PEM file with the certificate and its chain.", unset="self-signed"
    )
    key: FilePath | None = _set(None, "PEM file with its private key.", unset="self-signed")


class AccessSection(Section):
    """[access]: who may relay where, and in whose name."""

    trusted_networks: NetworkList = _set(
        LOOPBACK, "Clients there may send anywhere without logging in."
    )
    relay_domains: PatternList = _set(
        _ACCESS.relay_domains,
        "Recipient domains that mail is taken for from anybody, on listeners of kind relay.",
    )
    require_authentication: Truth = _set(
        _ACCESS.require_authentication,
        "Submission listeners ask even the trusted networks to log in.",
    )
    enforce_sender_ownership: Truth = _set(
        _ACCESS.enforce_sender_ownership,
        "Users with sender addresses of their own (`waypost user add --sender`) may use no other.",
    )


class LimitsSection(Section):
    """[limits]: what clients may do. 0 means no limit."""

    connections: Count = _set(_PEERS.connections, "Open at once, over all addresses.")
    connections_per_address: Count = _set(
        _PEERS.connections_per_address, "Open at once from one address (IPv6: one /64)."
    )
    connections_per_minute: Count = _set(
        _PEERS.connections_per_minute, "New ones from one address."
    )
    messages_per_minute: Count = _set(_PEERS.messages_per_minute, "From one address.")
    recipients_per_hour: Count = _set(_PEERS.recipients_per_hour, "From one address.")
    user_messages_per_hour: Count = _set(_PEERS.user_messages_per_hour, "From one user.")
    user_recipients_per_hour: Count = _set(_PEERS.user_recipients_per_hour, "From one user.")
    errors_per_hour: Count = _set(
        _PEERS.errors_per_hour,
        "Bad commands and unknown recipients from one address before it is banned.",
    )
    failed_logins_per_hour: Count = _set(
        _PEERS.failed_logins_per_hour,
        "From one address before its logins are refused; ten times as many for one user.",
    )
    ban: Seconds = _set(_PEERS.ban_seconds, "How long an address is banned after too many errors.")
    exempt_loopback: Truth = _set(
        _PEERS.exempt_loopback, "The limits by address do not count for programs of this machine."
    )
    tracked: Positive = _set(_PEERS.tracked, "Addresses and users remembered at once.")


class RecipientsSection(Section):
    """[recipients]: what is checked when a recipient is named, before the message is taken."""

    syntax: Truth = _set(_RECIPIENTS.syntax, "The address is well formed.")
    domain: Truth = _set(
        _RECIPIENTS.domain, "The domain exists and takes mail (no null MX); asks the DNS."
    )
    suppressions: Truth = _set(
        _RECIPIENTS.suppressions, "The address is not on the suppression list."
    )
    on_dns_failure: Annotated[Literal["accept", "defer"], _WORD] = _set(
        _RECIPIENTS.on_dns_failure,
        "When the DNS does not answer: `accept` (it is asked again at delivery), or `defer` (450).",
    )


class ContentSection(Section):
    """[content]: what is asked of a message."""

    maximum_size: SizeAboveZero = _set(
        _SERVER.maximum_size, "The largest message, where a listener does not say otherwise."
    )
    maximum_header: SizeAboveZero = _set(_INTAKE.maximum_header, "The largest header block.")
    maximum_fields: Positive = _set(_INTAKE.maximum_fields, "Header fields of one message.")
    maximum_hops: Positive = _set(
        _INTAKE.maximum_hops, "Received fields above which a message is taken to be in a loop."
    )
    bare_line_ends: Annotated[Literal["refuse", "normalise"], _WORD] = _set(
        "refuse", "A CR or LF alone in the content: `refuse` the message, or `normalise` to CRLF."
    )


class SpoolSection(Section):
    """[spool]: where accepted mail is kept, and how much of it."""

    url: SpoolFolder | None = _set(
        None, "`sqlite:PATH`, with a folder of its own.", unset="sqlite: with the folder data/spool"
    )
    quota: Size = _set(0, "The most that the spool may take; 0: the disk decides.")
    minimum_free: Size = _set(
        SqliteSettings.__dataclass_fields__["minimum_free"].default,
        "Free disk space below which no mail is accepted (452 4.3.1).",
    )
    memory: SizeAboveZero = _set(
        SqliteSettings.__dataclass_fields__["memory"].default,
        "Arriving content held in memory over all connections; what exceeds it goes to files.",
    )


class MatchSection(Section):
    """[route.match]: which mail takes the route. All that is given must match."""

    recipients: PatternList = _set(
        (),
        "Recipients: `example.com`, `.example.com` (its subdomains), `user@example.com`, with `*` "
        "and `?`.",
        unset="all",
    )
    senders: PatternList = _set((), "Senders, likewise; `<>` is the null sender.", unset="all")
    users: PatternList = _set((), "Users who logged in, with `*` and `?`.", unset="all")


class RouteLimitsSection(Section):
    """[route.limits]: what the route may do at a time."""

    connections: Positive = _set(_ROUTE.connections, "Open at once, over all destinations.")
    connections_per_destination: Positive = _set(
        _ROUTE.connections_per_destination,
        "Open at once to one destination: a recipient domain with `mx:`, otherwise the next hop.",
    )
    messages_per_connection: Count = _set(
        _ROUTE.messages_per_connection, "Then it is closed and another opened; 0: as many as come."
    )
    rate: PerPeriod | None = _set(None, "Messages, over all destinations.", unset="no limit")
    rate_per_destination: PerPeriod | None = _set(
        None, "Messages to one destination.", unset="no limit"
    )


class QuotasSection(Section):
    """[route.quotas]: what the provider lets through, by the minute, hour and day of UTC."""

    per_minute: Positive | None = _set(None, "Messages in a minute.", unset="no limit")
    per_hour: Positive | None = _set(None, "Messages in an hour.", unset="no limit")
    per_day: Positive | None = _set(None, "Messages in a day.", unset="no limit")
    spread: Truth = _set(False, "Use them up evenly over their time, not as fast as mail comes.")


class RetrySection(Section):
    """[route.retry]: when a delivery that failed for now is tried again."""

    delays: DelayList = _set(
        _RETRY.delays, "After the first failed attempt, the second, and so on."
    )
    afterwards: Seconds = _set(_RETRY.afterwards, "After each further one.")
    jitter: Part = _set(
        _RETRY.jitter, "The largest part of a delay that chance adds to it; it takes none away."
    )
    warn_after: SecondsOrNever = _set(
        _RETRY.warn_after, "When the sender is told of the delay, or `never`."
    )


class RouteSection(Section):
    """[[route]]: where mail leads. The first that matches is taken; the last must match all.
    Without any: `sandbox:`, which captures everything and lets nothing leave the machine."""

    name: RouteName = Field(description="How logs and commands call it.")
    via: Hops = Field(
        description="The next hop, or a list of them: `smtp://user:password@host:587`, "
        "`smtps://host`, `smtp+plain://host:25`, `mx:`, `sandbox:`, `unix:/path`, or a provider "
        "such as `gmail` or `ses:eu-west-1`. `${NAME}` stands for a variable of the environment."
    )
    strategy: Annotated[Literal["failover", "weighted"], _WORD] = _set(
        "failover", "Of several next hops: in their order, or shared out by weight."
    )
    overflow: RouteName | None = _set(
        None, "The route that takes the mail while the quotas are used up.", unset="mail waits"
    )
    tee_sandbox: Truth = _set(False, "Also show each delivered message in the sandbox.")
    allow_private_addresses: Truth = _set(
        False, "`mx:` may deliver to private and loopback addresses that the DNS names."
    )
    expire_after: Seconds | None = _set(
        None,
        "When a message that could not be delivered is given back.",
        unset="delivery.expire_after",
    )
    pipelining: Truth = _set(True, "Use PIPELINING where it is offered.")
    chunking: Truth = _set(True, "Use BDAT where it is offered.")
    match: MatchSection = MatchSection()
    limits: RouteLimitsSection = RouteLimitsSection()
    quotas: QuotasSection = QuotasSection()
    retry: RetrySection = RetrySection()


class DeliverySection(Section):
    """[delivery]: how much is under way at once, over all routes."""

    expire_after: Seconds = _set(
        DEFAULT_EXPIRY,
        "When a message that could not be delivered is given back, unless its route says "
        "otherwise; RFC 5321 asks for 4 to 5 days at least.",
    )
    idle: Seconds = _set(_IDLE, "How long a connection without work is kept for the next message.")
    window: Positive = _set(_ENGINE.window, "Messages in memory, over all destinations.")
    lane_window: Positive = _set(_ENGINE.lane_window, "Messages in memory that go the same way.")
    load_at_once: Positive = _set(
        _ENGINE.load_at_once, "Recipients read from disk for one destination in one go."
    )
    body_memory: SizeAboveZero = _set(
        _ENGINE.body_memory, "Content in memory that waits or is under way."
    )
    armed: Positive = _set(
        _ENGINE.armed, "Messages that go the same way, made ready ahead of a free connection."
    )


class TimeoutsSection(Section):
    """[timeouts]: how long the next hop may take at each stage (RFC 5321 4.5.3.2)."""

    greeting: Seconds = _set(DEFAULT_TIMEOUTS["greeting"], "Its greeting.")
    ehlo: Seconds = _set(DEFAULT_TIMEOUTS["ehlo"], "The reply to EHLO.")
    starttls: Seconds = _set(DEFAULT_TIMEOUTS["starttls"], "STARTTLS, with its handshake.")
    auth: Seconds = _set(DEFAULT_TIMEOUTS["auth"], "Each step of AUTH.")
    mail: Seconds = _set(DEFAULT_TIMEOUTS["mail"], "The reply to MAIL.")
    rcpt: Seconds = _set(DEFAULT_TIMEOUTS["rcpt"], "The reply to each RCPT.")
    data: Seconds = _set(DEFAULT_TIMEOUTS["data"], "The reply to DATA.")
    content: Seconds = _set(DEFAULT_TIMEOUTS["content"], "Each piece of content to be taken.")
    content_reply: Seconds = _set(
        DEFAULT_TIMEOUTS["content_reply"],
        "The reply to the content; giving up early makes duplicates.",
    )
    rset: Seconds = _set(DEFAULT_TIMEOUTS["rset"], "The reply to RSET.")
    noop: Seconds = _set(DEFAULT_TIMEOUTS["noop"], "The reply to NOOP.")
    quit: Seconds = _set(DEFAULT_TIMEOUTS["quit"], "The reply to QUIT.")


class LogSection(Section):
    """[log]: what the relay says about itself, on standard error."""

    level: Annotated[LogLevel, _WORD] = _set(
        "info", "The least that is said: `debug`, `info`, `warning` or `error`."
    )
    format: Annotated[LogFormat, _WORD] = _set(
        "console", "`console` for people, `json` for programs."
    )


class Settings(Section):
    """The whole file."""

    hostname: HostName | None = _set(
        None,
        "The relay's own name: in its greeting, in EHLO and in Received fields.",
        unset="this machine's name",
    )
    data: FilePath | None = _set(
        None,
        "The folder for users, certificates and, unless [spool] says otherwise, mail.",
        unset="$XDG_DATA_HOME/waypost or ~/.local/share/waypost",
    )
    retention: Seconds = _set(_RETENTION, "How long finished messages stay in the log.")
    panel: Panel | None = Field(default=None)
    workers: Positive = Field(default=1)
    listener: Annotated[tuple[ListenerSection, ...], BeforeValidator(array)] = ()
    tls: TlsSection = TlsSection()
    access: AccessSection = AccessSection()
    limits: LimitsSection = LimitsSection()
    recipients: RecipientsSection = RecipientsSection()
    content: ContentSection = ContentSection()
    spool: SpoolSection = SpoolSection()
    route: Annotated[tuple[RouteSection, ...], BeforeValidator(array)] = ()
    delivery: DeliverySection = DeliverySection()
    timeouts: TimeoutsSection = TimeoutsSection()
    log: LogSection = LogSection()

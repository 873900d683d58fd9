"""The sections about mail that waits and goes out: spool, routes, delivery, timeouts."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from waypost.config.kinds import (
    Count,
    DelayList,
    Hops,
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
)
from waypost.config.section import WORD, Section, default_in, setting
from waypost.delivery.engine import EngineSettings
from waypost.delivery.retry import DEFAULT_EXPIRY, RetrySchedule
from waypost.delivery.route import RouteLimits
from waypost.service import ServiceSettings
from waypost.smtp.client_states import DEFAULT_TIMEOUTS
from waypost.spool.sqlite import SqliteSettings

_ENGINE: Final = EngineSettings("localhost")
_ROUTE: Final = RouteLimits()
_RETRY: Final = RetrySchedule()


class SpoolSection(Section):
    """[spool]: where accepted mail is kept, and how much of it."""

    url: SpoolFolder | None = setting(
        None, "`sqlite:PATH`, with a folder of its own.", unset="sqlite: with the folder data/spool"
    )
    quota: Size = setting(0, "The most that the spool may take; 0: the disk decides.")
    minimum_free: Size = setting(
        default_in(SqliteSettings, "minimum_free"),
        "Free disk space below which no mail is accepted (452 4.3.1).",
    )
    memory: SizeAboveZero = setting(
        default_in(SqliteSettings, "memory"),
        "Arriving content held in memory over all connections; what exceeds it goes to files.",
    )


class MatchSection(Section):
    """[route.match]: which mail takes the route. All that is given must match."""

    recipients: PatternList = setting(
        (),
        "Recipients: `example.com`, `.example.com` (its subdomains), `user@example.com`, with `*` "
        "and `?`.",
        unset="all",
    )
    senders: PatternList = setting((), "Senders, likewise; `<>` is the null sender.", unset="all")
    users: PatternList = setting((), "Users who logged in, with `*` and `?`.", unset="all")


class RouteLimitsSection(Section):
    """[route.limits]: what the route may do at a time."""

    connections: Positive = setting(_ROUTE.connections, "Open at once, over all destinations.")
    connections_per_destination: Positive = setting(
        _ROUTE.connections_per_destination,
        "Open at once to one destination: a recipient domain with `mx:`, otherwise the next hop.",
    )
    messages_per_connection: Count = setting(
        _ROUTE.messages_per_connection, "Then it is closed and another opened; 0: as many as come."
    )
    recipients_per_transaction: Positive = setting(
        _ROUTE.recipients_per_transaction, "More recipients of a message go in another transaction."
    )
    rate: PerPeriod | None = setting(None, "Messages, over all destinations.", unset="no limit")
    rate_per_destination: PerPeriod | None = setting(
        None, "Messages to one destination.", unset="no limit"
    )


class QuotasSection(Section):
    """[route.quotas]: what the provider lets through, by the minute, hour and day of UTC."""

    per_minute: Positive | None = setting(None, "Messages in a minute.", unset="no limit")
    per_hour: Positive | None = setting(None, "Messages in an hour.", unset="no limit")
    per_day: Positive | None = setting(None, "Messages in a day.", unset="no limit")
    spread: Truth = setting(False, "Use them up evenly over their time, not as fast as mail comes.")


class RetrySection(Section):
    """[route.retry]: when a delivery that failed for now is tried again."""

    delays: DelayList = setting(
        _RETRY.delays, "After the first failed attempt, the second, and so on."
    )
    afterwards: Seconds = setting(_RETRY.afterwards, "After each further one.")
    jitter: Part = setting(
        _RETRY.jitter, "The largest part of a delay that chance adds to it; it takes none away."
    )
    warn_after: SecondsOrNever = setting(
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
    strategy: Annotated[Literal["failover", "weighted"], WORD] = setting(
        "failover", "Of several next hops: in their order, or shared out by weight."
    )
    overflow: RouteName | None = setting(
        None, "The route that takes the mail while the quotas are used up.", unset="mail waits"
    )
    tee_sandbox: Truth = setting(False, "Also show each delivered message in the sandbox.")
    allow_private_addresses: Truth = setting(
        False, "`mx:` may deliver to private and loopback addresses that the DNS names."
    )
    expire_after: Seconds | None = setting(
        None,
        "When a message that could not be delivered is given back.",
        unset="delivery.expire_after",
    )
    pipelining: Truth = setting(True, "Use PIPELINING where it is offered.")
    chunking: Truth = setting(True, "Use BDAT where it is offered.")
    match: MatchSection = MatchSection()
    limits: RouteLimitsSection = RouteLimitsSection()
    quotas: QuotasSection = QuotasSection()
    retry: RetrySection = RetrySection()


class DeliverySection(Section):
    """[delivery]: how much is under way at once, over all routes."""

    expire_after: Seconds = setting(
        DEFAULT_EXPIRY,
        "When a message that could not be delivered is given back, unless its route says "
        "otherwise; RFC 5321 asks for 4 to 5 days at least.",
    )
    mta_sts: Truth = setting(
        default_in(ServiceSettings, "mta_sts"),
        "Where mail goes out directly, keep to what domains ask for by MTA-STS (RFC 8461).",
    )
    idle: Seconds = setting(
        default_in(ServiceSettings, "idle_seconds"),
        "How long a connection without work is kept for the next message.",
    )
    window: Positive = setting(_ENGINE.window, "Messages in memory, over all destinations.")
    lane_window: Positive = setting(_ENGINE.lane_window, "Messages in memory that go the same way.")
    load_at_once: Positive = setting(
        _ENGINE.load_at_once, "Recipients read from disk for one destination in one go."
    )
    body_memory: SizeAboveZero = setting(
        _ENGINE.body_memory, "Content in memory that waits or is under way."
    )
    armed: Positive = setting(
        _ENGINE.armed, "Messages that go the same way, made ready ahead of a free connection."
    )


class TimeoutsSection(Section):
    """[timeouts]: how long the next hop may take at each stage (RFC 5321 4.5.3.2)."""

    greeting: Seconds = setting(DEFAULT_TIMEOUTS["greeting"], "Its greeting.")
    ehlo: Seconds = setting(DEFAULT_TIMEOUTS["ehlo"], "The reply to EHLO.")
    starttls: Seconds = setting(DEFAULT_TIMEOUTS["starttls"], "STARTTLS, with its handshake.")
    auth: Seconds = setting(DEFAULT_TIMEOUTS["auth"], "Each step of AUTH.")
    mail: Seconds = setting(DEFAULT_TIMEOUTS["mail"], "The reply to MAIL.")
    rcpt: Seconds = setting(DEFAULT_TIMEOUTS["rcpt"], "The reply to each RCPT.")
    data: Seconds = setting(DEFAULT_TIMEOUTS["data"], "The reply to DATA.")
    content: Seconds = setting(DEFAULT_TIMEOUTS["content"], "Each piece of content to be taken.")
    content_reply: Seconds = setting(
        DEFAULT_TIMEOUTS["content_reply"],
        "The reply to the content; giving up early makes duplicates.",
    )
    rset: Seconds = setting(DEFAULT_TIMEOUTS["rset"], "The reply to RSET.")
    noop: Seconds = setting(DEFAULT_TIMEOUTS["noop"], "The reply to NOOP.")
    quit: Seconds = setting(DEFAULT_TIMEOUTS["quit"], "The reply to QUIT.")

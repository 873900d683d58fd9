"""The settings, as the file has them: its sections put together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from waypost.config.accepting import (
    AccessSection,
    ContentSection,
    LimitsSection,
    ListenerSection,
    OutboxSection,
    RecipientsSection,
    TlsSection,
)
from waypost.config.delivering import DeliverySection, RouteSection, SpoolSection, TimeoutsSection
from waypost.config.destination_tls import DestinationTlsSection
from waypost.config.incoming import BouncesSection, IncomingSection
from waypost.config.kinds import (
    FilePath,
    HostName,
    MailName,
    MailPlace,
    Panel,
    Positive,
    Seconds,
    array,
)
from waypost.config.sandbox import SandboxSection
from waypost.config.section import WORD, Section, default_in, setting
from waypost.config.signing import DkimSection
from waypost.config.telemetry import TelemetrySection
from waypost.config.web import WebSection
from waypost.config.webhooks import WebhooksSection
from waypost.service import ServiceSettings

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["console", "json"]
MailForm = Literal["off", "values", "maillog"]


class LogSection(Section):
    """[log]: what the relay says about itself, on standard error."""

    level: Annotated[LogLevel, WORD] = setting(
        "info", "The least that is said: `debug`, `info`, `warning` or `error`."
    )
    format: Annotated[LogFormat, WORD] = setting(
        "console", "`console` for people, `json` for programs."
    )
    mail: Annotated[MailForm, WORD] = setting(
        "off",
        "A line for everything that happens to each message: `off`, `values` (in the form of "
        "`format`), or `maillog` (in the shapes of Postfix, for pflogsumm and its kind).",
    )
    mail_to: MailPlace = setting(
        "stderr", "Where these lines go: `stderr`, `syslog`, or the path of a file."
    )
    mail_name: MailName = setting(
        "postfix", "The program that a maillog names; readers look for `postfix`."
    )


class Settings(Section):
    """The whole file."""

    hostname: HostName | None = setting(
        None,
        "The relay's own name: in its greeting, in EHLO and in Received fields.",
        unset="this machine's name",
    )
    data: FilePath | None = setting(
        None,
        "The folder for users, certificates and, unless [spool] says otherwise, mail.",
        unset="$XDG_DATA_HOME/waypost or ~/.local/share/waypost",
    )
    retention: Seconds = setting(
        default_in(ServiceSettings, "retention"), "How long finished messages stay in the log."
    )
    panel: Panel = setting(
        "127.0.0.1:8025", "Where the web panel and the HTTP API listen: HOST:PORT, or `off`."
    )
    drop: FilePath | None = setting(
        None,
        "The folder in which `waypost-sendmail` leaves mail while the relay does not run.",
        unset="data/drop",
    )
    workers: Positive = setting(1, "Processes that share the work and the limits.")
    listener: Annotated[tuple[ListenerSection, ...], BeforeValidator(array)] = ()
    outbox: Annotated[tuple[OutboxSection, ...], BeforeValidator(array)] = ()
    dkim: Annotated[tuple[DkimSection, ...], BeforeValidator(array)] = ()
    tls: TlsSection = TlsSection()
    web: WebSection = WebSection()
    webhooks: WebhooksSection = WebhooksSection()
    access: AccessSection = AccessSection()
    limits: LimitsSection = LimitsSection()
    incoming: IncomingSection = IncomingSection()
    bounces: BouncesSection = BouncesSection()
    recipients: RecipientsSection = RecipientsSection()
    content: ContentSection = ContentSection()
    spool: SpoolSection = SpoolSection()
    route: Annotated[tuple[RouteSection, ...], BeforeValidator(array)] = ()
    destination_tls: Annotated[tuple[DestinationTlsSection, ...], BeforeValidator(array)] = ()
    sandbox: SandboxSection = SandboxSection()
    delivery: DeliverySection = DeliverySection()
    timeouts: TimeoutsSection = TimeoutsSection()
    log: LogSection = LogSection()
    telemetry: TelemetrySection = TelemetrySection()

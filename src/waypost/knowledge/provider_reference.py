"""The page docs/reference/providers.md, made from the tables, so that it says what is so.

`python -m waypost.knowledge.provider_reference > docs/reference/providers.md` writes it anew; a
test holds the page against the tables.
"""

from __future__ import annotations

import re
import sys
from typing import Final

from waypost.knowledge.providers import (
    LIMITS,
    Provider,
    ProviderLimits,
    providers,
    unsupported_providers,
)

_KINDS: Final = {
    "mailbox": "Mailboxes",
    "transactional": "Services that send for applications",
    "hosting": "Mailboxes at hosting companies",
}

_AHEAD: Final = """\
# Providers

The presets that a [route](routes.md) can name: `gmail://you%40gmail.com:PASSWORD@`,
`ses:eu-west-1`. The first port is the one that a route takes; another one of them is written
behind the login: `gmail://you%40gmail.com:PASSWORD@:465`. "start" stands for STARTTLS, which must
succeed, "TLS" for TLS from the first byte.

What a provider does not publish, or what was not seen in a source, is not here. The date is the
one that the source itself shows, mostly the last change of its entry; without a date it shows
none. Providers change their servers: when a preset fails, `waypost check NAME` tells where, and
the provider's page what is new.

The facts come from the public lists by which Thunderbird (thunderbird/autoconfig) and Nodemailer
set up accounts, and from the providers' own pages; each row of the tables in
`src/waypost/knowledge` names where it was read, and where it was read again.
"""

_UNITS: Final = {
    "messages_per_second": "messages a second",
    "messages_per_minute": "messages a minute",
    "messages_per_day": "messages a day",
    "recipients_per_hour": "recipients an hour",
    "recipients_per_day": "recipients a day",
    "recipients_per_message": "recipients of one message",
    "messages_per_connection": "messages over one connection",
    "size": "bytes of one message",
}


def page() -> str:
    """The whole page."""
    return "\n".join((_AHEAD, *(_section(kind) for kind in _KINDS), _limits(), _unsupported()))


def _section(kind: str) -> str:
    rows = [one for one in providers().values() if one.kind == kind]
    return "\n".join(
        (
            f"## {_KINDS[kind]}",
            "",
            "| route | provider | server | ports | user name and password | source |",
            "| --- | --- | --- | --- | --- | --- |",
            *(_row(one) for one in rows),
            "",
        )
    )


def _row(provider: Provider) -> str:
    name = provider.name + (f":{provider.region_example}" if provider.region_example else "")
    ports = ", ".join(
        f"{port.number} {'TLS' if port.tls == 'implicit' else 'start'}" for port in provider.ports
    )
    credentials = _cell(provider.credentials)
    if provider.credentials_url:
        credentials += f" ([its page]({provider.credentials_url}))"
    dated = f" {provider.source_date}" if provider.source_date else ""
    source = provider.source
    shown = f"[{_origin(source)}]({source})" if source.startswith("http") else source
    return (
        f"| `{name}` | {_cell(provider.title)} | `{provider.host}` | {ports} | {credentials} "
        f"| {shown}{dated} |"
    )


def _origin(url: str) -> str:
    """Whose page it is, as a short word."""
    host = re.sub(r"^https?://(?:www\.)?([^/]+).*", r"\1", url)
    repository = re.match(r"https://github\.com/([^/]+/[^/]+)", url)
    return repository[1] if repository else host


def _limits() -> str:
    rows = [
        f"| `{one.name}` | {figures(one.limits)} | {_cell(one.limits.note)} "
        f"| [{_origin(one.limits.source)}]({one.limits.source}) |"
        for one in providers().values()
        if one.limits.source
    ]
    return "\n".join(
        (
            "## Published limits",
            "",
            "A route does not keep to these by itself; set its `rate`, `quota` and `connections`.",
            "",
            "| route | limits | of whom | source |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        )
    )


def figures(limits: ProviderLimits) -> str:
    """The limits that are known, in words: "30 messages a minute, 10,000 recipients a day"."""
    known = ((column, getattr(limits, column)) for column in LIMITS)
    return ", ".join(f"{figure:,} {_UNITS[column]}" for column, figure in known if figure)


def _unsupported() -> str:
    rows = [f"- {one.title}: {one.reason}." for one in unsupported_providers()]
    return "\n".join(("## No SMTP", "", *rows, ""))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())

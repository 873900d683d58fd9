"""The section about how safe the way to a destination must be, where mail goes out directly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from waypost.config.kinds import FilePath, PatternList
from waypost.config.section import WORD, Section, setting


class DestinationTlsSection(Section):
    """[[destination_tls]]: what `mx:` asks of the way to some destinations. The first that matches
    counts, and then neither the route's own `tls=` nor MTA-STS does."""

    destinations: PatternList = Field(
        description="Domains of recipients: `example.com`, `.example.com` (its subdomains), `*`."
    )
    level: Annotated[Literal["none", "opportunistic", "encrypted", "verified"], WORD] = setting(
        "verified",
        "`none`: no TLS; `opportunistic`: TLS where it is offered; `encrypted`: TLS or no "
        "delivery; `verified`: TLS with a certificate valid for the exchanger's name.",
    )
    exchangers: PatternList = setting(
        (),
        "Names that exchangers must have, `*.example.net` for all directly below. What the DNS "
        "says is not proven, so `verified` without them stops only who cannot lie in the DNS.",
        unset="any",
    )
    ca_file: FilePath | None = setting(
        None, "PEM file of the authorities that count there.", unset="the route's or the system's"
    )

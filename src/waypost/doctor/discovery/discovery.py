"""Over which server does one send for an address? Asks all who may know, and weighs their words.

In this order of trust: a known provider's own domain (answered from the tables, without the
network); the domain's SRV records; its autoconfig file; the provider its mail goes to; its
autodiscover answer. The servers that the domain names are asked whether it is so. Only where none
of them speaks, the usual names are tried.
"""

from __future__ import annotations

from typing import Final

from waypost.doctor.discovery.result import Discovery, DiscoveryOptions
from waypost.doctor.discovery.search import Search
from waypost.doctor.discovery.setting import conflicts, merged
from waypost.doctor.discovery.subject import Subject
from waypost.doctor.line_opening import World
from waypost.net.web import Web

GOOD_ENOUGH: Final = 0.6
"""With a finding that is as sure as this, usual names are not tried."""


async def discover(
    subject: Subject, world: World, web: Web, options: DiscoveryOptions | None = None
) -> Discovery:
    """Ask all who may know. What fails is in the result."""
    options = options or DiscoveryOptions()
    search = Search(subject, world, web, options)
    search.known()
    if options.thorough or not (search.found.settings or search.hopeless):
        await search.ask_the_domain()
        await search.confirm()
    settings = merged(search.found.settings)
    sure = any(one.confidence >= GOOD_ENOUGH and not one.problem for one in settings)
    if (options.thorough or not sure) and not search.hopeless:
        await search.try_usual_names()
    settings = merged(search.found.settings)
    found = search.found
    return Discovery(
        subject, settings, conflicts(settings), tuple(dict.fromkeys(found.reading)),
        tuple(dict.fromkeys(found.notes)), tuple(found.attempts),
    )  # fmt: skip

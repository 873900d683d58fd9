"""[web]: the panel and the HTTP API, beside the address where they listen."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainValidator

from waypost.config.kinds import (
    HostName,
    Kind,
    NetworkList,
    Seconds,
    Truth,
    one_or_more,
    toml_text,
)
from waypost.config.section import Section, default_in, setting
from waypost.control.sessions import SessionLifetimes

_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
"""Browsers leave them out, and what they send is compared with this address."""


def _web_address(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('must be an address such as "https://mail.example.com", in quotes')
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as fault:
        raise ValueError(f"{value[:80]!r} is no address of a web site: {fault}") from fault
    whole = parts.scheme in ("http", "https") and parts.hostname and value.isprintable()
    if not whole or parts.username is not None or parts.path.strip("/") or parts.query:
        raise ValueError(
            f"{value[:80]!r} is no address of the panel: write https://HOST, without a path"
        )
    place = parts.netloc.lower().removesuffix(_DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{place}"


WebAddress = Annotated[str, PlainValidator(_web_address), Kind("web address", toml_text)]

HostNameList = Annotated[
    tuple[HostName, ...], BeforeValidator(one_or_more), Kind("list of host names", toml_text)
]


class WebSection(Section):
    """[web]: how people and programs reach the panel and the HTTP API."""

    public_url: WebAddress | None = setting(
        None,
        "Under which people reach the panel, as the browser shows it: https://mail.example.com.",
        unset="the address of `panel`",
    )
    hosts: HostNameList = setting(
        (),
        "Further names under which it answers. Addresses, localhost, `hostname` and the one in "
        "public_url are known; all others are refused (421), against DNS rebinding.",
    )
    tls: Truth | None = setting(
        None,
        "Serve HTTPS with the certificate of [tls]. Where it is false off loopback, "
        "trusted_proxies must name who may connect without TLS.",
        unset="true, but false on loopback",
    )
    trusted_proxies: NetworkList = setting(
        (),
        "Reverse proxies, or the network of containers: plain HTTP from there is taken, and what "
        "X-Forwarded-For and X-Forwarded-Proto say there counts.",
    )
    session_idle: Seconds = setting(
        default_in(SessionLifetimes, "idle"), "Without a request for so long, log in again."
    )
    session_lifetime: Seconds = setting(
        default_in(SessionLifetimes, "absolute"), "Log in again after so long in any case."
    )

"""Reads the URL of a next hop, as people write it in configurations and commands.

    smtp://user:pass@host:587   STARTTLS where it is offered; required with credentials.
                                Without a port: 587 with credentials, 25 without
    smtps://host:465            TLS from the first byte
    smtp+plain://host:25        never TLS; no credentials, except to this very machine
    unix:/path                  a unix socket
    mx:                         directly to each domain's exchangers
    sandbox:                    captures everything
    gmail, ses:eu-west-1        a provider's preset; gmail://user:pass@ gives credentials,
                                gmail://user:pass@:465 another one of its ports

Characters that mean something in a URL are percent-encoded in user names and passwords.
`${NAME}` stands for a variable of the environment; its value is taken as it is. Options follow a
question mark. A faulty URL is told with its reason and what to do; a password is never repeated.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from waypost.delivery.next_hop import Credentials, MxDelivery, NextHop, Sandbox, Smarthost, TlsMode
from waypost.delivery.url_options import InvalidRouteUrl, Options, redacted, resembling
from waypost.knowledge.special_addresses import is_loopback

if TYPE_CHECKING:
    from waypost.knowledge.providers import Provider

__all__ = ["InvalidRouteUrl", "UrlContext", "parse_route_url", "redacted"]

MAXIMUM_LENGTH: Final = 4096
"""Characters of a URL."""

_SCHEMES: Final = ("smtp", "smtps", "smtp+plain", "unix", "mx", "sandbox")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(?::(.*)|(\?.*))?", re.DOTALL)
_AUTHORITY: Final = re.compile(r"//([^/?#]*)/?(?:\?([^#]*))?")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_UNFIT: Final = re.compile(r"[\x00-\x20\x7f]")
_ENCODE: Final = "in a user name or password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23"

_COMMON: Final = ("timeout", "source", "ehlo", "weight", "priority")
_SMARTHOST: Final = (
    *_COMMON, "verify", "name", "ca_file", "clear_text_auth", "user", "password_env",
    "password_file", "auth",
)  # fmt: skip


def _no_file(path: str) -> str:
    raise FileNotFoundError(f"no files can be read here: {path}")


def provider_named(name: str) -> Provider | None:
    """A provider's preset by its name."""
    from waypost.knowledge.providers import (
        providers,  # a long table, and most URLs name no provider
    )

    return providers().get(name)


@dataclass(frozen=True, slots=True)
class UrlContext:
    """What a URL may refer to."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    read_file: Callable[[str], str] = _no_file
    """The text of a file, for password_file. Raises OSError."""
    provider: Callable[[str], Provider | None] = provider_named
    """A preset by name."""


def parse_route_url(url: str, context: UrlContext | None = None) -> NextHop:
    """The next hop that a URL names. Raises InvalidRouteUrl."""
    url = url.strip()
    context = context or UrlContext()
    if len(url) > MAXIMUM_LENGTH:
        raise InvalidRouteUrl(f"is longer than {MAXIMUM_LENGTH} characters", url[:40], "shorten it")
    found = _SCHEME.fullmatch(url)
    if found is None:
        raise InvalidRouteUrl("is no URL", url, "write it as smtp://user:password@host:587")
    scheme, rest = found[1].lower(), found[2] or found[3]
    if _UNFIT.search(url) and scheme != "unix":
        raise InvalidRouteUrl("holds a space or control character", url, "percent-encode it")
    if scheme == "sandbox":
        if rest:
            raise InvalidRouteUrl("has something behind sandbox:", url, "write only sandbox:")
        return Sandbox()
    if scheme == "mx":
        return _mx(url, rest or "")
    if scheme == "unix":
        return _unix(url, rest or "", context)
    if scheme in _SCHEMES:
        return _smarthost(url, scheme, rest or "", context)
    provider = context.provider(scheme)
    if provider is not None:
        return _from_provider(url, provider, rest or "", context)
    if "." in scheme and re.fullmatch(r"[0-9]*", rest or ""):
        raise InvalidRouteUrl("is a host without a kind", url, f"write it as smtp://{url}")
    from waypost.knowledge.providers import providers

    nearest = resembling(scheme, (*_SCHEMES, *providers()))
    raise InvalidRouteUrl(
        f"begins with {scheme!r}, which is neither a kind of URL nor a provider",
        url,
        f"did you mean {nearest}?" if nearest else f"kinds are {', '.join(_SCHEMES)}",
    )


def _mx(url: str, rest: str) -> MxDelivery:
    path, _, query = rest.partition("?")
    if path.strip("/"):
        raise InvalidRouteUrl(
            "names a host behind mx:",
            url,
            "mx: finds the hosts by itself; for one host write smtp://host",
        )
    options = Options(url, query, (*_COMMON, "port", "verify"))
    verify = options.truth("verify", default=False)
    return MxDelivery(
        port=options.number("port", 25, 1, 65535),
        tls=TlsMode.REQUIRED if verify else TlsMode.OPPORTUNISTIC,
        verify=verify,
        timeout=options.seconds("timeout"),
        source=_source(url, options),
        ehlo=_ehlo(url, options),
        weight=options.number("weight", 1, 0, 1_000_000),
        priority=options.number("priority", 0, 0, 1_000_000),
    )


def _unix(url: str, rest: str, context: UrlContext) -> Smarthost:
    path, _, query = rest.partition("?")
    path = path.removeprefix("//")
    if not path.startswith("/") or "\0" in path:
        raise InvalidRouteUrl("has no absolute path", url, "write it as unix:/run/relay.sock")
    options = Options(url, query, _SMARTHOST)
    made = Smarthost(f"unix:{unquote(path)}", 0, TlsMode.NONE, clear_text_auth=True)
    return _with_options(url, made, None, options, context)


def _smarthost(url: str, scheme: str, rest: str, context: UrlContext) -> Smarthost:
    userinfo, host, port, options = _authority(url, rest, context)
    if not host:
        raise InvalidRouteUrl("names no host", url, f"write it as {scheme}://host:587")
    host = _host(url, host)
    made = _with_options(url, Smarthost(host, 0), userinfo, options, context)
    if scheme == "smtps":
        return replace(made, port=port or 465, tls=TlsMode.IMPLICIT)
    if scheme == "smtp":
        secret = made.credentials is not None
        tls = TlsMode.REQUIRED if secret else TlsMode.OPPORTUNISTIC
        return replace(made, port=port or (587 if secret else 25), tls=tls)
    local = is_loopback(host)
    if made.credentials is not None and not (local or made.clear_text_auth):
        raise InvalidRouteUrl(
            "would send the password in clear text",
            url,
            "use smtp:// or smtps://; or add clear_text_auth=yes if the network is yours alone",
        )
    clear = made.clear_text_auth or local
    return replace(made, port=port or 25, tls=TlsMode.NONE, clear_text_auth=clear)


def _from_provider(url: str, provider: Provider, rest: str, context: UrlContext) -> Smarthost:
    from waypost.knowledge.providers import UnsuitableRegion

    if rest.startswith("//"):
        userinfo, region, port, options = _authority(url, rest, context)
    else:
        region, _, query = rest.partition("?")
        if "@" in region:
            raise InvalidRouteUrl(
                "has credentials without //", url, f"write it as {provider.name}://user:password@"
            )
        userinfo, port, options = None, 0, Options(url, query, _SMARTHOST)
    chosen = next((one for one in provider.ports if one.number == port), None)
    if port and chosen is None:
        known = ", ".join(str(one.number) for one in provider.ports)
        raise InvalidRouteUrl(
            "gives a port that the provider does not have", url, f"it has {known}"
        )
    chosen = chosen or provider.ports[0]
    try:
        host = provider.host_in(unquote(region).lower())
    except UnsuitableRegion as fault:
        raise InvalidRouteUrl("names no fitting region", url, str(fault)) from fault
    made = Smarthost(host, chosen.number, TlsMode(chosen.tls), provider=provider.name)
    return _with_options(url, made, userinfo, options, context, provider.user)


def _authority(
    url: str, rest: str, context: UrlContext
) -> tuple[tuple[str, str] | None, str, int, Options]:
    """User name and password, host, port (0: not given) and options of what follows the scheme."""
    found = _AUTHORITY.fullmatch(rest)
    if found is None:
        if not rest.startswith("//"):
            raise InvalidRouteUrl("has no // behind its scheme", url, "write it as smtp://host")
        hint = _ENCODE if "@" in rest or "#" in rest else "nothing may follow host and port but ?"
        raise InvalidRouteUrl("has a path or a fragment", url, hint)
    login, at, place = found[1].rpartition("@")
    userinfo = None
    if at:
        user, _, password = login.partition(":")
        userinfo = (_expanded(url, user, context), _expanded(url, password, context))
        if not userinfo[0]:
            raise InvalidRouteUrl("has a password and no user name", url, _ENCODE)
    place = _expanded(url, place, context)
    bracketed = re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?", place)
    if bracketed is not None:
        host, digits = f"[{bracketed[1]}]", bracketed[2]
    elif place.count(":") > 1:
        raise InvalidRouteUrl(
            "has an IPv6 address without brackets", url, "write it as smtp://[2001:db8::1]:587"
        )
    else:
        host, _, digits = place.partition(":")
    port = 0
    if digits:
        if not re.fullmatch(r"[0-9]{1,5}", digits) or not 1 <= int(digits) <= 65535:
            raise InvalidRouteUrl("has a port that is no number from 1 to 65535", url, _ENCODE)
        port = int(digits)
    return userinfo, host, port, Options(url, found[2] or "", _SMARTHOST)


def _expanded(url: str, raw: str, context: UrlContext) -> str:
    """Percent-decoded, with variables in place. A variable's value is not decoded again."""
    pieces = _VARIABLE.split(raw)
    for place, piece in enumerate(pieces):
        if place % 2:
            value = context.environment.get(piece)
            if value is None:
                raise InvalidRouteUrl(
                    f"refers to ${{{piece}}}, which is not set", url, f"set {piece}"
                )
            pieces[place] = value
        else:
            pieces[place] = unquote(piece)
    return "".join(pieces)


def _with_options(
    url: str,
    made: Smarthost,
    userinfo: tuple[str, str] | None,
    options: Options,
    context: UrlContext,
    fixed_user: str = "",
) -> Smarthost:
    name = options.value("name")
    return replace(
        made,
        verify=options.truth("verify", default=True),
        server_name=_host(url, name) if name else None,
        ca_file=options.value("ca_file"),
        clear_text_auth=options.truth("clear_text_auth", default=made.clear_text_auth),
        credentials=_credentials(url, userinfo, options, context, fixed_user),
        timeout=options.seconds("timeout"),
        source=_source(url, options),
        ehlo=_ehlo(url, options),
        weight=options.number("weight", 1, 0, 1_000_000),
        priority=options.number("priority", 0, 0, 1_000_000),
    )


def _credentials(
    url: str,
    userinfo: tuple[str, str] | None,
    options: Options,
    context: UrlContext,
    fixed_user: str,
) -> Credentials | None:
    user, password = userinfo or ("", "")
    user = user or _expanded(url, options.value("user", decode=False) or "", context)
    variable, path = options.value("password_env"), options.value("password_file")
    if sum(map(bool, (password, variable, path))) > 1:
        raise InvalidRouteUrl("gives more than one password", url, "keep one of them")
    if variable:
        password = context.environment.get(variable, "")
        if not password:
            raise InvalidRouteUrl(f"refers to {variable}, which is not set", url, f"set {variable}")
    elif path:
        try:
            password = context.read_file(path).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as fault:
            raise InvalidRouteUrl(
                f"refers to a password file that cannot be read ({fault})", url, f"check {path}"
            ) from fault
        if not password:
            raise InvalidRouteUrl("refers to an empty password file", url, f"check {path}")
    if not user and password:
        user = fixed_user
    mechanism = options.value("auth")
    if not user and not password:
        if mechanism:
            raise InvalidRouteUrl("names a mechanism and no user", url, "add user and password")
        return None
    if not user or not password:
        missing = "password" if user else "user name"
        raise InvalidRouteUrl(
            f"has credentials without a {missing}",
            url,
            "write smtp://user:password@host, or ?user=NAME&password_env=VARIABLE",
        )
    if "\0" in user or "\0" in password:
        raise InvalidRouteUrl("has a NUL in its credentials", url, "check the password's source")
    return Credentials(user, password, mechanism.upper() if mechanism else None)


def _host(url: str, text: str) -> str:
    """A host name in its ASCII form, or an IP address without brackets."""
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError as fault:
            raise InvalidRouteUrl("has no IPv6 address in its brackets", url, str(fault)) from fault
    name = text.rstrip(".").lower()
    if not name.isascii():
        import idna

        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as fault:
            raise InvalidRouteUrl("has an impossible host name", url, str(fault)) from fault
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise InvalidRouteUrl("has an impossible host name", url, "letters, digits, dots, hyphens")
    if re.fullmatch(r"[0-9.]+", name):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError as fault:
            raise InvalidRouteUrl("has an impossible IPv4 address", url, str(fault)) from fault
    return name


def _source(url: str, options: Options) -> str | None:
    value = options.value("source")
    if value is None:
        return None
    try:
        return str(ipaddress.ip_address(value.strip("[]")))
    except ValueError as fault:
        raise InvalidRouteUrl("has a source that is no IP address", url, str(fault)) from fault


def _ehlo(url: str, options: Options) -> str | None:
    value = options.value("ehlo")
    return _host(url, value) if value else None

"""The kinds of values that settings take, each read strictly and told apart for the reference.

A kind reads what TOML gives (or the text of an environment variable) and raises ValueError with
words for people; `Kind` beside it says how the reference calls it and how a value is written.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo

from waypost.config.units import parse_seconds, parse_size, seconds_text, size_text
from waypost.delivery.route import MxDelivery, NextHop, Rate, Smarthost
from waypost.delivery.route_url import UrlContext, parse_route_url
from waypost.delivery.routing import Patterns
from waypost.delivery.url_options import redacted
from waypost.mail.address import domain_to_ascii
from waypost.relay.listener_address import ListenerAddress

MAXIMUM_COUNT: Final = 1_000_000_000

_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_TRUTHS: Final = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
_ROUTE_NAME: Final = re.compile(r"[^\W_][\w.@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is called and written."""

    name: str
    write: Callable[[Any], str]
    """A value as the file has it; secrets are taken out."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What values may refer to."""

    folder: Path
    """Relative paths begin here: the folder of the file."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    follow_routes: bool = True
    """Look what URLs refer to; not for routes that a flag replaces, whose secrets need not be
    set here."""
    from_text: bool = False
    """Values are text, as the environment has nothing else: "100" and "yes" are meant."""


@dataclass(frozen=True, slots=True)
class NamedHop:
    """A next hop and the URL that named it, which may hold a password."""

    url: str = field(repr=False)
    hop: NextHop | None
    """None: the URL was not followed."""

    @property
    def shown(self) -> str:
        """The URL as people may see it."""
        return redacted(self.url)


def reading_of(info: ValidationInfo) -> Reading:
    """What the values of this file may refer to."""
    context = info.context
    return context if isinstance(context, Reading) else Reading(Path())


def text_given(value: object, what: str) -> str:
    """The value where it is text. Raises ValueError that says what it must be."""
    if not isinstance(value, str):
        raise ValueError(f"must be {what}, in quotes")
    return value


def one_or_more(value: object, info: ValidationInfo) -> object:
    """A single value is a list of one; pydantic wants a tuple where TOML gives a list."""
    if isinstance(value, str):
        if reading_of(info).from_text:
            return tuple(piece.strip() for piece in value.split(",") if piece.strip())
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def array(value: object) -> object:
    """The tuple that pydantic wants where TOML gives a list."""
    return tuple(value) if isinstance(value, list) else value


def _count(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str) and reading_of(info).from_text and re.fullmatch("[0-9]{1,10}", value):
        return int(value)
    return value


def _seconds_above_zero(value: object) -> float:
    seconds = parse_seconds(value)
    if seconds <= 0:
        raise ValueError("must be longer than 0 s")
    return seconds


def _size_above_zero(value: object) -> int:
    size = parse_size(value)
    if size <= 0:
        raise ValueError("must be larger than 0")
    return size


def _seconds_or_never(value: object) -> float | None:
    return None if value == "never" else _seconds_above_zero(value)


def _rate(value: object) -> Rate:
    text = text_given(value, 'a rate such as "100/minute"')
    try:
        return Rate.parse(text)
    except ValueError as fault:
        if re.match(r"\s*0+\s*(?:/|per)", text):
            raise ValueError("must let something through; leave it out for no limit") from fault
        raise


def _truth(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str) and reading_of(info).from_text:
        return _TRUTHS.get(value.lower(), value)
    return value


def file_named(value: object, info: ValidationInfo) -> Path:
    """A path, relative to the folder of the file; ~ is the home folder. Raises ValueError."""
    text = text_given(value, "a path")
    if not text or "\0" in text:
        raise ValueError("must be a path; it is empty or holds a NUL")
    context = reading_of(info)
    home = context.environment.get("HOME")
    if text == "~" or text.startswith("~/"):
        if not home:
            raise ValueError("begins with ~, but HOME is not set; write the whole path")
        return Path(home + text[1:])
    return context.folder / text


def _user_name(value: object) -> str:
    text = text_given(value, "the name of a user")
    if not text or len(text) > 255 or not text.isprintable():
        raise ValueError("must be the name of a user")
    return text


def _network(value: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    text = text_given(value, "a network such as 192.0.2.0/24")
    try:
        return ipaddress.ip_network(text)
    except ValueError as fault:
        if "host bits" in str(fault):
            right = ipaddress.ip_network(text, strict=False)
            raise ValueError(f"{text} is an address inside a network; write {right}") from fault
        raise ValueError(
            f"{text[:60]!r} is no network; write 192.0.2.0/24, 2001:db8::/32 or one address"
        ) from fault


def _pattern(value: object) -> str:
    text = text_given(value, "a pattern such as example.com")
    Patterns((text,))
    if _CONTROL.search(text.strip()):
        raise ValueError(f"{text[:60]!r} holds a space or control character; patterns have none")
    return text.strip()


def _plain_text(value: object) -> str:
    return text_given(value, "text")


def _hostname(value: object) -> str:
    text = text_given(value, "a host name")
    try:
        return domain_to_ascii(text)
    except ValueError as fault:
        raise ValueError(f"{text[:60]!r} is no host name: {fault}") from fault


def _route_name(value: object) -> str:
    text = text_given(value, "a name")
    if not _ROUTE_NAME.fullmatch(text):
        raise ValueError(
            f"{text[:60]!r} is no name; it has up to 64 letters, digits and . _ - @, and begins "
            "with a letter or digit"
        )
    return text


def _hop(value: object, info: ValidationInfo) -> NamedHop:
    url = text_given(value, 'a URL such as "smtp://user:password@host:587"')
    context = reading_of(info)
    if not context.follow_routes:
        return NamedHop(url, None)

    def read(path: str) -> str:
        return (context.folder / path).read_text("utf-8")

    hop = parse_route_url(url, UrlContext(context.environment, read))
    if isinstance(hop, Smarthost | MxDelivery) and hop.ca_file is not None:
        file = context.folder / hop.ca_file
        if not file.is_file():
            raise ValueError(f"the route {redacted(url)} names a ca_file, {file}, that is no file")
        hop = replace(hop, ca_file=str(file))
    return NamedHop(url, hop)


def _address(value: object) -> ListenerAddress:
    return ListenerAddress.parse(text_given(value, "an address such as 127.0.0.1:2525"))


def _panel(value: object) -> str:
    text = text_given(value, "HOST:PORT or off")
    if text == "off":
        return text
    address = ListenerAddress.parse(text)
    if address.path is not None or address.activation is not None:
        raise ValueError(f"{text[:100]!r} is no address for the panel; write HOST:PORT or off")
    return address.text


def _mail_place(value: object, info: ValidationInfo) -> Path | str:
    text = text_given(value, "a path, stderr or syslog")
    if text in ("stderr", "syslog"):
        return text
    path = file_named(text, info)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}; make it, for the relay's user")
    return path


def _mail_name(value: object) -> str:
    text = text_given(value, "a word")
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_-]{0,31}", text):
        raise ValueError(f"{text[:60]!r} is no name of a program; write a word such as postfix")
    return text


def _spool(value: object, info: ValidationInfo) -> Path:
    text = text_given(value, "a URL such as sqlite:/var/lib/waypost/spool")
    kind, colon, place = text.partition(":")
    if kind.lower() in ("postgresql", "postgres"):
        raise ValueError("PostgreSQL is not supported as a spool; write sqlite:PATH")
    if kind.lower() != "sqlite" or not colon:
        raise ValueError(f"{redacted(text)[:80]!r} is no spool; write sqlite:PATH")
    if not place:
        raise ValueError("has no path; write sqlite:PATH, with the folder of the spool")
    folder = file_named(place, info)
    if folder.is_file():
        raise ValueError(f"{folder} is a file; the spool is a folder")
    return folder


@dataclass(frozen=True, slots=True)
class OutboxDatabase:
    """The URL of an application's database, which may hold a password."""

    url: str = field(repr=False)

    @property
    def shown(self) -> str:
        """The URL as people may see it."""
        return redacted(self.url)


def _database(value: object, info: ValidationInfo) -> OutboxDatabase:
    text = text_given(value, "a URL such as sqlite:/srv/shop/shop.sqlite")
    kind, colon, place = text.partition(":")
    if kind == "sqlite" and colon and place:
        return OutboxDatabase(f"sqlite:{file_named(place, info)}")
    if kind in ("postgresql", "postgres") and place.startswith("//"):
        return OutboxDatabase(text)
    raise ValueError(
        f"{redacted(text)[:80]!r} is no database of an outbox; write sqlite:PATH, with the "
        "application's file, or postgresql://user@host/database"
    )


def toml_text(value: object) -> str:
    """A value as TOML writes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _seconds_written(value: float) -> str:
    return toml_text(seconds_text(value))


Truth = Annotated[bool, BeforeValidator(_truth), Kind("true or false", toml_text)]
Count = Annotated[
    int, BeforeValidator(_count), Field(ge=0, le=MAXIMUM_COUNT), Kind("number", toml_text)
]
Positive = Annotated[
    int, BeforeValidator(_count), Field(ge=1, le=MAXIMUM_COUNT), Kind("number", toml_text)
]
Part = Annotated[float, Field(ge=0, le=1), Kind("0 to 1", toml_text)]
Size = Annotated[
    int, PlainValidator(parse_size), Kind("size", lambda value: toml_text(size_text(value)))
]
SizeAboveZero = Annotated[
    int, PlainValidator(_size_above_zero), Kind("size", lambda value: toml_text(size_text(value)))
]
Seconds = Annotated[float, PlainValidator(_seconds_above_zero), Kind("time", _seconds_written)]
SecondsOrNever = Annotated[
    float | None,
    PlainValidator(_seconds_or_never),
    Kind("time or never", lambda value: '"never"' if value is None else _seconds_written(value)),
]
PerPeriod = Annotated[Rate, PlainValidator(_rate), Kind("rate", toml_text)]
FilePath = Annotated[Path, PlainValidator(file_named), Kind("path", toml_text)]
HostName = Annotated[str, PlainValidator(_hostname), Kind("host name", toml_text)]
UserName = Annotated[str, PlainValidator(_user_name), Kind("user", toml_text)]
RouteName = Annotated[str, PlainValidator(_route_name), Kind("name of a route", toml_text)]
Address = Annotated[
    ListenerAddress,
    PlainValidator(_address),
    Kind("address", lambda value: toml_text(value.text)),
]
MailPlace = Annotated[
    Path | str, PlainValidator(_mail_place), Kind("path, stderr or syslog", toml_text)
]
MailName = Annotated[str, PlainValidator(_mail_name), Kind("word", toml_text)]
Panel = Annotated[str, PlainValidator(_panel), Kind("address or off", toml_text)]
SpoolFolder = Annotated[
    Path, PlainValidator(_spool), Kind("URL", lambda value: toml_text(f"sqlite:{value}"))
]
Database = Annotated[
    OutboxDatabase, PlainValidator(_database), Kind("URL", lambda value: toml_text(value.shown))
]
Hops = Annotated[
    tuple[Annotated[NamedHop, PlainValidator(_hop)], ...],
    BeforeValidator(one_or_more),
    Field(min_length=1),
    Kind("URL or list", lambda value: _listed([hop.shown for hop in value])),
]
NetworkList = Annotated[
    tuple[Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, PlainValidator(_network)], ...],
    BeforeValidator(one_or_more),
    Kind("list of networks", lambda value: toml_text([str(network) for network in value])),
]
PatternList = Annotated[
    tuple[Annotated[str, PlainValidator(_pattern)], ...],
    BeforeValidator(one_or_more),
    Kind("list of patterns", toml_text),
]
Pattern = Annotated[str, PlainValidator(_pattern), Kind("pattern", toml_text)]
Text = Annotated[str, PlainValidator(_plain_text), Kind("text", toml_text)]
DelayList = Annotated[
    tuple[Annotated[float, PlainValidator(_seconds_above_zero)], ...],
    BeforeValidator(one_or_more),
    Kind("list of times", lambda value: toml_text([seconds_text(delay) for delay in value])),
]


def _listed(texts: list[str]) -> str:
    return toml_text(texts[0] if len(texts) == 1 else texts)

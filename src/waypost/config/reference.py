"""The settings in words: the tables of the reference, the commented file of `config init`.

Both are made from the model, so neither can say what is not so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from waypost.config.keys import Key, keys, section_of
from waypost.config.model import Settings
from waypost.config.section import Section

_WIDTH: Final = 96

_HEAD: Final = """\
# Waypost's configuration (TOML). Every setting is here; what begins with "#" is its default or an
# example. Check it with: waypost config check --config {name}
"""

_LISTENER: Final = """\
[[listener]]
address = "127.0.0.1:2525"
"""

_OUTBOX: Final = """\
#   [[outbox]]
#   database = "sqlite:/srv/shop/shop.sqlite"
"""

_FAULT: Final = """\
#   [[sandbox.rule]]
#   on = "rcpt"
#   recipient = "*@slow.example"
#   reply = "450 4.7.1 Greylisted"
"""

_DKIM: Final = """\
#   [[dkim]]
#   domain = "example.com"
#   selector = "mail2026"
#   key = "/etc/waypost/mail2026.pem"
"""

_DESTINATION_TLS: Final = """\
#   [[destination_tls]]
#   destinations = ["partner.example", ".partner.example"]
#   level = "verified"
#   exchangers = ["*.mail.partner.example"]
#   ca_file = "/etc/waypost/partner.pem"
"""

_ROUTE: Final = """\
# A smarthost, with its password from the environment:
#   via = "smtp://${SMTP_USER}:${SMTP_PASSWORD}@smtp.example.com:587"
# A provider by name:
#   via = "gmail://you%40example.com:${APP_PASSWORD}@"
# Directly to each recipient's mail servers:
#   via = "mx:"
# Several routes are asked in their order; the first that matches takes the mail, and the last
# must match all.

[[route]]
name = "default"
via = "sandbox:"
"""


_EXAMPLES: Final = {
    "outbox": _OUTBOX, "dkim": _DKIM, "destination_tls": _DESTINATION_TLS, "sandbox.rule": _FAULT,
}  # fmt: skip
"""Tables that are only there when somebody wants them."""


def documented() -> list[tuple[str, str, list[Key]]]:
    """Tables of the file with what they are for and their keys, in the order of the model."""
    return list(_sections(Settings, ()))


def _sections(
    section: type[Section], path: tuple[str, ...]
) -> Iterator[tuple[str, str, list[Key]]]:
    own = [key for key in keys() if key.path[:-1] == path]
    meaning = " ".join((section.__doc__ or "").split())
    meaning = meaning.partition(": ")[2]
    yield ".".join(path), meaning[:1].upper() + meaning[1:], own
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            yield from _sections(inner[0], (*path, name))


def default_of(key: Key) -> str:
    """The default as the reference states it."""
    if key.field.is_required():
        return "required"
    if key.default:
        return f"`{key.default}`"
    return key.unset or "none"


def row(key: Key) -> str:
    """A line of the reference's tables."""
    cells = (f"`{key.dotted}`", key.kind.name, default_of(key), key.field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(name: str) -> str:
    """The table of one section."""
    own = next(own for section, _, own in documented() if section == name)
    head = "| key | kind | default | meaning |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(map(row, own)) + "\n"


def commented_file(name: str = "waypost.toml") -> str:
    """A whole configuration with the defaults, each explained."""
    text = _HEAD.format(name=name)
    for section, meaning, own in documented():
        if section:
            text += "\n" + _comment(meaning)
        if section == "listener":
            text += _LISTENER
        elif section == "route":
            text += _ROUTE
        elif section in _EXAMPLES:
            text += _EXAMPLES[section] + _example(own)
            continue
        elif section:
            text += f"[{section}]\n"
        for key in own:
            if key.field.is_required():
                continue
            text += "\n" + _comment(key.field.description or "")
            if key.default:
                text += f"# {key.path[-1]} = {key.default}\n"
            else:
                text += f"# {key.path[-1]} is not set: {key.unset}\n"
    return text


def _example(own: list[Key]) -> str:
    """The keys of a table that is only there when somebody wants it."""
    text = ""
    for key in own:
        if key.field.is_required():
            continue
        text += "#\n" + _comment(key.field.description or "")
        stated = f"= {key.default}" if key.default else f"is not set: {key.unset}"
        text += f"#   {key.path[-1]} {stated}\n"
    return text


def _comment(text: str) -> str:
    lines = textwrap.wrap(text.replace("`", ""), _WIDTH, break_long_words=False)
    return "".join(f"# {line}\n" for line in lines)

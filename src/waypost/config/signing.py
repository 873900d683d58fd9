"""The section about signatures: DKIM keys that stand in files, beside those of `waypost domain`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, PlainValidator, ValidationInfo

from waypost.config.kinds import (
    HostName,
    Kind,
    Truth,
    file_named,
    reading_of,
    text_given,
    toml_text,
)
from waypost.config.section import Section, setting
from waypost.mail.dkim_keys import PrivateKey, load_key


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key and the name that it was found by, which is no secret."""

    named: str
    key: PrivateKey = field(repr=False)


def _named_key(value: object, info: ValidationInfo) -> NamedKey:
    text = text_given(value, "a path, or env:NAME")
    if text.startswith("env:"):
        return NamedKey(text, load_key(text, environment=reading_of(info).environment))
    if "-----BEGIN" in text:
        raise ValueError("must name a file, or env:NAME; a key does not stand in a configuration")
    path = file_named(text, info)
    try:
        return NamedKey(str(path), load_key(path))
    except OSError as fault:
        raise ValueError(f"{path} cannot be read: {fault.strerror}") from fault


SigningKeyName = Annotated[
    NamedKey,
    PlainValidator(_named_key),
    Kind("path or env:NAME", lambda value: toml_text(value.named)),
]


class DkimSection(Section):
    """[[dkim]]: a key that signs what applications submit, beside those of `waypost domain`."""

    domain: HostName = Field(description="Mail from here is signed, by the address in From.")
    selector: HostName = Field(
        description="The key's record is at SELECTOR._domainkey.DOMAIN in the DNS."
    )
    key: SigningKeyName = Field(
        description="PEM file with the private key, RSA or Ed25519, or the variable that holds it."
    )
    subdomains: Truth = setting(
        True, "Also mail from domains below that have no keys of their own."
    )

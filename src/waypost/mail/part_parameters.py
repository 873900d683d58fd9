"""Reads Content-Type and Content-Disposition with their parameters (RFC 2045 5.1, 2183, 2231).

Read only, for display: what is malformed gives less, never an error. File names are what strangers
wrote, so `safe_file_name` makes one that shows what it is and stays in its folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from waypost.mail.encoded_words import decode_encoded_words, decoded, displayable

MAXIMUM_VALUE: Final = 8000
"""Characters of a field that are looked at."""
MAXIMUM_PARAMETERS: Final = 60
MAXIMUM_NAME: Final = 120
"""Characters of a file name."""

_PARAMETER: Final = re.compile(
    r';[\s;]*+([^\s=;"]{1,60}+)\s*+=\s*+(?:"((?:[^"\\]|\\.)*)"?|([^;]*+))', re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_NUMBERED: Final = re.compile(r"([^*]+)\*([0-9]{1,3})(\*?)")
_NOT_IN_A_NAME: Final = re.compile(r'[<>:"|?*%\x00-\x1f]+')
_PATH: Final = re.compile(r"[/\\]+")


@dataclass(frozen=True, slots=True)
class ParameterisedValue:
    """A value such as text/html, in lower case, with its parameters by name in lower case."""

    value: str
    parameters: Mapping[str, str]

    def get(self, name: str) -> str:
        """A parameter; "" where it is not given."""
        return self.parameters.get(name, "")


def parse_parameters(field: str) -> ParameterisedValue:
    """Read the value of such a field, unfolded. Takes any text."""
    field = field[:MAXIMUM_VALUE]
    value, semicolon, rest = field.partition(";")
    found: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    for number, one in enumerate(_PARAMETER.finditer(semicolon + rest)):
        if number >= MAXIMUM_PARAMETERS:
            break
        name = one[1].lower()
        text = _ESCAPED.sub(r"\1", one[2]) if one[2] is not None else one[3].strip()
        numbered = _NUMBERED.fullmatch(name)
        if numbered is not None:
            pieces.setdefault(numbered[1], {})[int(numbered[2])] = (bool(numbered[3]), text)
        elif name.endswith("*"):
            pieces.setdefault(name[:-1], {}).setdefault(0, (True, text))
        else:
            found.setdefault(name, text)
    for name, parts in pieces.items():  # RFC 2231 counts for more than what stands beside it
        found[name] = _joined(parts)
    return ParameterisedValue(value.strip().lower(), found)


def _joined(parts: Mapping[int, tuple[bool, str]]) -> str:
    """The pieces of a value in order (RFC 2231 3, 4); the first names the charset."""
    charset, octets = "utf-8", b""
    for number in sorted(parts):
        encoded, text = parts[number]
        if number == min(parts) and encoded and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        octets += unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace")
    return decoded(octets, charset)


def file_name(disposition: ParameterisedValue, content_type: ParameterisedValue) -> str:
    """The name that a part gives itself, decoded and for display; "" where it gives none."""
    given = disposition.get("filename") or content_type.get("name")
    return safe_file_name(decode_encoded_words(given)) if given else ""


def safe_file_name(given: str) -> str:
    """The name without folders, controls, and the signs that turn the direction of writing, by
    which `exe.gpj` is made to read as `jpg.exe` backwards; "" where nothing is left."""
    name = _PATH.split(displayable(given))[-1]
    name = _NOT_IN_A_NAME.sub("_", name).strip(" .")
    if len(name) > MAXIMUM_NAME:
        stem, dot, suffix = name.rpartition(".")
        kept = f"{dot}{suffix}" if dot and len(suffix) < 12 else ""
        name = (stem if kept else name)[: MAXIMUM_NAME - len(kept)] + kept
    return name


def attachment_disposition(name: str) -> str:
    """The value of Content-Disposition over HTTP that has a browser save and never show (RFC 6266,
    with the extended form of RFC 8187 for names beyond US-ASCII)."""
    name = safe_file_name(name) or "attachment"
    plain = name.encode("ascii", "replace").decode("ascii").replace("\\", "_").replace("?", "_")
    extended = quote(name, safe="", encoding="utf-8", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}"

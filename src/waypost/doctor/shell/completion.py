"""What can follow what is typed: commands, and the parameters that the server has offered."""

from __future__ import annotations

from dataclasses import dataclass

from waypost.doctor.shell.commands import IN_CLEAR, OWN, SMTP
from waypost.doctor.shell.logins import KNOWN_MECHANISMS
from waypost.knowledge.extensions import Extension, extensions
from waypost.smtp.extensions import Capabilities


@dataclass(frozen=True, slots=True)
class Situation:
    """What completion depends on."""

    hostname: str
    capabilities: Capabilities | None
    """What the last EHLO told; None before it."""
    encrypted: bool = False


def completions(before: str, word: str, situation: Situation) -> list[str]:
    """What the word that is being typed may become; `before` is the line up to it.

    A completion that wants more behind it ends in a sign, a whole word in a space.
    """
    words = before.split()
    if not words:
        found = _first(word, situation)
    elif words[0][0] in "/.":
        found = _own_arguments(words[0][1:].lower(), len(words), situation)
    else:
        found = _arguments(words, situation)
    upper = word.upper()
    return [one for one in found if one.upper().startswith(upper)]


def _first(word: str, situation: Situation) -> list[str]:
    if word[:1] in ("/", "."):
        return [f"{word[0]}{name} " for name in OWN]
    names = dict.fromkeys(SMTP)
    if situation.capabilities is not None:
        for one in _offered(situation.capabilities):
            names.update(dict.fromkeys(one.commands))
    return [_with_form(name) for name in names]


def _with_form(name: str) -> str:
    return {"MAIL": "MAIL FROM:<", "RCPT": "RCPT TO:<"}.get(name, f"{name} ")


def _own_arguments(name: str, count: int, situation: Situation) -> list[str]:
    if name == "help" and count == 1:
        return [f"{one} " for one in (*OWN, *SMTP)]
    if name == "raw" and count == 1:
        return ["on ", "off "]
    if name == "hello" and count == 1:
        return [f"{situation.hostname} "]
    if name == "auth":
        return _mechanisms(situation) if count == 1 else [f"{IN_CLEAR} "]
    return []


def _arguments(words: list[str], situation: Situation) -> list[str]:
    verb, capabilities = words[0].upper(), situation.capabilities
    if verb in ("EHLO", "HELO") and len(words) == 1:
        return [f"{situation.hostname} "]
    if verb == "AUTH":
        return _mechanisms(situation) if len(words) == 1 else [f"{IN_CLEAR} "]
    if verb == "BDAT":
        return ["LAST "]
    if verb in ("MAIL", "RCPT") and len(words) == 1:
        return ["FROM:<"] if verb == "MAIL" else ["TO:<"]
    if verb not in ("MAIL", "RCPT") or capabilities is None:
        return []
    offered = [
        parameter
        for one in _offered(capabilities)
        for parameter in (one.mail if verb == "MAIL" else one.rcpt)
    ]
    said = {word.partition("=")[0].upper() for word in words[1:]}
    return [
        one if one.endswith("=") else f"{one} "
        for one in offered
        if one.partition("=")[0] not in said
    ]


def _mechanisms(situation: Situation) -> list[str]:
    offered = situation.capabilities.auth if situation.capabilities is not None else ()
    return [f"{name} " for name in offered or KNOWN_MECHANISMS]


def _offered(capabilities: Capabilities) -> list[Extension]:
    known = extensions()
    return [known[name] for name in capabilities.keywords if name in known]

"""Where access tokens are kept between connections, and between runs of a program.

A token file holds secrets: it is made for its owner alone (mode 0600), written beside and renamed,
so that no reader finds half of it, and refused where others could read it. It matters most for
refresh tokens: some providers give a new one with each answer and end the one before.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Final, Protocol

from waypost.faces.library.oauth_grants import Token, TokenFailure

_OTHERS: Final = 0o077


class TokenCache(Protocol):
    """Keeps tokens by the key of their grant. Called from one thread at a time."""

    def get(self, key: str) -> Token | None:
        """What is kept."""

    def put(self, key: str, token: Token) -> None:
        """Keep a token in place of what was there."""


class MemoryCache:
    """Tokens of this process."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def get(self, key: str) -> Token | None:
        """See TokenCache."""
        return self._tokens.get(key)

    def put(self, key: str, token: Token) -> None:
        """See TokenCache."""
        self._tokens[key] = token


class FileCache:
    """Tokens in a file, in JSON. Several programs may use one file: the last word stays."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def get(self, key: str) -> Token | None:
        """See TokenCache. Raises TokenFailure for a file that others can read, or no token file."""
        entry = self._read().get(key)
        if not isinstance(entry, dict):
            return None
        access, refresh = entry.get("access"), entry.get("refresh", "")
        expires = entry.get("expires_at")
        if not (isinstance(access, str) and isinstance(refresh, str)):
            return None
        if not isinstance(expires, int | float):
            return None
        return Token(access, float(expires), refresh)

    def put(self, key: str, token: Token) -> None:
        """See TokenCache. Raises TokenFailure, and OSError where the file cannot be written."""
        entries = self._read()
        entries[key] = {
            "access": token.access,
            "expires_at": token.expires_at,
            "refresh": token.refresh,
        }
        beside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(opened, "w", encoding="utf-8") as file:
                json.dump(entries, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            raise

    def _read(self) -> dict[str, object]:
        try:
            with self.path.open(encoding="utf-8") as file:
                if os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS:
                    raise TokenFailure(
                        f"others can read the token file {self.path}", f"chmod 600 {self.path}"
                    )
                entries = json.load(file)
        except FileNotFoundError:
            return {}
        except ValueError as fault:
            raise TokenFailure(
                f"{self.path} is no token file ({fault})", "name another file, or remove it"
            ) from fault
        if not isinstance(entries, dict):
            raise TokenFailure(f"{self.path} is no token file", "name another file, or remove it")
        return entries

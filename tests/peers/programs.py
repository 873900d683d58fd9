"""Programs of other makers: found, or the test is skipped; and what they said when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
SECONDS = 90.0


def program(name: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed; as root on Debian, `make peers` installs it")
    return found


def run(
    *command: str | Path,
    given: bytes = b"",
    expected: int | None = 0,
    environment: dict[str, str] | None = None,
) -> str:
    """Run a program and give all it has said. `expected` is its exit code; None: any."""
    done = subprocess.run(
        command, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    said = done.stdout.decode(errors="replace")
    assert expected is None or done.returncode == expected, f"exit {done.returncode}: {said}"
    return said

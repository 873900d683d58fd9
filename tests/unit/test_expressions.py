"""A rule for every regular expression, where one of the supported Pythons has a fault."""

from __future__ import annotations

import re
from pathlib import Path

import waypost


def test_no_group_is_possessive() -> None:
    """Python before 3.11.5 keeps what a failed round of such a group had matched: there
    `(?:\\.a)*+@` matches `.@`. A set of characters (`[a-z]++`) is sound everywhere."""
    places = [
        f"{path.name}:{number}"
        for path in Path(waypost.__file__).parent.rglob("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"\)[*+?]\+|\(\?>", line)
    ]
    assert places == []

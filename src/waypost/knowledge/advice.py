"""What the sender can do about a reason, in plain words (advice.toml)."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=1)
def _table() -> dict[str, str]:
    text = resources.files("waypost.knowledge").joinpath("advice.toml").read_text("utf-8")
    return {reason: str(words) for reason, words in tomllib.loads(text).items()}


def advice_for(reason: str) -> str:
    """A sentence for the sender; "" where there is nothing helpful to say."""
    return _table().get(reason, "")

"""What can be done about a reason, in plain words (advice.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=1)
def _tables() -> Mapping[str, Mapping[str, str]]:
    text = resources.files("waypost.knowledge").joinpath("advice.toml").read_text("utf-8")
    return tomllib.loads(text)


def advice_for(reason: str) -> str:
    """A sentence for the sender; "" where there is nothing helpful to say."""
    return _tables()["sender"].get(reason, "")


def advice_for_operator(reason: str) -> str:
    """A sentence for who runs the relay; every reason of outcomes.toml has one."""
    return _tables()["operator"].get(reason) or advice_for(reason)

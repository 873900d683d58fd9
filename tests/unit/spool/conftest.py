"""The spools that the contract suite is run over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from spool_world import MemoryWorld, SqliteWorld, World


@pytest.fixture(params=["memory", "sqlite"])
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], World]:
    """Makes the spool under test; it is opened by the test."""
    if request.param == "memory":
        return MemoryWorld
    return lambda: SqliteWorld(tmp_path)

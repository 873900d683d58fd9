"""Each cause is produced by a server or a name server on loopback, and found as the first cause."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

import pytest
from cause_cases import CASES
from check_lab import CheckLab

from waypost.doctor.check.run import Checked
from waypost.knowledge.causes import causes

for one in sorted(Path(__file__).parent.glob("cases_*.py")):
    importlib.import_module(one.stem)


def test_every_cause_has_a_broken_server() -> None:
    assert {cause for cause, _ in CASES.values()} == set(causes())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # old TLS is what some servers are for
def test_a_check_finds(name: str, tmp_path: Path) -> None:
    cause, case = CASES[name]

    async def run() -> Checked:
        lab = CheckLab(tmp_path)
        try:
            return await case(lab)
        finally:
            await lab.end()

    checked = asyncio.run(run())
    found = checked.diagnosis
    assert found.cause is not None, checked.steps
    assert found.cause.id == cause, (found, checked.steps[-2:])
    assert found.cause.id not in found.alternatives
    assert found.fix
    assert "secret word" not in str(checked.steps)

"""How limits are divided among processes: all together keep them, to the last one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.config import Flags, load
from waypost.config.sharing import Assignment, CannotShare, assignments, settings_of
from waypost.service import ServiceSettings


def settings_for(folder: Path, limits: str) -> ServiceSettings:
    path = folder / "waypost.toml"
    path.write_text(f'data = "{folder}"\n[[route]]\nname = "out"\nvia = "sandbox:"\n{limits}\n')
    return load(path, {}, Flags()).service_settings()


def shares(settings: ServiceSettings, of: int) -> list[ServiceSettings]:
    return [
        settings_of(settings, Assignment(f"worker-{n}", f"worker-{n}", n, of, listens=True))
        for n in range(1, of + 1)
    ]


@given(limit=st.integers(1, 1000), of=st.integers(1, 12))
def test_the_shares_of_a_limit_add_up_to_it(
    tmp_path_factory: pytest.TempPathFactory, limit: int, of: int
) -> None:
    folder = tmp_path_factory.mktemp("shares")
    text = (
        f'[route.limits]\nconnections = {limit}\nrate = "{limit}/minute"\n'
        f"[route.quotas]\nper_hour = {limit}\n[limits]\nmessages_per_minute = {limit}\n"
    )
    settings = settings_for(folder, text)
    if limit < of:
        with pytest.raises(CannotShare, match=re.escape(f"is {limit}, and {of} processes")):
            shares(settings, of)
        return
    try:
        made = shares(settings, of)
    except CannotShare as fault:
        # Not this limit but a default: ten connections to a destination.
        assert of > 10 and "connections_per_destination is 10" in str(fault)  # noqa: PT018, PT017
        return
    assert sum(one.routes[0].limits.connections for one in made) == limit
    assert (
        sum(one.routes[0].limits.rate.count for one in made if one.routes[0].limits.rate) == limit
    )
    assert sum(one.routes[0].quotas.per_hour or 0 for one in made) == limit
    assert sum(one.limits.messages_per_minute for one in made) == limit
    assert min(one.routes[0].limits.connections for one in made) >= 1


def test_no_limit_stays_none(tmp_path: Path) -> None:
    for one in shares(settings_for(tmp_path, ""), 3):
        assert one.limits.messages_per_minute == 0
        assert one.routes[0].quotas.per_day is None
        assert one.routes[0].limits.rate is None


def test_each_has_a_shard_of_its_own_and_all_have_the_ports(tmp_path: Path) -> None:
    made = shares(settings_for(tmp_path, ""), 2)
    assert [one.spool.directory.name for one in made] == ["worker-1", "worker-2"]
    assert all(listener.shared for one in made for listener in one.listeners)


def test_one_worker_is_what_there_was_before(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "")
    (only,) = assignments(settings.spool.directory, 1)
    alone = settings_of(settings, only)
    assert alone.spool.directory == settings.spool.directory
    assert alone.listeners == settings.listeners
    assert alone.routes == settings.routes
    assert alone.limits == settings.limits

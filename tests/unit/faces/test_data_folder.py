"""Where a running relay is looked for is where the whole configuration says that it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from waypost.config import Flags, load
from waypost.faces.cli.relay import data_folder, spool_folder


@pytest.mark.parametrize(
    ("environment", "file"),
    [
        ({"HOME": "/home/joe"}, None),
        ({"HOME": "/home/joe", "XDG_DATA_HOME": "/data"}, None),
        ({"HOME": "/home/joe", "XDG_DATA_HOME": "relative"}, None),
        ({"HOME": "/home/joe", "WAYPOST_DATA": "/var/waypost"}, None),
        ({"HOME": "/home/joe"}, 'data = "/srv/mail"'),
        ({"HOME": "/home/joe"}, 'hostname = "h.example"'),
        ({"HOME": "/home/joe", "WAYPOST_DATA": "/var/waypost"}, 'data = "/srv/mail"'),
        ({"HOME": "/home/joe"}, '[spool]\nquota = "1 GiB"'),
    ],
)
def test_it_agrees_with_the_configuration(
    tmp_path: Path, environment: dict[str, str], file: str | None
) -> None:
    config = None
    if file is not None:
        config = tmp_path / "w.toml"
        config.write_text(file)
    whole = load(config, environment, Flags())
    assert data_folder(config, environment) == whole.data
    assert spool_folder(config, environment) == whole.service.spool.directory
    if config is not None:
        named = environment | {"WAYPOST_CONFIG": str(config)}
        whole = load(None, named, Flags())
        assert data_folder(None, named) == whole.data
        assert spool_folder(None, named) == whole.service.spool.directory


@pytest.mark.parametrize("file", ['data = "~/mail"', 'data = "mail"', "data = 3", "data =", None])
def test_what_needs_the_whole_configuration_is_left_to_it(tmp_path: Path, file: str | None) -> None:
    config = tmp_path / "w.toml"
    if file is not None:
        config.write_text(file)
    assert data_folder(config, {"HOME": "/home/joe"}) is None
    assert spool_folder(config, {"HOME": "/home/joe"}) is None


def test_a_spool_of_its_own_needs_the_whole_configuration(tmp_path: Path) -> None:
    config = tmp_path / "w.toml"
    config.write_text('[spool]\nurl = "sqlite:mail"')
    assert spool_folder(config, {"HOME": "/home/joe"}) is None
    assert spool_folder(None, {"HOME": "/home/joe", "WAYPOST_SPOOL": "sqlite:/mail"}) is None

"""Databases for the outbox: a file of SQLite, and a real PostgreSQL of our own on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from outbox_database import Application


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed")
    return found[-1].parent


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server that lives as long as these tests."""
    programs = _programs()
    pytest.importorskip("psycopg")
    # A folder of its own: pytest's may not be entered by the user that the server runs as.
    place = Path(tempfile.mkdtemp(prefix="waypost-postgresql-"))
    prefix: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(place, owner.pw_uid, owner.pw_gid)
        setpriv = shutil.which("setpriv")
        assert setpriv is not None
        prefix = [setpriv, f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = place / "data"
    initdb = [programs / "initdb", "-D", data, "-A", "trust", "-U", "waypost", "--no-sync"]
    control = [programs / "pg_ctl", "-D", data, "-w", "-t", "30", "-l", place / "log"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    try:
        subprocess.run([*prefix, *initdb], check=True, capture_output=True, timeout=60, cwd=place)
        subprocess.run(
            [*prefix, *control, "-o", options, "start"],
            check=True, stdout=sys.stderr, stderr=sys.stderr, timeout=60, cwd=place,
        )  # fmt: skip
        try:
            yield f"postgresql://waypost@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [*prefix, *control, "-m", "immediate", "stop"], check=True, capture_output=True,
                timeout=60, cwd=place,
            )  # fmt: skip
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def application(request: pytest.FixtureRequest, tmp_path: Path) -> Application:
    """The same tests over both databases; the table is there and empty."""
    if request.param == "sqlite":
        application = Application(f"sqlite:{tmp_path / 'application.sqlite'}")
    else:
        application = Application(request.getfixturevalue("postgresql"))
        application.rows("DROP TABLE IF EXISTS waypost_outbox")
    store = application.store
    store.create()
    store.close()
    return application

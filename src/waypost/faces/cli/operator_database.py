"""The control room's own file, opened by a command beside a running relay or without one."""

from __future__ import annotations

import getpass
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from waypost.faces.cli.failure import CHECKED_BAD, TEMPORARY, WRONG_USAGE, fail
from waypost.faces.cli.relay import data_folder, load_configuration

if TYPE_CHECKING:
    from waypost.control.database import ControlDatabase

_Result = TypeVar("_Result")


class ControlFile:
    """Accounts, keys and the audit log of one data folder."""

    def __init__(self, database: ControlDatabase, now: float, config: Path | None) -> None:
        self._database = database
        self._config = config
        self.now = now

    def read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """What the work finds."""
        return self._database.now(work)

    def change(
        self,
        action: str,
        subject: str,
        work: Callable[[sqlite3.Connection], _Result],
        detail: str = "",
    ) -> _Result:
        """Do it and write it to the audit log, both or neither."""
        from waypost.control import audit

        def both(connection: sqlite3.Connection) -> _Result:
            result = work(connection)
            audit.append(connection, self.now, self.who, action, subject, detail)
            return result

        return self._database.now(both)

    @property
    def who(self) -> str:
        """Whose command this is, as the audit log has it."""
        try:
            return f"command:{getpass.getuser()}"
        except (KeyError, OSError):  # a process of a user who has no name
            return f"command:{os.getuid() if hasattr(os, 'getuid') else ''}"

    def link(self, secret: str) -> str:
        """A one-time link: where the panel was last served, or as the configuration says."""
        from waypost.control.accounts_links import served_at

        place = self.read(served_at)
        if place is None:
            settings = load_configuration(self._config).control_settings()
            if settings is None:
                place = "http://127.0.0.1:8025/"
            else:
                scheme = "https" if settings.tls else "http"
                place = f"{settings.public_url or f'{scheme}://{settings.address}'}/"
        return f"{place}first-run/{secret}"


@contextmanager
def control_file(config: Path | None) -> Iterator[ControlFile]:
    """The file of a configuration. Raises Failure."""
    from waypost.control.accounts import AccountFault
    from waypost.control.accounts_access import SCHEMAS
    from waypost.control.database import NAME, ControlDatabase
    from waypost.control.keys import KeyExists, NoSuchKey
    from waypost.net.clock import SystemClock

    folder = data_folder(config, os.environ) or load_configuration(config).data
    database = ControlDatabase(folder / NAME)
    try:
        _leave_to_the_relay(folder / NAME)
        database.add_tables(SCHEMAS)
        yield ControlFile(database, SystemClock().now(), config)
    except (AccountFault, KeyExists, NoSuchKey) as fault:
        fail(str(fault), CHECKED_BAD)
    except ValueError as fault:
        fail(str(fault), WRONG_USAGE)
    except (sqlite3.Error, OSError) as fault:
        fail(f"{folder / NAME} cannot be read or written: {fault}", TEMPORARY)
    finally:
        database.close()


def _leave_to_the_relay(path: Path) -> None:
    """A file that root makes belongs to whom the folder does, or the relay could not open it."""
    if path.exists() or not path.parent.is_dir() or not hasattr(os, "geteuid") or os.geteuid():
        return
    owner = path.parent.stat()
    path.touch(mode=0o600)
    os.chown(path, owner.st_uid, owner.st_gid)

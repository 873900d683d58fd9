"""`waypost.Outbox`: with the connections that applications have, and to a real server."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from outbox_database import Application

import waypost
from sink import Sink
from waypost.errors import ConfigurationError, InvalidMessage
from waypost.faces.library.outbox import Finished, Outbox
from waypost.lab.simulated_peer import Fault
from waypost.outbox.connections import UnknownConnection
from waypost.smtp.reply import reply

LETTER: dict[str, Any] = {
    "from_": "Shop <shop@example.com>", "to": "ann@example.org", "subject": "Your order",
    "text": "It is on its way.",
}  # fmt: skip
SOON = 30.0


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def outbox_for(application: Application, sink: Sink | None = None, **settings: Any) -> Outbox:
    mailer = f"smtp+plain://127.0.0.1:{sink.port}" if sink is not None else None
    return Outbox(mailer, application.url, poll_seconds=0.05, **settings)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def test_mail_is_there_when_its_transaction_is(application: Application, sink: Sink) -> None:
    with outbox_for(application, sink) as outbox, closing(application.connect()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (number INTEGER)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO orders VALUES (17)")
        added = outbox.add(connection=connection, **LETTER)
        assert outbox.counts().waiting == 0  # nobody sees it before the commit
        connection.commit()
        connection.execute("BEGIN")
        outbox.add(connection=connection, **{**LETTER, "to": "never@example.org"})
        connection.rollback()
        outbox.wake()

        received = sink.wait_for("ann@example.org")
        wait_until(lambda: outbox.counts().finished == 1)

    assert added.is_new
    assert received.envelope.reverse_path == "shop@example.com"
    assert b"\r\nSubject: Your order\r\n" in received.content
    assert received.content.endswith(b"It is on its way.\r\n")
    assert len(sink.received) == 1
    application.rows("DROP TABLE orders")


def test_the_same_key_is_sent_once(application: Application, sink: Sink) -> None:
    outbox = outbox_for(application, sink)
    first = outbox.add(idempotency_key="order-17", **LETTER)
    again = outbox.add(idempotency_key="order-17", **LETTER)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.identifier == again.identifier

    assert outbox.drain() == 1

    late = outbox.add(idempotency_key="order-17", **LETTER)
    assert (late.is_new, late.identifier) == (False, first.identifier)
    assert outbox.drain() == 0
    assert len(sink.received) == 1


def test_what_becomes_of_it_is_told(application: Application) -> None:
    sink = Sink([Fault("rcpt", "reply", reply(550, "5.1.1", "no such user"))])
    told: list[Finished] = []
    try:
        outbox = outbox_for(application, sink, on_finished=told.append)
        added = outbox.add(**LETTER)
        outbox.drain()
        outbox.stop()
    finally:
        sink.close()
    [finished] = told
    assert not finished
    assert (finished.identifier, finished.attempts) == (added.identifier, 1)
    [ann] = finished.recipients
    assert (ann.address, ann.delivered, ann.reason) == ("ann@example.org", False, "no-such-mailbox")
    assert ann.reply.startswith("550")


def test_a_server_that_is_away_is_tried_again(application: Application) -> None:
    sink = Sink()
    port = sink.port
    outbox = outbox_for(application, sink)
    outbox.add(**LETTER)
    sink.close()

    assert outbox.drain() == 1
    assert outbox.counts().waiting == 1
    assert outbox.drain() == 0  # not before its time

    back = Sink(port=port)
    try:
        assert outbox.retry_now() == 1
        assert outbox.drain() == 1
        back.wait_for("ann@example.org")
    finally:
        outbox.stop()
        back.close()


def test_mail_for_later_waits(application: Application, sink: Sink) -> None:
    outbox = outbox_for(application, sink)
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    outbox.add(not_before=tomorrow, **LETTER)
    assert outbox.drain() == 0
    with pytest.raises(ConfigurationError, match="time zone"):
        outbox.add(not_before=dt.datetime(2030, 1, 1), **LETTER)  # noqa: DTZ001


def test_a_message_that_cannot_be_made_is_told_before_anything_is_written(
    application: Application,
) -> None:
    outbox = outbox_for(application)
    with pytest.raises(InvalidMessage):
        outbox.add(**{**LETTER, "subject": "a\r\nBcc: eve@example.net"})
    assert outbox.counts().waiting == 0


def test_without_a_mailer_somebody_else_sends(application: Application) -> None:
    outbox = outbox_for(application)
    outbox.add(**LETTER)
    with pytest.raises(ConfigurationError, match="waypost serve"):
        outbox.drain()
    assert waypost.Outbox is Outbox


@pytest.mark.parametrize("setting", [{"concurrency": 0}, {"poll_seconds": -1}])
def test_settings_that_cannot_work_are_told(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Outbox(None, "sqlite:x.sqlite", **setting)
    with pytest.raises(ConfigurationError, match="sqlite:PATH"):
        Outbox(None, "oracle://x")


# --- the connections that applications have --------------------------------------------------


def waiting(outbox: Outbox) -> int:
    return outbox.counts().waiting


def test_a_row_factory_of_the_application_does_no_harm(tmp_path: Path) -> None:
    application = Application(f"sqlite:{tmp_path / 'a.sqlite'}")
    outbox = outbox_for(application)
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        outbox.create_table(connection)
        with connection:
            assert outbox.add(connection=connection, **LETTER).identifier == 1
    assert waiting(outbox) == 1


def test_psycopg_with_rows_as_mappings(postgresql: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    outbox = fresh(postgresql)
    with psycopg.connect(postgresql, row_factory=psycopg.rows.dict_row) as connection:
        assert outbox.add(connection=connection, **LETTER).is_new
    assert waiting(outbox) == 1


def fresh(url: str) -> Outbox:
    application = Application(url)
    application.rows("DROP TABLE IF EXISTS waypost_outbox")
    outbox = outbox_for(application)
    outbox.create_table()
    return outbox


def test_sqlalchemy(application: Application) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")
    outbox = outbox_for(application)
    engine = sqlalchemy.create_engine(
        application.url.replace("sqlite:", "sqlite:///").replace(
            "postgresql:", "postgresql+psycopg:"
        )
    )  # fmt: skip
    with engine.begin() as connection:
        outbox.add(connection=connection, **LETTER)
    with orm.Session(engine) as session, session.begin():
        outbox.add(connection=session, **LETTER)
    with orm.Session(engine) as session:
        outbox.add(connection=session, **LETTER)
        session.rollback()
    engine.dispose()
    assert waiting(outbox) == 2


DJANGO = """
import sys
import django
from django.conf import settings
settings.configure(DATABASES={"default": {
    "ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}})
django.setup()
from django.db import connection, transaction
from waypost import Outbox

outbox = Outbox(None, f"sqlite:{sys.argv[1]}")
outbox.create_table(connection)
letter = {"from_": "a@example.com", "to": "b@example.org", "text": "x"}
with transaction.atomic():
    outbox.add(connection=connection, **letter)
try:
    with transaction.atomic():
        outbox.add(connection=connection, **letter)
        raise KeyError
except KeyError:
    pass
"""


def test_django(tmp_path: Path) -> None:
    pytest.importorskip("django")
    path = tmp_path / "d.sqlite"
    # A process of its own: Django's settings are made once in a process.
    subprocess.run([sys.executable, "-c", DJANGO, str(path)], check=True, timeout=SOON)
    assert waiting(outbox_for(Application(f"sqlite:{path}"))) == 1


def test_asyncpg(postgresql: str) -> None:
    asyncpg = pytest.importorskip("asyncpg")
    outbox = fresh(postgresql)

    async def story() -> None:
        connection = await asyncpg.connect(postgresql)
        try:
            async with connection.transaction():
                added = await outbox.add_async(connection=connection, idempotency_key="1", **LETTER)
                again = await outbox.add_async(connection=connection, idempotency_key="1", **LETTER)
            assert (added.is_new, again.is_new) == (True, False)
            assert added.identifier == again.identifier
        finally:
            await connection.close()

    asyncio.run(story())
    assert waiting(outbox) == 1


def test_psycopg_of_asyncio(postgresql: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    outbox = fresh(postgresql)

    async def story() -> None:
        async with await psycopg.AsyncConnection.connect(postgresql) as connection:
            await outbox.add_async(connection=connection, **LETTER)
            with pytest.raises(ConfigurationError, match="add_async"):
                outbox.add(connection=connection, **LETTER)

    asyncio.run(story())
    assert waiting(outbox) == 1


def test_aiosqlite(tmp_path: Path) -> None:
    aiosqlite = pytest.importorskip("aiosqlite")
    outbox = outbox_for(Application(f"sqlite:{tmp_path / 'a.sqlite'}"))
    outbox.create_table()

    async def story() -> None:
        async with aiosqlite.connect(tmp_path / "a.sqlite") as connection:
            await outbox.add_async(connection=connection, **LETTER)
            await connection.commit()

    asyncio.run(story())
    assert waiting(outbox) == 1


def test_a_connection_of_another_kind_runs_the_statement_itself(tmp_path: Path) -> None:
    outbox = outbox_for(Application(f"sqlite:{tmp_path / 'a.sqlite'}"))
    outbox.create_table()
    with pytest.raises(UnknownConnection, match="insertion"):
        outbox.add(connection=object(), **LETTER)
    statement, values = outbox.insertion(style="qmark", **LETTER)
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection, connection:
        connection.execute(statement, values)
    assert waiting(outbox) == 1
    assert "%s" in outbox.insertion(style="format", **LETTER)[0]
    assert "$6" in outbox.insertion(style="numeric", **LETTER)[0]
    with pytest.raises(ConfigurationError, match="style"):
        outbox.insertion(style="pyformat", **LETTER)  # type: ignore[arg-type]


def test_a_migration_has_the_statements(tmp_path: Path) -> None:
    for database in ("sqlite", "postgresql"):
        assert Outbox.schema(database)[0].startswith("CREATE TABLE IF NOT EXISTS waypost_outbox")
    with pytest.raises(ConfigurationError, match="oracle"):
        Outbox.schema("oracle")

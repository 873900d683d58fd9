"""A relay that empties an application's outbox."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from outbox_database import Application

from relay_process import RelayProcess, free_port, wait_for
from sink import Sink
from waypost.delivery.route import Route
from waypost.delivery.route_url import parse_route_url
from waypost.outbox import statements
from waypost.outbox.connections import database_of, run
from waypost.outbox.entry import NewEntry
from waypost.outbox.store import add_values
from waypost.relay.submission import SubmissionRefused
from waypost.service import Service, ServiceSettings
from waypost.smtp.envelope import Envelope, Recipient
from waypost.spool.sqlite import SqliteSettings

ENVELOPE = Envelope("shop@example.com", (Recipient("ann@example.org"),))


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def add(connection: sqlite3.Connection, recipient: str, content: bytes, now: float = 0.0) -> None:
    """As an application does in its transaction, which the caller commits."""
    envelope = Envelope("shop@example.com", (Recipient(recipient),))
    entry = NewEntry(envelope, content, now, now, now + 4e9)
    database = database_of(connection)
    run(database, *statements.rendered(statements.ADD, database.style, add_values(entry)))


def relay_for(folder: Path, application: Application, sink: Sink) -> RelayProcess:
    configuration = f"""
        [[listener]]
        address = "127.0.0.1:{free_port()}"
        [[outbox]]
        database = "{application.url}"
        poll = 0.05
        lease = "2 s"
        [[route]]
        name = "out"
        via = "smtp+plain://127.0.0.1:{sink.port}"
    """
    lines = (line.strip() for line in configuration.splitlines())
    return RelayProcess(folder / "relay", "\n".join(lines))


def test_what_an_application_commits_is_delivered(
    tmp_path: Path, application: Application, sink: Sink
) -> None:
    relay = relay_for(tmp_path, application, sink).start()
    try:
        with closing(application.connect()) as connection:
            connection.execute("BEGIN")
            add(connection, "ann@example.org", b"Subject: order 17\r\n\r\n.dot\r\nfrom here")
            connection.commit()
            connection.execute("BEGIN")
            add(connection, "nobody@example.org", b"Subject: never\r\n\r\n")
            connection.rollback()

        received = sink.wait_for("ann@example.org")

        assert received.content.endswith(b"Subject: order 17\r\n\r\n.dot\r\nfrom here\r\n")
        assert b"with local id" in received.content
        wait_for("the entry is settled", lambda: application.store.counts().finished == 1)
        [(results,)] = application.rows("SELECT results FROM waypost_outbox")
        assert "the relay has it as" in results
    finally:
        relay.stop()
    assert sink.for_recipient("nobody@example.org") == []


def test_a_relay_that_is_killed_loses_nothing(
    tmp_path: Path, application: Application, sink: Sink
) -> None:
    relay = relay_for(tmp_path, application, sink)
    recipients = [f"r{number}@example.org" for number in range(60)]
    try:
        for rounds in range(3):
            relay.start()
            with closing(application.connect()) as connection:
                connection.execute("BEGIN")
                for recipient in recipients[rounds * 20 : rounds * 20 + 20]:
                    add(connection, recipient, b"Subject: x\r\n\r\n")
                connection.commit()
            before = rounds * 20
            wait_for("some are taken", lambda n=before: application.store.counts().finished > n)
            relay.kill()
        relay.start()
        wait_for("all are settled", lambda: application.store.counts().waiting == 0)
        wait_for("all are delivered", lambda: all(map(sink.for_recipient, recipients)))
    finally:
        relay.kill()
    counts = application.store.counts()
    twice = sum(len(sink.for_recipient(one)) - 1 for one in recipients)
    # What came twice was being taken when the outbox's relay died, or being delivered.
    assert counts.failed == 0
    assert twice <= counts.uncertain + 3 * 20


def service_in(folder: Path, sink: Sink) -> ServiceSettings:
    return ServiceSettings(
        hostname="relay.example",
        data=folder,
        spool=SqliteSettings(folder / "spool", minimum_free=0),
        listeners=(),
        routes=(Route("out", (parse_route_url(f"smtp+plain://127.0.0.1:{sink.port}"),)),),
        maximum_size=100_000,
    )


def test_what_comes_from_inside_is_judged_as_if_it_had_come_by_smtp(
    tmp_path: Path, sink: Sink
) -> None:
    async def story() -> None:
        service = Service(service_in(tmp_path, sink))
        await service.start()
        try:
            await take(service)
        finally:
            await service.stop()

    async def take(service: Service) -> None:
        submissions = service.submissions
        assert submissions is not None

        async def refusal(envelope: Envelope, content: bytes) -> str:
            with pytest.raises(SubmissionRefused) as refused:
                await submissions.submit(envelope, content, source="test", user=None)
            return str(refused.value.reply.code)

        assert await refusal(ENVELOPE, b"x" * 100_001) == "552"
        assert await refusal(ENVELOPE, b"Subject: bare\n\nend\r\n") == "550"
        assert await refusal(ENVELOPE, b"Received: x\r\n" * 51 + b"\r\n") == "554"
        two = replace(ENVELOPE, recipients=(*ENVELOPE.recipients, Recipient("no address")))
        submitted = await submissions.submit(two, b"Subject: x\r\n\r\n", source="test", user=None)
        assert submitted.identifier
        assert {number: one.code for number, one in submitted.refusals.items()} == {1: 553}
        nobody = replace(ENVELOPE, recipients=(Recipient("no address"),))
        submitted = await submissions.submit(nobody, b"\r\n", source="test", user=None)
        assert submitted.identifier == ""
        received = await asyncio.to_thread(sink.wait_for, "ann@example.org")
        assert b"with local id" in received.content

    asyncio.run(story())


def test_an_outbox_that_is_not_there_yet_keeps_no_relay_from_starting(
    tmp_path: Path, sink: Sink
) -> None:
    application = Application(f"sqlite:{tmp_path / 'later.sqlite'}")
    relay = relay_for(tmp_path, application, sink).start()
    try:
        wait_for("it is told", lambda: bool(relay.events("the outbox's database does not answer")))
    finally:
        relay.stop()
    assert not (tmp_path / "later.sqlite").exists()

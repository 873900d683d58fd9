"""Mailer and AsyncMailer over real sockets: threads, tasks, forks, the end of a program."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

import waypost
from relay_process import free_port, wait_for
from sink import Sink
from waypost import errors
from waypost.lab.simulated_peer import Fault
from waypost.smtp.reply import reply

HERE = Path(__file__).resolve().parent


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def url(sink: Sink) -> str:
    return f"smtp+plain://127.0.0.1:{sink.port}"


def parts(number: int = 0) -> dict[str, str]:
    return {
        "from_": "app@example.com", "to": f"r{number}@example.org", "subject": "Hello",
        "text": f"Number {number}",
    }  # fmt: skip


# Since Python 3.12 a fork in a process with threads is warned of; that it works is what is tested.
_WARNINGS = ("-W", "error::ResourceWarning", "-W", "ignore::DeprecationWarning")


def in_child(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *_WARNINGS, "-c", program, *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=HERE.parent,
        env={**os.environ, **environment},
    )  # fmt: skip


# --- one line -----------------------------------------------------------------------------------


def test_one_line_sends_a_message(sink: Sink) -> None:
    result = waypost.send(**parts(), via=url(sink))
    assert result
    received = sink.wait_for("r0@example.org")
    assert b"Subject: Hello\r\n" in received.content
    assert result.message_id.endswith("@example.com>")
    assert f"Message-ID: {result.message_id}".encode() in received.content


def test_a_message_object_is_sent_as_it_is_and_not_changed(sink: Sink) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Bcc"] = "a@example.com", "b@example.org", "c@one.test"
    message.set_content("Hi")
    before = message.items()
    result = waypost.send(message, via=url(sink))
    assert [one.address for one in result] == ["b@example.org", "c@one.test"]
    assert b"c@one.test" not in sink.wait_for("c@one.test").content
    assert message.items() == before


def test_bytes_need_an_envelope(sink: Sink) -> None:
    content = b"Subject: raw\n\nline\n"
    assert waypost.send(content, from_="", to="b@example.org", via=url(sink))
    received = sink.wait_for("b@example.org")
    assert received.content == b"Subject: raw\r\n\r\nline\r\n"
    assert received.envelope.reverse_path == ""
    with pytest.raises(errors.InvalidMessage, match="from_ and to"):
        waypost.send(content, via=url(sink))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"to": "b@example.org"}, "from_ is missing"),
        ({"from_": "a@example.com"}, "nobody to send to"),
        ({"from_": "a@example.com", "to": "no address"}, "no address"),
        ({"from_": "a@example.com", "to": "b@example.org\r\nBcc: x@y.z"}, "line break"),
        ({"from_": "a@example.com", "to": "b@example.org", "subject": "a\nBcc: x@y.z"}, "subject"),
        ({"from_": "a@example.com", "to": "b@example.org", "body": "x"}, "no keyword 'body'"),
        (
            {"from_": "a@example.com", "to": "b@example.org", "attachments": "/nowhere/x.pdf"},
            "/nowhere/x.pdf cannot be read",
        ),
    ],
)
def test_what_makes_no_message_is_told_before_anything_is_sent(
    given: dict[str, str], words: str
) -> None:
    with pytest.raises(errors.InvalidMessage, match=words) as raised:
        waypost.send(**given, via="smtp+plain://127.0.0.1:1")  # type: ignore[arg-type]
    assert raised.value.fix


def test_the_environment_names_the_server(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYPOST_URL", f"smtp+plain://127.0.0.1:{free_port()} {url(sink)}")
    assert waypost.send(**parts())
    assert sink.wait_for("r0@example.org")


# --- threads ------------------------------------------------------------------------------------


def test_many_threads_share_a_few_connections(sink: Sink) -> None:
    with waypost.Mailer(url(sink), pool_size=4) as mailer:
        results: list[waypost.Result] = []
        threads = [
            threading.Thread(
                target=lambda start=start: results.extend(
                    mailer.send(**parts(number)) for number in range(start, start + 20)
                )
            )
            for start in range(0, 200, 20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(results) == 200
        assert all(results)
    assert sink.peer.most_sessions <= 4
    assert {f"Number {n}".encode() for n in range(200)} == {
        one.content.rpartition(b"\r\n\r\n")[2].strip() for one in sink.received
    }
    wait_for("every connection is closed", lambda: sink.peer.open_sessions == 0)


def test_it_works_inside_of_a_running_loop(sink: Sink) -> None:
    async def main() -> None:
        with waypost.Mailer(url(sink)) as mailer:
            assert mailer.send(**parts())

    asyncio.run(main())


def test_an_error_is_raised_in_the_caller_and_says_what_to_do() -> None:
    with (
        waypost.Mailer(f"smtp+plain://127.0.0.1:{free_port()}", retry=1) as mailer,
        pytest.raises(errors.ConnectionFailed) as raised,
    ):
        mailer.send(**parts())
    error = raised.value
    assert error.reason == "connection-refused"
    assert error.cause == "tcp.refused"
    assert "what to do:" in str(error)
    assert error.result is not None
    assert error.result.recipients[0].error is error


def test_a_closed_mailer_says_so(sink: Sink) -> None:
    mailer = waypost.Mailer(url(sink))
    mailer.send(**parts())
    mailer.close()
    mailer.close()
    with pytest.raises(errors.MailerClosed):
        mailer.send(**parts())


def test_a_program_that_closes_nothing_ends_at_once_and_says_quit(sink: Sink) -> None:
    program = """
import sys, waypost
mailer = waypost.Mailer(sys.argv[1])
assert mailer.send(from_="a@example.com", to="b@example.org", text="x")
assert waypost.send(from_="a@example.com", to="b@example.org", text="x", via=sys.argv[1])
"""
    done = in_child(program, url(sink))
    assert (done.returncode, done.stderr) == (0, "")
    wait_for("every connection is closed", lambda: sink.peer.open_sessions == 0)
    assert len(sink.received) == 2


def test_without_uvloop_it_is_the_same(sink: Sink) -> None:
    program = """
import sys
sys.modules["uvloop"] = None
import waypost
with waypost.Mailer(sys.argv[1]) as mailer:
    assert mailer.send(from_="a@example.com", to="b@example.org", text="x")
    messages = ({"from_": "a@example.com", "to": "b@example.org", "text": "x"} for _ in range(99))
    assert mailer.send_many(messages).run().accepted == 99
"""
    done = in_child(program, url(sink))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("uvloop", ["yes", "no"])
def test_parent_and_forked_children_go_on_each_for_itself(sink: Sink, uvloop: str) -> None:
    program = """
import os, sys
if sys.argv[2] == "no":
    sys.modules["uvloop"] = None
import waypost
mailer = waypost.Mailer(sys.argv[1])
def send(name):
    return mailer.send(from_="a@example.com", to=f"{name}@example.org", text="x")
send("before")
children = []
for number in range(3):
    child = os.fork()
    if not child:
        for _ in range(5):
            assert send(f"child{number}")
        mailer.close()
        os._exit(0)
    children.append(child)
    send(f"parent{number}")
for child in children:
    _, status = os.waitpid(child, 0)
    assert status == 0, status
send("after")
mailer.close()
"""
    done = in_child(program, url(sink), uvloop)
    assert (done.returncode, done.stderr) == (0, "")
    wait_for("every connection is closed", lambda: sink.peer.open_sessions == 0)
    assert len(sink.received) == 1 + 3 * 6 + 1
    assert sink.peer.sessions == 4, "the parent kept its connection, each child made its own"


# --- tasks --------------------------------------------------------------------------------------


def test_many_tasks_share_an_async_mailer(sink: Sink) -> None:
    async def main() -> None:
        async with waypost.AsyncMailer(url(sink), pool_size=3) as mailer:
            results = await asyncio.gather(*(mailer.send(**parts(n)) for n in range(100)))
            assert all(results)
            assert mailer.connections["idle"] == 3

    asyncio.run(main())
    assert len({one.envelope.recipients[0].address for one in sink.received}) == 100


def test_an_async_mailer_serves_one_loop_after_the_other(sink: Sink) -> None:
    mailer = waypost.AsyncMailer(url(sink))

    async def main() -> None:
        assert await mailer.send(**parts())

    asyncio.run(main())
    asyncio.run(main())
    assert len(sink.received) == 2


def test_a_cancelled_task_leaves_the_mailer_usable() -> None:
    sink = Sink([Fault("mail", "stall"), None])

    async def main() -> None:
        async with waypost.AsyncMailer(url(sink), pool_size=2) as mailer:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(mailer.send(**parts(1)), 0.2)
            assert await mailer.send(**parts(2))
            await mailer.close(grace=0)

    asyncio.run(main())
    assert sink.for_recipient("r1@example.org") == []
    sink.close()


# --- streams ------------------------------------------------------------------------------------


def test_a_stream_tells_each_result_and_ends_for_none() -> None:
    refusing = Sink([Fault("rcpt", "reply", reply(550, "5.1.1", "No"), after=1)])
    with waypost.Mailer(url(refusing), pool_size=1) as mailer:
        messages = [parts(0), {"to": "nobody"}, parts(2), parts(3)]
        results = {one.number: one for one in mailer.send_many(messages)}
        assert sorted(results) == [0, 1, 2, 3]
        assert results[0]
        assert isinstance(results[1].error, errors.InvalidMessage)
        assert isinstance(results[3].error, errors.RecipientRefused)
        told: list[waypost.Result] = []
        batch = mailer.send_many(messages, on_result=told.append)
        tally = batch.run()
        assert (tally.total, tally.refused, len(told)) == (4, 4, 4)
        assert not tally
    refusing.close()


def test_a_stream_is_read_as_it_goes(sink: Sink) -> None:
    read = 0

    def source() -> Iterator[dict[str, str]]:
        nonlocal read
        for number in range(1000):
            read += 1
            yield parts(number)

    with waypost.Mailer(url(sink), pool_size=2) as mailer:
        ahead = 0
        for seen, _ in enumerate(mailer.send_many(source(), concurrency=10), 1):
            ahead = max(ahead, read - seen)
        assert read == seen == 1000
        assert ahead <= 20


def test_what_the_callers_iterable_raises_comes_after_the_results(sink: Sink) -> None:
    def source() -> Iterator[dict[str, str]]:
        yield parts(0)
        yield parts(1)
        raise LookupError("the database is gone")

    with waypost.Mailer(url(sink)) as mailer:
        seen = []
        with pytest.raises(LookupError, match="database"):
            seen.extend(mailer.send_many(source()))
        with pytest.raises(LookupError, match="database"):
            mailer.send_many(source()).run()

    async def main() -> None:
        async with waypost.AsyncMailer(url(sink)) as mailer:
            with pytest.raises(LookupError, match="database"):
                await mailer.send_many(source())

    asyncio.run(main())
    assert len(sink.received) == 6


def test_asynchronous_streams_are_read_as_they_go(sink: Sink) -> None:
    read = 0

    async def source() -> AsyncIterator[dict[str, str]]:
        nonlocal read
        for number in range(500):
            read += 1
            await asyncio.sleep(0)
            yield parts(number)

    async def main() -> None:
        async with waypost.AsyncMailer(url(sink), pool_size=3) as mailer:
            seen = ahead = 0
            async for result in mailer.send_many(source(), concurrency=10):
                assert result
                seen += 1
                ahead = max(ahead, read - seen)
            assert seen == 500
            assert ahead <= 30
            assert (await mailer.send_many(parts(n) for n in range(100))).accepted == 100

    asyncio.run(main())


def test_who_stops_to_look_stops_the_stream(sink: Sink) -> None:
    read = 0

    def source() -> Iterator[dict[str, str]]:
        nonlocal read
        while True:
            read += 1
            yield parts(read)

    async def main() -> None:
        async with waypost.AsyncMailer(url(sink), pool_size=2) as mailer:
            async for result in mailer.send_many(source()):
                if result.number >= 50:
                    break
            assert await mailer.send(**parts())

    asyncio.run(main())
    with waypost.Mailer(url(sink), pool_size=2) as mailer:
        for result in mailer.send_many(source()):
            if result.number >= 50:
                break
        assert mailer.send(**parts())
    assert read < 500

"""What comes back is matched to its message, recorded, and passed on; nothing else is taken."""

from __future__ import annotations

import asyncio
import json
import smtplib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from waypost.config import ConfigurationError, Flags, load
from waypost.mail.return_path import ReturnPath, ReturnPaths
from waypost.net.static_resolver import StaticResolver
from waypost.service import Service
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.events import EntryKind, LogEntry

Test = Callable[..., Coroutine[Any, Any, None]]
DOMAIN = "bounces.example.com"
SENDER = "ann@example.com"
LOOPBACK = {"127.0.0.1": ["127.0.0.1"]}


def in_loop(test: Test) -> Callable[..., None]:
    @wraps(test)
    def run(*given: object, **named: object) -> None:
        asyncio.run(asyncio.wait_for(test(*given, **named), 60))

    return run


@dataclass
class Relays:
    """One relay that sends, and one that takes what it sends."""

    ours: Service
    peer: Service

    def port(self, number: int) -> int:
        return int(self.ours.listeners[number].bound[0].rpartition(":")[2])

    async def send(self, sender: str, *recipients: str) -> list[str]:
        """Submit a message; the return path under which it has reached the peer, by copy."""
        before = len(await self.peer.spool.captured(100))

        def submit() -> None:
            with smtplib.SMTP("127.0.0.1", self.port(0), timeout=30) as client:
                client.sendmail(sender, list(recipients), b"Subject: x\r\n\r\nHello.\r\n")

        await asyncio.to_thread(submit)
        await until(lambda: _more_than(self.peer, before))
        return [one.reverse_path for one in await self.peer.spool.captured(100)]

    async def come_back(self, address: str, content: bytes, sender: str = "") -> None:
        """Bring a bounce, as another server would. Raises what smtplib does."""

        def bring() -> None:
            with smtplib.SMTP("127.0.0.1", self.port(1), timeout=30) as client:
                client.sendmail(sender, [address], content)

        await asyncio.to_thread(bring)

    async def told(self) -> list[LogEntry]:
        entries = await self.ours.spool.entries(0, 100)
        return [one for one in entries if one.kind is EntryKind.TOLD]


async def _more_than(service: Service, count: int) -> bool:
    return len(await service.spool.captured(100)) > count


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(1000):
        if await holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


def service(folder: Path, text: str) -> Service:
    folder.mkdir(parents=True)
    file = folder / "waypost.toml"
    file.write_text(f'data = "{folder}/data"\nhostname = "relay.example"\n{text}')
    return Service(
        load(file, {}, Flags()).service_settings(), resolver=StaticResolver({}, LOOPBACK, {})
    )


@asynccontextmanager
async def relays(folder: Path, bounces: str = f'domain = "{DOMAIN}"') -> AsyncIterator[Relays]:
    listener = '[[listener]]\naddress = "127.0.0.1:0"\nkind = '
    peer = service(folder / "peer", f'{listener}"submission"\n[recipients]\ndomain = false\n')
    await peer.start()
    try:
        port = peer.listeners[0].bound[0].rpartition(":")[2]
        ours = service(
            folder / "ours",
            f'{listener}"submission"\n{listener}"relay"\n[recipients]\ndomain = false\n'
            f"[bounces]\n{bounces}\n[incoming]\nauthenticate = false\n"
            '[[route]]\nname = "back"\nvia = "sandbox:"\nmatch = { recipients = ["example.com"] }\n'
            f'[[route]]\nname = "out"\nvia = "smtp://127.0.0.1:{port}"\n',
        )
        await ours.start()
        try:
            yield Relays(ours, peer)
        finally:
            await ours.stop()
    finally:
        await peer.stop()


def bounce(address: str, status: str, words: str) -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example.net\r\nSubject: Undelivered Mail\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n"
        f"\r\nFinal-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {words}\r\n\r\n--b--\r\n"
    ).encode()


UNKNOWN = "550 5.1.1 User unknown"


@in_loop
async def test_a_bounce_finds_its_message_and_recipient(tmp_path: Path) -> None:
    async with relays(tmp_path) as world:
        (path,) = await world.send(SENDER, "bob@example.net")
        assert path.startswith("bounce+")
        assert path.endswith("@" + DOMAIN)
        # The report names an address behind an alias, and the case of the path has changed.
        await world.come_back(path.upper(), bounce("robert@inside.example", "5.1.1", UNKNOWN))
        (entry,) = await world.told()
        assert entry.name == "bounced"
        assert entry.message is not None
        assert entry.message.reverse_path == SENDER
        assert [one.address for one in entry.message.recipients] == ["bob@example.net"]
        detail = json.loads(entry.detail)
        assert detail["status"] == "5.1.1"
        assert detail["suppressed"] is True
        assert "User unknown" in detail["reply"]
        assert world.ours.spool.suppression_reason("bob@example.net") is not None
        assert world.ours.spool.suppression_reason("robert@inside.example") is None
        await until(lambda: _more_than(world.ours, 0))
        (onward,) = await world.ours.spool.captured(10)
        assert (onward.reverse_path, onward.recipients) == ("", (SENDER,))


@in_loop
async def test_what_may_pass_suppresses_nobody(tmp_path: Path) -> None:
    async with relays(tmp_path) as world:
        (path,) = await world.send(SENDER, "bob@example.net")
        full = bounce("bob@example.net", "5.2.2", "552 5.2.2 Mailbox full")
        await world.come_back(path, full)
        (entry,) = await world.told()
        assert json.loads(entry.detail)["suppressed"] is False
        assert world.ours.spool.suppression_reason("bob@example.net") is None


@in_loop
async def test_recipients_of_one_transaction_are_told_apart_by_the_report(tmp_path: Path) -> None:
    async with relays(tmp_path) as world:
        paths = await world.send(SENDER, "bob@example.net", "eve@example.net")
        assert len(paths) == 1
        await world.come_back(paths[0], bounce("eve@example.net", "5.1.1", UNKNOWN))
        await world.come_back(paths[0], bounce("other@example.org", "5.1.1", UNKNOWN))
        (entry,) = await world.told()
        assert entry.message is not None
        assert [one.address for one in entry.message.recipients] == ["eve@example.net"]
        found = [one.address for one in await world.ours.spool.suppressions(10)]
        assert found == ["eve@example.net"]


@in_loop
async def test_only_genuine_bounces_are_taken(tmp_path: Path) -> None:
    async with relays(tmp_path) as world:
        (path,) = await world.send(SENDER, "bob@example.net")
        forged = ReturnPaths(DOMAIN, bytes(32)).write(ReturnPath(1, 0))
        secret = (tmp_path / "ours/data/return-paths.key").read_bytes()
        gone = ReturnPaths(DOMAIN, secret).write(ReturnPath(1, 0))
        report = bounce("bob@example.net", "5.1.1", UNKNOWN)
        for address, sender in (
            (forged, ""), (gone, ""), (f"postmaster@{DOMAIN}", ""), (path, "eve@example.org"),
        ):  # fmt: skip
            with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
                await world.come_back(address, report, sender)
            assert caught.value.recipients[address][0] == 550
        assert not await world.told()
        assert not await world.ours.spool.suppressions(10)


@in_loop
async def test_a_bounce_comes_by_itself(tmp_path: Path) -> None:
    async with relays(tmp_path) as world:
        (path,) = await world.send(SENDER, "bob@example.net")

        def bring() -> list[int]:
            with smtplib.SMTP("127.0.0.1", world.port(1), timeout=30) as client:
                client.ehlo()
                client.mail("")
                replies = [client.rcpt(one)[0] for one in (path, "x@elsewhere.example", path)]
                client.rset()
                client.mail("")
                replies += [client.rcpt(one)[0] for one in ("x@elsewhere.example", path)]
            return replies

        assert await asyncio.to_thread(bring) == [250, 452, 452, 250, 452]


@in_loop
async def test_other_senders_keep_their_return_path(tmp_path: Path) -> None:
    async with relays(tmp_path) as world:
        assert await world.send("ann@elsewhere.example", "bob@example.net") == [
            "ann@elsewhere.example"
        ]
    async with relays(tmp_path / "more", f'domain = "{DOMAIN}"\nsenders = ["*"]') as world:
        (path,) = await world.send("ann@elsewhere.example", "bob@example.net")
        assert path.endswith("@" + DOMAIN)
        (row,) = await world.ours.spool.messages(MessageFilter())
        assert row.reverse_path == "ann@elsewhere.example"


@in_loop
async def test_off_by_default(tmp_path: Path) -> None:
    async with relays(tmp_path, "") as world:
        assert await world.send(SENDER, "bob@example.net") == [SENDER]
        assert not (tmp_path / "ours/data/return-paths.key").exists()


@in_loop
async def test_a_complaint_is_told_as_one(tmp_path: Path) -> None:
    report = (
        b"From: feedback@example.net\r\nSubject: Abuse\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nThis is a complaint.\r\n"
        b"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
        b"User-Agent: x/1\r\nVersion: 1\r\nOriginal-Rcpt-To: bob@example.net\r\n\r\n--b--\r\n"
    )
    async with relays(tmp_path) as world:
        (path,) = await world.send(SENDER, "bob@example.net")
        await world.come_back(path, report)
        (entry,) = await world.told()
        assert entry.name == "complained"
        assert json.loads(entry.detail)["type"] == "abuse"
        assert world.ours.spool.suppression_reason("bob@example.net") == "complaint (abuse)"


@in_loop
async def test_a_large_bounce_is_passed_on_whole(tmp_path: Path) -> None:
    async with relays(tmp_path) as world:
        (path,) = await world.send(SENDER, "bob@example.net")
        report = bounce("bob@example.net", "5.1.1", UNKNOWN) + b"0123456789abcde\r\n" * 60_000
        await world.come_back(path, report)
        assert [one.name for one in await world.told()] == ["bounced"]
        await until(lambda: _more_than(world.ours, 0))
        (onward,) = await world.ours.spool.captured(10)
        assert onward.size > len(report)


@in_loop
async def test_a_delivery_that_was_told_stays_delivered(tmp_path: Path) -> None:
    async with relays(tmp_path) as world:
        (path,) = await world.send(SENDER, "bob@example.net")
        await world.come_back(path, bounce("bob@example.net", "5.1.1", UNKNOWN))

        async def delivered() -> bool:
            rows = await world.ours.spool.messages(MessageFilter(sender=SENDER))
            return [one.state for one in rows[0].recipients] == [RecipientState.DELIVERED]

        await until(delivered)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('workers = 2\n[bounces]\ndomain = "bounces.example.com"\n', "workers = 1"),
        ('[bounces]\ndomain = "example.com"\n', "bounces.senders"),
    ],
)
def test_a_domain_that_cannot_work_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "waypost.toml"
    file.write_text(f'data = "{tmp_path}/data"\n{text}')
    with pytest.raises(ConfigurationError, match=said):
        load(file, {}, Flags())

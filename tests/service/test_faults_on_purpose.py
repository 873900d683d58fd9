"""Fault rules at the listeners of a running relay, as programs with real clients meet them."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

from relay_process import RelayProcess, content_of, free_port, submit, submit_over, wait_for
from waypost.delivery.route import Route, Sandbox
from waypost.delivery.route_url import parse_route_url
from waypost.faults.rule import FaultRule, InvalidRule
from waypost.faults.rules import NoSuchRule, RuleIsConfigured, RuleState
from waypost.relay.authentication import MECHANISMS
from waypost.relay.listener import ListenerSettings
from waypost.relay.listener_address import ListenerAddress
from waypost.relay.sandbox_rules import NotInSandbox
from waypost.service import Service, ServiceSettings
from waypost.smtp.server_settings import ServerSettings
from waypost.spool.contract import MessageFilter
from waypost.spool.sqlite import SqliteSettings

GREYLISTED = "450 4.7.1 Greylisted"
CLIENT = 30.0


class LiveRelay:
    """A relay in a thread of its own, on asyncio's loop; rules are changed while it runs."""

    def __init__(self, folder: Path, *rules: FaultRule, route: str = "sandbox:") -> None:
        self.port, self.tls_port = free_port(), free_port()
        hop = Sandbox() if route == "sandbox:" else parse_route_url(route)

        def listener(port: int, kind: str) -> ListenerSettings:
            return ListenerSettings(
                ListenerAddress.parse(f"127.0.0.1:{port}"),
                kind,  # type: ignore[arg-type]
                ServerSettings(
                    "relay.example", starttls=kind == "submission", auth_mechanisms=MECHANISMS,
                    auth_in_clear=True,
                ),
                implicit_tls=kind == "submissions",
            )  # fmt: skip

        self.settings = ServiceSettings(
            hostname="relay.example",
            data=folder,
            spool=SqliteSettings(folder / "spool", minimum_free=0),
            listeners=(listener(self.port, "submission"), listener(self.tls_port, "submissions")),
            routes=(Route("out", (hop,)),),
            fault_rules=rules,
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._loop: asyncio.AbstractEventLoop | None = None
        self.service: Service | None = None

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.service = Service(self.settings)
        await self.service.start()
        self._ready.set()
        await self._stop.wait()
        await self.service.stop(1.0)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    def fail(self, rule: FaultRule) -> RuleState:
        async def add() -> RuleState:
            assert self.service is not None
            return self.service.sandbox_rules.add(rule)

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(add(), self._loop).result(20)

    @property
    def rules(self) -> tuple[RuleState, ...]:
        assert self.service is not None
        return self.service.sandbox_rules.states

    def kept(self) -> int:
        async def count() -> int:
            assert self.service is not None
            return len(await self.service.spool.messages(MessageFilter(limit=100)))

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(count(), self._loop).result(20)

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=CLIENT)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[LiveRelay]:
    with LiveRelay(tmp_path) as made:
        yield made


def refused(relay: LiveRelay, recipient: str = "someone@there.example") -> tuple[int, bytes]:
    """What a message is answered with; (250, ...) where it is taken."""
    try:
        return 250, submit(relay.port, 1, recipient).encode()
    except smtplib.SMTPConnectError as fault:
        return fault.smtp_code, fault.smtp_error  # type: ignore[return-value]
    except smtplib.SMTPResponseException as fault:
        return fault.smtp_code, fault.smtp_error  # type: ignore[return-value]


def test_one_address_is_greylisted_and_no_other(relay: LiveRelay) -> None:
    relay.fail(FaultRule("rcpt", reply=GREYLISTED, recipient="slow@there.example"))
    assert refused(relay, "Slow@there.example") == (450, b"4.7.1 Greylisted")
    assert refused(relay, "quick@there.example")[0] == 250
    assert relay.kept() == 1


def test_it_strikes_so_often_and_counts(relay: LiveRelay) -> None:
    relay.fail(FaultRule("rcpt", reply=GREYLISTED, times=2))
    assert [refused(relay)[0] for _ in range(4)] == [450, 450, 250, 250]
    (rule,) = relay.rules
    assert (rule.seen, rule.struck) == (4, 2)


def test_too_many_in_a_minute_are_told_421_and_the_connection_ends(relay: LiveRelay) -> None:
    relay.fail(FaultRule("mail", reply="421 4.7.0 Too many messages", rate="3/hour"))
    with relay.client() as client:
        for number in range(3):
            submit_over(client, number)
        assert client.mail("a@b.example") == (421, b"4.7.0 Too many messages")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    assert relay.kept() == 3


@pytest.mark.parametrize(
    ("on", "code"),
    [
        ("connect", 554), ("ehlo", 550), ("mail", 553), ("rcpt", 550), ("data", 554),
        ("content", 552),
    ],
)  # fmt: skip
def test_a_reply_at_every_step_of_a_message(relay: LiveRelay, on: str, code: int) -> None:
    relay.fail(FaultRule(on, reply=f"{code} 5.7.1 Not today"))  # type: ignore[arg-type]
    assert refused(relay) == (code, b"5.7.1 Not today")
    assert relay.rules[0].struck == (2 if on == "ehlo" else 1)  # smtplib goes on with HELO
    assert relay.kept() == 0


@pytest.mark.parametrize("on", ["connect", "ehlo", "mail", "rcpt", "data", "content"])
def test_a_connection_is_dropped_at_every_step(relay: LiveRelay, on: str) -> None:
    relay.fail(FaultRule(on, drop=True, times=1))  # type: ignore[arg-type]
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        submit(relay.port, 1)
    # Behind the final dot the answer is lost and the message is not: a client that sends it again
    # makes two of it.
    wait_for("it is kept, or is not", lambda: relay.kept() == int(on == "content"))
    assert refused(relay)[0] == 250


def test_a_late_answer_comes_and_others_do_not_wait_for_it(relay: LiveRelay) -> None:
    relay.fail(FaultRule("rcpt", delay=1.5, recipient="slow@there.example"))
    began = time.monotonic()
    slow = threading.Thread(target=submit, args=(relay.port, 1, "slow@there.example"))
    slow.start()
    wait_for("the slow one is met", lambda: relay.rules[0].struck == 1)
    assert refused(relay)[0] == 250
    assert slow.is_alive()
    slow.join(CLIENT)
    assert time.monotonic() - began >= 1.5
    assert relay.kept() == 2


def test_a_client_that_leaves_before_a_late_answer_has_sent_the_message(relay: LiveRelay) -> None:
    relay.fail(FaultRule("content", delay=3600))
    with closing(socket.create_connection(("127.0.0.1", relay.port), CLIENT)) as raw:
        raw.sendall(b"EHLO me\r\n")
        wait_for("EHLO is answered", lambda: b"250 " in raw.recv(4096))
        raw.sendall(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
        wait_for("DATA is answered", lambda: b"354" in raw.recv(4096))
        raw.sendall(b"Subject: x\r\n\r\nx\r\n.\r\n")
        wait_for("it is kept", lambda: relay.kept() == 1)
    wait_for("its session ends", lambda: not sessions(relay))


def sessions(relay: LiveRelay) -> int:
    assert relay.service is not None
    return sum(len(listener.sessions) for listener in relay.service.listeners)


def test_what_is_pipelined_behind_a_late_answer_waits_and_comes_in_order(relay: LiveRelay) -> None:
    relay.fail(FaultRule("rcpt", delay=0.3, recipient="slow@there.example"))
    relay.fail(FaultRule("rcpt", reply=GREYLISTED, recipient="grey@there.example"))
    with closing(socket.create_connection(("127.0.0.1", relay.port), CLIENT)) as raw:
        heard = raw.makefile("rb")
        assert heard.readline().startswith(b"220")
        raw.sendall(b"EHLO me\r\n")
        while not heard.readline().startswith(b"250 "):
            pass
        raw.sendall(
            b"MAIL FROM:<a@b.example>\r\nRCPT TO:<slow@there.example>\r\n"
            b"RCPT TO:<grey@there.example>\r\nRCPT TO:<c@there.example>\r\nDATA\r\n"
        )
        codes = [heard.readline()[:3] for _ in range(5)]
        assert codes == [b"250", b"250", b"450", b"250", b"354"]
        raw.sendall(b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
        assert [heard.readline()[:3] for _ in range(2)] == [b"250", b"221"]
    assert relay.kept() == 1


def test_a_late_greeting_is_the_first_thing_said(relay: LiveRelay) -> None:
    """Also to a client that does not wait for it."""
    relay.fail(FaultRule("connect", delay=0.3))
    with closing(socket.create_connection(("127.0.0.1", relay.port), CLIENT)) as raw:
        raw.sendall(b"NOOP\r\nQUIT\r\n")
        heard = raw.makefile("rb").read()
    assert [line[:3] for line in heard.splitlines()] == [b"220", b"250", b"221"]


@pytest.mark.parametrize("implicit", [False, True])
def test_under_tls_and_after_a_login_that_fails_at_first(relay: LiveRelay, implicit: bool) -> None:
    assert relay.service is not None
    relay.service.credentials.add("shop", "a good password")
    rule = FaultRule("auth", reply="454 4.7.0 Temporary authentication failure")
    number = relay.fail(rule).number
    relay.fail(FaultRule("content", reply="451 4.3.0 Try again later", times=1))
    context = ssl.create_default_context(cafile=str(relay.settings.data / "tls/self-signed.pem"))
    if implicit:
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            "127.0.0.1", relay.tls_port, timeout=CLIENT, context=context
        )
    else:
        client = relay.client()
        client.starttls(context=context)
    with client:
        client.ehlo()
        with pytest.raises(smtplib.SMTPAuthenticationError, match="454"):
            client.login("shop", "a good password")
        relay.service.sandbox_rules.remove(number)
        client.login("shop", "a good password")
        with pytest.raises(smtplib.SMTPResponseException, match="Try again later"):
            submit_over(client, 1)
        submit_over(client, 2)
    assert relay.kept() == 1


def test_starttls_is_refused_or_dropped(relay: LiveRelay) -> None:
    relay.fail(FaultRule("starttls", reply="454 4.7.0 TLS not available", times=1))
    relay.fail(FaultRule("starttls", drop=True))
    with relay.client() as client, pytest.raises(smtplib.SMTPResponseException, match="454"):
        client.starttls()
    with relay.client() as client, pytest.raises(smtplib.SMTPServerDisconnected):
        client.starttls()


def test_rules_change_while_connections_are_open(relay: LiveRelay) -> None:
    assert relay.service is not None
    rules = relay.service.sandbox_rules
    with relay.client() as client:
        submit_over(client, 1)
        number = relay.fail(FaultRule("rcpt", reply=GREYLISTED)).number
        with pytest.raises(smtplib.SMTPResponseException, match="Greylisted"):
            submit_over(client, 2)
        client.rset()
        rules.replace(number, FaultRule("rcpt", reply="550 5.1.1 No such user"))
        assert rules.state(number).struck == 0
        with pytest.raises(smtplib.SMTPResponseException, match="No such user"):
            submit_over(client, 3)
        client.rset()
        rules.remove(number)
        submit_over(client, 4)
    assert relay.kept() == 2
    with pytest.raises(NoSuchRule):
        rules.remove(number)


def test_large_content_and_bdat_are_met_like_others(relay: LiveRelay) -> None:
    relay.fail(FaultRule("content", reply="451 4.3.0 Try again later", times=2))
    with relay.client() as client:
        with pytest.raises(smtplib.SMTPResponseException, match="Try again"):
            submit_over(client, 10)  # a large one
        client.docmd("MAIL FROM:<a@b.example>")
        client.docmd("RCPT TO:<c@d.example>")
        body = content_of(1)
        client.send(b"BDAT %d LAST\r\n" % len(body) + body)
        assert client.getreply() == (451, b"4.3.0 Try again later")
        submit_over(client, 10)
    assert relay.kept() == 1


def test_what_was_added_comes_before_what_is_configured_which_stays(tmp_path: Path) -> None:
    with LiveRelay(tmp_path, FaultRule("rcpt", reply="450 4.0.0 configured")) as relay:
        assert refused(relay)[1] == b"4.0.0 configured"
        relay.fail(FaultRule("rcpt", reply="450 4.0.0 added"))
        assert refused(relay)[1] == b"4.0.0 added"
        assert relay.service is not None
        rules = relay.service.sandbox_rules
        assert [one.is_configured for one in rules.states] == [False, True]
        with pytest.raises(RuleIsConfigured):
            rules.remove(rules.states[1].number)
        rules.clear()
        assert refused(relay)[1] == b"4.0.0 configured"
        rules.reset()
        assert [(one.seen, one.struck) for one in rules.states] == [(0, 0)]
        with pytest.raises(InvalidRule):
            relay.fail(FaultRule("rcpt"))


def test_no_rule_where_mail_leaves_the_machine(tmp_path: Path) -> None:
    with LiveRelay(tmp_path, route="smtp+plain://127.0.0.1:9") as relay:
        with pytest.raises(NotInSandbox, match=r"sandbox\.allow_beside_real_routes"):
            relay.fail(FaultRule("rcpt", reply=GREYLISTED))
        assert refused(relay)[0] == 250


def test_rules_of_the_configuration_are_read_again(tmp_path: Path) -> None:
    listener = f'[[listener]]\naddress = "127.0.0.1:{(port := free_port())}"\n'
    rule = '[[sandbox.rule]]\non = "rcpt"\nreply = "450 4.7.1 Greylisted"\n'
    relay = RelayProcess(tmp_path, listener + rule).start()
    try:
        with pytest.raises(smtplib.SMTPResponseException, match="Greylisted"):
            submit(port, 1)
        relay.configure(listener)
        relay.reload()
        submit(port, 2)
        relay.configure(listener + rule)
        relay.reload()
        with pytest.raises(smtplib.SMTPResponseException, match="Greylisted"):
            submit(port, 3)
    finally:
        relay.stop()

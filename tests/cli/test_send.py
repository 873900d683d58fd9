"""`waypost send`: to the running relay, and directly."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from conftest import Place, Relay, wait_for
from waypost.lab.simulated_peer import Fault
from waypost.smtp.reply import reply
from waypost.smtp.server_settings import ServerSettings

BASE = ("send", "--from", "a@example.com", "--to", "b@example.org", "--subject", "Hello")


def received(peer: Any) -> EmailMessage:
    (one,) = peer.received
    parsed = message_from_bytes(one.content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_without_a_route_the_running_relay_takes_it(sandbox: Relay) -> None:
    place = sandbox.place
    ended = place.run(*BASE, "--text", "Hi", "--json")
    assert ended.code == 0
    (recipient,) = ended.json["recipients"]
    assert (recipient["address"], recipient["outcome"]) == ("b@example.org", "accepted")
    identifier = recipient["reply"].rpartition(" ")[2]
    wait_for(lambda: "captured" in place.run("log").out)
    assert "\nHi\n" in place.run("log", identifier, "--source").out


def test_without_a_relay_it_says_how_to_start_one(place: Place, closed_port: int) -> None:
    ended = place.run(*BASE, WAYPOST_LISTEN=f"127.0.0.1:{closed_port}")
    assert ended.code == 69
    assert "waypost serve" in ended.err
    assert f"127.0.0.1:{closed_port}" in ended.err


def test_via_shows_each_step_with_its_time(place: Place, peer: Callable[..., Any]) -> None:
    server, port = peer()
    ended = place.run(*BASE, "--text", "Hi", "--via", f"smtp+plain://127.0.0.1:{port}")
    assert ended.code == 0
    for step in ("connected to", "220 ", "EHLO ", "MAIL FROM:<a@example.com>", "RCPT TO:", "250 "):
        assert step in ended.out
    assert " ms  we " in ended.out
    assert "b@example.org: accepted: 250" in ended.out
    assert received(server)["Subject"] == "Hello"


def test_all_parts_arrive_as_given(place: Place, peer: Callable[..., Any], tmp_path: Path) -> None:
    server, port = peer()
    (tmp_path / "page.html").write_text("<p>Grüße</p>", "utf-8")
    (tmp_path / "data.pdf").write_bytes(bytes(range(256)))
    ended = place.run(
        "send", "--from", "Jörg <a@example.com>", "--to", "b@example.org",
        "--cc", "C <c@example.org>",
        "--bcc", "d@example.org", "--subject", "Grüße aus Köln", "--text", "-",
        "--html", str(tmp_path / "page.html"), "--attach", str(tmp_path / "data.pdf"),
        "--header", "X-Mark: one", "--via", f"smtp+plain://127.0.0.1:{port}", "--json",
        typed="Hallo\n.\nEnde\n",
    )  # fmt: skip
    assert ended.code == 0, ended.out + ended.err
    message = received(server)
    assert [one.address for one in server.received[0].envelope.recipients] == [
        "b@example.org", "c@example.org", "d@example.org",
    ]  # fmt: skip
    assert (message["From"], message["Subject"], message["X-Mark"]) == (
        "Jörg <a@example.com>", "Grüße aus Köln", "one",
    )  # fmt: skip
    assert "d@example.org" not in server.received[0].content.decode()
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == ["Hallo", ".", "Ende"]
    assert "Grüße" in html.get_content()
    (attached,) = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("data.pdf", "application/pdf")
    assert attached.get_content() == bytes(range(256))


def test_an_international_address_asks_for_smtputf8(place: Place, peer: Callable[..., Any]) -> None:
    server, port = peer()
    via = ("--via", f"smtp+plain://127.0.0.1:{port}")
    place.run("send", "--from", "a@example.com", "--to", "jörg@bücher.example", *via)
    envelope = server.received[0].envelope
    assert (envelope.recipients[0].address, envelope.smtputf8) == ("jörg@bücher.example", True)
    place.run("send", "--from", "a@example.com", "--to", "joerg@bücher.example", *via)
    envelope = server.received[1].envelope
    assert envelope.recipients[0].address == "joerg@xn--bcher-kva.example"
    assert not envelope.smtputf8


@pytest.mark.parametrize(
    ("fault", "code", "outcome", "reason"),
    [
        (Fault("rcpt", "reply", reply(550, "5.1.1", "No")), 1, "refused", "no-such-mailbox"),
        (Fault("content", "reply", reply(451, "4.3.0", "Busy")), 75, "deferred", None),
        (Fault("connect", "reply", reply(421, "4.3.2", "Later")), 75, "deferred", None),
        (Fault("connect", "drop"), 69, "unreachable", "connection-lost"),
        (Fault("data", "drop"), 75, "deferred", "connection-lost"),
    ],
)  # fmt: skip
def test_what_the_server_says_decides_the_exit_code(
    place: Place,
    peer: Callable[..., Any],
    fault: Fault,
    code: int,
    outcome: str,
    reason: str | None,
) -> None:
    _, port = peer([fault])
    ended = place.run(*BASE, "--via", f"smtp+plain://127.0.0.1:{port}", "--json")
    (recipient,) = ended.json["recipients"]
    assert (ended.code, recipient["outcome"]) == (code, outcome)
    if reason is not None:
        assert recipient["reason"] == reason


def test_a_port_that_nobody_listens_on_is_unreachable(place: Place, closed_port: int) -> None:
    ended = place.run(*BASE, "--via", f"smtp+plain://127.0.0.1:{closed_port}", "--json")
    assert (ended.code, ended.json["recipients"][0]["outcome"]) == (69, "unreachable")


def test_recipients_beyond_the_servers_limit_follow_in_another_transaction(
    place: Place, peer: Callable[..., Any]
) -> None:
    server, port = peer([], ServerSettings("peer.example", maximum_recipients=2))
    to = [part for n in range(5) for part in ("--to", f"r{n}@example.org")]
    ended = place.run(
        "send", "--from", "a@example.com", *to, "--via", f"smtp+plain://127.0.0.1:{port}", "--json"
    )
    assert ended.code == 0, ended.json["recipients"]
    sizes = [len(one.envelope.recipients) for one in server.received]
    assert sizes == [2, 2, 1]
    assert server.sessions == 1


def test_a_password_is_never_shown(place: Place, sandbox: Relay) -> None:
    place.run("user", "add", "joe", "--password-stdin", typed="geheim!\n")
    host, port = sandbox.address
    ended = place.run(*BASE, "--via", f"smtp+plain://joe:geheim!@{host}:{port}")
    assert ended.code == 0
    assert "AUTH " in ended.out
    wrong = place.run(*BASE, "--via", f"smtp+plain://joe:falsch!@{host}:{port}")
    assert wrong.code == 1
    for out in (ended.out, wrong.out, wrong.err):
        assert "geheim" not in out
        assert "falsch" not in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from", "a@example.com"), "nobody to send to"),
        (("--from", "a", "--to", "b@example.org"), "--from: 'a' is no address"),
        ((*BASE[1:3], "--to", "x\r\nRCPT TO:<c@d>@example.org"), "--to: the address holds a line"),
        ((*BASE[1:5], "--subject", "a\r\nBcc: c@d.e"), "--subject: the value holds a line break"),
        ((*BASE[1:5], "--header", "X: a\nY: b"), "X"),
        ((*BASE[1:5], "--header", "X\n: a"), "--header"),
        ((*BASE[1:5], "--header", "Bcc: c@d.e"), "--bcc"),
        (("--from", "x\ny <a@example.com>", "--to", "b@example.org"), "--from"),
        ((*BASE[1:5], "--attach", "/nowhere"), "/nowhere"),
        ((*BASE[1:5], "--html", "/nowhere"), "/nowhere"),
        ((*BASE[1:5], "--via", "sandbox:"), "sandbox"),
        ((*BASE[1:5], "--via", "what"), "--via"),
    ],
)  # fmt: skip
def test_wrong_input_is_told_before_anything_is_sent(
    place: Place, options: tuple[str, ...], words: str
) -> None:
    ended = place.run("send", *options)
    assert ended.code == 2
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_a_message_that_was_not_taken_is_said_not_to_be_kept(
    place: Place, closed_port: int
) -> None:
    ended = place.run(*BASE, "--via", f"smtp+plain://127.0.0.1:{closed_port}")
    assert ended.code == 69
    assert "send it again later" in ended.out


def test_an_attachment_that_cannot_be_read_is_told_and_nothing_is_sent(sandbox: Relay) -> None:
    ended = sandbox.place.run(*BASE, "--attach", "/nowhere/invoice.pdf")
    assert ended.code == 2
    assert "--attach: /nowhere/invoice.pdf cannot be read: No such file" in ended.err
    assert "nothing has happened" in sandbox.place.run("log").out

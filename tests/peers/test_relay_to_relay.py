"""One relay of ours hands over to another: every way to a next hop that a route can name."""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from peer_relay import PASSWORD, USER, Peer, taken_apart
from raw import Raw

from relay_process import COMMAND, WAIT, RelayProcess, free_port, submit, wait_for

HEADER = (
    b"From: app@here.example\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <%b@here.example>\r\nSubject: x\r\n\r\n"
)


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory, peer: Peer
) -> Iterator[tuple[RelayProcess, int]]:
    """A relay with a route to `peer` by each way, chosen by the recipient's domain."""
    port = free_port()
    login = f"{USER}:{quote(PASSWORD, safe='')}"
    trust = f"ca_file={peer.certificate}"
    routes = {
        "scram": f"smtp://{login}@localhost:{peer.anywhere}?{trust}&auth=SCRAM-SHA-256",
        "login": f"smtp://{login}@localhost:{peer.anywhere}?{trust}&auth=LOGIN",
        "plain": f"smtp://{login}@localhost:{peer.anywhere}?{trust}&auth=PLAIN",
        "best": f"smtp://{login}@localhost:{peer.anywhere}?{trust}",
        "smtps": f"smtps://localhost:{peer.submissions}?{trust}",
        "clear": f"smtp+plain://127.0.0.1:{peer.submission}",
        "ipv6": f"smtp+plain://[::1]:{peer.ipv6 or 25}",
        "socket": f"unix:{peer.unix}",
        "wrong": f"smtp://{USER}:wrong@localhost:{peer.anywhere}?{trust}",
        "untrusted": f"smtp://localhost:{peer.anywhere}?verify=yes",
    }
    relay = RelayProcess(
        tmp_path_factory.mktemp("first"),
        f'[[listener]]\naddress = "127.0.0.1:{port}"\nkind = "submission"\n'
        + "".join(
            f'[[route]]\nname = "{name}"\nvia = "{url}"\n'
            f'[route.match]\nrecipients = "{name}.example"\n'
            for name, url in routes.items()
        )
        + '[[route]]\nname = "rest"\nvia = "sandbox:"\n',
    ).start()
    yield relay, port
    relay.stop()


@pytest.mark.parametrize(
    ("way", "protocol"),
    [
        ("scram", b"ESMTPSA"),
        ("login", b"ESMTPSA"),
        ("plain", b"ESMTPSA"),
        ("best", b"ESMTPSA"),
        ("smtps", b"ESMTPS"),
        ("clear", b"ESMTP"),
        ("ipv6", b"ESMTP"),
        ("socket", b"ESMTP"),
    ],
)
def test_every_way_carries_the_message_as_it_is(
    first: tuple[RelayProcess, int], peer: Peer, way: str, protocol: bytes
) -> None:
    if way == "ipv6" and not peer.ipv6:
        pytest.skip("this machine has no ::1")
    content = HEADER % way.encode() + b".\r\n..\r\n" + bytes(range(128, 256)) + b"\r\n"
    recipient = f"a@{way}.example"
    with smtplib.SMTP("127.0.0.1", first[1], timeout=60) as client:
        client.sendmail("app@here.example", [recipient], content, ["BODY=8BITMIME"])
    delivered = taken_apart(peer.sink.wait_for(recipient).content)
    assert b"with " + protocol + b" id" in delivered.added
    assert taken_apart(delivered.content).content == content


@pytest.mark.parametrize("way", ["wrong", "untrusted"])
def test_what_the_next_hop_will_not_have_waits(
    first: tuple[RelayProcess, int], peer: Peer, way: str
) -> None:
    """A wrong password or a certificate that is not trusted is the operator's to mend, and no
    fault of the message."""
    relay, port = first
    submit(port, way, f"b@{way}.example")
    wanted = f"SELECT reply FROM recipient WHERE address = 'b@{way}.example' AND attempts > 0"
    wait_for("it is tried", lambda: bool(relay.query(wanted)))
    ((words,),) = relay.query(wanted)
    assert ("535 5.7.8" if way == "wrong" else "certificate") in words
    (state,) = relay.query(f"SELECT state FROM recipient WHERE address = 'b@{way}.example'")
    assert state == (0,)
    assert not peer.sink.for_recipient(f"b@{way}.example")


def test_a_suppressed_recipient_is_refused_at_rcpt_by_the_running_relay(
    first: tuple[RelayProcess, int],
) -> None:
    relay, port = first
    subprocess.run(
        [COMMAND, "suppress", "add", "gone@clear.example", "--config", relay.path],
        env=relay.environment, check=True, capture_output=True, timeout=WAIT,
    )  # fmt: skip
    with Raw.to(port) as client:
        client.say(b"EHLO c\r\nMAIL FROM:<a@here.example>\r\n")
        client.reply()
        answer = client.say(b"RCPT TO:<gone@clear.example>\r\n")
    assert answer.startswith(b"550 5.7.1 <gone@clear.example>: on the suppression list")


def test_clients_hear_of_a_shutdown(tmp_path: Path) -> None:
    port = free_port()
    relay = RelayProcess(
        tmp_path / "relay",
        f'[[listener]]\naddress = "127.0.0.1:{port}"\nkind = "submission"\n'
        '[[route]]\nname = "out"\nvia = "sandbox:"\n',
    ).start()
    with Raw.to(port) as idle, Raw.to(port) as sending:
        sending.transaction("a@there.example").say(b"DATA\r\n")
        sending.send(b"Subject: half\r\n")
        relay.stop()
        assert idle.rest().startswith(b"421 4.3.2")
        assert sending.rest().startswith(b"421 4.3.2")

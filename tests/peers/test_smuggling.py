"""Nothing but CRLF.CRLF ends a message, and nothing said in the clear speaks under TLS.

SMTP smuggling (CVE-2023-51764 and its kin): the content of one message holds what another program
takes for its end, and behind it a message of somebody else. Each case is sent raw to a running
relay, and what counts is what its next hop gets.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from peer_relay import Peer, made_certificate, taken_apart
from raw import Raw

from relay_process import RelayProcess, free_port, submit, wait_for

FALSE_ENDS = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "LF.CR": b"\n.\r",
    "CR.LF": b"\r.\n",
    "CRCRLF.CRLF": b"\r\r\n.\r\n",
    "CRLF.CRCRLF": b"\r\n.\r\r\n",
    "CRLF-NUL.CRLF": b"\r\n\0.\r\n",
    "CRLF.NUL-CRLF": b"\r\n.\0\r\n",
    "CRLF.SP-CRLF": b"\r\n. \r\n",
}
HARMLESS = {"CRLF-NUL.CRLF", "CRLF.NUL-CRLF", "CRLF.SP-CRLF"}
"""Without a CR or LF that stands alone: ordinary content."""

TRUE_END_INSIDE = {"CRCRLF.CRLF"}
"""They hold CRLF.CRLF: the message ends there, and is refused for what stands before."""

_numbers = itertools.count()


def smuggled() -> tuple[str, bytes]:
    """A recipient that must never get mail, and the bytes that would send some to it."""
    victim = f"victim{next(_numbers)}@ours.example"
    commands = f"MAIL FROM:<evil@here.example>\r\nRCPT TO:<{victim}>\r\nDATA\r\n"
    return victim, commands.encode() + b"Subject: smuggled\r\n\r\nboo\r\n"


def nothing_for(peer: Peer, victim: str) -> None:
    """The relay has no mail for the victim, and so no next hop will get any."""
    assert not peer.process.query(f"SELECT * FROM recipient WHERE address = '{victim}'")
    assert not peer.sink.for_recipient(victim)


@pytest.mark.parametrize("pieces", ["at once", "byte by byte"])
@pytest.mark.parametrize("name", [name for name in FALSE_ENDS if name not in TRUE_END_INSIDE])
def test_no_false_end_ends_data(peer: Peer, name: str, pieces: str) -> None:
    victim, commands = smuggled()
    recipient = f"data-{name.lower()}-{pieces.split(maxsplit=1)[0]}@ours.example"
    with Raw.to(peer.relay) as client:
        client.transaction(recipient)
        assert client.say(b"DATA\r\n").startswith(b"354")
        content = b"Subject: x\r\n\r\nhello" + FALSE_ENDS[name] + commands
        with suppress(ConnectionError):  # a message that is refused may end the connection
            if pieces == "at once":
                client.send(content + b".\r\n")
            else:
                for at in range(len(content)):
                    client.send(content[at : at + 1])
                client.send(b".\r\n")
        answer = client.reply()
    nothing_for(peer, victim)
    if name in HARMLESS:
        assert answer.startswith(b"250")
        delivered = taken_apart(peer.sink.wait_for(recipient).content)
        assert delivered.content == content.replace(b"\r\n.", b"\r\n")
    else:
        assert answer.startswith(b"550 5.6.0")
        assert not peer.sink.for_recipient(recipient)


@pytest.mark.parametrize("name", sorted(TRUE_END_INSIDE))
def test_a_true_end_behind_a_bare_line_end_is_one_and_the_message_is_refused(
    peer: Peer, name: str
) -> None:
    with Raw.to(peer.relay) as client:
        client.transaction("true-end@ours.example")
        client.say(b"DATA\r\n")
        assert client.say(b"Subject: x\r\n\r\nhello" + FALSE_ENDS[name]).startswith(b"550 5.6.0")
        assert client.say(b"NOOP\r\n").startswith(b"250")


@pytest.mark.parametrize("name", [n for n in FALSE_ENDS if n not in HARMLESS | TRUE_END_INSIDE])
def test_no_false_end_gets_through_a_relay_that_mends_line_ends(strict: Peer, name: str) -> None:
    """Normalised, a false end is a line with a dot: stuffed again on its way out."""
    victim, commands = smuggled()
    recipient = f"mend-{name.lower()}@ours.example"
    with Raw.to(strict.relay) as client:
        client.transaction(recipient)
        client.say(b"DATA\r\n")
        content = b"Subject: x\r\n\r\nhello" + FALSE_ENDS[name] + commands
        assert client.say(content + b".\r\n").startswith(b"250")
    nothing_for(strict, victim)
    delivered = taken_apart(strict.sink.wait_for(recipient).content).content
    assert delivered.startswith(b"Subject: x\r\n\r\nhello\r\n")
    assert delivered.endswith(b"MAIL FROM" + commands.partition(b"MAIL FROM")[2])
    assert delivered.replace(b"\r\n", b"").count(b"\r") == 0
    assert delivered.replace(b"\r\n", b"").count(b"\n") == 0


@pytest.mark.parametrize("name", sorted(FALSE_ENDS))
def test_no_false_end_ends_a_chunk(peer: Peer, name: str) -> None:
    victim, commands = smuggled()
    recipient = f"bdat-{name.lower()}@ours.example"
    content = b"Subject: x\r\n\r\nhello" + FALSE_ENDS[name] + commands
    with Raw.to(peer.relay) as client:
        client.transaction(recipient)
        client.send(b"BDAT %d LAST\r\n" % len(content) + content)
        answer = client.reply()
        assert client.say(b"NOOP\r\n").startswith(b"250")
    nothing_for(peer, victim)
    if name in HARMLESS:
        assert answer.startswith(b"250")
        assert taken_apart(peer.sink.wait_for(recipient).content).content == content
    else:
        assert answer.startswith(b"550 5.6.0")


def test_a_true_end_in_a_chunk_is_content_and_reaches_the_next_hop_as_such(peer: Peer) -> None:
    victim, commands = smuggled()
    content = b"Subject: x\r\n\r\nhello\r\n.\r\n" + commands + b".\r\n"
    with Raw.to(peer.relay) as client:
        client.transaction("dot@ours.example")
        client.send(b"BDAT %d LAST\r\n" % len(content) + content)
        assert client.reply().startswith(b"250")
    assert taken_apart(peer.sink.wait_for("dot@ours.example").content).content == content
    nothing_for(peer, victim)


@pytest.mark.parametrize("ending", [b"\n", b"\r"])
def test_a_command_that_does_not_end_in_crlf_ends_the_connection(peer: Peer, ending: bytes) -> None:
    victim, commands = smuggled()
    with Raw.to(peer.relay) as client:
        client.say(b"EHLO c\r\n")
        client.send(b"NOOP" + ending + commands + b".\r\n")
        assert client.rest().startswith(b"500 5.5.2")
    nothing_for(peer, victim)


# --- STARTTLS ---------------------------------------------------------------------------------


def test_bytes_behind_starttls_in_the_clear_are_not_heard(peer: Peer) -> None:
    victim, commands = smuggled()
    with Raw.to(peer.submission) as client:
        client.say(b"EHLO c\r\n")
        client.send(b"STARTTLS\r\nEHLO c\r\n" + commands + b".\r\n")
        assert client.rest().startswith(b"501 5.5.1")
    nothing_for(peer, victim)


def test_bytes_between_220_and_the_handshake_break_it(peer: Peer) -> None:
    victim, commands = smuggled()
    with Raw.to(peer.submission) as client:
        client.say(b"EHLO c\r\n")
        assert client.say(b"STARTTLS\r\n").startswith(b"220")
        client.send(b"EHLO c\r\n" + commands + b".\r\n")
        with pytest.raises(OSError):  # noqa: PT011 - reset, or no TLS: both will do
            client.upgrade(peer.tls())
    nothing_for(peer, victim)


def test_what_was_said_before_tls_is_forgotten(peer: Peer) -> None:
    with Raw.to(peer.submission) as client:
        client.transaction("before@ours.example")
        assert client.say(b"STARTTLS\r\n").startswith(b"220")
        client.upgrade(peer.tls())
        assert client.say(b"RCPT TO:<b@ours.example>\r\n").startswith(b"503")
        assert client.say(b"MAIL FROM:<a@here.example>\r\n").startswith(b"503")
        assert b"STARTTLS" not in client.say(b"EHLO c\r\n")


class Injector:
    """A next hop that offers STARTTLS and puts words of its own behind 220, in the clear."""

    def __init__(self, folder: Path, injected: bytes) -> None:
        self.certificate, key = made_certificate(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._injected = injected
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.heard: list[bytes] = []
        """What the relay said under TLS."""
        self.sessions = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.settimeout(30)
            with suppress(OSError), connection:
                self._session(connection)
            self.sessions += 1

    def _session(self, connection: socket.socket) -> None:
        connection.sendall(b"220 injector.example\r\n")
        connection.recv(1000)
        connection.sendall(b"250-injector.example\r\n250 STARTTLS\r\n")
        connection.recv(1000)
        connection.sendall(b"220 go ahead\r\n" + self._injected)
        with self._context.wrap_socket(connection, server_side=True) as secured:
            self.heard.append(secured.recv(1000))
            secured.sendall(b"250 injector.example\r\n")
            while data := secured.recv(1000):
                self.heard.append(data)
                secured.sendall(b"451 4.3.0 later\r\n")

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(60)


ANSWERS = b"250-injector.example\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n235 2.7.0 in\r\n"


@pytest.mark.parametrize("injected", [b"", ANSWERS], ids=["honest", "injecting"])
def test_what_a_next_hop_says_before_its_handshake_is_not_taken_for_an_answer_under_tls(
    tmp_path: Path, injected: bytes
) -> None:
    port = free_port()
    injector = Injector(tmp_path / "tls", injected)
    relay = RelayProcess(
        tmp_path / "relay",
        f'[[listener]]\naddress = "127.0.0.1:{port}"\nkind = "submission"\n'
        f'[[route]]\nname = "out"\nvia = "smtp://user:secret@localhost:{injector.port}'
        f'?ca_file={injector.certificate}"\n',
    ).start()
    try:
        submit(port, "injected")
        wait_for("the relay has tried", lambda: injector.sessions > 0)
        said = b"".join(injector.heard)
        assert b"AUTH" not in said
        assert b"MAIL" not in said
        assert (b"EHLO" in said) == (not injected)
        assert relay.queued() == 1
    finally:
        relay.stop()
        injector.close()

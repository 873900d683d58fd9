"""What an application submits leaves with signatures that a verifier of another maker accepts."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest

from relay_process import RelayProcess, free_port, wait_for
from sink import Sink
from waypost.lab.simulated_peer import Fault
from waypost.mail.dkim_keys import generate_key, key_pem
from waypost.relay.domain_keys import NAME, DomainKeys, KeyState
from waypost.smtp.framing import normalise_line_ends
from waypost.smtp.reply import reply

HEADER = (
    b"From: Ann <ann@example.com>\r\nTo: you@there.example\r\nSubject:  Two   spaces\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n"
)


class SigningRelay:
    """A relay with two keys of example.com, and what its next hop gets."""

    def __init__(self, folder: Path) -> None:
        self.sink = Sink()
        self.port = free_port()
        self.public: dict[bytes, bytes] = {}
        self._asked = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.process = RelayProcess(folder, self._configuration())
        self.keys = DomainKeys(self.process.data / NAME, lambda: 1.0, lambda: 1.0)
        self.keys.add("example.com")
        for algorithm in ("rsa", "ed25519"):
            self.add_key("example.com", algorithm, algorithm)
        self.process.start()

    def _configuration(self) -> str:
        return (
            f'[[listener]]\naddress = "127.0.0.1:{self.port}"\n'
            f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{self.sink.port}"\n'
        )

    def add_key(self, domain: str, selector: str, algorithm: str) -> None:
        key = self.keys.add_key(domain, selector, algorithm)
        self.keys.set_state(domain, selector, KeyState.ACTIVE)
        record = key.signer.record
        self.public[record.name.encode()] = record.value.encode()

    def signs(self, domain: str) -> bool:
        """Whether mail from there is signed by now."""
        self._asked += 1
        content = f"From: a@{domain}\r\n\r\nHi\r\n".encode()
        return f"d={domain};".encode() in self.send(content, f"ask{self._asked}@there.example")

    def send(self, content: bytes, recipient: str) -> bytes:
        with smtplib.SMTP("127.0.0.1", self.port) as client:
            client.sendmail("ann@example.com", [recipient], content)
        return self.sink.wait_for(recipient).content

    def verdicts(self, content: bytes) -> list[bool]:
        """What dkimpy says of each signature."""
        verifier = dkim.DKIM(content)
        found = sum(name.lower() == b"dkim-signature" for name, _ in verifier.headers)

        def look_up(name: bytes, timeout: int = 5) -> bytes | None:
            return self.public.get(name.rstrip(b"."))

        return [dkim.DKIM(content).verify(at, dnsfunc=look_up) for at in range(found)]

    def close(self) -> None:
        self.keys.close()
        self.process.stop()
        self.sink.close()


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningRelay]:
    made = SigningRelay(tmp_path_factory.mktemp("signing"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("small", b"Hello.\r\n"),
        ("empty", b""),
        ("spaces", b"a  b \t c \r\n\r\n  x\r\n\r\n\r\n"),
        ("dots", b".leading\r\n..two\r\n"),
        ("file", b"0123456789 abcdef\r\n" * 40_000),
    ],
)
def test_both_signatures_hold(relay: SigningRelay, name: str, body: bytes) -> None:
    content = relay.send(HEADER + body, f"{name}@there.example")
    assert content.startswith(b"DKIM-Signature: v=1; a=")
    assert relay.verdicts(content) == [True, True]
    assert content.endswith(normalise_line_ends(HEADER + body))


def test_what_the_relay_adds_is_signed_as_well(relay: SigningRelay) -> None:
    content = relay.send(b"From: ann@example.com\r\n\r\nHi\r\n", "added@there.example")
    assert relay.verdicts(content) == [True, True]
    changed = content.replace(b"\r\nDate: ", b"\r\nDate: Mon, ", 1)
    assert relay.verdicts(changed) == [False, False]


def test_a_second_from_breaks_the_signatures(relay: SigningRelay) -> None:
    content = relay.send(HEADER + b"Hi\r\n", "second@there.example")
    forged = b"From: other@example.net\r\n" + content
    assert relay.verdicts(forged) == [False, False]


def test_a_domain_below_is_signed_by_the_one_above(relay: SigningRelay) -> None:
    header = HEADER.replace(b"@example.com>", b"@news.example.com>")
    content = relay.send(header + b"Hi\r\n", "below@there.example")
    assert b"d=example.com;" in content
    assert relay.verdicts(content) == [True, True]


@pytest.mark.parametrize(
    "sender", [b"ann@example.net", b"ann@notexample.com", b"nobody", b"", b"<>", b"\xff@\xff"]
)
def test_mail_of_others_is_not_signed(relay: SigningRelay, sender: bytes) -> None:
    recipient = f"other{len(sender)}{sender[:3].hex()}@there.example"
    content = relay.send(b"From: " + sender + b"\r\nSubject: x\r\n\r\nHi\r\n", recipient)
    assert b"DKIM-Signature" not in content


def test_a_key_counts_once_it_is_active_and_no_more_when_it_is_retired(
    relay: SigningRelay,
) -> None:
    relay.keys.add("rotating.example")
    relay.keys.add_key("rotating.example", "one", "ed25519")
    header = b"From: a@rotating.example\r\n\r\nHi\r\n"
    assert b"DKIM-Signature" not in relay.send(header, "new@there.example")

    def signed_by(selector: str) -> bool:
        signed_by.count += 1  # type: ignore[attr-defined]
        content = relay.send(header, f"rotate{signed_by.count}@there.example")  # type: ignore[attr-defined]
        return f" s={selector};".encode() in content

    signed_by.count = 0  # type: ignore[attr-defined]
    relay.keys.set_state("rotating.example", "one", KeyState.ACTIVE)
    wait_for("the new key signs", lambda: signed_by("one"))
    relay.keys.set_state("rotating.example", "one", KeyState.RETIRED)
    wait_for("the old key signs no more", lambda: not signed_by("one"))


def test_keys_of_the_configuration_sign_too(tmp_path: Path) -> None:
    key = generate_key("rsa")
    (tmp_path / "mail.pem").write_bytes(key_pem(key))
    relay = SigningRelay(tmp_path / "relay")
    try:
        relay.process.configure(
            relay._configuration()
            + f'[[dkim]]\ndomain = "firm.example"\nselector = "mail"\nkey = "{tmp_path}/mail.pem"\n'
        )
        relay.process.reload()
        content = relay.send(b"From: a@firm.example\r\n\r\nHi\r\n", "configured@there.example")
        assert b"d=firm.example; s=mail;" in content
    finally:
        relay.close()


def test_its_own_bounces_are_signed_too(tmp_path: Path) -> None:
    relay = SigningRelay(tmp_path)
    refusing = Sink([Fault("rcpt", "reply", reply(550, "5.1.1", "No such user"))])
    try:
        relay.process.configure(
            f'[[listener]]\naddress = "127.0.0.1:{relay.port}"\n'
            '[[route]]\nname = "refused"\nmatch.recipients = ["gone.example"]\n'
            f'via = "smtp+plain://127.0.0.1:{refusing.port}"\n'
            f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{relay.sink.port}"\n'
        )
        relay.process.reload()
        relay.keys.add("relay.example")
        relay.add_key("relay.example", "own", "rsa")
        wait_for("the new key signs", lambda: relay.signs("relay.example"))
        with smtplib.SMTP("127.0.0.1", relay.port) as client:
            client.sendmail("ann@example.com", ["you@gone.example"], HEADER + b"Hi\r\n")
        bounce = relay.sink.wait_for("ann@example.com")
        assert bounce.envelope.reverse_path == ""
        assert b"d=relay.example; s=own;" in bounce.content
        assert relay.verdicts(bounce.content) == [True]
    finally:
        relay.close()
        refusing.close()

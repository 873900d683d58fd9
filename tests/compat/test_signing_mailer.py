"""A mailer that signs what it sends."""

from __future__ import annotations

import re

import dkim
import pytest
from scripted_server import scripted

import waypost
from waypost.errors import ConfigurationError, InvalidMessage
from waypost.signing import DkimSigner, generate_key

SIGNER = DkimSigner("example.com", "s", generate_key("rsa"))
MESSAGE = {"from_": "Zoë <a@example.com>", "to": "b@example.org", "subject": "Hello", "text": "Zoë"}


def verified(content: bytes) -> bool:
    def record(name: bytes, timeout: int = 5) -> bytes:
        return SIGNER.record.value.encode()

    return bool(dkim.verify(content, dnsfunc=record))


def test_every_message_is_signed_one_by_one_and_in_a_stream() -> None:
    with scripted() as server:
        with waypost.Mailer(f"smtp+plain://127.0.0.1:{server.port}", dkim=SIGNER) as mailer:
            assert mailer.send(MESSAGE, attachments=[("a.bin", bytes(100_000))])
            assert mailer.send_many([MESSAGE, MESSAGE]).run().accepted == 2
            raw = b"From: a@example.com\nSubject: 8 bit\n\nZo\xeb\n"
            assert mailer.send(raw, from_="a@example.com", to="b@example.org")
        assert len(server.messages) == 4
        for content in server.messages:
            undotted = re.sub(rb"(?m)^\.\.", b".", content)
            assert verified(undotted)
            assert not verified(undotted.replace(b"Subject: ", b"Subject: x"))


def test_a_message_that_cannot_be_signed_is_not_sent() -> None:
    with scripted() as server:
        mailer = waypost.Mailer(f"smtp+plain://127.0.0.1:{server.port}", dkim=[SIGNER])
        with pytest.raises(InvalidMessage, match="without From cannot be signed"), mailer:
            mailer.send(b"Subject: x\r\n\r\n", from_="a@example.com", to="b@example.org")
        assert server.messages == []


def test_what_is_no_signer_is_said() -> None:
    with pytest.raises(ConfigurationError, match="dkim is no signer"):
        waypost.Mailer("smtp://mail.example.com", dkim=["key.pem"])  # type: ignore[list-item]

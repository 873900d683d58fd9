"""The Python examples of the library's documents run, and send what they say."""

from __future__ import annotations

import datetime as dt
import logging
import re
import sys
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from waypost.mail.dkim_keys import generate_key, key_pem
from waypost.testing import MailServer

DOCS = Path(__file__).parents[2] / "docs"


def examples(name: str) -> list[str]:
    """The Python blocks of a document, in order."""
    found = re.findall(r"^( *)```python\n(.*?)^ *```$", (DOCS / name).read_text(), re.M | re.S)  # noqa: FURB167
    return [re.sub(f"(?m)^{indent}", "", block) for indent, block in found]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MailServer]:
    monkeypatch.chdir(tmp_path)
    with MailServer() as one:
        monkeypatch.setenv("WAYPOST_URL", one.url)
        yield one


def run(name: str, *, only: slice = slice(None), **names: object) -> dict[str, object]:
    space: dict[str, object] = {"__name__": "example", **names}
    for block in examples(name)[only]:
        exec(compile(block, name, "exec"), space)
    return space


def test_messages(server: MailServer, tmp_path: Path) -> None:
    for file in ("logo.png", "invoice.pdf", "terms.txt"):
        (tmp_path / file).write_bytes(b"content")
    run("reference/library-messages.md")
    order, own, raw, invitation = server.messages
    kinds = [part.get_content_type() for part in order.message.walk()]
    assert kinds == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html",
        "image/png", "application/pdf", "text/csv", "text/plain",
    ]  # fmt: skip
    assert len(order.recipients) == 4
    assert order["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (own.subject, raw.subject) == ("Hello", "Hello")
    assert raw.sender == "bounces@example.com"
    assert "method=REQUEST" in str(invitation.content)


def test_signing(server: MailServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = generate_key("rsa")
    (tmp_path / "dkim.pem").write_bytes(key_pem(key))
    assert isinstance(key, rsa.RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Role")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now)
    packed = pkcs12.serialize_key_and_certificates(
        b"role", key, builder.sign(key, hashes.SHA256()), None,
        serialization.BestAvailableEncryption(b"secret"),
    )  # fmt: skip
    (tmp_path / "role.p12").write_bytes(packed)
    run("howto/sign-what-you-send.md")
    assert "2026a._domainkey.example.com. IN TXT" in capsys.readouterr().out
    assert [one.content.count(b"DKIM-Signature:") for one in server.messages] == [1, 2, 1]
    last = message_from_bytes(server.messages[2].content, policy=policy.default)
    assert last.get_content_type() == "multipart/signed"


def test_oauth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    key = key_pem(generate_key("rsa")).decode().replace("\n", "\\n")
    account = f'{{"client_email": "robot@example.com", "private_key": "{key}"}}'
    (tmp_path / "service-account.json").write_text(account)
    assert repr(run("howto/log-in-with-oauth.md")["logins"]) == "OAuth2('app@example.com')"


def test_flask(server: MailServer) -> None:
    app = run("howto/send-from-a-web-application.md", only=slice(1, 2))["app"]
    client = app.test_client()  # type: ignore[attr-defined]
    assert client.post("/orders", data={"email": "ann@example.org"}).status_code == 204
    assert list(server.messages[0].recipients) == ["ann@example.org"]
    refused = client.post("/orders", data={"email": "ann@example.org\r\nBcc: x@example.net"})
    assert refused.status_code == 400
    assert b"line break" in refused.data
    assert len(server.messages) == 1


def test_starlette(server: MailServer) -> None:
    from starlette.testclient import TestClient

    app = run("howto/send-from-a-web-application.md", only=slice(2, 3))["app"]
    with TestClient(app) as client:  # type: ignore[arg-type]
        assert client.post("/orders", json={"email": "ann@example.org"}).status_code == 204
    assert len(server.messages) == 1


def test_drop_ins(server: MailServer) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        run("reference/library-compat.md", port=server.port)
        run("howto/send-from-a-web-application.md", only=slice(3, 4))
        logging.getLogger("shop").error("broken")
        for handler in root.handlers:
            if handler not in before:
                handler.close()
    finally:
        root.handlers[:] = before
        root.setLevel(logging.WARNING)
    assert server.messages[0].subject == "Hello"
    assert any("broken" in str(one.subject) for one in server.messages)
    assert "waypost.compat.smtplib" in sys.modules

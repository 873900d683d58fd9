"""What the relay's keys sign holds for OpenDKIM too."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from waypost.mail.dkim import DkimSigner, RelaxedBodyHash, signature_field
from waypost.mail.dkim_keys import generate_key

OPENDKIM = shutil.which("opendkim", path="/usr/sbin:/usr/bin:/usr/local/sbin")

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(OPENDKIM is None, reason="opendkim is not installed"),
]

HEADER = (
    b"From: Ann <ann@example.com>\r\nTo: you@there.example\r\nSubject:  Two   spaces\r\n folded\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nList-Unsubscribe: <https://example.com/u>\r\n"
)
BODY = b"Hello  there \r\n\r\n.\r\n\tend \r\n\r\n\r\n"


def said_of(folder: Path, signer: DkimSigner, content: bytes) -> str:
    """What OpenDKIM says of a message, with the signer's record in its DNS."""
    (folder / "message.eml").write_bytes(content)
    (folder / "records").write_text(f"{signer.record.name} {signer.record.value}\n")
    (folder / "opendkim.conf").write_text(
        f"Mode v\nTestDNSData file:{folder}/records\nInternalHosts 192.0.2.1\nSyslog no\n"
    )
    assert OPENDKIM is not None
    ended = subprocess.run(
        [OPENDKIM, "-x", folder / "opendkim.conf", "-t", folder / "message.eml", "-v"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
@pytest.mark.parametrize("body", [BODY, b"", b"\r\n"], ids=["text", "empty", "line"])
def test_opendkim_accepts_it(tmp_path: Path, algorithm: str, body: bytes) -> None:
    signer = DkimSigner("example.com", "s", generate_key(algorithm))
    digest = RelaxedBodyHash()
    digest.update(body)
    content = signature_field(signer, HEADER, digest.digest(), timestamp=int(time.time())) + HEADER
    content += b"\r\n" + body
    assert "succeeded" in said_of(tmp_path, signer, content)

    changed = content.replace(b"Two", b"Six")
    said = said_of(tmp_path, signer, changed)
    assert "succeeded" not in said
    assert "failed" in said

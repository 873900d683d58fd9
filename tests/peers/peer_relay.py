"""A relay with a listener of every kind, and what its next hop gets of a message."""

from __future__ import annotations

import datetime as dt
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from relay_process import RelayProcess, free_port, has_ipv6
from sink import Sink
from waypost.relay.certificates import self_signed

USER, PASSWORD = "app", "sesame & co"
OWNER, OWNER_PASSWORD = "owner", "mine only"


@dataclass
class Peer:
    """A relay that runs, where it listens, and what is behind it."""

    process: RelayProcess
    sink: Sink
    certificate: Path
    submission: int
    """STARTTLS; on loopback AUTH is offered in the clear as well."""
    submissions: int
    """TLS from the first byte."""
    relay: int
    """As port 25."""
    anywhere: int
    """Submission on all addresses: AUTH under TLS only."""
    proxied: int
    """As port 25, behind a balancer on loopback that sends PROXY headers."""
    proxied_tls: int
    """Likewise, and TLS from the first byte behind the header."""
    ipv6: int
    """On ::1; 0 where there is none."""
    unix: Path

    def tls(self) -> ssl.SSLContext:
        """What a client needs that trusts the relay's certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))


@dataclass(frozen=True)
class Delivered:
    """A message as it reached the next hop, without what the relay put before it."""

    added: bytes
    content: bytes


def taken_apart(content: bytes) -> Delivered:
    """Our own Received field, and what else was added, from the rest."""
    found = re.match(
        rb"(?:Authentication-Results: relay\.example;[^\r]*(?:\r\n\t[^\r]*)*\r\n)?"
        rb"Received: from [^\r]*(?:\r\n\t[^\r]*)*\r\n"
        rb"(?:Message-ID: <[^>\r]+@relay\.example>\r\n)?(?:Date: [^\r]+\r\n)?",
        content,
    )
    assert found is not None, content[:300]
    assert b"by relay.example with" in found[0]
    return Delivered(found[0], content[found.end() :])


def made_certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """A certificate for a name and loopback, and its key."""
    return self_signed(folder, name, dt.datetime.now(dt.UTC))


def make_peer(folder: Path, sink: Sink, certificate: tuple[Path, Path], more: str = "") -> Peer:
    """A relay with a listener of every kind, and two users. `more` goes before the listeners."""
    peer = Peer(
        None,  # type: ignore[arg-type] - known a few lines on
        sink, certificate[0],
        *(free_port() for _ in range(6)), free_port("::1") if has_ipv6() else 0, folder / "in.sock",
    )  # fmt: skip
    listeners = (
        (f"127.0.0.1:{peer.submission}", "submission", ""),
        (f"127.0.0.1:{peer.submissions}", "submissions", ""),
        (f"127.0.0.1:{peer.relay}", "relay", ""),
        (f"0.0.0.0:{peer.anywhere}", "submission", ""),
        (f"[::1]:{peer.ipv6}", "submission", ""),
        (f"unix:{peer.unix}?mode=0600", "submission", ""),
        (f"127.0.0.1:{peer.proxied}", "relay", 'proxy_from = "127.0.0.1"\n'),
        (f"127.0.0.1:{peer.proxied_tls}", "submissions", 'proxy_from = "127.0.0.1"\n'),
    )
    peer.process = RelayProcess(
        folder,
        more
        + f'[tls]\ncertificate = "{certificate[0]}"\nkey = "{certificate[1]}"\n'
        + "".join(
            f'[[listener]]\naddress = "{a}"\nkind = "{k}"\n{m}'
            for a, k, m in listeners
            if a != "[::1]:0"
        )
        + f'[[route]]\nname = "out"\nvia = "smtp+plain://127.0.0.1:{sink.port}"\n',
    )
    peer.process.add_user(USER, PASSWORD)
    peer.process.add_user(OWNER, OWNER_PASSWORD, "here.example")
    return peer

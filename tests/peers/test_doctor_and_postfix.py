"""The doctor's `ping` and `shell` talk with Postfix."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import run

from postfix import Postfix, running_postfix

pytestmark = pytest.mark.peer

WAYPOST = Path(sys.executable).with_name("waypost")


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[Postfix]:
    """It offers TLS, and takes five connections of one client at a time."""
    chain, key = certificate
    more = (
        f"smtpd_tls_chain_files = {key}, {chain}\nsmtpd_tls_security_level = may\n"
        "smtpd_client_connection_count_limit = 5\n"
        "smtpd_client_event_limit_exceptions =\n"
    )
    with running_postfix(tmp_path_factory.mktemp("postfix-doctor"), more) as made:
        yield made


@pytest.fixture
def target(server: Postfix, certificate: tuple[Path, Path]) -> str:
    return f"smtp://localhost:{server.port}?ca_file={certificate[0]}"


def test_each_stage_is_measured(target: str) -> None:
    options = ("--count", "2", "--rcpt", "joe@mailbox.example", "--json")
    document = json.loads(run(WAYPOST, "ping", target, *options))
    stages = ["dns", "connect", "greeting", "ehlo", "tls", "mail", "rcpt"]
    assert document["verdict"] == "ok"
    assert list(document["sessions"][0]["stages"]) == stages


def test_a_message_is_written_by_hand_under_tls(target: str, server: Postfix) -> None:
    script = (
        b"/tls\nMAIL FROM:<a@here.example>\nRCPT TO:<joe@mailbox.example>\nDATA\n"
        b"Subject: by hand\n\n.a line with a dot\n.\nQUIT\n"
    )
    said = run(WAYPOST, "shell", target, given=script)
    assert "* verified: an authority" in said
    assert server.delivered(b"by hand").endswith(b"\n\n.a line with a dot\n")


def test_its_limit_of_connections_is_found(target: str) -> None:
    options = ("--connections", "--yes", "--maximum", "20", "--json")
    document = json.loads(run(WAYPOST, "ping", target, *options))
    assert (document["open"], document["taken_again"]) == (5, True)
    assert document["refusal"]["sign"] == "reply"
    assert "421 4.7.0" in document["refusal"]["text"]

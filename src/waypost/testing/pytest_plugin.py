"""The fixture `mailbox`, for projects that test with pytest: it is there once Waypost is installed.

def test_a_buyer_is_thanked(mailbox):
    checkout()                                  # sends through waypost.send, or over mailbox.port
    assert mailbox.wait_for(to="ann@example.org").subject == "Thank you"
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from waypost.testing.server import MailServer


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A mail server of this test's own. WAYPOST_URL leads to it, so that `waypost.send` and every
    Mailer without a URL send there; others are given `mailbox.host` and `mailbox.port`."""
    from waypost.testing.server import MailServer

    with MailServer() as server:
        monkeypatch.setenv("WAYPOST_URL", server.url)
        yield server

"""Greetings that tell an old version, and those that do not."""

from __future__ import annotations

import pytest

from waypost.knowledge.outdated_servers import outdated_server


@pytest.mark.parametrize(
    ("greeting", "version"),
    [
        ("mail.test ESMTP Exim 4.84_2 Tue, 24 Nov 2026 09:00:00 +0000", "4.84"),
        ("mail.test ESMTP Exim 4.94.2 Tue, 24 Nov 2026 09:00:00 +0000", None),
        ("mail.test ESMTP Exim 4.96 Tue, 24 Nov 2026 09:00:00 +0000", None),
        ("mail.test ESMTP Sendmail 8.14.4/8.14.4; Tue, 24 Nov 2026", "8.14.4"),
        ("mail.test ESMTP Sendmail 8.15.2/8.15.2/Debian-22; Tue, 24 Nov 2026", None),
        ("mail.test ESMTP Postfix (2.11.3)", "2.11.3"),
        ("mail.test ESMTP Postfix (Debian/GNU)", None),
        (
            "mail.test Microsoft ESMTP MAIL Service, Version: 6.0.3790.4675 ready at x",
            "6.0.3790.4675",
        ),
        ("mail.test Microsoft ESMTP MAIL Service ready at Tue, 24 Nov 2026", None),
        ("mail.test ESMTP Service (Lotus Domino Release 8.5.3FP6) ready", "8.5.3"),
        ("exim 4", None),
        ("", None),
    ],
)
def test_a_version_that_nobody_mends_any_more_is_told(greeting: str, version: str | None) -> None:
    found = outdated_server(greeting)
    assert (found.version if found is not None else None) == version

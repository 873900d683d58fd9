"""Django's own tests of what every e-mail backend does, run over ours.

    python tests/compat/django_own_tests.py TESTS_FOLDER_OF_DJANGOS_SOURCE

Run by test_django_backend.py in a process of its own, as Django is set up once for a process.
"""

from __future__ import annotations

import sys
import unittest
from email import message_from_bytes, policy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, sys.argv[1])

import django
from django.conf import settings

settings.configure(
    USE_I18N=True,
    ADMINS=[],
    MANAGERS=[],
    EMAIL_HOST="127.0.0.1",
    WAYPOST={"pool_size": 1},  # one of the tests looks at the order in which messages arrive
)
django.setup()

from django.test import SimpleTestCase  # noqa: E402
from mail.tests import BaseEmailBackendTests  # type: ignore[import-not-found]  # noqa: E402
from scripted_server import ScriptedServer  # noqa: E402

server = ScriptedServer({})


class WaypostBackendTests(BaseEmailBackendTests, SimpleTestCase):  # type: ignore[misc]
    email_backend = "waypost.compat.django.EmailBackend"

    def setUp(self) -> None:
        super().setUp()
        settings.EMAIL_PORT = server.port
        server.messages.clear()

    def get_mailbox_content(self) -> list[object]:
        # As the other backends' mailboxes: without the line end that SMTP adds at the end.
        kept = [one.removesuffix(b"\r\n").replace(b"\r\n", b"\n") for one in server.messages]
        return [message_from_bytes(one, policy=policy.default) for one in kept]

    def flush_mailbox(self) -> None:
        server.messages.clear()


if __name__ == "__main__":
    server.start()
    unittest.main(argv=["django_own_tests"])

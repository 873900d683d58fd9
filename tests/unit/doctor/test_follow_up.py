"""Commands that are suggested keep what was said beside the target."""

from __future__ import annotations

import pytest

from waypost.doctor.check.follow_up import follow_up, plain_target
from waypost.doctor.target import parse_target


@pytest.mark.parametrize(
    ("target", "given", "command", "completed"),
    [
        ("smtp://mail.test:587", [], "waypost check smtps://mail.test:465",
         "waypost check smtps://mail.test:465"),
        ("smtp://mail.test:587?ehlo=me.test&timeout=5", [], "waypost check smtps://mail.test:465",
         "waypost check 'smtps://mail.test:465?ehlo=me.test&timeout=5'"),
        ("mail.test", [("--port", "26"), ("--dns", "127.0.0.1:53")],
         "waypost check mail.test --ca-file authority.pem",
         "waypost check mail.test --ca-file authority.pem --port 26 --dns 127.0.0.1:53"),
        ("mail.test", [("--port", "26"), ("--ca-file", "own ca.pem"), ("--insecure", "")],
         "waypost check smtps://mail.test:465",
         "waypost check smtps://mail.test:465 --ca-file 'own ca.pem' --insecure"),
        ("mail.test", [("--from", "a@b.test"), ("--dns", "::1")], "waypost check b.test",
         "waypost check b.test --dns ::1"),
        ("mail.test", [("--dns", "::1")], "dig +short A mail.test", "dig +short A mail.test"),
        ("mail.test", [("--user", "me")], "waypost check mail.test --user NAME",
         "waypost check mail.test --user NAME"),
    ],
)  # fmt: skip
def test_a_command_is_completed(
    target: str, given: list[tuple[str, str]], command: str, completed: str
) -> None:
    assert follow_up(command, parse_target(target), given) == completed


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("mail.test:587", "mail.test:587"),
        ("smtp://me:***@mail.test:587", "smtp://mail.test:587"),
        ("smtp://mail.test:587?user=me&password_env=X&ehlo=a", "smtp://mail.test:587?ehlo=a"),
        ("smtp://mail.test:587?user=me", "smtp://mail.test:587"),
    ],
)
def test_a_target_is_written_without_its_login(text: str, plain: str) -> None:
    assert plain_target(text) == plain

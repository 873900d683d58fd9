"""Replies that providers publish and servers say give their reasons (published_replies.txt)."""

from __future__ import annotations

from pathlib import Path

import pytest

from waypost.knowledge.classification import classify_text

LINES = Path(__file__).with_name("published_replies.txt").read_text("utf-8").splitlines()
REPLIES = [tuple(line.split(maxsplit=1)) for line in LINES if line and not line.startswith("#")]


@pytest.mark.parametrize(("reason", "text"), REPLIES)
def test_a_published_reply_gives_its_reason(reason: str, text: str) -> None:
    assert classify_text(text).reason == reason

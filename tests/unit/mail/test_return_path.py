"""Return paths: what is written is read, and nobody else can write one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from waypost.mail.address import MAXIMUM_LOCAL_PART, parse_address
from waypost.mail.return_path import MAXIMUM_NUMBER, ReturnPath, ReturnPaths

OURS = ReturnPaths("bounces.example.com", bytes(range(32)))
PATHS = some.builds(
    ReturnPath,
    some.integers(0, (1 << 63) - 1),
    some.none() | some.integers(0, MAXIMUM_NUMBER),
)


@given(PATHS)
def test_what_is_written_is_read_in_any_case(path: ReturnPath) -> None:
    address = OURS.write(path)
    assert OURS.read(address) == OURS.read(address.upper()) == path
    assert len(parse_address(address, smtputf8=False).local_part) <= MAXIMUM_LOCAL_PART


@given(PATHS, some.integers(7, 38), some.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_changed_letter_is_noticed(path: ReturnPath, place: int, letter: str) -> None:
    address = OURS.write(path)
    changed = address[:place] + letter + address[place + 1 :]
    assert OURS.read(changed) == (path if changed == address else None)


@given(PATHS)
def test_others_cannot_write_one(path: ReturnPath) -> None:
    assert OURS.read(ReturnPaths(OURS.domain, bytes(32)).write(path)) is None
    elsewhere = ReturnPaths("other.example", bytes(range(32))).write(path)
    assert OURS.read(elsewhere) is None
    assert OURS.read(elsewhere.replace("other.example", OURS.domain)) is None


@given(some.text())
def test_any_text_is_read_without_a_fault(text: str) -> None:
    assert OURS.read(text) is None
    assert OURS.read(f"{text}@{OURS.domain}") is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        OURS.write(ReturnPath(1, MAXIMUM_NUMBER + 1))
    with pytest.raises(ValueError, match="32 bytes"):
        ReturnPaths("bounces.example.com", b"short")

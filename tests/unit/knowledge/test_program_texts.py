"""The texts of programs: each row is found by its own example, and is about a known cause."""

from __future__ import annotations

import pytest

from waypost.knowledge.causes import causes
from waypost.knowledge.program_texts import ProgramText, program_text, program_texts


@pytest.mark.parametrize("row", program_texts(), ids=lambda row: row.id)
def test_a_row_is_found_by_its_example(row: ProgramText) -> None:
    assert program_text(row.example) is row


@pytest.mark.parametrize("row", program_texts(), ids=lambda row: row.id)
def test_a_row_names_a_known_cause(row: ProgramText) -> None:
    assert not row.cause or row.cause in causes()


@pytest.mark.parametrize(
    "text", ["", "hello world", "The cat sat on the mat.", "Your invoice of November is attached"]
)
def test_what_no_program_says_is_not_found(text: str) -> None:
    assert program_text(text) is None

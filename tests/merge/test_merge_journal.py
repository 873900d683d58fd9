"""Who has had the letter, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from waypost.faces.merge.journal import Journal, Known, WrongJournal, fingerprint, key_of
from waypost.faces.merge.people import Person

ANN = Person(2, "ann@example.org", {"email": "ann@example.org", "name": "Ann"})


def test_what_was_ended_and_what_was_only_begun_is_known_the_next_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "letter")
    for key in ("one", "two", "three", "four"):
        assert journal.known(key) is None
        journal.begin(key, ANN)
    journal.end("one", "sent", "250 Ok")
    journal.end("three", "refused", "550 \udcff")
    journal.forget("four")
    journal.close()

    again = Journal(tmp_path / "j", "letter")

    assert again.known("one") == Known("sent", "250 Ok")
    assert again.known("two") == Known(None, "")
    assert again.known("three") == Known("refused", "550 ?")
    assert again.known("four") is None
    assert again.counts() == {"sent": 1, "uncertain": 1, "refused": 1}
    again.begin("three", ANN)
    assert again.known("three") == Known(None, "")
    again.close()


def test_a_journal_is_of_one_letter(tmp_path: Path) -> None:
    Journal(tmp_path / "j", "letter").close()
    with pytest.raises(WrongJournal, match="another letter"):
        Journal(tmp_path / "j", "changed")


def test_two_mailings_do_not_share_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "letter")
    try:
        with pytest.raises(WrongJournal, match="another mailing"):
            Journal(tmp_path / "j", "letter")
    finally:
        journal.close()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 40])
def test_a_file_that_is_no_journal_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(WrongJournal, match="--journal"):
        Journal(tmp_path / "j", "letter")
    assert (tmp_path / "j").read_bytes() == content


def test_the_journal_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "letter")
    journal._database.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(WrongJournal, match="another version"):
        Journal(tmp_path / "j", "letter")


def test_a_person_is_the_same_wherever_the_row_stands() -> None:
    moved = Person(9, ANN.address, dict(reversed(ANN.fields.items())))
    other = Person(2, ANN.address, {**ANN.fields, "name": "Anna"})
    assert key_of(moved) == key_of(ANN) != key_of(other)


def test_a_fingerprint_tells_pieces_apart() -> None:
    assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])
    assert fingerprint(["\udcff"]) != fingerprint(["x"])

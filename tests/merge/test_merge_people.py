"""Rows of a CSV file, as spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.faces.merge.people import InvalidPeople, People, Person, Unusable


def people(folder: Path, content: str | bytes, column: str | None = None) -> People:
    path = folder / "people.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return People(path, column)


def test_each_row_is_a_person(tmp_path: Path) -> None:
    found = list(people(tmp_path, "email,First name\nann@example.org,Ann\n\nbob@example.net,\n"))

    assert found == [
        Person(2, "ann@example.org", {"email": "ann@example.org", "first_name": "Ann"}),
        Person(4, "bob@example.net", {"email": "bob@example.net", "first_name": ""}),
    ]


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_what_stands_between_columns_is_found(tmp_path: Path, sign: str) -> None:
    text = sign.join(["Name", "E-Mail"]) + "\r\n" + sign.join(["Ann", "ann@example.org"]) + "\r\n"
    [person] = people(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert isinstance(person, Person)
    assert (person.address, person.fields["name"]) == ("ann@example.org", "Ann")


def test_a_quoted_field_may_hold_lines(tmp_path: Path) -> None:
    text = 'email,note\n"ann@example.org","two\nlines, and a comma"\nbob@example.net,x\n'
    first, second = people(tmp_path, text)
    assert isinstance(first, Person)
    assert first.fields["note"] == "two\nlines, and a comma"
    assert second.line == 4


def test_the_column_of_the_address_can_be_named(tmp_path: Path) -> None:
    text = "email,work address\nann@home.example,ann@work.example\n"
    [person] = people(tmp_path, text, "Work address")
    assert isinstance(person, Person)
    assert person.address == "ann@work.example"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",Ann", "no address in the column email"),
        ("ann at example.org,Ann", "is no address"),
        ("ann@example.org,Ann,x", "3 fields"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_line(
    tmp_path: Path, row: str, reason: str
) -> None:
    [unusable] = people(tmp_path, f"email,name\n{row}\n")
    assert isinstance(unusable, Unusable)
    assert unusable.line == 2
    assert reason in unusable.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"PK\x03\x04\x00\x00", "no text file"),
        (b"name,phone\nAnn,1\n", "no column with the address; the columns are name, phone"),
        (b"email,Name,name\n", "names name twice"),
        (b"caf\xe9,email\n", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_list_of_people_is_told(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(InvalidPeople, match=reason):
        people(tmp_path, content)


def test_bytes_that_are_no_text_further_down_are_told_with_the_line(tmp_path: Path) -> None:
    rows = b"ann@example.org,Ann\n" * 10_000
    found = people(tmp_path, b"email,name\n" + rows + b"bob@example.net,\xff\n")
    with pytest.raises(InvalidPeople, match=r"people\.csv:\d+: .*can't decode"):
        list(found)


@given(st.binary(max_size=300))
def test_whatever_a_file_holds_it_is_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    try:
        found = list(people(tmp_path_factory.mktemp("people"), b"email,x\n" + content))
    except InvalidPeople:
        return
    assert all(one.line >= 2 for one in found)

"""The rows of a CSV file: who gets the letter, and what their copy says.

The first line names the columns. What spreadsheets write is read as it is: a byte order mark,
semicolons or tabs in place of commas, quoted fields with line ends in them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from waypost.mail.address import InvalidAddress, parse_address

MAXIMUM_FIELD: Final = 1024 * 1024
"""Characters of one field."""

ADDRESS_COLUMNS: Final = ("email", "e-mail", "email_address", "mail", "address", "to")
"""Looked for in this order where nobody says which column has the address."""

_UNNAMEABLE: Final = re.compile(r"\W+")
_SAMPLE: Final = 64 * 1024


class InvalidPeople(ValueError):
    """The file is no list of people; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Person:
    """One row."""

    line: int
    """Of the file, where the row begins."""
    address: str
    fields: dict[str, str]
    """By column, under names that a template can use: "First name" is `first_name`."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that nothing can be sent to."""

    line: int
    reason: str


class People:
    """A CSV file, read row by row, however long it is. Raises InvalidPeople and OSError."""

    def __init__(self, path: Path, address_column: str | None = None) -> None:
        self.path = path
        with self._opened() as file:
            sample = _read(file, path)
            self._delimiter = _delimiter(sample)
            file.seek(0)
            heads = next(csv.reader(file, delimiter=self._delimiter), [])
        self.columns = _names(heads, path)
        self.address_column = self._find(address_column)

    def __iter__(self) -> Iterator[Person | Unusable]:
        """Each row; a row twice the same address is not: it may be two people of one mailbox."""
        csv.field_size_limit(MAXIMUM_FIELD)
        with self._opened() as file:
            rows = csv.reader(file, delimiter=self._delimiter)
            next(rows, None)
            line = rows.line_num + 1
            try:
                for row in rows:
                    if any(cell.strip() for cell in row):
                        yield self._person(line, row)
                    line = rows.line_num + 1
            except (csv.Error, UnicodeDecodeError) as fault:
                raise InvalidPeople(f"{self.path}:{line}: {fault}") from fault

    def _person(self, line: int, row: Sequence[str]) -> Person | Unusable:
        if len(row) > len(self.columns):
            return Unusable(
                line, f"{len(row)} fields, where the first line names {len(self.columns)} columns"
            )
        cells = [cell.strip() for cell in row] + [""] * (len(self.columns) - len(row))
        fields = dict(zip(self.columns, cells, strict=True))
        given = fields[self.address_column]
        if not given:
            return Unusable(line, f"no address in the column {self.address_column}")
        try:
            parse_address(given, smtputf8=True)
        except InvalidAddress as fault:
            return Unusable(line, f"{given[:80]!r} is no address: {fault.reason}")
        return Person(line, given, fields)

    def _opened(self) -> io.TextIOWrapper:
        # newline="": the csv module sees line ends inside of quoted fields itself.
        return self.path.open(encoding="utf-8-sig", newline="")

    def _find(self, wanted: str | None) -> str:
        candidates = (_name(wanted),) if wanted is not None else ADDRESS_COLUMNS
        for one in candidates:
            if _name(one) in self.columns:
                return _name(one)
        what = f"no column {wanted!r}" if wanted else "no column with the address"
        raise InvalidPeople(
            f"{self.path}: {what}; the columns are {', '.join(self.columns)}. Name the right one "
            "with --address-column"
        )


def _read(file: io.TextIOWrapper, path: Path) -> str:
    try:
        sample = file.read(_SAMPLE)
    except UnicodeDecodeError as fault:
        raise InvalidPeople(
            f"{path}: not UTF-8 ({fault.reason} at byte {fault.start}); save it as CSV UTF-8"
        ) from fault
    if not sample.strip():
        raise InvalidPeople(f"{path}: empty; the first line must name the columns")
    if "\0" in sample:
        raise InvalidPeople(f"{path}: no text file; save the sheet as CSV")
    return sample


def _delimiter(sample: str) -> str:
    """What stands between the names of the columns."""
    first = sample.splitlines()[0]
    return max(",;\t", key=lambda sign: (first.count(sign), sign == ","))


def _name(head: str) -> str:
    """A column's name as a template writes it."""
    return _UNNAMEABLE.sub("_", head.strip().lower()).strip("_")


def _names(heads: Sequence[str], path: Path) -> tuple[str, ...]:
    names = [_name(head) or f"column_{number}" for number, head in enumerate(heads, 1)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidPeople(
            f"{path}: the first line names {', '.join(sorted(twice))} twice; give each column a "
            "name of its own"
        )
    return tuple(names)

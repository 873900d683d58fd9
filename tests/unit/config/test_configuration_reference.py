"""The reference and the file of `config init` say what is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from configuration_loading import loaded

from waypost.config.keys import Key, keys
from waypost.config.reference import commented_file, documented, row, table

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"

DOCUMENTED = list(keys())


@pytest.mark.parametrize("key", DOCUMENTED, ids=lambda key: key.dotted)
def test_the_reference_has_the_kind_the_default_and_the_meaning_of_each_key(key: Key) -> None:
    assert key.field.description
    assert row(key) in PAGE.read_text("utf-8").splitlines()


def test_the_reference_has_no_key_that_is_none() -> None:
    named = re.findall(r"^\| `([a-z0-9_.]+)` \| [a-zA-Z0-9]", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(key.dotted for key in DOCUMENTED)


@pytest.mark.parametrize("section", [name for name, _, _ in documented()])
def test_each_table_of_the_reference_is_whole(section: str) -> None:
    assert table(section) in PAGE.read_text("utf-8")


def test_a_variable_of_the_environment_means_one_key_only() -> None:
    names = ["_".join(key.path) for key in keys() if not key.in_list]
    assert len(names) == len(set(names))


def test_the_file_that_is_begun_with_is_valid_and_changes_nothing(tmp_path: Path) -> None:
    begun, empty = loaded(tmp_path, commented_file()), loaded(tmp_path)
    assert begun.service_settings() == empty.service_settings()


def test_every_default_in_it_is_one(tmp_path: Path) -> None:
    text = re.sub(r"^# ([a-z0-9_]+ = )", r"\1", commented_file(), flags=re.MULTILINE)
    document = tomllib.loads(text)
    given, empty = loaded(tmp_path, text), loaded(tmp_path)
    assert given.service_settings() == empty.service_settings()
    # Outboxes, keys and rules are only examples there: some of their keys must be given.
    examples = (("outbox",), ("dkim",), ("destination_tls",), ("sandbox", "rule"))
    stated = {key.dotted for key in DOCUMENTED if key.default and key.path[:-1] not in examples}
    for dotted in stated:
        value: object = document
        for part in dotted.split("."):
            value = value[0] if isinstance(value, list) else value
            assert isinstance(value, dict)
            value = value[part]


def test_every_key_is_named_in_it() -> None:
    text = commented_file()
    for key in DOCUMENTED:
        assert re.search(rf"^(?:# +)?{key.path[-1]} (?:=|is not set)", text, re.MULTILINE), key.path

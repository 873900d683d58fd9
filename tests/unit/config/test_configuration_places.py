"""The scanner finds the line of every key that tomllib finds, and of no other."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from waypost.config.places import KeyPath, nearest, scan


def paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """The path of every key and every element of a document as tomllib reads it."""
    found: set[KeyPath] = {path} if path else set()
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= paths_of(inner, (*path, key))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            found |= paths_of(inner, (*path, number))
    return found


def lines(text: str) -> dict[KeyPath, int]:
    return {path: place.line for path, place in scan(text).items()}


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1", ("a",), 1),
        ("\n\n# x = 1\na = 1", ("a",), 4),
        ("[a]\nb = 1", ("a", "b"), 2),
        ("[a]\nb = 1", ("a",), 1),
        ("[a.b]\n\nc.d = 1", ("a", "b", "c", "d"), 3),
        ("[a.b]\n[a]\nc = 1", ("a",), 2),
        ("[[r]]\nx = 1\n[[r]]\nx = 2", ("r", 1, "x"), 4),
        ("[[r]]\n[r.limits]\nx = 1\n[[r]]\n[r.limits]\nx = 2", ("r", 1, "limits", "x"), 6),
        ("[[r]]\n[[r.s]]\n[[r.s]]\ny = 1", ("r", 0, "s", 1, "y"), 4),
        ('a = """\nb = 1\n"""\nc = 1', ("c",), 4),
        ("a = '''\n[t]\n'''''\nc = 1", ("c",), 4),
        ('a = """x\\"""" # """\nc = 1', ("c",), 2),
        ("a = [\n  1,\n  # two\n  2,\n]\nb = 1", ("a", 1), 4),
        ("a = [\n  1,\n  2,\n]\nb = 1", ("b",), 5),
        ("a = [ { b = 1 }, { c = { d = '}' } } ]", ("a", 1, "c", "d"), 1),
        ('"a b".\'c.d\' . "\\u00e9" = 1', ("a b", "c.d", "é"), 1),
        ("a = 1979-05-27 07:32:00\nb = 1", ("b",), 2),
        ("a = 'x' # b = 2\nc = 1", ("c",), 2),
    ],
)  # fmt: skip
def test_a_key_is_found_at_its_line(text: str, path: KeyPath, line: int) -> None:
    tomllib.loads(text)
    assert lines(text)[path] == line


def test_a_column_is_counted_from_one() -> None:
    assert scan("  a = { bc = 1 }")["a", "bc"].column == 9


def test_a_key_that_is_not_there_is_placed_at_the_table_around_it() -> None:
    places = scan("[a]\nb = 1")
    place = nearest(places, ("a", "c", 0, "d"))
    assert place is not None
    assert place.line == 1
    assert nearest(places, ("z",)) is None


KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)


def written_key(key: str, draw: st.DrawFn) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    if bare and draw(st.booleans()):
        return key
    if "'" not in key and all(c.isprintable() for c in key) and draw(st.booleans()):
        return f"'{key}'"
    return '"' + "".join(written_sign(c) for c in key) + '"'


def written_sign(sign: str) -> str:
    if sign in '"\\':
        return "\\" + sign
    if sign.isprintable():
        return sign
    return f"\\U{ord(sign):08x}"


VALUES = st.sampled_from(
    [
        "1", "0x1f", "1.5e3", "true", "inf", "1979-05-27 07:32:00", "07:32:00",
        '"# no"', "'] }'", '"\\" ="', '"""\nx = 1\n"""', '""""q""""', "'''\n[t]\n\\'''''",
        "[]", "[1, 2]", "[\n 1, # one\n [ 'a', \"]\" ],\n]", "{}", "{ a = 1, b.c = '}' }",
        "[ { x = 1 }, { y = [ 2 ] } ]",
    ]
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Documents of all constructs; not all of them hold together, which tomllib then says."""
    text = ""
    for _ in range(draw(st.integers(0, 8))):
        keys = draw(st.lists(KEYS, min_size=1, max_size=3))
        name = draw(st.sampled_from([".", " . "])).join(written_key(key, draw) for key in keys)
        text += draw(
            st.sampled_from(["", "\n", "  ", "# [c]\n", "\t"]),
        ) + draw(st.sampled_from([f"[{name}]", f"[[ {name} ]]", f"{name} = {draw(VALUES)}"]))
        text += draw(st.sampled_from(["\n", " # x = '\n", "\r\n"]))
    return text


@given(documents())
@example("[[a]]\n[[a.b]]\nc = 1\n[[a]]\n[a.b]\n")
def test_the_scanner_finds_the_very_keys_that_tomllib_finds(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        scan(text)  # ends, whatever it is given
        return
    places = scan(text)
    assert set(places) == paths_of(document)
    split = text.split("\n")
    for path, place in places.items():
        rest = split[place.line - 1][place.column - 1 :]
        last = path[-1]
        if isinstance(last, str) and not rest.startswith(("[", '"', "'")):
            assert any(rest.startswith(str(part)) for part in path), (path, rest)


@given(st.text(st.sampled_from("ab.=[]{}\"'\\\n #,1"), max_size=40))
def test_random_signs_end_the_scanner_and_never_break_it(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        scan(text)
    else:
        assert set(scan(text)) == paths_of(document)

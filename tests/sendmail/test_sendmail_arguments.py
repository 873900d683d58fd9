"""What programs give to sendmail, and what is meant by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.faces.sendmail.arguments import Arguments, WrongArguments, parse


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ann@example.org bob", Arguments(recipients=["ann@example.org", "bob"])),
        ("-t -i", Arguments(from_header=True, ignore_dots=True)),
        ("-ti", Arguments(from_header=True, ignore_dots=True)),
        ("-t -oi", Arguments(from_header=True, ignore_dots=True)),
        ("-t -oem -odb", Arguments(from_header=True)),
        ("-f a@b.example x", Arguments(recipients=["x"], sender="a@b.example")),
        ("-fa@b.example x", Arguments(recipients=["x"], sender="a@b.example")),
        ("-ra@b.example x", Arguments(recipients=["x"], sender="a@b.example")),
        ("-f <> x", Arguments(recipients=["x"], sender="<>")),
        ("-tfa@b.example", Arguments(from_header=True, sender="a@b.example")),
        ("-FJoe x", Arguments(recipients=["x"], full_name="Joe")),
        ("-i -- -odd@example.org", Arguments(recipients=["-odd@example.org"], ignore_dots=True)),
        ("-N failure,DELAY x", Arguments(recipients=["x"], notify=frozenset({"FAILURE", "DELAY"}))),
        ("-N never x", Arguments(recipients=["x"], notify=frozenset({"NEVER"}))),
        ("-R hdrs -V q1 x", Arguments(recipients=["x"], returned="HDRS", envelope_id="q1")),
        ("-B8BITMIME x", Arguments(recipients=["x"], body="8BITMIME")),
        ("-O DeliveryMode=b -Ac -v -m x", Arguments(recipients=["x"])),
        ("-bm -t", Arguments(from_header=True)),
        ("-bs", Arguments(mode="smtp")),
        ("-bp", Arguments(mode="list-queue")),
        ("-q", Arguments(mode="run-queue")),
        ("-q30m", Arguments(mode="run-queue")),
        ("-bi", Arguments(mode="aliases")),
    ],
)
def test_arguments(line: str, expected: Arguments) -> None:
    assert parse("sendmail", line.split()) == expected


def test_the_name_of_the_program_says_what_to_do() -> None:
    assert parse("mailq", []).mode == "list-queue"
    assert parse("newaliases", []).mode == "aliases"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "nobody to send to"),
        ("-bd", "waypost serve"),
        ("-bv x", "waypost check"),
        ("-bz x", "-bz is not served"),
        ("-f", "-f needs a value"),
        ("-N sometimes x", "-N takes"),
        ("-N never,failure x", "-N takes"),
        ("-R some x", "-R takes"),
        ("-B 16BIT x", "-B takes"),
        ("-k x", "-k is no option"),
    ],
)
def test_what_cannot_be_served_is_told(line: str, reason: str) -> None:
    with pytest.raises(WrongArguments, match=reason):
        parse("sendmail", line.split())


@given(st.lists(st.text(max_size=8), max_size=6))
def test_whatever_is_given_it_is_understood_or_told(given_arguments: list[str]) -> None:
    try:
        arguments = parse("sendmail", given_arguments)
    except WrongArguments:
        return
    assert arguments.mode != "send" or arguments.recipients or arguments.from_header

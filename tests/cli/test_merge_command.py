"""`waypost send --merge`: a letter to everybody on a list."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from conftest import Ended, Place, Relay, wait_for
from waypost.lab.simulated_peer import Fault
from waypost.smtp.reply import reply

PEOPLE = "email,name\nann@example.org,Ann\nbob@example.net,Bob\ncid@example.com,Cid\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text(PEOPLE)
    (tmp_path / "letter.txt").write_text("Dear {{ name }},\nhello.\n")
    return tmp_path


def merge(place: Place, folder: Path, *more: str, yes: bool = True) -> Ended:
    return place.run(
        "send", "--from", "Shop <shop@example.com>", "--subject", "For {{ name }}",
        "--merge", str(folder / "people.csv"), "--template", str(folder / "letter.txt"),
        *(("--yes",) if yes else ()), *more,
    )  # fmt: skip


def letters(peer: Any) -> dict[str, str]:
    """By recipient, subject and text."""
    found = {}
    for one in peer.received:
        message = message_from_bytes(one.content, policy=policy.default)
        (recipient,) = one.envelope.recipients
        assert recipient.address not in found, "it came twice"
        assert message["To"] == recipient.address
        found[recipient.address] = f"{message['Subject']}|{message.get_content().strip()}"
    return found


def test_everybody_gets_a_copy_and_the_same_command_again_sends_nothing(
    place: Place, folder: Path, peer: Callable[..., Any]
) -> None:
    server, port = peer()
    via = ("--via", f"smtp+plain://127.0.0.1:{port}")

    ended = merge(place, folder, *via)

    assert (ended.code, ended.out) == (0, "3 people: 3 sent\n")
    assert letters(server)["ann@example.org"].replace("\r", "") == "For Ann|Dear Ann,\nhello."
    assert len(server.received) == 3

    (folder / "people.csv").write_text(PEOPLE + "dan@example.org,Dan\nann@example.org,Ann\n")
    ended = merge(place, folder, *via, "--json")

    assert ended.code == 0
    assert {name: ended.json[name] for name in ("people", "sent", "had_it", "twice")} == {
        "people": 5, "sent": 1, "had_it": 3, "twice": 1,
    }  # fmt: skip
    assert set(letters(server)) == {
        "ann@example.org", "bob@example.net", "cid@example.com", "dan@example.org",
    }  # fmt: skip


def test_the_running_relay_takes_it(sandbox: Relay, folder: Path) -> None:
    place = sandbox.place
    ended = merge(place, folder)
    assert ended.code == 0
    wait_for(lambda: place.run("log").out.count("captured") == 3)


def test_who_was_not_taken_for_now_is_sent_to_by_the_next_run(
    place: Place, folder: Path, peer: Callable[..., Any]
) -> None:
    (folder / "people.csv").write_text("email,name\nann@example.org,Ann\nbob@example.net,Bob\n")
    greylisted = Fault("rcpt", "reply", reply(450, "4.7.1", "Greylisted"))
    refused = Fault("rcpt", "reply", reply(550, "5.1.1", "No such user"))
    server, port = peer(faults=[greylisted] * 20)
    via = ("--via", f"smtp+plain://127.0.0.1:{port}", "--journal", str(folder / "journal"))

    first = merge(place, folder, *via, "--json")

    assert first.code == 75
    assert first.json["deferred"] == 2
    assert any("ann@example.org" in one for one in first.json["problems"])
    assert server.received == []

    server, port = peer(faults=[refused] * 5)
    via = ("--via", f"smtp+plain://127.0.0.1:{port}", "--journal", str(folder / "journal"))
    second = merge(place, folder, *via, "--json")
    assert (second.code, second.json["refused"]) == (1, 2)

    server, port = peer()
    via = ("--via", f"smtp+plain://127.0.0.1:{port}", "--journal", str(folder / "journal"))
    third = merge(place, folder, *via, "--json")
    assert (third.code, third.json["had_it"]) == (0, 2)
    fourth = merge(place, folder, *via, "--retry-refused", "--json")
    assert (fourth.code, fourth.json["sent"]) == (0, 2)


def test_whose_answer_was_lost_is_left_alone_until_somebody_says_so(
    place: Place, folder: Path, peer: Callable[..., Any]
) -> None:
    (folder / "people.csv").write_text("email,name\nann@example.org,Ann\n")
    server, port = peer(faults=[Fault("content", "accept_and_drop"), None])
    via = ("--via", f"smtp+plain://127.0.0.1:{port}")

    first = merge(place, folder, *via)
    assert first.code == 75
    assert "--resend-uncertain" in first.out
    second = merge(place, folder, *via, "--json")
    assert (second.code, second.json["uncertain"], len(server.received)) == (75, 1, 1)
    third = merge(place, folder, *via, "--resend-uncertain", "--json")
    assert (third.code, third.json["sent"]) == (0, 1)


def test_a_preview_shows_copies_and_sends_nothing(place: Place, folder: Path) -> None:
    ended = merge(
        place, folder, "--preview", "2", "--unsubscribe", "https://example.com/{{ name }}",
        yes=False,
    )  # fmt: skip
    assert ended.code == 0
    assert "Subject: For Ann" in ended.out
    assert "Dear Bob," in ended.out
    assert "List-Unsubscribe: <https://example.com/Ann>" in ended.out
    assert "Cid" not in ended.out


def test_a_dry_run_looks_at_every_row(place: Place, folder: Path) -> None:
    (folder / "people.csv").write_text(PEOPLE + "nobody,x\n")
    ended = merge(place, folder, "--dry-run", yes=False)
    assert ended.code == 1
    assert "line 5: 'nobody' is no address" in ended.out
    assert "3 people: 1 rows that cannot be used" in ended.out
    assert not (folder / "people.csv.sent").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--to", "x@example.org"), "leave out --to"),
        (("--merge", "/nowhere.csv"), "/nowhere.csv"),
        (("--template", "/nowhere.txt"), "/nowhere.txt"),
        (("--subject", "{{ nmae }}"), "no column is named nmae"),
        (("--address-column", "mail"), "no column 'mail'"),
        (("--rate", "often"), "rate"),
        (("--header", "nothing"), "--header"),
        (("--attach", "/nowhere.pdf"), "/nowhere.pdf"),
        (("--journal", "/nowhere/journal"), "--journal"),
    ],
)
def test_wrong_input_is_told_in_a_line_before_anything_is_sent(
    place: Place, folder: Path, closed_port: int, more: tuple[str, ...], words: str
) -> None:
    ended = merge(place, folder, "--via", f"smtp+plain://127.0.0.1:{closed_port}", *more)
    assert ended.code == 2, ended
    assert words in ended.err
    assert len(ended.err.strip().splitlines()) <= 2


def test_nobody_can_be_asked_without_a_terminal(place: Place, folder: Path) -> None:
    ended = merge(place, folder, "--via", "smtp+plain://127.0.0.1:1", yes=False)
    assert ended.code == 2
    assert "--yes" in ended.err


def test_options_of_a_merge_need_one(place: Place) -> None:
    ended = place.run("send", "--from", "a@example.com", "--to", "b@example.org", "--dry-run")
    assert ended.code == 2
    assert "--merge" in ended.err

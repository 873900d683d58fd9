"""`waypost queue` on a relay whose next hop is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import Place, Relay
from waypost.faces.cli.relay import control_socket


def states(place: Place, identifier: str) -> list[str]:
    story = place.run("queue", "show", identifier, "--json").json
    return [one["state"] for one in story["recipients"]]


def test_an_empty_queue_says_so(sandbox: Relay) -> None:
    ended = sandbox.place.run("queue", "list")
    assert (ended.code, ended.out, ended.err) == (0, "nothing waits\n", "")


def test_waiting_mail_is_listed_newest_first(stuck: Relay) -> None:
    first = stuck.submit("a@example.com", "b@example.org", subject="One")
    second = stuck.submit("a@example.com", "c@example.org", "d@example.net", subject="Two")
    lines = stuck.place.run("queue", "list").out.splitlines()
    assert lines[0].split() == ["ID", "AGE", "SIZE", "STATE", "FROM", "TO", "NEXT", "SUBJECT"]
    assert [line.split()[0] for line in lines[1:]] == [second, first]
    assert "c@example.org +1" in lines[1]
    assert lines[1].endswith("Two")


def test_filters_choose_by_sender_recipient_and_text(stuck: Relay) -> None:
    one = stuck.submit("a@example.com", "b@example.org", subject="Invoice")
    two = stuck.submit("x@example.net", "c@example.com", subject="Report")

    def listed(*options: str) -> list[str]:
        page = stuck.place.run("queue", "list", "--json", *options).json
        return [message["id"] for message in page["messages"]]

    assert listed() == [two, one]
    assert listed("--sender", "@example.com") == [one]
    assert listed("--to", "c@example.com") == [two]
    assert listed("--text", "invoice") == [one]
    assert listed("--older-than", "1h") == []
    assert listed("--state", "held") == []
    assert listed("--limit", "1") == [two]
    assert listed("--before", two) == [one]


def test_show_tells_what_a_recipient_waits_for_and_what_was_said(stuck: Relay) -> None:
    identifier = stuck.submit("a@example.com", "b@example.org")
    stuck.until_deferred(identifier)
    story = stuck.place.run("queue", "show", identifier, "--json").json
    (recipient,) = story["recipients"]
    assert recipient["waits_for"] == "its next attempt"
    assert recipient["waits_until"] == recipient["next_attempt"] is not None
    assert recipient["reason"] == "connection-refused"
    assert "cannot connect" in "".join(story["attempts"][0]["transcript"])
    text = stuck.place.run("queue", "show", identifier).out
    assert "to b@example.org: queued after 1 attempt" in text
    assert "waits for: its next attempt until" in text
    assert "note cannot connect" in text


def test_show_raw_gives_the_message_as_stored(stuck: Relay) -> None:
    identifier = stuck.submit("a@example.com", "b@example.org", text="The text")
    raw = stuck.place.run("queue", "show", identifier, "--raw").out
    assert raw.startswith("Received: ")
    assert raw.replace("\r", "").endswith("\n\nThe text\n")


def test_hold_release_and_remove_a_message(stuck: Relay) -> None:
    place = stuck.place
    identifier = stuck.submit("a@example.com", "b@example.org")
    stuck.until_deferred(identifier)
    ended = place.run("queue", "hold", identifier)
    assert ended.code == 0
    assert ended.out.endswith("1 recipient held\n")
    assert states(place, identifier) == ["held"]
    assert place.run("queue", "retry", identifier).code == 1, "a held message is not retried"
    assert place.run("queue", "release", identifier).code == 0
    stuck.until_deferred(identifier, attempts=2)
    assert states(place, identifier) == ["queued"]
    assert place.run("queue", "remove", identifier).code == 0
    assert states(place, identifier) == ["cancelled"]


def test_retry_brings_an_attempt_at_once(stuck: Relay) -> None:
    identifier = stuck.submit("a@example.com", "b@example.org")
    stuck.until_deferred(identifier)
    ended = stuck.place.run("queue", "retry", identifier, "--json")
    assert ended.json["changed"] == 1
    stuck.until_deferred(identifier, attempts=2)


def test_a_change_by_filter_is_shown_and_needs_yes(stuck: Relay) -> None:
    place = stuck.place
    one = stuck.submit("a@example.com", "b@example.org")
    other = stuck.submit("x@example.net", "c@example.org")
    stuck.until_deferred(one)
    refused = place.run("queue", "remove", "--sender", "@example.com")
    assert refused.code == 2
    assert "--yes" in refused.err
    dry = place.run("queue", "remove", "--sender", "@example.com", "--dry-run")
    assert dry.code == 0
    assert "b@example.org" in dry.out
    assert states(place, one) == ["queued"]
    done = place.run("queue", "remove", "--sender", "@example.com", "--yes")
    assert "1 recipient removed" in done.out
    assert (states(place, one), states(place, other)) == (["cancelled"], ["queued"])


def test_a_change_without_any_choice_is_refused(stuck: Relay) -> None:
    ended = stuck.place.run("queue", "remove", "--yes")
    assert ended.code == 2
    assert "say which messages" in ended.err


def test_reroute_shows_the_routes_of_today_and_tries_them(stuck: Relay) -> None:
    identifier = stuck.submit("a@example.com", "b@example.org")
    stuck.until_deferred(identifier)
    dry = stuck.place.run("queue", "reroute", "--state", "all", "--dry-run", "--json").json
    (route,) = dry["routes"]
    assert (route["route"], route["recipients"], dry["changed"]) == ("default", 1, 0)
    assert route["next_hops"].startswith("127.0.0.1:")
    assert stuck.place.run("queue", "reroute", identifier, "--json").json["changed"] == 1


def test_export_writes_message_and_envelope_and_overwrites_nothing(
    stuck: Relay, tmp_path: Path
) -> None:
    identifier = stuck.submit("a@example.com", "b@example.org", text="Keep me")
    folder = tmp_path / "out"
    ended = stuck.place.run("queue", "export", str(folder))
    assert (ended.code, ended.out) == (0, f"1 messages written to {folder}\n")
    content = (folder / f"{identifier}.eml").read_bytes()
    raw = stuck.place.run("queue", "show", identifier, "--raw").out
    assert content.decode().replace("\r\n", "\n") == raw
    assert content.endswith(b"\r\n\r\nKeep me\r\n")
    envelope = json.loads((folder / f"{identifier}.json").read_text())
    assert envelope["from"] == "a@example.com"
    assert [one["address"] for one in envelope["recipients"]] == ["b@example.org"]
    again = stuck.place.run("queue", "export", identifier, str(folder))
    assert again.code == 1
    assert "not overwritten" in again.out


def test_status_counts_and_names_what_is_left_alone(stuck: Relay) -> None:
    identifier = stuck.submit("a@example.com", "b@example.org")
    stuck.until_deferred(identifier)
    status = stuck.place.run("queue", "status", "--json").json
    assert status["running"] is True
    assert status["recipients"]["queued"] == 1
    assert status["oldest_queued"] is not None
    (alone,) = status["left_alone"]
    assert alone["route"] == "default"
    assert alone["until"] is not None
    text = stuck.place.run("queue", "status").out
    assert "queued     1" in text
    assert "LEFT ALONE" in text


def test_control_characters_of_a_sender_do_not_reach_the_terminal(stuck: Relay) -> None:
    identifier = stuck.submit(
        "a@example.com", "b@example.org", subject="\x1b[2Jhi =?utf-8?q?=1B[H?="
    )
    for arguments in (("queue", "list"), ("queue", "show", identifier), ("log",)):
        assert "\x1b" not in stuck.place.run(*arguments).out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "nope!"), 2, "no message identifier"),
        (("show", "1zz"), 1, "there is no message 1zz"),
        (("show", "1zz", "--raw"), 1, "there is no message 1zz"),
        (("hold", "1zz"), 1, "none of these messages"),
        (("list", "--state", "odd"), 2, "no state"),
        (("list", "--older-than", "soon"), 2, "no time"),
        (("list", "--limit", "0"), 2, "--limit"),
        (("list", "--before", "!"), 2, "no message identifier"),
    ],
)
def test_wrong_input_is_told_in_one_line(
    sandbox: Relay, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = sandbox.place.run("queue", *arguments)
    assert ended.code == code
    assert words in ended.err
    assert "Traceback" not in ended.err


# --- while no relay runs ------------------------------------------------------------------------


def test_without_a_relay_the_spool_itself_is_worked_on(stuck: Relay) -> None:
    place = stuck.place
    identifier = stuck.submit("a@example.com", "b@example.org")
    stuck.until_deferred(identifier)
    place.stop()
    ended = place.run("queue", "list", "--json")
    assert [one["id"] for one in ended.json["messages"]] == [identifier]
    assert ended.err.startswith("waypost: no relay is running; working on the spool ")
    assert len(ended.err.splitlines()) == 1
    story = place.run("queue", "show", identifier, "--json").json
    assert story["recipients"][0]["waits_for"] == "no relay is running"
    assert place.run("queue", "hold", identifier).code == 0
    assert states(place, identifier) == ["held"]
    routed = place.run("queue", "reroute", identifier, "--dry-run", "--json").json
    assert routed["routes"][0]["next_hops"] == "sandbox:", "by the configuration of the command"
    assert place.run("queue", "status", "--json").json["running"] is False


def test_without_a_relay_and_a_spool_the_command_says_how_to_start(place: Place) -> None:
    ended = place.run("queue", "list")
    assert ended.code == 69
    assert "waypost serve" in ended.err
    assert not place.data.exists(), "nothing is made by looking"


def test_a_spool_in_use_by_a_relay_that_does_not_answer_is_a_temporary_failure(
    sandbox: Relay,
) -> None:
    socket = control_socket(sandbox.service.settings.spool.directory)
    socket.rename(socket.with_name("elsewhere"))
    ended = sandbox.place.run("queue", "list")
    assert ended.code == 75
    assert "in use by another process" in ended.err


def test_a_relay_with_another_spool_is_not_mistaken_for_the_one_meant(
    sandbox: Relay, tmp_path: Path
) -> None:
    other = f"sqlite:{tmp_path / 'other'}"
    ended = sandbox.place.run("queue", "list", "--spool", other)
    assert ended.code == 69
    assert str(tmp_path / "other") in ended.err
    same = f"sqlite:{sandbox.service.settings.spool.directory}"
    assert sandbox.place.run("queue", "list", "--spool", same).code == 0


def test_a_faulty_configuration_is_told_with_its_key(place: Place, tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text("hostnme = 'x'\n")
    ended = place.run("queue", "list", "--config", str(tmp_path / "w.toml"))
    assert ended.code == 2
    assert "hostnme" in ended.err
    assert "hostname" in ended.err

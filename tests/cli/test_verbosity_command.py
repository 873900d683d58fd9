"""`waypost verbosity`."""

from __future__ import annotations

from conftest import Place, Relay, wait_for
from waypost.testing import MailServer


def transcripts(place: Place, identifier: str) -> list[list[str]]:
    story = place.run("log", identifier, "--json").json
    return [one["transcript"] for one in story["attempts"]]


def deliver(relay: Relay, recipient: str) -> list[str]:
    identifier = relay.submit("a@example.com", recipient)
    wait_for(lambda: bool(transcripts(relay.place, identifier)))
    (transcript,) = transcripts(relay.place, identifier)
    return transcript


def test_it_is_switched_while_the_relay_runs(place: Place) -> None:
    words = "550 5.7.1 " + "words " * 200 + "end"
    with MailServer() as server:
        server.fail(on="rcpt", recipient="wordy@*", reply=words)
        relay = place.start(f"smtp+plain://127.0.0.1:{server.port}")
        assert place.run("verbosity").out == "all is normal\n"
        assert any("MAIL FROM" in line for line in deliver(relay, "b@one.example"))
        assert any(line.endswith("[...]") for line in deliver(relay, "wordy@one.example"))

        shown = place.run("verbosity", "One.example", "full")
        assert "one.example" in shown.out
        assert "full" in shown.out
        assert any(line.endswith(words) for line in deliver(relay, "wordy@one.example"))
        assert any(line.endswith("[...]") for line in deliver(relay, "wordy@two.example"))

        place.run("verbosity", "one.example", "brief", "--for", "10min")
        (kept,) = deliver(relay, "b@one.example")
        assert "verbosity brief" in kept
        assert any("550 5.7.1 words" in line for line in deliver(relay, "wordy@one.example"))

    (rule,) = place.run("verbosity", "--json").json["rules"]
    assert (rule["destination"], rule["level"]) == ("one.example", "brief")
    assert rule["until"].endswith("Z")
    assert place.run("verbosity", "one.example", "normal").out == "all is normal\n"


def test_wrong_usage_is_told(sandbox: Relay) -> None:
    place = sandbox.place
    for arguments, words in (
        (("a.example",), "give a destination and a level"),
        (("a.example", "loud"), "levels are brief, normal, full"),
        (("a.example", "full", "--for", "soon"), "--for"),
        (("", "full"), "no domain, no host"),
    ):
        ended = place.run("verbosity", *arguments)
        assert ended.code == 2, arguments
        assert words in ended.err


def test_without_a_relay_nothing_is_said(stuck: Relay) -> None:
    place = stuck.place
    place.stop()
    ended = place.run("verbosity", "a.example", "full")
    assert ended.code == 69
    assert "no relay is running" in ended.err

"""`waypost queue pause` and `resume`."""

from __future__ import annotations

from conftest import Place, Relay, wait_for
from waypost.testing import MailServer


def test_nothing_leaves_a_paused_route_until_it_is_resumed(place: Place) -> None:
    with MailServer() as server:
        relay = place.start(f"smtp+plain://127.0.0.1:{server.port}")
        assert place.run("queue", "pause", "default", "--reason", "they move").out == (
            "default is paused\n"
        )
        assert place.run("queue", "pause", "default").out == "default was paused already\n"
        waiting = relay.submit("a@example.com", "b@example.org")
        told = place.run("queue", "status")
        assert "PAUSED" in told.out
        assert "they move" in told.out
        (paused,) = place.run("queue", "status", "--json").json["paused"]
        assert (paused["route"], paused["destination"]) == ("default", None)
        assert paused["by"].startswith("command:")
        story = place.run("queue", "show", waiting, "--json").json
        assert "is paused by" in story["recipients"][0]["waits_for"]
        assert len(server.messages) == 0
        done = place.run("queue", "resume", "default", "--json").json
        assert done == {"route": "default", "destination": None, "paused": False, "changed": True}
        wait_for(lambda: len(server.messages) == 1)
        assert place.run("queue", "status", "--json").json["paused"] == []


def test_a_queue_that_is_not_there_is_told_with_those_that_are(sandbox: Relay) -> None:
    place = sandbox.place
    wrong = place.run("queue", "pause", "none")
    assert wrong.code == 1
    assert "there is no route 'none'; there are default" in wrong.err
    narrow = place.run("queue", "pause", "default", "example.org")
    assert narrow.code == 1
    assert "pause the route" in narrow.err


def test_without_a_relay_there_is_nothing_to_pause(place: Place) -> None:
    for action in ("pause", "resume"):
        ended = place.run("queue", action, "default")
        assert ended.code == 69
        assert "no relay is running" in ended.err

"""`waypost log`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from conftest import WAIT, Place, Relay, wait_for
from waypost.lab.simulated_peer import Fault
from waypost.smtp.reply import reply


def events(place: Place, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.run("log", "--json", *options).json["events"]
    return found


def names(place: Place, *options: str) -> list[str]:
    return [event["event"] for event in events(place, *options)]


def test_a_captured_message_is_accepted_then_captured(sandbox: Relay) -> None:
    place = sandbox.place
    identifier = sandbox.submit("a@example.com", "b@example.org", text="See me")
    wait_for(lambda: len(events(place)) == 2)
    accepted, captured = events(place)
    assert (accepted["event"], accepted["from"], accepted["to"]) == (
        "accepted", "a@example.com", ["b@example.org"],
    )  # fmt: skip
    assert (captured["event"], captured["next_hop"]) == ("captured", "sandbox")
    text = place.run("log").out
    assert f"{identifier}  captured   to b@example.org" in text
    assert "See me" in place.run("log", identifier, "--source").out
    assert "message     " + identifier in place.run("log", identifier).out


def test_a_delivery_tells_route_next_hop_time_and_reply(
    place: Place, peer: Callable[..., Any]
) -> None:
    _, port = peer()
    relay = place.start(f"smtp+plain://127.0.0.1:{port}")
    relay.submit("a@example.com", "b@example.org")
    wait_for(lambda: names(place) == ["accepted", "delivered"])
    delivered = events(place)[1]
    assert delivered["route"] == "default"
    assert delivered["next_hop"] == f"[127.0.0.1]:{port}"
    assert delivered["reply"].startswith("250")
    assert delivered["seconds"] > 0
    assert "no TLS" in place.run("log").out


def test_a_refused_recipient_is_bounced_and_a_busy_server_defers(
    place: Place, peer: Callable[..., Any]
) -> None:
    busy = Fault("content", "reply", reply(451, "4.3.0", "Busy"))
    refused = Fault("rcpt", "reply", reply(550, "5.1.1", "No such user"))
    _, port = peer([busy])
    relay = place.start(f"smtp+plain://127.0.0.1:{port}")
    relay.submit("a@example.com", "b@example.org")
    wait_for(lambda: names(place) == ["accepted", "deferred"])
    deferred = events(place)[1]
    assert (deferred["reply"], deferred["next_attempt"] is not None) == ("451 4.3.0 Busy", True)
    place.stop()
    _, port = peer([refused])
    relay = place.start(f"smtp+plain://127.0.0.1:{port}")
    relay.submit("", "nobody@example.org")
    wait_for(lambda: "bounced" in names(place, "--to", "nobody@example.org"))


def test_since_leaves_out_what_is_older(sandbox: Relay) -> None:
    sandbox.submit("a@example.com", "b@example.org")
    wait_for(lambda: len(events(sandbox.place)) == 2)
    assert len(events(sandbox.place, "--since", "1h")) == 2
    assert events(sandbox.place, "--since", "0 s") == []
    assert sandbox.place.run("log", "--since", "0 s").out == "nothing has happened since then\n"


def test_follow_shows_events_as_they_happen(sandbox: Relay) -> None:
    place = sandbox.place
    command = [sys.executable, "-m", "waypost.faces.cli.main", "log", "--follow", "--json"]
    command[1:3] = ["-c", "import sys; from waypost.faces.cli.main import run; run()"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **place.environment}
    ) as follower:
        assert follower.stdout is not None
        wait_for(lambda: bool(sandbox.control._administration._watchers))
        identifier = sandbox.submit("a@example.com", "b@example.org")
        seen = [json.loads(follower.stdout.readline()) for _ in range(2)]
        follower.send_signal(signal.SIGINT)
        follower.wait(WAIT)
    assert [(one["event"], one["id"]) for one in seen] == [
        ("accepted", identifier), ("captured", identifier),
    ]  # fmt: skip
    wait_for(lambda: sandbox.service.engine.watcher is None)


def test_nothing_can_be_followed_without_a_relay(sandbox: Relay) -> None:
    sandbox.place.stop()
    ended = sandbox.place.run("log", "--follow")
    assert ended.code == 69
    assert "no relay is running" in ended.err


def test_options_that_contradict_are_refused(sandbox: Relay) -> None:
    place = sandbox.place
    assert place.run("log", "--source").code == 2
    assert place.run("log", "1zz", "--follow").code == 2
    assert place.run("log", "1zz").code == 1
    assert place.run("log", "--limit", "9999").code == 2

"""Dates made once a second, and sockets that systemd has opened."""

from __future__ import annotations

import os
import socket

import pytest

from waypost.lab.virtual_time import VirtualClock, run_virtual
from waypost.relay.activation import activated_sockets
from waypost.relay.dates import DateSource


def test_a_date_changes_with_the_second() -> None:
    async def story(clock: VirtualClock) -> None:
        dates = DateSource(clock)
        assert dates.now() == clock.now()
        assert dates.text(0.0) == "Thu, 01 Jan 1970 00:00:00 +0000"
        assert dates.text(0.9) is dates.text(0.1)
        assert dates.text(1.0) == "Thu, 01 Jan 1970 00:00:01 +0000"
        assert dates.text(0.0) == "Thu, 01 Jan 1970 00:00:00 +0000"  # a clock may be set back

    run_virtual(story)


def test_sockets_come_by_name() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    place = listener.getsockname()
    descriptor = listener.detach()
    os.set_inheritable(descriptor, True)
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "smtp"}
    found = activated_sockets(environment, descriptor)
    assert list(found) == ["smtp"]
    (activated,) = found["smtp"]
    with activated:
        assert activated.getsockname() == place
        assert activated.family == socket.AF_INET
        assert not activated.get_inheritable()  # no program that we start gets it


def test_a_socket_without_a_name_is_called_unknown() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    descriptor = listener.detach()
    found = activated_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}, descriptor)
    assert list(found) == ["unknown"]
    found["unknown"][0].close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "-1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "²"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1001"},
    ],
)
def test_there_is_none_where_nothing_was_handed_to_this_process(
    environment: dict[str, str],
) -> None:
    assert activated_sockets(environment, 10_000) == {}

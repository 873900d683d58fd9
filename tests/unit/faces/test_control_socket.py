"""The control socket: who is answered, what is bounded, and what a killed relay leaves behind."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waypost.administration import Administration
from waypost.faces import control_server
from waypost.faces.control_client import ControlClient, NoRelay, Refused
from waypost.faces.control_path import MAXIMUM, socket_address
from waypost.faces.control_server import MAXIMUM_CLIENTS, MAXIMUM_LINE, ControlServer

Work = Callable[[Path], Any]


def serve(path: Path, work: Work) -> Any:
    """Run `work` in a thread while a server listens at `path`."""

    async def main() -> Any:
        server = ControlServer(administration(), path)
        await server.start()
        try:
            return await asyncio.to_thread(work, path)
        finally:
            await server.stop()

    return asyncio.run(main())


def administration() -> Administration:
    made = Administration.__new__(Administration)
    made._watchers = ()
    return made


def raw(path: Path, data: bytes) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(data)
        with client.makefile("rb") as lines:
            return [json.loads(line) for line in lines]


def test_a_request_has_its_reply_and_an_end(tmp_path: Path) -> None:
    answers = serve(tmp_path / "s", lambda path: raw(path, b'{"do": "about"}\n'))
    assert answers == [{"reply": {"spool": None, "listeners": []}}, {"end": True}]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"nonsense\n", "one line of JSON"),
        (b"[" * 100_000 + b"\n", "one line of JSON"),
        (b"\xff\xfe\n", "one line of JSON"),
        (b"[]\n", "an object"),
        (b'{"do": "fly"}\n', "'fly'"),
        (b'{"do": "messages", "filter": {"odd": 1}}\n', "a filter"),
        (b'{"do": "messages", "filter": {"limit": "x"}}\n', "invalid literal"),
        (b'{"do": "story", "id": "!"}\n', "no message identifier"),
        (b'{"do": "select", "action": "eat", "filter": {}}\n', "'eat'"),
        (b" " * (MAXIMUM_LINE + 10) + b"\n", "exceeds"),
    ],
)
def test_a_faulty_request_is_answered_with_the_fault(
    tmp_path: Path, line: bytes, words: str
) -> None:
    (answer,) = serve(tmp_path / "s", lambda path: raw(path, line))
    assert words in answer["error"]
    assert answer["exit"] == 2


def test_a_fault_of_ours_ends_the_request_and_not_the_relay(tmp_path: Path) -> None:
    def work(path: Path) -> None:
        client = ControlClient(path)
        with pytest.raises(Refused, match="the relay failed") as refused:
            client.ask("status")  # this administration has no spool
        assert refused.value.code == 75
        assert client.ask("about")["listeners"] == []

    serve(tmp_path / "s", work)


def test_the_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    mode = serve(tmp_path / "s", lambda path: path.stat().st_mode & 0o777)
    assert mode == 0o600


def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "_is_ours", lambda _: False)
    (answer,) = serve(tmp_path / "s", lambda path: raw(path, b'{"do": "about"}\n'))
    assert "own user and root" in answer["error"]


def test_too_many_clients_are_told_so(tmp_path: Path) -> None:
    def work(path: Path) -> list[dict[str, Any]]:
        held = [socket.socket(socket.AF_UNIX) for _ in range(MAXIMUM_CLIENTS)]
        for one in held:
            one.connect(str(path))
        try:
            return raw(path, b'{"do": "about"}\n')
        finally:
            for one in held:
                one.close()

    (answer,) = serve(tmp_path / "s", work)
    assert answer["exit"] == 75


def test_a_deep_folder_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / ("e" * 100) / "control.sock"
    assert len(str(path)) > MAXIMUM
    assert serve(path, lambda path: ControlClient(path).ask("about"))["listeners"] == []
    assert not path.exists(), "it is removed at the end"


def test_the_socket_of_a_killed_relay_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NoRelay):
        ControlClient(path).ask("about")
    assert serve(path, lambda path: ControlClient(path).ask("about"))["listeners"] == []


def test_the_socket_of_a_living_relay_is_not_taken(tmp_path: Path) -> None:
    def work(path: Path) -> None:
        async def second() -> None:
            await ControlServer(administration(), path).start()

        with pytest.raises(OSError, match="another relay answers here"):
            asyncio.run(second())
        assert ControlClient(path).ask("about")["listeners"] == []

    serve(tmp_path / "s", work)


def test_a_file_in_its_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="is no socket"):
        serve(path, lambda path: None)
    assert path.read_text() == "mine"


def test_no_socket_means_no_relay(tmp_path: Path) -> None:
    with pytest.raises(NoRelay):
        ControlClient(tmp_path / "none" / "s").ask("about")


def test_a_short_path_is_used_as_it_is(tmp_path: Path) -> None:
    with socket_address(Path("/tmp/s")) as address:
        assert address == "/tmp/s"

"""What a relay says when it starts, and when it cannot."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
from pathlib import Path

import pytest

from waypost.config import Flags, load
from waypost.faces.cli.start_faults import start_fault
from waypost.faces.cli.welcome import options_for, own_name, welcome
from waypost.service import Service


def lines_of(tmp_path: Path, route: str | None = None, file: str = "") -> list[str]:
    config = tmp_path / "w.toml"
    config.write_text(f'data = "{tmp_path / "data"}"\n{file}')
    environment = {**os.environ, "WAYPOST_LISTEN": "127.0.0.1:0"}
    service = Service(load(config, environment, Flags(route=route)).service_settings())

    async def started() -> list[str]:
        await service.start()
        try:
            return list(
                welcome(
                    service,
                    service.settings.spool.directory,
                    ".venv/bin/waypost",
                    options_for(config, None),
                )
            )
        finally:
            await service.stop(0.1)

    return asyncio.run(started())


def test_a_relay_without_a_route_tells_how_to_send_a_first_message(tmp_path: Path) -> None:
    text = "\n".join(lines_of(tmp_path))
    assert "nothing leaves this machine" in text
    assert f".venv/bin/waypost send --config {tmp_path / 'w.toml'} --from" in text
    assert "smtplib.SMTP('127.0.0.1'" in text


def test_a_relay_that_wants_logins_does_not_tell_what_it_would_refuse(tmp_path: Path) -> None:
    text = "\n".join(lines_of(tmp_path, file="[access]\nrequire_authentication = true\n"))
    assert "smtplib" not in text


def test_a_next_hop_without_a_login_is_said_to_have_none(tmp_path: Path) -> None:
    text = "\n".join(lines_of(tmp_path, "smtp://smtp.example.com:587"))
    assert "route default: smtp.example.com:587 (without a login)" in text
    assert "captured" not in text


def test_a_relay_that_has_no_room_says_so_at_once(tmp_path: Path) -> None:
    text = "\n".join(lines_of(tmp_path, file='[spool]\nminimum_free = "900 TB"\n'))
    assert "NO MAIL IS ACCEPTED" in text
    assert "spool.minimum_free" in text


def test_the_commands_are_told_as_they_can_be_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "waypost"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    assert own_name(str(program), tmp_path) == "bin/waypost"
    assert own_name(str(program), tmp_path / "elsewhere") == str(program)
    monkeypatch.setenv("PATH", str(program.parent))
    assert own_name(str(program), tmp_path) == "waypost"


def test_options_are_quoted_for_the_shell() -> None:
    assert options_for(Path("my file"), "sqlite:/x") == " --config 'my file' --spool sqlite:/x"
    assert options_for(None, None) == ""


def bind_fault(host: str, port: int) -> OSError:
    async def listen() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, host, port)
        server.close()

    with pytest.raises(OSError, match="bind") as caught:
        asyncio.run(listen())
    return caught.value


def test_a_port_in_use_is_told_with_how_to_find_who_uses_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        text = start_fault(bind_fault("127.0.0.1", port))
    assert f"127.0.0.1:{port}" in text
    assert "already in use" in text
    assert f"sport = :{port}" in text
    assert "--listen" in text


def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    text = start_fault(bind_fault("192.0.2.1", 2525))
    assert "192.0.2.1:2525" in text
    assert "ip address" in text


def test_an_address_of_another_machine_is_told_as_newer_pythons_say_it() -> None:
    text = start_fault(OSError("could not bind on any address out of [('192.0.2.1', 2525)]"))
    assert "192.0.2.1:2525" in text
    assert "ip address" in text


@pytest.mark.parametrize("kind", [PermissionError(13, "Permission denied", "/var/mail")])
def test_a_folder_that_may_not_be_written_is_told_with_what_to_do(kind: OSError) -> None:
    text = start_fault(kind)
    assert "/var/mail: Permission denied" in text
    assert "--spool" in text


def test_what_says_it_all_is_not_changed() -> None:
    assert start_fault(sqlite3.DatabaseError("the spool is damaged")) == "the spool is damaged"
    assert start_fault(OSError("systemd has passed no socket")) == "systemd has passed no socket"

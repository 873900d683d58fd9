"""packaging/: units that systemd takes, a layout that fits together, images that say what is so."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from waypost.config import Configuration, Flags, load

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNIT = PACKAGING / "systemd" / "waypost.service"
SOCKET = PACKAGING / "systemd" / "waypost.socket"
DOCKER = PACKAGING / "docker"
DOCKERFILE = DOCKER / "Dockerfile"

ANALYZE = shutil.which("systemd-analyze")
EXPOSURE = 1.5
"""What systemd-analyze may find at most; 0 is none, 10 all."""


def read_unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """Sections with their keys; a key may come again."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = sections[line.strip("[]")] = {}
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return sections


def configuration(path: Path, folder: Path, **environment: str) -> Configuration:
    return load(path, {"HOME": str(folder)} | environment, Flags())


# --- systemd --------------------------------------------------------------------------------------


def test_the_service_tells_systemd_how_it_is() -> None:
    service = read_unit(UNIT)["Service"]
    assert service["Type"] == ["notify"]
    assert service["NotifyAccess"] == ["main"]
    assert int(service["WatchdogSec"][0]) >= 30
    assert int(service["TimeoutStopSec"][0]) > 10  # what the relay allows itself
    assert service["ExecStart"] == ["/usr/bin/waypost serve --config /etc/waypost/waypost.toml"]


def test_the_service_can_write_where_the_configuration_keeps_mail(tmp_path: Path) -> None:
    service = read_unit(UNIT)["Service"]
    packaged = configuration(PACKAGING / "debian" / "waypost.toml", tmp_path)
    assert packaged.data == Path("/var/lib") / service["StateDirectory"][0]
    assert service["StateDirectoryMode"] == ["0700"]
    assert all(route.is_sandbox for route in packaged.service.routes)


def test_the_socket_is_the_service_s_and_its_name_can_be_listened_on(tmp_path: Path) -> None:
    socket = read_unit(SOCKET)["Socket"]
    assert socket["Service"] == ["waypost.service"]
    told = SOCKET.read_text("utf-8")
    example = "\n".join(
        line[4:] for line in told.splitlines() if line.startswith("#   ")
    )  # the listener in the comment
    path = tmp_path / "waypost.toml"
    path.write_text(f'hostname = "relay.example"\n{example}\n', "utf-8")
    (listener,) = configuration(path, tmp_path).service.listeners
    assert listener.address.activation == socket["FileDescriptorName"][0]


@pytest.mark.peer
@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed; make peers")
def test_systemd_finds_no_fault_and_little_exposure(tmp_path: Path) -> None:
    assert ANALYZE is not None
    for path in (UNIT, SOCKET):
        # /usr/bin/waypost need not be on this machine.
        text = path.read_text("utf-8").replace("/usr/bin/waypost", "/bin/true")
        text = re.sub(r"^Documentation=.*$", "", text, flags=re.MULTILINE)
        (tmp_path / path.name).write_text(text, "utf-8")
    verified = subprocess.run(
        [ANALYZE, "verify", tmp_path / UNIT.name, tmp_path / SOCKET.name],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    said = [
        line for line in verified.stderr.splitlines() if line.startswith(("waypost", str(tmp_path)))
    ]
    assert said == []
    measured = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    found = re.search(r"exposure level for waypost.service: ([\d.]+)", measured.stdout)
    if found is None:
        pytest.skip(f"this systemd cannot measure offline: {measured.stderr[:200]}")
    assert float(found[1]) <= EXPOSURE


# --- the layout of Debian -------------------------------------------------------------------------


def install(*arguments: str, destination: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", PACKAGING / "install", *arguments],
        env=os.environ | {"DESTDIR": str(destination)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def files_below(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()
    }  # links count, wherever they lead


def test_everything_is_laid_out_and_taken_away(tmp_path: Path) -> None:
    assert install("--no-environment", destination=tmp_path).returncode == 0
    assert files_below(tmp_path) == {
        "usr/bin/waypost", "usr/bin/waypost-sendmail", "etc/waypost/waypost.toml",
        "usr/lib/systemd/system/waypost.service", "usr/lib/systemd/system/waypost.socket",
        "usr/lib/sysusers.d/waypost.conf", "usr/lib/tmpfiles.d/waypost.conf",
        "etc/logrotate.d/waypost",
    }  # fmt: skip
    file = tmp_path / "etc" / "waypost" / "waypost.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert str((tmp_path / "usr/bin/waypost").readlink()) == "../lib/waypost/bin/waypost"

    file.write_text("mine", "utf-8")
    assert install("--no-environment", destination=tmp_path).returncode == 0
    assert file.read_text("utf-8") == "mine"  # an upgrade leaves it

    assert install("--remove", destination=tmp_path).returncode == 0
    assert files_below(tmp_path) == {"etc/waypost/waypost.toml"}


def test_a_wrong_word_installs_nothing(tmp_path: Path) -> None:
    ended = install("--help-me", destination=tmp_path)
    assert ended.returncode == 2
    assert files_below(tmp_path) == set()


def test_user_and_folders_are_those_of_the_unit() -> None:
    service = read_unit(UNIT)["Service"]
    (user,) = service["User"]
    assert (PACKAGING / "systemd" / "waypost.sysusers").read_text("utf-8").split()[:2] == [
        "u",
        user,
    ]
    rows = [
        line.split()
        for line in (PACKAGING / "systemd" / "waypost.tmpfiles").read_text("utf-8").splitlines()
    ]
    owners = {path: (mode, owner) for _, path, mode, owner, _group, _age in rows}
    assert owners["/var/lib/waypost"] == ("0700", user)
    assert owners["/etc/waypost"][1] == "root"  # the relay cannot change what it is told
    assert owners["/var/log/waypost"] == ("0750", user)


# --- Docker ---------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE)
    text = text.replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_image_is_made_of_what_is_locked_and_runs_without_rights() -> None:
    found = instructions()
    names = [name for name, _ in found]
    assert names.count("FROM") == 2
    assert all(":" in value.split()[0] for name, value in found if name == "FROM")
    installs = [part for name, value in found if name == "RUN" for part in value.split("&&")]
    for part in installs:
        if re.search(r"pip install", part) and "dist/*.whl" not in part:
            assert "--require-hashes" in part, part
    last = names.index("FROM", names.index("FROM") + 1)
    final = dict(found[last:])
    assert final["USER"].split(":")[0].isdecimal()
    assert int(final["USER"].split(":")[0]) > 0
    assert "/health/ready" in final["HEALTHCHECK"]
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert final["VOLUME"] == "/var/lib/waypost"
    assert "pip uninstall" in found[last - 1][1]


def test_what_the_image_copies_is_there_and_not_kept_from_it() -> None:
    kept = (DOCKER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    for name, value in instructions():
        if name != "COPY" or value.startswith("--from"):
            continue
        *sources, _ = value.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(Path(source).match(one[1:]) for one in kept if one.startswith("!")), source


def test_the_driver_of_postgres_is_taken_from_the_lock() -> None:
    program = re.search(r"awk '([^']+)' requirements-dev\.txt", DOCKERFILE.read_text("utf-8"))
    assert program is not None
    text = subprocess.run(
        ["awk", program[1], ROOT / "requirements-dev.txt"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    names = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
    assert names == ["psycopg", "psycopg-binary"]
    assert text.count("--hash=sha256:") >= 2


@pytest.mark.parametrize("name", ["waypost.toml", "waypost.postgres.toml"])
def test_the_image_s_configuration_is_right(name: str, tmp_path: Path) -> None:
    found = configuration(DOCKER / name, tmp_path, WAYPOST_HOSTNAME="relay.example")
    assert str(found.data) == dict(instructions())["VOLUME"]
    ports = {str(one.address.port) for one in found.service.listeners} | {"8025"}
    assert set(dict(instructions())["EXPOSE"].split()) == ports
    control = found.control_settings()
    assert control is not None
    assert control.address.endswith(":8025")
    assert [one.database for one in found.service.outboxes] == (
        ["postgresql://shop@database/shop"] if "postgres" in name else []
    )


def composed(name: str) -> dict[str, Any]:
    found = yaml.safe_load((DOCKER / name).read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def test_compose_publishes_on_this_machine_alone_and_shuts_the_relay_in() -> None:
    relay = composed("compose.yaml")["services"]["waypost"]
    assert relay["ports"] == ["127.0.0.1:2525:2525", "127.0.0.1:8025:8025"]
    assert relay["read_only"] is True
    assert relay["cap_drop"] == ["ALL"]
    assert relay["security_opt"] == ["no-new-privileges:true"]
    context = (DOCKER / relay["build"]["context"]).resolve()
    assert (context / relay["build"]["dockerfile"]) == DOCKERFILE
    assert relay["volumes"] == ["mail:/var/lib/waypost"]
    assert "mail" in composed("compose.yaml")["volumes"]


def test_compose_with_postgres_adds_a_database_and_no_password() -> None:
    more = composed("compose.postgres.yaml")
    relay, database = more["services"]["waypost"], more["services"]["database"]
    assert relay["build"]["args"] == {"POSTGRES": "yes"}
    (mount,) = relay["volumes"]
    assert (DOCKER / mount.split(":")[0]).exists()
    assert relay["depends_on"] == {"database": {"condition": "service_healthy"}}
    for one in (relay["environment"]["PGPASSWORD"], database["environment"]["POSTGRES_PASSWORD"]):
        assert one.startswith("${POSTGRES_PASSWORD:?")
    assert "ports" not in database


def test_logrotate_turns_the_folder_that_the_service_has() -> None:
    text = (PACKAGING / "debian" / "waypost.logrotate").read_text("utf-8")
    (folder,) = read_unit(UNIT)["Service"]["LogsDirectory"]
    assert f"\n/var/log/{folder}/*.log {{" in text
    assert "postrotate" not in text  # the relay looks for its file by itself

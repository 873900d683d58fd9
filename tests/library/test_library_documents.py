"""The examples of the documents run, and print what the documents say they print."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sink import Sink
from waypost.lab.simulated_peer import Fault
from waypost.smtp.reply import reply

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER = re.compile(r"smtps?://user:password@(?:mail|backup)\.example\.com:\d+")


def blocks(path: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / path).read_text())


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def test_every_example_of_sending_from_python_runs(
    sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("logo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Path("invoice.pdf").write_bytes(b"%PDF-1.7")
    # The server of the example knows no such user; every other recipient is known.
    refusing = Sink([Fault("rcpt", "reply", reply(550, "5.1.1", "User unknown"))])
    found = blocks("docs/howto/send-from-python.md")
    world: dict[str, Any] = {}
    assert len(found) > 6
    printed = ""
    for language, text in found:
        if language == "text":
            shown = text.replace("mail.example.com[192.0.2.7]:587", f"[127.0.0.1]:{refusing.port}")
            assert printed == shown
            continue
        port = refusing.port if "nobody@example.org" in text else sink.port
        program = SERVER.sub(f"smtp+plain://127.0.0.1:{port}", text)
        exec(compile(program, "send-from-python.md", "exec"), world)
        printed = capsys.readouterr().out
        if "send_many" in text and "asyncio" not in text:
            assert sorted(printed.splitlines()) == ["0 sent", "1 sent"]
        if "asyncio" in text:
            assert printed == "100 of 100\n"
    assert len(sink.received) == 1 + 1 + 2 + 101
    refusing.close()


def test_the_reference_names_every_setting_error_and_export() -> None:
    text = (ROOT / "docs/reference/library.md").read_text()
    program = """
import inspect, waypost
names = set(inspect.signature(waypost.Mailer.__init__).parameters) - {"self"}
assert names == set(inspect.signature(waypost.AsyncMailer.__init__).parameters) - {"self"}
names |= set(waypost.errors.__all__) | set(inspect.signature(waypost.Retry).parameters)
from waypost.faces.library.prepared import Parts
from waypost.faces.library.settings import DEFAULT_TIMEOUTS
print(*names, *Parts.__annotations__, *DEFAULT_TIMEOUTS, sep="\\n")
"""
    names = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert len(names) > 60
    missing = [name for name in names if not re.search(rf"\b{name}\b", text)]
    assert missing == []


def test_importing_loads_nothing_that_is_not_used() -> None:
    program = """
import sys
before = set(sys.modules)
import waypost
print(*sorted(set(sys.modules) - before))
waypost.send
heavy = ("django", "flask", "starlette", "fastapi", "aiohttp", "httpx", "typer", "rich", "jinja2",
         "pydantic", "structlog", "sqlite3", "psycopg")
print(*[name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    alone, with_sending = done.stdout.split("\n")[:2]
    assert {name.partition(".")[0] for name in alone.split()} <= {
        "waypost", "__future__", "importlib", "warnings",
    }  # fmt: skip
    assert with_sending == ""

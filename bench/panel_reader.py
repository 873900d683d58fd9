"""Somebody who has the panel open: a real login, then pages at a steady rate, each one timed."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import threading
import time
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import quote, urlencode

from panel_spool import Made
from processes import BenchError
from relay import environment_in
from waypost.spool.identifiers import identifier_text

NAME = "bench"
PASSWORD = "no-secret: the correct horse of a benchmark"


@dataclass(frozen=True, slots=True)
class Asked:
    """One page."""

    kind: str
    seconds: float
    rows: int
    """Messages in a list; 0 elsewhere."""
    complete: bool
    """The search has come to its end."""


class Browser:
    """One connection with a session, as a browser has it; not for several threads."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookie = ""

    def log_in(self, command: Path, directory: Path) -> None:
        """Add an operator by the command, follow its one-time link, log in by password."""
        added = subprocess.run(
            [command, "operator", "add", NAME, "--role", "admin", "--json"],
            env=environment_in(directory), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if added.returncode == 0:
            link = json.loads(added.stdout)["link"]
            path = "/" + link.split("/", 3)[3]
            self._post(path, name=NAME, password=PASSWORD, again=PASSWORD)
        self._cookie = ""
        self._post("/login", name=NAME, password=PASSWORD)
        if not self._cookie:
            raise BenchError(f"nobody can log in: {added.stderr.strip()[-300:]}")

    def _post(self, path: str, **fields: str) -> None:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded", "Cookie": self._cookie,
            "Origin": f"http://127.0.0.1:{self._connection.port}",
        }  # fmt: skip
        self._connection.request("POST", path, urlencode(fields), headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 303:
            return
        cookies: SimpleCookie = SimpleCookie()
        for one in answer.headers.get_all("Set-Cookie", []):
            cookies.load(one)
        self._cookie = "; ".join(f"{name}={one.value}" for name, one in cookies.items())

    def get(self, kind: str, path: str) -> Asked:
        """A page, whole. Raises BenchError where it is not there."""
        begun = time.perf_counter()
        self._connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = self._connection.getresponse()
        content = answer.read()
        seconds = time.perf_counter() - begun
        if answer.status != 200:
            raise BenchError(f"{path} was answered {answer.status}: {content[:200]!r}")
        complete = b"has not come to the end" not in content
        return Asked(kind, seconds, content.count(b"<tr data-id="), complete)

    def close(self) -> None:
        """Hang up; the next page opens a connection again."""
        self._connection.close()


class Reader:
    """Asks in a thread, as somebody does who watches: the overview and searches in turn."""

    def __init__(self, browser: Browser, sample: list[Made], every: float, seed: int) -> None:
        self.asked: list[Asked] = []
        self.fault: BaseException | None = None
        self._browser = browser
        self._sample = sample
        self._every = every
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._browser.close()  # an idle connection has been closed at the other end
        self._thread.start()

    def stop(self) -> list[Asked]:
        """End; what was asked."""
        self._over.set()
        self._thread.join(90)
        if self.fault is not None:
            raise BenchError(f"the panel could not be read: {self.fault}")
        return self.asked

    def _run(self) -> None:
        try:
            due = time.monotonic()
            while not self._over.is_set():
                for kind, path in self._pages():
                    self.asked.append(self._browser.get(kind, path))
                    due = max(due + self._every, time.monotonic())
                    if self._over.wait(due - time.monotonic()):
                        return
        except BaseException as fault:  # noqa: BLE001 - told by stop
            self.fault = fault

    def _pages(self) -> list[tuple[str, str]]:
        """The overview, as its page fetches it, between searches of each kind."""
        made = self._chance.choice(self._sample)
        local, _, domain = made.address.partition("@")
        searches = [
            ("newest messages", "/messages"),
            ("by address", f"/messages?q={quote(made.address)}"),
            ("by domain", f"/messages?q={quote('@' + domain)}"),
            ("by a part of an address", f"/messages?q={quote(local)}"),
            ("by words of the subject", f"/messages?q={quote(made.subject)}"),
            ("by Message-ID", f"/messages?q={quote(made.message_id)}"),
            ("by identifier", f"/messages?q={identifier_text(made.identifier)}"),
            ("by state", "/messages?state=bounced"),
            ("waiting", "/messages?state=waiting"),
            ("by state and word", "/messages?state=failed&q=invoice"),
            ("within 24 hours", "/messages?within=24h&q=invoice"),
            ("older page", f"/messages?before={identifier_text(made.identifier)}"),
            ("nothing to be found", f"/messages?q={self._chance.getrandbits(80):x}"),
        ]
        self._chance.shuffle(searches)
        pages = []
        for one in searches:
            pages += [("overview", "/overview/now?span=day"), one]
        return pages

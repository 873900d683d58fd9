"""An instance of the installed Postfix with configuration, queue, mailboxes and log of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from programs import program, run

from relay_process import free_port, wait_for

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
myhostname = postfix.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
message_size_limit = 104857600
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = mailbox.example
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:inbox/
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
local_header_rewrite_clients =
smtputf8_enable = yes
minimal_backoff_time = 5s
queue_run_delay = 5s
biff = no
{more}"""

# Nothing in a chroot: its jail would have to be filled first.
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 1     1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
verify    unix  - - n -     1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
smtp      unix  - - n -     - smtp
relay     unix  - - n -     - smtp
showq     unix  n - n -     - showq
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
virtual   unix  - n n -     - virtual
anvil     unix  - - n -     1 anvil
scache    unix  - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """An instance that runs; it listens on 127.0.0.1."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def log(self) -> str:
        path = self.folder / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def submit(self, recipient: str, content: bytes, *options: str) -> None:
        """By its sendmail, as a program on its machine does."""
        run(
            program("sendmail"), "-C", self.folder / "etc", "-i", "-f", "app@here.example",
            *options, recipient, given=content,
        )  # fmt: skip

    def mailbox(self) -> list[bytes]:
        """What was delivered to mailbox.example, as it stands in the maildir."""
        return [path.read_bytes() for path in sorted(self.folder.glob("mail/inbox/new/*"))]

    def delivered(self, mark: bytes) -> bytes:
        """The one message in the mailbox that holds `mark`, when it is here."""

        def found() -> list[bytes]:
            return [one for one in self.mailbox() if mark in one]

        wait_for(f"Postfix delivers {mark!r}: {self.log()[-2000:]}", lambda: bool(found()))
        (one,) = found()
        return one

    def on_hold(self) -> list[str]:
        """What postcat says of each message in the hold queue."""
        files = [path for path in (self.folder / "queue" / "hold").rglob("*") if path.is_file()]
        return [run(program("postcat"), "-c", self.folder / "etc", path) for path in files]


@contextmanager
def running_postfix(folder: Path, more: str = "") -> Iterator[Postfix]:
    """An instance; `more` are lines of main.cf. Skips where there is none, or may not be."""
    program("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root only")
    for path in ("etc", "queue", "data", "mail"):
        (folder / path).mkdir(parents=True)
    # It works as a user of its own, who has to get through to here.
    for path in (folder, *folder.parents):
        if path.owner() == "root" and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    shutil.chown(folder / "data", "postfix")
    os.chown(folder / "mail", 65534, 65534)
    port = free_port()
    etc = folder / "etc"
    (etc / "main.cf").write_text(MAIN.format(folder=folder, more=more))
    (etc / "master.cf").write_text(MASTER.format(port=port))
    made = Postfix(folder, port)
    try:
        done = subprocess.run(
            [program("postfix"), "-c", etc, "start"],
            capture_output=True, text=True, timeout=60, start_new_session=True,
        )  # fmt: skip
        assert not done.returncode, f"{done.stderr} {made.log()}"
        wait_for("Postfix listens", lambda: _listens(port), 30)
        yield made
    finally:
        _end(folder, etc)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as connection:
        greeted = connection.recv(512).startswith(b"220")
        connection.sendall(b"QUIT\r\n")
        return greeted
    return False


def _end(folder: Path, etc: Path) -> None:
    """Stop it; master leads the group of all its processes, and what is left of it is killed."""
    pid = folder / "queue" / "pid" / "master.pid"
    if not pid.exists():
        return
    master = int(pid.read_text())
    with suppress(subprocess.TimeoutExpired):
        subprocess.run([program("postfix"), "-c", etc, "stop"], capture_output=True, timeout=30)
    until = time.monotonic() + 5
    while Path(f"/proc/{master}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(master, signal.SIGKILL)

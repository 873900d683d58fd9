"""Postfix: an instance of its own in a temporary directory, tuned as somebody would who knows it.

What is set and why is told in docs/benchmarks.md. What keeps mail safe stays as it comes: cleanup
calls fsync for each message before smtpd answers 250.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from load import answers, free_port, program
from processes import BenchError, tree, wait_for

MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/maillog
maillog_file_prefixes = {directory}
myhostname = postfix.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
relayhost = [127.0.0.1]:{next_hop}
smtpd_tls_security_level = none
smtp_tls_security_level = none
message_size_limit = 104857600
biff = no

# No look-ups on the way: Waypost makes none for a smarthost by address either.
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native

# As many processes and connections as there are sessions, from the first message on.
default_process_limit = 100
default_destination_concurrency_limit = 20
initial_destination_concurrency = 20
max_use = 10000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0

# Connections to the next hop are used again for as long as they are good.
smtp_connection_cache_on_demand = yes
smtp_connection_cache_destinations = [127.0.0.1]:{next_hop}
smtp_connection_reuse_count_limit = 0
smtp_connection_reuse_time_limit = 3600s

# Nothing slows the intake, all that comes fits the active queue, no work that a relay can spare.
in_flow_delay = 0
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
local_header_rewrite_clients =
receive_override_options = no_address_mappings
disable_mime_input_processing = yes
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60    1 pickup
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
anvil     unix  - - n -     1 anvil
scache    unix  - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

QUEUES = ("maildrop", "incoming", "active", "deferred")


class Postfix:
    """An instance that runs."""

    name = "Postfix"

    def __init__(self, port: int, root: int, queue: Path) -> None:
        self.port = port
        self.root = root
        self._queue = queue

    def queued(self) -> int:
        """Files in the queues that mail waits in."""
        return sum(len(files) for name in QUEUES for _, _, files in os.walk(self._queue / name))


class PostfixStarter:
    """Starts instances of the installed Postfix; `more` is added to their main.cf."""

    name = "Postfix"

    def __init__(self, more: str = "") -> None:
        self.more = more

    def version(self) -> str:
        """As postconf says it."""
        told = subprocess.run(
            [program("postconf"), "-h", "mail_version"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return told.stdout.strip() or "unknown"

    @contextmanager
    def run(self, directory: Path, next_hop: int) -> Iterator[Postfix]:
        """An instance with configuration, queue, data and log in a directory."""
        if os.geteuid() != 0:
            raise BenchError("Postfix starts as root only; run `sudo make bench`")
        configuration = directory / "etc"
        queue = directory / "queue"
        for path in (configuration, queue, directory / "data"):
            path.mkdir(parents=True, exist_ok=True)
        shutil.chown(directory / "data", "postfix")
        port = free_port()
        main = MAIN.format(directory=directory, next_hop=next_hop)
        (configuration / "main.cf").write_text(main + self.more)
        (configuration / "master.cf").write_text(MASTER.format(port=port))
        try:
            self._command(configuration, "start")
            wait_for("Postfix listens", lambda: answers(port), 30)
            root = int((queue / "pid" / "master.pid").read_text())
            yield Postfix(port, root, queue)
        finally:
            _end(queue, configuration)

    @staticmethod
    def _command(configuration: Path, verb: str) -> None:
        done = subprocess.run(
            [program("postfix"), "-c", str(configuration), verb],
            capture_output=True, text=True, timeout=60, check=False, start_new_session=True,
        )  # fmt: skip
        if done.returncode:
            log = configuration.parent / "maillog"
            words = log.read_text()[-1500:] if log.exists() else ""
            raise BenchError(f"`postfix {verb}` failed: {done.stderr.strip()[-1500:]} {words}")


def _end(queue: Path, configuration: Path) -> None:
    """Stop an instance; kill what does not stop. master leads the group of all its processes."""
    pid = queue / "pid" / "master.pid"
    if not pid.exists():
        return
    root = int(pid.read_text())
    if not (Path("/proc") / str(root)).exists():
        return
    processes = tree(root)
    with suppress(BenchError, subprocess.TimeoutExpired):
        PostfixStarter._command(configuration, "stop")
    with suppress(ProcessLookupError):
        os.killpg(root, signal.SIGKILL)
    with suppress(BenchError):
        wait_for(
            "Postfix ends",
            lambda: not any((Path("/proc") / str(one)).exists() for one in processes),
            10,
        )

"""Processes: started in groups of their own, weighed through /proc, and ended whatever happens.

A relay is a tree of processes (one for Waypost, some sixty for Postfix). Its processor time is what
its living processes have used plus what they have inherited from children that ended, so that a
process that comes and goes between two readings is counted as well. Its memory is the sum of the
proportional set sizes: a page shared by n processes counts once, not n times.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


class BenchError(Exception):
    """Something that the measurement needs has failed; the text says what and what to do."""


def tree(root: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of a tree, of its ended and reaped children too."""
    total = 0
    for pid in tree(root):
        fields = _stat(pid)
        if fields:
            total += sum(int(field) for field in fields[11:15])  # utime stime cutime cstime
    return total / TICKS


def memory(root: int) -> int:
    """Bytes that a tree has in memory, pages that it shares counted once."""
    total = 0
    for pid in tree(root):
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended since it was listed
    return total


def resident(pid: int, field: str = "VmRSS") -> int:
    """Bytes of one process from /proc/PID/status: VmRSS, or VmHWM for the peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"process {pid} has no {field} in /proc; it has ended")


def forget_peak(pid: int) -> None:
    """Let the peak of a process (VmHWM) begin anew at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def wait_for(
    what: str, condition: Callable[[], bool], seconds: float, *, every: float = 0.02
) -> float:
    """Wait until a condition holds; the moment when it did. Raises BenchError after `seconds`."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise BenchError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)
    return time.monotonic()


@contextmanager
def group_of(process: subprocess.Popen[bytes], grace: float = 12.0) -> Iterator[None]:
    """End a process that leads a session, and all of its group, when the block ends."""
    try:
        yield
    finally:
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait(grace)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nothing of it is left
        os.killpg(group, number)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none where the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()

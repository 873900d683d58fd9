"""Why a relay cannot start, with what to do next."""

from __future__ import annotations

import errno
import re
from typing import Final

_BIND: Final = re.compile(r"bind on address \('?(?P<host>[^',]+)'?, (?P<port>\d+)")
_NO_SUCH_ADDRESS: Final = re.compile(
    r"bind on any address out of \[\('?(?P<host>[^',]+)'?, (?P<port>\d+)"
)
"""What asyncio says since Python 3.13 where no interface has the address, without its errno."""

_NEXT: Final = {
    errno.EADDRINUSE: (
        "another program listens there, perhaps a relay that runs already. Stop it "
        "(`ss -ltnp 'sport = :{port}'` names it), or choose another place with --listen HOST:PORT"
    ),
    errno.EACCES: (
        "ports below 1024 are for root and for programs with CAP_NET_BIND_SERVICE. Choose a higher "
        "one with --listen, or let systemd open the socket (docs/howto/systemd.md)"
    ),
    errno.EADDRNOTAVAIL: (
        "no interface of this machine has that address (`ip address` lists them). Choose one of "
        "them with --listen, or *:{port} for all"
    ),
}
_FILES: Final = {
    errno.EACCES: "run the relay as the user whom the folder belongs to, or choose another folder",
    errno.EPERM: "run the relay as the user whom the folder belongs to, or choose another folder",
    errno.EROFS: "that file system takes no writing; choose another folder",
    errno.ENOSPC: "the disk is full: make room there, or choose another folder",
    errno.ENOENT: "the folder above is missing and cannot be made; choose another folder",
    errno.ENOTDIR: "something above is a file and no folder; choose another folder",
    errno.EEXIST: "something else is there; move it away, or choose another folder",
}


def start_fault(fault: Exception) -> str:
    """What happened, the evidence, what to do."""
    text = str(fault)
    if not isinstance(fault, OSError):
        return text
    nowhere = _NO_SUCH_ADDRESS.search(text)
    if nowhere is not None:
        place, then = f"{nowhere['host']}:{nowhere['port']}", _NEXT[errno.EADDRNOTAVAIL]
        return f"it cannot listen on {place}: {then.format(port=nowhere['port'])}"
    if fault.errno is None:
        return text
    bind = _BIND.search(text)
    if bind is not None:
        place = f"{bind['host']}:{bind['port']}"
        reason = text.rpartition(": ")[2]
        then = _NEXT.get(fault.errno, "look at the address given with --listen")
        return f"it cannot listen on {place}: {reason}; {then.format(port=bind['port'])}"
    if fault.filename is not None and fault.errno in _FILES:
        then = _FILES[fault.errno]
        return f"{fault.filename}: {fault.strerror}; {then} (--spool for mail, `data` for the rest)"
    return text

"""Lines of the relay's own log stay whole, whoever else writes to the same place."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import sys
written = []
class Raw:
    def write(self, text): written.append(text)
    def flush(self): pass
    def isatty(self): return False
kept, sys.stderr = sys.stderr, Raw()
import structlog
from waypost.faces.logging import configure_logging
configure_logging("json", "info", "worker-1")
structlog.get_logger("waypost").info("configuration read again")
assert len(written) == 1, written
assert written[0].endswith("}\\n"), written
"""


def test_a_line_is_one_write() -> None:
    """Two workers share standard error, and Python may not buffer it."""
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True, timeout=60)

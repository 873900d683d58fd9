"""CPython's own tests of smtplib, against our drop-in. No test of theirs is left out.

They are those of the Python that runs this, where its test package is installed.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

_RUN = """
import sys, unittest
from waypost.compat import smtplib
sys.modules["smtplib"] = smtplib
from test import test_smtplib
assert test_smtplib.smtplib is smtplib
unittest.main(module=test_smtplib, argv=["test_smtplib"])
"""

LEAST = 80
"""Their tests in Python 3.11; a run of fewer would mean that something kept them from running."""


def _installed() -> bool:
    try:
        return importlib.util.find_spec("test.test_smtplib") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.peer
@pytest.mark.skipif(not _installed(), reason="this Python has no test package (test.test_smtplib)")
def test_the_tests_of_cpython_pass() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUN], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert found is not None
    assert int(found[1]) >= LEAST
    assert "skipped" not in done.stderr

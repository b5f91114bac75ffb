"""Imports the fixtures of `tests/searches.py`: sweeps over numbers."""

import socket
import subprocess
import sys
from typing import Any

import psutil
import pytest

from tests.searches import search, space_of, sweep_of

__all__ = ["search", "space_of", "sweep_of"]


@pytest.fixture(scope="session")
def dead_owner() -> dict[str, Any]:
    """Returns the owner record of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(process.pid).create_time()
    process.communicate(b"\n")
    return {"host": socket.gethostname(), "pid": process.pid, "started": started}

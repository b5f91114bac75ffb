"""Starts a PostgreSQL server of its own in a temporary folder."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.postgres import Server, binaries
from kerasweep.search.database import OPENED

MISSING = "PostgreSQL is not installed, as by: apt-get install postgresql"


@contextmanager
def server() -> Iterator[Server]:
    """Starts a server, and stops it at the end; skips the test without PostgreSQL."""
    there = binaries()
    if there is None:
        pytest.skip(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        running = Server(there, folder)
        running.start()
        yield running
        running.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def close_connections() -> None:
    """Closes the connections that this process keeps for its only storage."""
    for storage in OPENED.values():
        storage.engine.dispose()
    OPENED.clear()

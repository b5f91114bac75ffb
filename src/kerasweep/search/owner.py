"""Identifies the driver that owns a trial, and checks whether it is alive, on other hosts by its lease."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from optuna.study import Study

OWNER, LEASE = "owner", "lease"  # names in journals: never change them
LEASE_SECONDS = 300.0
RENEWAL_SECONDS = 60.0
CLOCK_SECONDS = 0.1
START_FIELD = 19  # of /proc/PID/stat, counted from the first field after the name


def this_owner() -> dict[str, Any]:
    """Identifies this process by its host, its id and its start time."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": _began(pid)}


def _began(pid: int) -> float | None:
    """Returns a process's start time in seconds; None if it is gone, or a zombie that nobody has reaped.

    On Linux the time counts from the boot: setting the clock does not move it, but moves psutil's create_time
    (https://github.com/giampaolo/psutil/issues/2526).
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform != "linux":
            return process.create_time()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[START_FIELD]) / os.sysconf("SC_CLK_TCK")


def renew_lease(study: Study) -> None:
    """Tells drivers on other hosts that this process is alive; call it again within LEASE_SECONDS."""
    study.set_user_attr(_lease(this_owner()), time.time())


def _lease(owner: dict[str, Any]) -> str:
    return f"{LEASE}:{owner['host']}:{owner['pid']}:{owner['started']:.0f}"


def is_alive(study: Study, owner: dict[str, Any] | None) -> bool:
    """Returns whether the owner still runs; for another host, whether its lease is fresh."""
    if owner is None:
        return False
    if owner["host"] != socket.gethostname():
        renewed = float(study.user_attrs.get(_lease(owner), 0.0))
        return time.time() - renewed < LEASE_SECONDS
    began = _began(owner["pid"])
    return began is not None and abs(began - owner["started"]) < CLOCK_SECONDS


@contextmanager
def leased(study: Study) -> Iterator[None]:
    """Renews the lease in a thread: a batch, or a server that does not answer, may block this one for hours.

    Optuna's storage is thread-safe.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWAL_SECONDS):
            with suppress(OSError, ValueError):  # such as a full disk; it tries again in a minute
                renew_lease(study)

    renew_lease(study)
    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

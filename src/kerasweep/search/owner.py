"""Identifies the driver that owns a trial, and checks whether it is alive: on other machines by its lease."""

import math
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import psutil
from optuna.exceptions import OptunaError
from optuna.study import Study

from kerasweep.errors import KerasweepError

OWNER, LEASE = "owner", "lease"  # names in journals: never change them
LEASE_SECONDS = 300.0
RENEWAL_SECONDS = 60.0
WATCHED_SECONDS = 1.5 * RENEWAL_SECONDS  # how long a lease must have ended before its owner counts as dead
CALL_SECONDS = 5.0  # a call of the storage that takes longer has waited for it
CLOCK_SECONDS = 0.1
START_FIELD = 19  # of /proc/PID/stat, counted from the first field after the name
# The keys of an owner that tell whether this process can ask its kernel about it.
PLACE = ("host", "boot", "namespace")
BOOT_ID, PID_NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


def this_owner() -> dict[str, Any]:
    """Identifies this process by its place, its id and its start time."""
    pid = os.getpid()
    return {**_this_place(), "pid": pid, "started": _began(pid)}


def _this_place() -> dict[str, str]:
    """Identifies the host and, on Linux, its boot and the namespace of process ids.

    Containers may share a host name, and each counts its processes from 1.
    """
    place = {"host": socket.gethostname()}
    if sys.platform == "linux":
        place |= {"boot": BOOT_ID.read_text().strip(), "namespace": os.readlink(PID_NAMESPACE)}
    return place


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


# The leases that were found to have ended, by study: when they were renewed, and when they were found.
_ended: WeakKeyDictionary[Study, dict[str, tuple[float, float]]] = WeakKeyDictionary()


def renew_lease(study: Study) -> None:
    """Tells drivers in other places that this process is alive; call it again within LEASE_SECONDS."""
    began = -math.inf
    while time.monotonic() - began > CALL_SECONDS:  # the database was away: the time that it got is old
        began = time.monotonic()
        study.set_user_attr(_lease(this_owner()), time.time())


def _has_ended(study: Study, owner: Mapping[str, Any]) -> bool:
    """Whether the lease of an owner has ended, and stays so for WATCHED_SECONDS.

    While a database is away, or a machine sleeps, nobody can renew: afterwards each has the time to do so.
    """
    name, renewed = _lease(owner), _renewed(study, owner)
    if not renewed:  # a driver has a lease before it has trials
        return True
    if time.time() < renewed + LEASE_SECONDS:
        return False
    ended = _ended.setdefault(study, {})
    if ended.get(name, (None, 0.0))[0] != renewed:
        ended[name] = renewed, time.monotonic()
    return time.monotonic() - ended[name][1] >= WATCHED_SECONDS


def _lease(owner: Mapping[str, Any]) -> str:
    """Returns the name of an owner's lease; owners of older versions have a host only."""
    parts = [*(owner[key] for key in PLACE if key in owner), owner["pid"], f"{owner['started']:.0f}"]
    return ":".join(map(str, [LEASE, *parts]))


def is_alive(study: Study, owner: Mapping[str, Any] | None) -> bool:
    """Returns whether the owner still runs; in another place, whether its lease is fresh."""
    if owner is None:
        return False
    return _is_running(owner) if _is_here(owner) else not _has_ended(study, owner)


def has_ended_here(owner: Mapping[str, Any]) -> bool:
    """Whether the owner was a process of this place, and has ended."""
    return _is_here(owner) and not _is_running(owner)


def _is_running(owner: Mapping[str, Any]) -> bool:
    """Whether the owner, a process of this place, still runs: another process may have its id now."""
    began = _began(owner["pid"])
    return began is not None and abs(began - owner["started"]) < CLOCK_SECONDS


def _is_here(owner: Mapping[str, Any]) -> bool:
    """Whether this process can ask its kernel about the owner."""
    here = _this_place()
    return all(owner[key] == here.get(key) for key in PLACE if key in owner)


def _renewed(study: Study, owner: Mapping[str, Any]) -> float:
    """Returns when an owner renewed its lease, in seconds since 1970; 0 if it has none."""
    return float(study.user_attrs.get(_lease(owner), 0.0))


def owner_text(study: Study, owner: Mapping[str, Any]) -> str:
    """Returns words such as `process 12` or `process 12 on pod-a, which counts as dead at 14:05:10 …`."""
    if _is_here(owner):
        return f"process {owner['pid']}"
    end = _renewed(study, owner) + LEASE_SECONDS
    end = max(end, time.time()) + WATCHED_SECONDS
    shown = time.strftime("%H:%M:%S", time.localtime(end))
    return f"process {owner['pid']} on {owner['host']}, which counts as dead at {shown} if it renews no lease"


@contextmanager
def leased(study: Study) -> Iterator[None]:
    """Renews the lease in a thread: a batch, or a server that does not answer, may block this one for hours.

    Optuna's storage is thread-safe.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWAL_SECONDS):
            # Such as a full disk; it tries again in a minute.
            with suppress(OSError, ValueError, KerasweepError, OptunaError):
                renew_lease(study)

    renew_lease(study)
    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

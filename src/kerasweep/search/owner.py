"""Identifies the driver that owns a trial, and checks whether it is alive: on other machines by its lease."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
MAX_GAP_SECONDS = 1.5 * RENEWAL_SECONDS  # between two renewals of a driver whose storage answers
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


@dataclass
class _Renewals:
    """When this process renewed its lease of a study."""

    last: float  # in seconds since 1970
    since: float  # the first of those that followed each other in time; 0 for the first of all


_renewals: WeakKeyDictionary[Study, _Renewals] = WeakKeyDictionary()


def renew_lease(study: Study) -> None:
    """Tells drivers in other places that this process is alive; call it again within LEASE_SECONDS."""
    study.set_user_attr(_lease(this_owner()), time.time())
    now = time.time()
    renewals = _renewals.setdefault(study, _Renewals(now, 0.0))
    if now - renewals.last > MAX_GAP_SECONDS:
        renewals.since = now
    renewals.last = now


def _may_judge(study: Study) -> bool:
    """Whether an expired lease means that its owner has died.

    While a database is away, or a machine sleeps, nobody can renew. A driver that has missed its own renewals
    waits until the others have had the time for theirs. One that has just started has missed none.
    """
    renewals, now = _renewals.get(study), time.time()
    if renewals is None:
        return True
    return now - renewals.last <= MAX_GAP_SECONDS and now - renewals.since > MAX_GAP_SECONDS


def _lease(owner: Mapping[str, Any]) -> str:
    """Returns the name of an owner's lease; owners of older versions have a host only."""
    parts = [*(owner[key] for key in PLACE if key in owner), owner["pid"], f"{owner['started']:.0f}"]
    return ":".join(map(str, [LEASE, *parts]))


def is_alive(study: Study, owner: Mapping[str, Any] | None) -> bool:
    """Returns whether the owner still runs; in another place, whether its lease is fresh."""
    if owner is None:
        return False
    if not _is_here(owner):
        return time.time() < _lease_end(study, owner) or not _may_judge(study)
    began = _began(owner["pid"])
    return began is not None and abs(began - owner["started"]) < CLOCK_SECONDS


def has_ended_here(owner: Mapping[str, Any]) -> bool:
    """Whether the owner was a process of this place, and has ended."""
    began = _began(owner["pid"]) if _is_here(owner) else owner["started"]
    return began is None or abs(began - owner["started"]) >= CLOCK_SECONDS


def _is_here(owner: Mapping[str, Any]) -> bool:
    """Whether this process can ask its kernel about the owner."""
    here = _this_place()
    return all(owner[key] == here.get(key) for key in PLACE if key in owner)


def _lease_end(study: Study, owner: Mapping[str, Any]) -> float:
    return float(study.user_attrs.get(_lease(owner), 0.0)) + LEASE_SECONDS


def owner_text(study: Study, owner: Mapping[str, Any]) -> str:
    """Returns words such as `process 12` or `process 12 on pod-a, whose lease ends at 14:05:10`."""
    if _is_here(owner):
        return f"process {owner['pid']}"
    end = time.strftime("%H:%M:%S", time.localtime(_lease_end(study, owner)))
    return f"process {owner['pid']} on {owner['host']}, whose lease ends at {end} unless it is renewed"


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

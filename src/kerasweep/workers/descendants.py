"""Finds and ends the descendants of a process."""

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

MAX_SECONDS, PAUSE_SECONDS = 5.0, 0.001


def children(pid: int) -> list[int]:
    """Returns the children of a process; none if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        # Fast: psutil would look at each process of the machine. Not every kernel has these files.
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children()]
    return []


def descendants(pid: int) -> list[int]:
    """Returns the children of a process, their children, and so on."""
    found = children(pid)
    return [*found, *(below for child in found for below in descendants(child))]


def end_all(roots: list[int]) -> None:
    """Ends processes and their descendants. They are stopped first: meanwhile they start no others."""
    stopped: dict[int, None] = {}
    while new := [pid for root in roots for pid in (root, *descendants(root)) if pid not in stopped]:
        for pid in new:
            stopped[pid] = None
            _send(pid, signal.SIGSTOP)
    for pid in stopped:
        _send(pid, signal.SIGKILL)


def end_children(kept: Collection[int] = ()) -> None:
    """Ends the children of this process, with all that they have started, and reaps them.

    Orphans that this process has adopted are among its children.

    Args:
        kept: Children that go on.
    """
    deadline = time.monotonic() + MAX_SECONDS
    while left := [child for child in children(os.getpid()) if child not in kept]:
        end_all(left)
        for pid in left:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:  # the kernel may hold a process for long
            return
        time.sleep(PAUSE_SECONDS)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)

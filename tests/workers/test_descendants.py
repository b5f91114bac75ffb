"""Processes are ended with all that they have started."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from kerasweep.workers import descendants


def test_processes_are_stopped_before_the_last_look_for_their_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that is killed at once may have started another one meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    looks: list[str] = []
    children = descendants.children

    def look(pid: int) -> list[int]:
        status, deadline = psutil.Process(pid).status, time.monotonic() + 20
        while looks and status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
            time.sleep(0.01)  # the kernel stops it as soon as it can
        looks.append(status())
        return children(pid)

    monkeypatch.setattr(descendants, "children", look)
    descendants.end_all([process.pid])
    assert looks[0] != psutil.STATUS_STOPPED and looks[1:] == [psutil.STATUS_STOPPED]
    assert process.wait() == -signal.SIGKILL

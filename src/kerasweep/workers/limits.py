"""Limits time and memory of a job, and explains to the user why a worker process ended."""

import math
import signal
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Limits:
    """Limits of the jobs of a pool; None means no limit."""

    timeout_seconds: float | None = None  # of one job
    memory_mb: float | None = None  # of a worker process while it does a job, in MiB
    recycle_mb: float = 4096  # a worker that has grown past this is replaced after its job

    @property
    def max_idle_mb(self) -> float:
        """The MiB that a worker may keep between jobs: memory of earlier jobs must not fail a later one."""
        return min(self.recycle_mb, (self.memory_mb or math.inf) / 2)

    def excess(self, pid: int, seconds: float) -> str | None:
        """Returns which limit a job has exceeded, as a sentence without its full stop, or None.

        Args:
            pid: The process that does the job.
            seconds: How long the job has been running.
        """
        if self.timeout_seconds is not None and seconds > self.timeout_seconds:
            return f"it took longer than trial.timeout_seconds={self.timeout_seconds:g}"
        if self.memory_mb is not None and (used := rss_mb(pid)) > self.memory_mb:
            return f"its process used {used:.0f} MB, more than trial.memory_mb={self.memory_mb:g}"
        return None


def rss_mb(pid: int) -> float:
    """Returns the resident memory of a process in MiB, 0 if it has ended.

    A limit on address space (`ulimit -v`) would break TensorFlow, so resident memory is polled instead.
    """
    try:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def exit_reason(code: int) -> str:
    """Explains an exit code of multiprocessing: negative for the signal that killed the process."""
    if code >= 0:
        return f"its process exited with code {code}"
    name = signal.Signals(-code).name
    advice = ", as the kernel does if memory runs out" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{advice}"

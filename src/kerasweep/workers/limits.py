"""What a job may take of a machine, and what its process's end says to a person."""

import math
import signal
from concurrent.futures import TimeoutError
from dataclasses import dataclass

from pebble import ProcessExpired


@dataclass(frozen=True)
class Limits:
    """timeout_seconds, memory_mb: of one job. recycle_mb: a worker that has grown past it is replaced."""

    timeout_seconds: float | None = None
    memory_mb: float | None = None
    recycle_mb: float = 4096

    @property
    def most_kept_mb(self) -> float:
        """What a worker may hold between jobs: what some have left fails no other for its memory."""
        return min(self.recycle_mb, (self.memory_mb or math.inf) / 2)

    def reason(self, failure: BaseException) -> str:
        """Why a job ended, by what pebble says of its process; a sentence without its full stop."""
        if is_timeout(failure):
            return f"it took longer than trial.timeout_seconds={self.timeout_seconds:g}"
        if isinstance(failure, ProcessExpired):
            return _exit_reason(int(failure.exitcode))
        return f"{type(failure).__name__}: {failure}"


def is_timeout(failure: BaseException) -> bool:
    """Whether pebble ended the process; a function may raise a TimeoutError of its own."""
    return isinstance(failure, TimeoutError) and failure.args[:1] == ("Task timeout",)


def _exit_reason(code: int) -> str:
    if code >= 0:
        return f"its process exited with code {code}"
    name = signal.Signals(-code).name
    advice = ", as the kernel does where memory runs out" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{advice}"

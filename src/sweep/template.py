"""One process that has imported what workers need: they fork off it, ready at once.

It is Python's fork server. It imports beside the command's own start, once for all workers, and what they
import is shared in memory. It starts no thread and touches no device, which no forked process could use.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext

PR_SET_PDEATHSIG = 1
DECIDED = "TF_ENABLE_ONEDNN_OPTS"

_environment: dict[str, str] | None = None


def start_template(module: str) -> None:
    """Begin to import a module in the process that later workers fork off; on Linux alone.

    Called once, from the main thread of a command: the process ends with it. It keeps the terminal and the
    environment that it was started with; workers are told today's environment.
    """
    global _environment
    if sys.platform != "linux" or _environment is not None:
        return
    _environment = _read_at_import()
    forkserver.set_forkserver_preload([module])
    with interrupts_blocked():
        forkserver.ensure_running()


def worker_context() -> BaseContext:
    """How to start a worker: off the template, anew where there is none, or it read another environment."""
    return get_context("forkserver" if _environment == _read_at_import() else "spawn")


def _read_at_import() -> dict[str, str]:
    """What the packages that a template imports read of the environment, some of them only then.

    But for what the command and its template decide alike: see `src.training.onednn`.
    """
    prefixes = ("TF_", "XLA_", "KERAS_", "CUDA_", "PYTHON")
    read = {name: value for name, value in os.environ.items() if name.startswith(prefixes)}
    read.pop(DECIDED, None)
    return read


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Processes that start meanwhile never hear of Ctrl-C, nor do theirs: the command decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def dying_with_parent() -> Iterator[None]:
    """Meanwhile this process ends when its parent does, at once, whatever it is busy with."""
    die_with_parent(signal.SIGKILL)
    yield
    die_with_parent(0)


def die_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when its parent ends; 0: none. Linux knows how."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)

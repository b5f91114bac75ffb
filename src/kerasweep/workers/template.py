"""One process that has imported what workers need: they fork off it, ready at once.

It is Python's fork server. It imports beside the command's own start, once for all workers, and what they
import is shared in memory. It starts no thread and opens no device: a forked process could use neither.
"""

import os
import sys
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext

import psutil

from kerasweep.workers.signals import interrupts_blocked

# What packages read of the environment when they are imported; but for what the command and its template
# decide alike (see `kerasweep.training.onednn`), and what TensorFlow's import itself sets.
READ = ("TF_", "XLA_", "KERAS_", "CUDA_", "PYTHON")
NOT_COMPARED = ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "TF2_BEHAVIOR")

_environment: dict[str, str] | None = None
_process: psutil.Process | None = None


def start_template(module: str) -> None:
    """Begin to import a module in the process that later workers fork off; on Linux alone.

    Called once, from the main thread of a command: the process ends with it. It keeps the terminal and the
    environment that it was started with; workers are told today's environment.
    """
    global _environment, _process
    if sys.platform != "linux" or _environment is not None:
        return
    _environment = _read_at_import()
    forkserver.set_forkserver_preload([module])
    with interrupts_blocked():
        forkserver.ensure_running()
    # Python tells nobody which process that is.
    _process = psutil.Process(forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]


def has_template() -> bool:
    """Whether workers fork off a template: where there is one that read the same environment."""
    return _environment == _read_at_import()


def template_has_ended() -> bool:
    """Whether there was one and it is gone, killed or for lack of memory: its workers end with it."""
    if _process is None:
        return False
    try:
        return _process.status() == psutil.STATUS_ZOMBIE or not _process.is_running()
    except psutil.NoSuchProcess:
        return True


def worker_context() -> BaseContext:
    """How to start a worker: off the template, else anew."""
    return get_context("forkserver" if has_template() else "spawn")


def _read_at_import() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(READ) and name not in NOT_COMPARED
    }

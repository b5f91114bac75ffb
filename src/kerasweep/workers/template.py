"""Starts the template: a process with the workers' imports, which workers are forked from.

It is Python's fork server. It imports once for all workers, while the command itself starts, and workers
share the memory of its imports. It starts no thread and opens no device: a forked process could use neither.
"""

import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext
from typing import Any

import psutil

from kerasweep.workers.signals import dying_with_parent, ignore_signal, interrupts_blocked

# Variables that packages read when they are imported. The command and its template decide alike on oneDNN
# (see `kerasweep.training.onednn`), and TensorFlow's import itself sets the other two: not compared.
READ = ("TF_", "XLA_", "KERAS_", "CUDA_", "PYTHON")
NOT_COMPARED = ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "TF2_BEHAVIOR")
COMMAND = "KERASWEEP_COMMAND"  # the command's process id, for its template
POLL_SECONDS = 0.01
MAX_FOLDER_BYTES = 70

_environment: dict[str, str] | None = None
_process: psutil.Process | None = None


def start_template(module: str) -> None:
    """Starts the template, which imports a module; does nothing outside Linux and on later calls.

    Call it from the main thread: the template ends with the thread that starts it. It keeps the terminal and
    the environment of its start; each worker gets the driver's environment when the worker starts.
    """
    global _environment, _process
    if sys.platform != "linux" or _environment is not None:
        return
    _environment = _read_at_import()
    forkserver.set_forkserver_preload([module])
    os.environ[COMMAND] = str(os.getpid())
    with interrupts_blocked(), short_temporary_folder():
        forkserver.ensure_running()
    del os.environ[COMMAND]
    # Python has no public name for it.
    _process = psutil.Process(forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]


@contextmanager
def template_stopped() -> Iterator[None]:
    """Ends a template that the block starts: the caller's process goes on after a sweep.

    A fork server that the caller has started stays, and serves the workers without their imports.
    """
    global _environment, _process
    server: Any = forkserver._forkserver  # type: ignore[attr-defined]
    was_running, preload, before = server._forkserver_pid is not None, server._preload_modules, _environment
    try:
        yield
    finally:
        if before is None and _environment is not None:
            _environment, _process = None, None
            server._preload_modules = preload
            if not was_running:
                server._stop()


@contextmanager
def short_temporary_folder() -> Iterator[None]:
    """Keeps the path of the template's socket short, which may have 107 bytes, whatever $TMPDIR is."""
    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > MAX_FOLDER_BYTES:
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = before


def has_template() -> bool:
    """Returns whether workers are forked from a template: the variables it read must not have changed."""
    return _environment == _read_at_import()


def template_has_ended(seconds: float = 0) -> bool:
    """Returns whether the template was killed, which ends its workers too; waits up to `seconds` for it."""
    deadline = time.monotonic() + seconds
    while not (has_ended := _process is not None and _is_gone(_process)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return has_ended


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:
        return True


def worker_context() -> BaseContext:
    """Returns how to start a worker: forked off the template, or as a new Python if there is none."""
    return get_context("forkserver" if has_template() else "spawn")


def _read_at_import() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(READ) and name not in NOT_COMPARED
    }


@contextmanager
def preloading() -> Iterator[None]:
    """Surrounds the imports of a template's module. Workers repeat a failed import and report it.

    Signals to the whole group of processes must not end the template: the command decides.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy would start OpenBLAS's threads when it is imported
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ignore_signal)
    with dying_with_parent(int(os.environ.pop(COMMAND, os.getppid()))), suppress(Exception):
        yield
    gc.freeze()  # a collection in a forked process would copy the pages that it shares

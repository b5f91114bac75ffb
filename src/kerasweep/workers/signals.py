"""Controls which signals reach which process, and ends processes together with their parent."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import parent_process, resource_tracker
from typing import Any

from kerasweep.errors import STOPPING, Terminated

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Blocks SIGINT in the processes that start meanwhile and in their children: the command decides."""
    # Python starts its resource tracker with the first process, and then unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Delays a first signal of STOPPING to the end of the block; a second one takes effect at once.

    An exception in the middle of an import may be swallowed by the package or leave it half imported, and
    Hydra turns it into another error while it reads a config file. A signal without a Python handler
    (ignored, as under nohup, or the system's default) stays so, and in a thread nothing is delayed: Python
    handles signals in the main thread alone.
    """
    if not _is_main_thread():
        yield
        return
    held: list[tuple[Any, int, Any]] = []
    before = {number: signal.getsignal(number) for number in STOPPING}
    handlers = {number: handler for number, handler in before.items() if callable(handler)}

    def hold(number: int, frame: Any) -> None:
        handler = handlers[signal.Signals(number)]
        held.append((handler, number, frame))
        if len(held) > 1:
            handler(number, frame)

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if held:
        handler, *first = held[0]
        handler(*first)


_starting = ExitStack()


def hold_interrupts() -> None:
    """Delays signals as `interrupts_held` does, until `release_interrupts` is called, maybe inside Hydra."""
    _starting.enter_context(interrupts_held())


def release_interrupts() -> None:
    """Delivers a signal that arrived since `hold_interrupts`; does nothing again, or in a thread."""
    if _is_main_thread():
        _starting.close()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def dying_with_parent(parent: int) -> Iterator[None]:
    """Ends this process at once, whatever it does, if its parent ends meanwhile or has ended."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    try:
        yield
    finally:
        die_with_parent(0)


def die_with_parent(number: int) -> None:
    """Has the kernel send this process a signal when its parent ends, or none for 0; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose parent has ended; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_driver() -> None:
    """Ends this process when its driver ends: an orphan would write to runs that a rerun has closed.

    The kernel ends it with its guardian, and that with the process that forked it, which may be the template.
    """
    driver = parent_process()
    assert driver is not None

    def watch() -> None:
        driver.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def ignore_signal(number: int, frame: Any) -> None:
    """Ignores a signal. A trial's own child processes would inherit SIG_IGN, but not a handler."""


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Raises Terminated for the first SIGTERM or SIGHUP in the block; enter it in the main thread.

    Later ones are ignored: `timeout` and others send SIGTERM again while the command closes its run. A
    process that is forked off meanwhile ends by them as usual. Under nohup SIGHUP stays ignored.
    """
    command = os.getpid()
    numbers = [number for number in STOPPING[1:] if signal.getsignal(number) is not signal.SIG_IGN]

    def interrupt(number: int, frame: Any) -> None:
        if os.getpid() != command:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for each in numbers:
            signal.signal(each, ignore_signal)
        raise Terminated(number)

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number in numbers:
            if signal.getsignal(number) is interrupt:
                signal.signal(number, before[number])

"""How processes end with each other, and which signals reach them."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import parent_process, resource_tracker
from typing import Any

from kerasweep.errors import Terminated

PR_SET_PDEATHSIG = 1


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Processes that start meanwhile never hear of Ctrl-C, nor do theirs: the command decides."""
    # Python starts it beside the first process, and unblocks the signal once it has.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A first SIGINT or SIGTERM meanwhile comes at the end, a second one at once.

    For imports of packages, which swallow what is raised in the middle of them, or are left in pieces, and
    for Hydra, which makes an error of its own of it where it reads a config file. Signals that Python does
    not hear are left as they are: ignored, as below nohup, or the system's. Nothing is held in a
    thread, which hears none.
    """
    if not _is_main_thread():
        yield
        return
    held: list[tuple[Any, int, Any]] = []
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    heard = {number: handler for number, handler in before.items() if callable(handler)}

    def hold(number: int, frame: Any) -> None:
        held.append((heard[signal.Signals(number)], number, frame))
        if len(held) > 1:
            heard[signal.Signals(number)](number, frame)

    for number in heard:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
    if held:
        handler, *first = held[0]
        handler(*first)


_starting = ExitStack()


def hold_interrupts() -> None:
    """As `interrupts_held`, until `release_interrupts`, which what Hydra calls may do."""
    _starting.enter_context(interrupts_held())


def release_interrupts() -> None:
    """Let a signal come that was held since `hold_interrupts`; nothing where none is held, or in a thread."""
    if _is_main_thread():
        _starting.close()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def dying_with_parent() -> Iterator[None]:
    """Meanwhile this process ends when its parent does, at once, whatever it is busy with."""
    die_with_parent(signal.SIGKILL)
    try:
        yield
    finally:
        die_with_parent(0)


def die_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when its parent ends; 0: none. Linux knows how."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)


def die_with_driver() -> None:
    """End this process when the driver does: an orphan would write to runs that a rerun has closed.

    The kernel ends it with the process that it was forked off, a thread with the driver itself.
    """
    die_with_parent(signal.SIGKILL)
    driver = parent_process()
    assert driver is not None

    def watch() -> None:
        driver.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def go_on(number: int, frame: Any) -> None:
    """Handles SIGTERM by nothing. Not SIG_IGN: what a trial starts would inherit that."""


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Meanwhile SIGTERM raises Terminated in the main thread, which alone may enter this.

    Only the first does: `timeout` and others send it again, while the command closes its run. What forks
    off meanwhile ends by it as ever.
    """
    command = os.getpid()

    def hear(number: int, frame: Any) -> None:
        if os.getpid() != command:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        signal.signal(number, go_on)
        raise Terminated

    before = signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is hear:
            signal.signal(signal.SIGTERM, before)

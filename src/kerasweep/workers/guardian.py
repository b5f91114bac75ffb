"""Guards a worker: when it or its driver ends, the processes that its trials started end, too.

The guardian is the worker's parent. It has nothing to do but to wait, so it answers at once, which a worker
in the middle of a computation does not, and a killed one even less. Orphans below it become its children
(see PR_SET_CHILD_SUBREAPER in prctl(2)), even if they left the worker's session.
"""

import os
import resource
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from kerasweep.workers.descendants import end_children
from kerasweep.workers.signals import adopt_orphans, die_with_parent

ORPHANED = signal.SIGUSR1
AWAITED = {signal.SIGCHLD, ORPHANED, signal.SIGTERM, signal.SIGHUP, signal.SIGINT}


def guard(pipe: Connection) -> None:
    """Puts a guardian before this process, which goes on as its child, in a session of their own.

    A signal to the whole group reaches neither the driver nor other workers. Outside Linux there is the
    session alone.

    Args:
        pipe: The worker's, which the guardian must not hold open.
    """
    os.setsid()
    if sys.platform != "linux":
        return
    adopt_orphans()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    guardian = os.getpid()
    worker = os.fork()
    if worker == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        die_with_parent(signal.SIGKILL)
        if os.getppid() != guardian:
            os._exit(1)
        adopt_orphans()
        return
    pipe.close()
    _exit_as(_wait(worker))


def _wait(worker: int) -> int:
    """Waits until the worker or the guardian's parent ends, ends all others, and returns the exit code."""
    parent = os.getppid()
    die_with_parent(ORPHANED)
    code: int | None = None
    while code is None:
        if os.getppid() != parent:
            code = -signal.SIGKILL
            break
        signal.sigwait(AWAITED)
        code = _reap(worker)
    end_children()
    return code


def _reap(worker: int) -> int | None:
    """Takes note of children that have ended; returns the worker's exit code if it is among them."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if ended[0] == worker:
                return os.waitstatus_to_exitcode(ended[1])
    return None


def _exit_as(code: int) -> None:
    """Ends this process with an exit code of multiprocessing: negative for a signal."""
    if code >= 0:
        os._exit(code)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # SIGKILL has no handler
        signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os.kill(os.getpid(), -code)
    os._exit(1)

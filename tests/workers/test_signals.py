"""SIGTERM and Ctrl-C end the right processes; a subprocess receives SIGTERM, which would end pytest."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kerasweep.workers.signals import hold_interrupts, interrupts_held, release_interrupts

PROGRAM = """
import os, signal, time
from kerasweep.errors import Terminated
from kerasweep.workers.signals import interrupted_by_signals

def send(process):
    os.kill(process, signal.SIGTERM)

with interrupted_by_signals():
    heard, said = os.pipe()
    forked = os.fork()
    if forked == 0:
        os.write(said, b"!")  # until here Python drops what it has not handled
        time.sleep(60)
        os._exit(0)
    os.read(heard, 1)
    send(forked)
    print("forked", os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]))
    try:
        send(os.getpid())
    except Terminated:
        send(os.getpid())
        print("closed")
with interrupted_by_signals():
    pass
send(os.getpid())
print("went on")
signal.signal(signal.SIGTERM, signal.SIG_DFL)
with interrupted_by_signals():
    pass
print("as before", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)
send(os.getpid())
"""


def test_sigterm_interrupts_a_command_once_and_ends_its_forks() -> None:
    done = subprocess.run(
        [sys.executable, "-u", "-c", PROGRAM],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-15, "")
    assert done.stdout.splitlines() == ["forked -15", "closed", "went on", "as before True"]


def test_a_first_interrupt_is_held_to_the_end_and_a_second_is_not() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("held")
        done.append("never")
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        done.append("never")
    assert done == ["held"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_held_interrupt_is_raised_on_release() -> None:
    release_interrupts()
    hold_interrupts()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        release_interrupts()
    release_interrupts()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_threads_hold_nothing_and_release_nothing() -> None:
    """Hydra's joblib launcher may train in threads."""

    def train() -> str:
        release_interrupts()
        with interrupts_held():
            return "trained"

    hold_interrupts()
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(train).result() == "trained"
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        release_interrupts()


@pytest.mark.parametrize("ignored", [True, False])
def test_ignored_interrupts_stay_ignored_and_handlers_are_restored(ignored: bool) -> None:
    before = signal.getsignal(signal.SIGINT)
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    own = signal.getsignal(signal.SIGINT)
    try:
        with interrupts_held():
            assert (signal.getsignal(signal.SIGINT) is own) is ignored
            if ignored:
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)

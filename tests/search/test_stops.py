"""A signal requests a stop, and a message announces it later."""

import signal
from contextlib import ExitStack

import pytest

from kerasweep.search.stops import StopRequest


def test_a_second_sighup_changes_nothing() -> None:
    """A shell whose terminal is closed sends one, and then the kernel does."""
    stop = StopRequest()
    with stop.listening():
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
        assert stop.is_set
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_a_third_sigterm_does_not_interrupt_the_cleaning_up() -> None:
    """At a time limit SLURM sends it to the job, and srun passes it on; Ctrl-C interrupts each time."""
    stop = StopRequest()
    with stop.listening():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_a_library_replaces_by_an_error_stays_an_interrupt() -> None:
    """OmegaConf undoes a change with values that it has not filled in yet."""
    stop = StopRequest()
    with pytest.raises(KeyboardInterrupt), stop.listening(), ExitStack() as stack:
        stack.callback([].pop)  # raises IndexError
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_an_error_after_a_first_signal_stays_an_error() -> None:
    stop = StopRequest()
    with pytest.raises(IndexError), stop.listening():
        signal.raise_signal(signal.SIGINT)
        [].pop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_is_noted_at_once_and_announced_when_it_is_safe(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal may arrive during a print; a handler that prints would then raise and end the sweep."""
    stop = StopRequest()
    with stop.listening():
        stop.announce()
        signal.raise_signal(number)
        assert stop.is_set and capsys.readouterr().out == ""
        for _ in range(2):
            stop.announce()
        assert capsys.readouterr().out == (
            "stopping: the trials under way are trained to their end; Ctrl-C again stops them now\n"
        )
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)

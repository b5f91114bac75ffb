"""A signal requests a stop, and a message announces it later."""

import os
import signal

import pytest

from kerasweep.search.stops import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_is_noted_at_once_and_announced_when_it_is_safe(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal may arrive during a print; a handler that prints would then raise and end the sweep."""
    stop = StopRequest()
    with stop.listening():
        stop.announce()
        os.kill(os.getpid(), number)
        assert stop.is_set and capsys.readouterr().out == ""
        for _ in range(2):
            stop.announce()
        assert capsys.readouterr().out == (
            "stopping: the trials under way are trained to their end; Ctrl-C again stops them now\n"
        )
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)

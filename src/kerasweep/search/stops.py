"""Decides whether a sweep ends: by its total, its budget of hours, target and patience, or its user."""

import math
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from omegaconf import DictConfig
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.errors import STOPPING, StorageError
from kerasweep.results import sign_of
from kerasweep.search.ledger import counts
from kerasweep.search.tally import Tally
from kerasweep.terminal import say

HOURS_USED = "hours_used"  # a name in journals: never change it
NOTED_SECONDS = 60.0


class StopRequest:
    """Whether the user asked to stop: the first signal of STOPPING sets it, the second interrupts.

    Further SIGTERMs do nothing: at a time limit SLURM sends several, while the sweep is being closed.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._has_interrupted = False
        self._is_announced = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles the signals meanwhile, and restores their handlers afterwards.

        Under nohup SIGHUP stays ignored.
        """
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        numbers = [number for number in STOPPING if not (ignored and number is signal.SIGHUP)]
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        except Exception as error:  # a library that is interrupted may raise any error of its own
            if self._has_interrupted:
                raise KeyboardInterrupt from error
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: Any) -> None:
        is_repeated = number == signal.SIGTERM and self._has_interrupted
        # A shell that ends sends SIGHUP, and then the kernel does.
        if self.is_set and number != signal.SIGHUP and not is_repeated:
            self._has_interrupted = True
            raise KeyboardInterrupt
        self.is_set = True  # print nothing here: the interrupted code may be printing

    def announce(self) -> bool:
        """Prints what the first signal does, once it has arrived; returns whether it has done so now."""
        if not self.is_set or self._is_announced:
            return False
        self._is_announced = True
        say("stopping: the trials under way are trained to their end; Ctrl-C again stops them now")
        return True


class Hours:
    """The hours that a sweep has run, restarts included; saved in its study each minute.

    Args:
        study: The sweep's study.
        lock: Holds the sweep's lock.
        before: The hours that its tuning has used of the same budget.
    """

    def __init__(
        self, study: Study, lock: Callable[[], AbstractContextManager[None]], before: float = 0.0
    ) -> None:
        self._study = study
        self._tuning = before
        self._lock = lock
        self._begun = time.monotonic()
        self._noted_at = self._begun

    @cached_property
    def _before(self) -> float:
        """The hours of earlier starts."""
        return self._noted()

    def used(self) -> float:
        """Returns the hours of this start and of earlier ones, and those of the tuning."""
        return self._tuning + self._own()

    def _own(self) -> float:
        return self._before + (time.monotonic() - self._begun) / 3600

    def note(self) -> None:
        """Saves the hours. Time that several drivers work at once counts once."""
        self._noted_at = time.monotonic()
        with suppress(OSError, StorageError), self._lock():
            self._study.set_user_attr(HOURS_USED, max(self._noted(), self._own()))

    def note_sometimes(self) -> None:
        """Saves the hours if the last save was a minute ago."""
        if time.monotonic() - self._noted_at > NOTED_SECONDS:
            self.note()

    def _noted(self) -> float:
        return float(self._study.user_attrs.get(HOURS_USED, 0.0))


@dataclass(frozen=True)
class Ending:
    """Why a sweep starts no further trial."""

    reason: str
    is_whole: bool  # all trials are there: no budget cut the sweep short


def total_reason(tally: Tally, total: int, under_way: int) -> str | None:
    """Returns why the total is reached, or None. under_way: trials that this driver trains now."""
    return done_text(tally, total, under_way) if tally.begun >= total else None


def done_text(tally: Tally, total: int, under_way: int) -> str:
    """Returns how many of the trials are done. under_way: trials that this driver trains now."""
    share = f"all {total}" if tally.begun >= total else f"{tally.begun} of {total}"
    return f"{share} trials are done{' or under way elsewhere' if tally.running > under_way else ''}"


def budget_reason(
    trials: Sequence[FrozenTrial], directions: Sequence[str], budget: DictConfig, hours: float
) -> str | None:
    """Returns which part of the budget forbids another trial, or None. hours: used by the sweep so far."""
    if budget.hours is not None and hours + _expected_hours(trials) >= budget.hours:
        return _out_of_time(budget.hours, hours)
    if len(directions) > 1:
        return None
    sign = sign_of(directions[0])
    if budget.target is not None:
        values = [t.value for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
        if any(sign * value >= sign * budget.target for value in values):
            return f"the target of {budget.target:g} is reached"
    if budget.patience is not None and _since_best(trials, sign) >= budget.patience:
        return f"{budget.patience} trials in a row brought no improvement"
    return None


def _out_of_time(budget: float, hours: float) -> str:
    if hours >= budget:
        return f"the budget of {budget:g} hours is spent"
    left = (budget - hours) * 60
    return f"{left:.1f} minutes of budget.hours={budget:g} are left, less than a trial takes"


def _expected_hours(trials: Sequence[FrozenTrial]) -> float:
    """Returns the median hours of the complete trials, 0 before there are any."""
    spans = [t.duration.total_seconds() for t in trials if t.state is TrialState.COMPLETE and t.duration]
    return statistics.median(spans) / 3600 if spans else 0.0


def _since_best(trials: Sequence[FrozenTrial], sign: int) -> int:
    """Returns how many trials that count ended after the first of the best ones."""
    ends = [(t.datetime_complete, t.number, t) for t in trials if t.datetime_complete is not None]
    ended = [t for _, _, t in sorted(ends) if counts(t)]
    values = [
        sign * t.value if t.state is TrialState.COMPLETE and t.value is not None else -math.inf for t in ended
    ]
    return len(values) - 1 - values.index(max(values)) if values else 0

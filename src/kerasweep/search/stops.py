"""Why a sweep ends: its total, its budget, or its user."""

import math
import signal
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState

from kerasweep.search.ledger import counts
from kerasweep.terminal import say


class StopRequest:
    """Whether the user asked for the end: the first Ctrl-C or SIGTERM sets it, the second interrupts."""

    def __init__(self) -> None:
        self.is_set = False
        self._is_announced = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals; afterwards they mean again what they did."""
        before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: Any) -> None:
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True  # no more: what the signal interrupted may be printing

    def announce(self) -> None:
        """Say what the first signal does, once it has come."""
        if self.is_set and not self._is_announced:
            self._is_announced = True
            say("stopping: the trials under way are trained to their end; Ctrl-C again stops them now")


@dataclass(frozen=True)
class Ending:
    """Why a sweep trains nothing further. is_whole: all of its trials are there; no budget cut it short."""

    reason: str
    is_whole: bool


def counted(trials: Sequence[FrozenTrial]) -> int:
    """How many trials count towards the total, those under way among them."""
    return len(_begun(trials))


def _begun(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if counts(trial) and trial.state is not TrialState.WAITING]


def total_reason(trials: Sequence[FrozenTrial], total: int, under_way: int) -> str | None:
    """Why the total is reached, or None. under_way: trials that this driver trains now."""
    begun = _begun(trials)
    if len(begun) < total:
        return None
    elsewhere = sum(not trial.state.is_finished() for trial in begun) > under_way
    return f"all {total} trials are done{' or under way elsewhere' if elsewhere else ''}"


def budget_reason(
    trials: Sequence[FrozenTrial], directions: Sequence[str], budget: DictConfig, hours: float
) -> str | None:
    """Which part of the budget forbids a further trial, or None. hours: spent on this sweep so far."""
    if budget.hours is not None and hours + _expected_hours(trials) >= budget.hours:
        return _out_of_time(budget.hours, hours)
    if len(directions) > 1:
        return None
    values = [t.value for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
    sign = 1 if directions[0] == "maximize" else -1
    if budget.target is not None and any(sign * value >= sign * budget.target for value in values):
        return f"the target of {budget.target:g} is reached"
    if budget.patience is not None and _since_best(trials, sign) >= budget.patience:
        return f"{budget.patience} trials in a row brought no improvement"
    return None


def _out_of_time(budget: float, hours: float) -> str:
    if hours >= budget:
        return f"the budget of {budget:g} hours is spent"
    left = (budget - hours) * 60
    return f"no trial ends within the {left:.1f} minutes that are left of the budget of {budget:g} hours"


def _expected_hours(trials: Sequence[FrozenTrial]) -> float:
    """How long a trial takes: the median of the complete ones, 0 before there is any."""
    spans = [t.duration.total_seconds() for t in trials if t.state is TrialState.COMPLETE and t.duration]
    return statistics.median(spans) / 3600 if spans else 0.0


def _since_best(trials: Sequence[FrozenTrial], sign: int) -> int:
    """How many trials ended after the first best one: complete ones, and pruned ones, which bring nothing."""
    ends = [(t.datetime_complete, t.number, t) for t in trials if t.datetime_complete is not None]
    ended = [t for _, _, t in sorted(ends) if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    values = [
        sign * t.value if t.state is TrialState.COMPLETE and t.value is not None else -math.inf for t in ended
    ]
    return len(values) - 1 - values.index(max(values)) if values else 0

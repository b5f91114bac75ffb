"""Counts a sweep's trials by their states, keeps the best one, and estimates the remaining time."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.results import Outcome, State, sign_of
from kerasweep.search.ledger import RESULT, clean_params, counts
from kerasweep.search.stops import HOURS_USED
from kerasweep.search.sweep import Sweep


def finished_trials(study: Study) -> list[FrozenTrial]:
    """Returns the ended trials that count towards the total."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if counts(trial) and trial.state.is_finished()]


@dataclass(frozen=True)
class Best:
    """The complete trial with the best first objective so far."""

    number: int
    values: tuple[float, ...]
    params: Mapping[str, object]


class Progress:
    """Counts each trial of a sweep once, whether this driver or another one trained it.

    Args:
        sweep: The sweep.
        clock: Returns a monotonic time in seconds.
    """

    def __init__(self, sweep: Sweep, clock: Callable[[], float]) -> None:
        self.sweep = sweep
        self.clock = clock
        self.begun = clock()
        self.ends: Counter[str] = Counter()  # state -> number of trials
        self.best: Best | None = None
        self._counted: set[int] = set()
        self._elsewhere = 0  # running trials of other drivers
        self._jobs: dict[int, tuple[int, float]] = {}  # worker -> trial, and when its job began
        self._spent: dict[int, float] = {}  # running trial -> seconds of its ended jobs
        self._trained = 0  # trials of this driver
        self._seconds = 0.0  # of their jobs
        # Of earlier starts:
        self._hours_before = 0.0
        self._done_before = 0
        self._seconds_before: float | None = None

    @classmethod
    def read(cls, sweep: Sweep, clock: Callable[[], float] = time.monotonic) -> Self:
        """Counts the trials of earlier starts; the time counts from now on."""
        progress = cls(sweep, clock)
        progress.recount()
        progress._hours_before = sweep.hours_before + float(sweep.study.user_attrs.get(HOURS_USED, 0.0))
        progress._done_before = progress.done
        progress._seconds_before = _mean_training(finished_trials(sweep.study))
        return progress

    @property
    def done(self) -> int:
        """The number of ended trials."""
        return len(self._counted)

    @property
    def running(self) -> int:
        """The number of running trials, with those of other drivers at the last recount."""
        return len(self._spent.keys() - self._counted) + self._elsewhere

    @property
    def elapsed(self) -> float:
        """The seconds since this start of the sweep."""
        return self.clock() - self.begun

    def started(self, worker: int, number: int) -> None:
        """Notes that a worker has begun a repeat of a trial."""
        self._spent.setdefault(number, 0.0)
        self._jobs[worker] = (number, self.clock())

    def idle(self, worker: int) -> None:
        """Notes that a worker's job has ended."""
        number, begun = self._jobs.pop(worker)
        if number in self._spent:
            self._spent[number] += self.clock() - begun

    def settled(self, number: int, params: Mapping[str, object], outcome: Outcome) -> None:
        """Counts a trial that this driver has ended."""
        self._count(number, outcome.state, outcome.values, params)
        spent = self._spent.pop(number, None)
        if spent is not None:
            self._trained += 1
            self._seconds += spent

    def recount(self) -> None:
        """Counts the trials of earlier starts and of other drivers."""
        trials = self.sweep.study.get_trials(deepcopy=False)
        running = {trial.number for trial in trials if trial.state is TrialState.RUNNING}
        self._elsewhere = len(running - self._spent.keys())
        for trial in trials:
            if not counts(trial):  # it has failed, and is trained again as another one
                self._spent.pop(trial.number, None)
            elif trial.number not in self._counted and trial.state.is_finished():
                params = self.sweep.shown_params(clean_params(self.sweep.space, trial))
                self._count(
                    trial.number, State.of_optuna(trial.state.name), tuple(trial.values or ()), params
                )

    def _count(self, number: int, end: str, values: tuple[float, ...], params: Mapping[str, object]) -> None:
        if number in self._counted:
            return
        self._counted.add(number)
        self.ends[end] += 1
        if end == State.COMPLETE and (self.best is None or self._is_better(values[0], self.best.values[0])):
            self.best = Best(number, values, params)

    def _is_better(self, value: float, other: float) -> bool:
        sign = sign_of(self.sweep.directions[0])
        return sign * value > sign * other

    def seconds_left(self, workers: int) -> tuple[float | None, bool]:
        """Returns the remaining seconds at the mean time of a trial, None before a trial has ended.

        The second value says whether the budget of hours ends the sweep first.
        """
        expected = self._expected(workers)
        hours = self.sweep.budget.hours
        if hours is None:
            return expected, False
        granted = max(0.0, (hours - self._hours_before) * 3600 - self.elapsed)
        is_sooner = expected is None or granted < expected
        return (granted, True) if is_sooner else (expected, False)

    def _expected(self, workers: int) -> float | None:
        """Returns the seconds that this driver's share of the remaining trials takes."""
        mean = self._seconds / self._trained if self._trained else self._seconds_before
        if mean is None:
            return None
        left = max(0, self.sweep.total - self.done)
        busy = max(1, min(workers, left * self.sweep.repeats))
        work = left * mean - sum(min(mean, spent) for spent in self._under_way().values())
        ended = self.done - self._done_before
        share = self._trained / ended if 0 < self._trained < ended else 1.0
        return max(0.0, work) * share / busy

    def _under_way(self) -> dict[int, float]:
        """Returns the seconds that workers have spent on each running trial."""
        spent = {number: seconds for number, seconds in self._spent.items() if number not in self._counted}
        for number, begun in self._jobs.values():
            if number in spent:
                spent[number] += self.clock() - begun
        return spent


def _mean_training(trials: list[FrozenTrial]) -> float | None:
    """Returns the mean training time of trials of earlier starts, None if there are none."""
    results = [trial.user_attrs[RESULT]["seconds"] for trial in trials if RESULT in trial.user_attrs]
    trained = [seconds for seconds in results if seconds > 0]
    return sum(trained) / len(trained) if trained else None

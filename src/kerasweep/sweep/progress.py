"""How far a sweep is: its trials by their ends, the best so far, and the time that is left."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.results import Outcome, State
from kerasweep.search.ledger import RESULT, clean_params, counts
from kerasweep.search.stops import HOURS_USED
from kerasweep.search.sweep import Sweep


def finished_trials(study: Study) -> list[FrozenTrial]:
    """The trials that count towards the total and have ended."""
    return [t for t in study.get_trials(deepcopy=False) if counts(t) and t.state.is_finished()]


@dataclass(frozen=True)
class Best:
    """The complete trial whose first objective is the best so far."""

    number: int
    values: tuple[float, ...]
    params: Mapping[str, object]


class Progress:
    """Counts along with a sweep; every trial is counted once, whoever tells of it first.

    clock: seconds that only grow. ends: how many trials are complete, pruned and failed.
    """

    def __init__(self, sweep: Sweep, clock: Callable[[], float] = time.monotonic) -> None:
        self.sweep = sweep
        self.clock = clock
        self.begun = clock()
        self.ends: Counter[str] = Counter()
        self.best: Best | None = None
        self._counted: set[int] = set()
        self._elsewhere = 0
        self._jobs: dict[int, tuple[int, float]] = {}
        self._spent: dict[int, float] = {}
        self._trained = 0
        self._seconds = 0.0
        self._hours_before = float(sweep.study.user_attrs.get(HOURS_USED, 0.0))
        self.recount()
        self._found = self.done
        self._seconds_before = _mean_training(finished_trials(sweep.study))

    @property
    def done(self) -> int:
        return len(self._counted)

    @property
    def running(self) -> int:
        """Trials under way, those of other drivers too as far as the last count knew of them."""
        return len(self._spent.keys() - self._counted) + self._elsewhere

    @property
    def elapsed(self) -> float:
        """Seconds since this start of the sweep."""
        return self.clock() - self.begun

    def started(self, worker: int, number: int) -> None:
        """A worker has begun a seed of a trial."""
        self._spent.setdefault(number, 0.0)
        self._jobs[worker] = (number, self.clock())

    def idle(self, worker: int) -> None:
        """A worker's job has ended."""
        number, begun = self._jobs.pop(worker)
        self._spent[number] += self.clock() - begun

    def settled(self, number: int, params: Mapping[str, object], outcome: Outcome) -> None:
        """A trial of this driver has ended."""
        self._count(number, outcome.state, outcome.values, params)
        spent = self._spent.pop(number, None)
        if spent is not None:
            self._trained += 1
            self._seconds += spent

    def recount(self) -> None:
        """Take in what other drivers, or earlier starts, have done."""
        trials = self.sweep.study.get_trials(deepcopy=False)
        running = {trial.number for trial in trials if trial.state is TrialState.RUNNING}
        self._elsewhere = len(running - self._spent.keys())
        for trial in trials:
            if trial.number not in self._counted and trial.state.is_finished() and counts(trial):
                params = clean_params(self.sweep.space, trial)
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
        return value > other if self.sweep.directions[0] == "maximize" else value < other

    def seconds_left(self, workers: int) -> tuple[float | None, bool]:
        """The time to the total at the mean time of a trial, None until one is known.

        The second value is whether the budget of hours ends the sweep before that.
        """
        expected = self._expected(workers)
        hours = self.sweep.budget.hours
        if hours is None:
            return expected, False
        granted = max(0.0, (hours - self._hours_before) * 3600 - self.elapsed)
        is_sooner = expected is None or granted < expected
        return (granted, True) if is_sooner else (expected, False)

    def _expected(self, workers: int) -> float | None:
        """With other drivers at the same sweep, this one has its share of what is left."""
        mean = self._seconds / self._trained if self._trained else self._seconds_before
        if mean is None:
            return None
        left = max(0, self.sweep.total - self.done)
        busy = min(workers, max(1, left * self.sweep.repeats))
        work = left * mean - sum(min(mean, spent) for spent in self._under_way().values())
        ended = self.done - self._found
        share = self._trained / ended if 0 < self._trained < ended else 1.0
        return max(0.0, work) * share / busy

    def _under_way(self) -> dict[int, float]:
        """The seconds that workers have spent on each trial that has not ended."""
        spent = {number: seconds for number, seconds in self._spent.items() if number not in self._counted}
        for number, begun in self._jobs.values():
            if number in spent:
                spent[number] += self.clock() - begun
        return spent


def _mean_training(trials: list[FrozenTrial]) -> float | None:
    """The mean training time of trials that an earlier start recorded, None where there is none."""
    seconds = [trial.user_attrs[RESULT]["seconds"] for trial in trials if RESULT in trial.user_attrs]
    trained = [each for each in seconds if each > 0]
    return sum(trained) / len(trained) if trained else None

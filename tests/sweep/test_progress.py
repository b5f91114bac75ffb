"""Progress counts every trial once, and estimates the remaining time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from kerasweep.results import Outcome
from kerasweep.search.ledger import fail_and_retry, settle
from kerasweep.search.stops import HOURS_USED
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params
from kerasweep.sweep.progress import Progress, finished_trials

Search = Callable[..., tuple[str, list[Params]]]
GRID = {"a": "1,2,3", "b": "4,5"}


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def complete(value: float, seconds: float = 0.0) -> Outcome:
    return Outcome("complete", "run", (value,), seconds=seconds)


def train(progress: Progress, clock: Clock, number: int, outcome: Outcome, seconds: float) -> None:
    """Trains one trial on worker 0."""
    progress.started(0, number)
    clock.now += seconds
    progress.idle(0)
    progress.settled(number, {"a": number}, outcome)


def test_trials_are_counted_by_state(sweep_of: Callable[..., Sweep], clock: Clock) -> None:
    progress = Progress.read(sweep_of(GRID, total=6), clock)
    for number, state in enumerate(["complete", "pruned", "failed", "pruned"]):
        train(progress, clock, number, Outcome(state, "run", (1.0,)), 1)
    assert progress.ends == {"complete": 1, "pruned": 2, "failed": 1} and progress.done == 4


def test_running_trials_are_those_of_busy_workers(sweep_of: Callable[..., Sweep], clock: Clock) -> None:
    progress = Progress.read(sweep_of(GRID, total=6), clock)
    for worker, number in enumerate([7, 7, 8]):  # trial 7 trains two seeds
        progress.started(worker, number)
    assert progress.running == 2
    progress.idle(0)
    assert progress.running == 2  # the other seed of trial 7 is still training
    progress.settled(7, {}, complete(1.0))
    assert progress.running == 1


def test_continues_the_counts_of_an_earlier_start(
    sweep_of: Callable[..., Sweep], search: Search, clock: Clock
) -> None:
    outcomes: Iterator[Outcome] = iter(
        [complete(0.5), Outcome("failed", "run", reason="no"), Outcome("pruned", "run"), complete(0.7)]
    )
    search(sweep_of(GRID, total=4, sampler="grid"), lambda params: next(outcomes))
    progress = Progress.read(sweep_of(GRID, total=6), clock)
    assert progress.ends == {"complete": 2, "pruned": 1, "failed": 1}
    assert progress.best is not None and progress.best.values == (0.7,)
    assert progress.best.params == {"a": 2, "b": 5}


@pytest.mark.parametrize(("direction", "best"), [("maximize", 2.0), ("minimize", -1.0)])
def test_best_is_of_complete_trials(
    direction: str, best: float, sweep_of: Callable[..., Sweep], clock: Clock
) -> None:
    progress = Progress.read(sweep_of(GRID, directions=(direction,)), clock)
    for number, value in enumerate([1.0, 2.0, -1.0, 2.0, -1.0]):
        train(progress, clock, number, complete(value), 1)
    for number, value in ((5, 9.0), (6, -9.0)):
        train(progress, clock, number, Outcome("pruned", "run", (value,)), 1)
    assert progress.best is not None and progress.best.values == (best,)
    assert progress.best.number in (1, 2)  # the first of equal values


def test_trial_of_another_driver_counts_once(sweep_of: Callable[..., Sweep], clock: Clock) -> None:
    sweep, other = sweep_of(GRID, total=6), sweep_of(GRID, total=6)
    progress = Progress.read(sweep, clock)
    trial = other.study.ask()
    params = other.space.suggest(trial)
    progress.recount()
    assert (progress.done, progress.running) == (0, 1)
    settle(other.study, trial, complete(3.0))
    for _ in range(2):
        progress.recount()
        assert (progress.done, progress.running) == (1, 0)
    assert progress.best is not None and progress.best.params == params
    progress.settled(trial.number, params, complete(3.0))
    assert progress.done == 1


def test_settled_trial_counts_once_after_a_recount(sweep_of: Callable[..., Sweep], clock: Clock) -> None:
    sweep = sweep_of(GRID, total=6)
    progress = Progress.read(sweep, clock)
    trial = sweep.study.ask()
    params = sweep.space.suggest(trial)
    progress.started(0, trial.number)
    progress.recount()
    assert progress.running == 1
    progress.idle(0)
    settle(sweep.study, trial, complete(3.0))
    progress.recount()
    assert (progress.done, progress.running) == (1, 0)
    progress.settled(trial.number, params, complete(3.0))
    assert (progress.done, progress.running) == (1, 0)


def test_a_trial_that_is_trained_again_does_not_run_any_more(
    sweep_of: Callable[..., Sweep], clock: Clock
) -> None:
    """Its node has gone, and a seed of it on another node ends later."""
    sweep = sweep_of(GRID, total=6)
    progress = Progress.read(sweep, clock)
    trial = sweep.study.ask()
    sweep.space.suggest(trial)
    for worker in (0, 1):
        progress.started(worker, trial.number)
    progress.idle(0)
    fail_and_retry(sweep.study, trial.number, blamed=False)
    progress.recount()
    progress.idle(1)
    assert (progress.done, progress.running) == (0, 0)


def test_time_left_is_unknown_before_a_trial_has_ended(sweep_of: Callable[..., Sweep], clock: Clock) -> None:
    progress = Progress.read(sweep_of(GRID, total=6), clock)
    progress.started(0, 0)
    clock.now += 100
    assert progress.seconds_left(2) == (None, False)


def test_time_left_is_the_mean_time_of_the_remaining_trials_per_worker(
    sweep_of: Callable[..., Sweep], clock: Clock
) -> None:
    progress = Progress.read(sweep_of(GRID, total=12), clock)
    train(progress, clock, 0, complete(1.0), 10)
    train(progress, clock, 1, Outcome("failed", "run", reason="no"), 20)
    assert progress.seconds_left(1) == (10 * 15, False)
    assert progress.seconds_left(4) == (10 * 15 / 4, False)
    assert progress.seconds_left(64) == (15, False)  # at most ten workers have a trial
    progress.started(0, 2)
    clock.now += 5
    assert progress.seconds_left(1) == (10 * 15 - 5, False)
    clock.now += 100
    assert progress.seconds_left(1) == (9 * 15, False)  # a trial longer than the mean counts as over


def test_time_of_a_trial_is_that_of_all_its_seeds(sweep_of: Callable[..., Sweep], clock: Clock) -> None:
    progress = Progress.read(sweep_of(GRID, total=3), clock)
    for worker in (0, 1):
        progress.started(worker, 0)
    clock.now += 10
    for worker in (0, 1):
        progress.idle(worker)
    progress.settled(0, {}, complete(1.0))
    assert progress.seconds_left(2) == (2 * 20 / 2, False)


def test_no_time_is_left_at_the_total(sweep_of: Callable[..., Sweep], clock: Clock) -> None:
    progress = Progress.read(sweep_of(GRID, total=1), clock)
    for number in (0, 1):
        train(progress, clock, number, complete(1.0), 10)
    assert progress.seconds_left(2) == (0, False)


def test_time_left_starts_from_the_mean_of_earlier_starts(
    sweep_of: Callable[..., Sweep], search: Search, clock: Clock
) -> None:
    outcomes = iter(
        [complete(1.0, seconds=4), complete(1.0, seconds=8), Outcome("failed", "run", reason="x")]
    )
    search(sweep_of(GRID, total=3, sampler="grid"), lambda params: next(outcomes))
    progress = Progress.read(sweep_of(GRID, total=6), clock)
    assert progress.seconds_left(1) == (3 * 6, False)


def test_other_drivers_train_their_share_of_the_rest(
    sweep_of: Callable[..., Sweep], search: Search, clock: Clock
) -> None:
    space = {"a": "range(100)"}
    progress = Progress.read(sweep_of(space, total=10), clock)
    search(sweep_of(space, total=2))
    train(progress, clock, 100, complete(1.0), 10)
    train(progress, clock, 101, complete(1.0), 10)
    progress.recount()
    assert progress.seconds_left(1) == (6 * 10 / 2, False)


@pytest.mark.parametrize(
    ("before", "tuning", "left"),
    [
        (0.0, 0.0, (3600 - 20, True)),
        (0.99, 0.0, (36 - 20, True)),
        (0.0, 0.99, (36 - 20, True)),
        (2.0, 0.0, (0, True)),
    ],
)
def test_budget_ends_a_sweep_sooner(
    before: float, tuning: float, left: tuple[float, bool], sweep_of: Callable[..., Sweep], clock: Clock
) -> None:
    sweep = replace(sweep_of(GRID, total=1000, hours=1.0), hours_before=tuning)
    sweep.study.set_user_attr(HOURS_USED, before)
    progress = Progress.read(sweep, clock)
    train(progress, clock, 0, complete(1.0), 20)
    seconds, is_budget = progress.seconds_left(1)
    assert (seconds, is_budget) == (pytest.approx(left[0]), left[1])
    assert progress.seconds_left(1_000_000)[1] is (before + tuning > 0)


def test_refused_and_running_trials_are_not_finished(sweep_of: Callable[..., Sweep], search: Search) -> None:
    def refuse_two(params: Mapping[str, Any]) -> str | None:
        return "no" if params["a"] == 2 else None

    sweep = sweep_of(GRID, total=4, refusal=refuse_two)
    search(sweep)
    sweep.study.ask()
    assert len(finished_trials(sweep.study)) == 4

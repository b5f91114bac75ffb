"""A tally equals a count of all trials, however often it is updated."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import FrozenTrial, Trial, TrialState

from kerasweep.results import Outcome
from kerasweep.search.ledger import REJECTED, fail_and_retry, settle
from kerasweep.search.owner import OWNER, this_owner
from kerasweep.search.sweep import Sweep
from kerasweep.search.tally import Tally, tally_of

VALUES = range(40)


def start(sweep: Sweep, value: int) -> Trial:
    sweep.study.enqueue_trial({"a": value})
    trial = sweep.study.ask()
    sweep.space.suggest(trial)
    return trial


def end(sweep: Sweep, trial: Trial, how: str, *values: float) -> None:
    if how == "rejected":
        trial.set_user_attr(REJECTED, "no")
        sweep.study.tell(trial, state=TrialState.FAIL)
    elif how == "lost":
        fail_and_retry(sweep.study, trial.number, blamed=False)
    else:
        settle(sweep.study, trial, Outcome(how, "run", values if how == "complete" else ()))


def numbers(tally: Tally) -> tuple[int, int, int, int, list[int]]:
    tried = [value for value in VALUES if tally.has_tried({"a": value})]
    return tally.begun, tally.running, tally.ended, tally.configurations, tried


@pytest.mark.parametrize("seed", range(5))
def test_updates_count_each_trial_once(seed: int, sweep_of: Callable[..., Sweep]) -> None:
    """Trials end in any order, and other drivers claim them late or never."""
    sweep, luck = sweep_of({"a": "range(40)"}), random.Random(seed)
    running: dict[int, Trial] = {}
    ended: dict[int, str] = {}
    for begun in VALUES:
        running[begun] = start(sweep, begun)
        if luck.random() < 0.5:
            running[begun].set_user_attr(OWNER, this_owner())
        while len(running) > luck.randint(0, 4):
            value = luck.choice(list(running))
            ended[value] = luck.choice(["complete", "pruned", "failed", "rejected"])
            end(sweep, running.pop(value), ended[value], luck.random())
        counted = sorted({*running, *(value for value, how in ended.items() if how != "rejected")})
        not_rejected = len(counted) - len(running)
        expected = (len(counted), len(running), not_rejected, len(counted), counted)
        assert numbers(tally_of(sweep.study, sweep.space)) == expected
    assert set(ended.values()) == {"complete", "pruned", "failed", "rejected"}


def test_a_retry_counts_once_it_runs(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of({"a": "range(40)"})
    end(sweep, start(sweep, 1), "lost")
    assert numbers(tally_of(sweep.study, sweep.space)) == (0, 0, 1, 0, [])
    sweep.space.suggest(sweep.study.ask())
    assert numbers(tally_of(sweep.study, sweep.space)) == (1, 1, 1, 1, [1])


def test_values_of_a_trial_that_no_driver_has_claimed_are_read_again(sweep_of: Callable[..., Sweep]) -> None:
    """Another driver may choose them while this one counts, if it has lost the lock."""
    sweep = sweep_of({"a": "3,4", "b": "1,2"})
    trial = sweep.study.ask()
    params = {}
    for axis in sweep.space.axes:
        params[axis.key] = axis.suggest(trial)
        tally_of(sweep.study, sweep.space)
    tally = tally_of(sweep.study, sweep.space)
    assert tally.has_tried(params) and tally.configurations == 1


def test_the_best_values_are_those_that_no_other_trial_dominates(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of({"a": "range(40)"}, directions=("maximize", "minimize"))
    found = []
    for value, values in enumerate([(1, 3), (2, 4), (1, 3), (0, 3), (3, 2), (3, 5), (4, 9)]):
        end(sweep, start(sweep, value), "complete", *values)
        found.append(set(tally_of(sweep.study, sweep.space).best))
    assert found[3] == {(1, 3), (2, 4)} and found[6] == {(3, 2), (4, 9)}
    assert len(tally_of(sweep.study, sweep.space).best) == 2


class Counted(list[FrozenTrial]):
    """A list that notes which of its items are read."""

    def __init__(self, trials: list[FrozenTrial]) -> None:
        super().__init__(trials)
        self.read: list[int] = []

    def __getitem__(self, number: Any) -> Any:
        self.read.append(number)
        return super().__getitem__(number)


def test_a_trial_that_has_ended_is_read_once(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of({"a": "range(40)"})
    tally = Tally(sweep.space, sweep.directions)
    running = [start(sweep, value) for value in range(3)]
    end(sweep, running[1], "complete", 0.5)
    tally.update(sweep.study.get_trials(deepcopy=False))
    end(sweep, running[2], "pruned")
    start(sweep, 3)
    for expected in ([0, 2, 3], [0, 3]):
        trials = Counted(sweep.study.get_trials(deepcopy=False))
        tally.update(trials)
        assert trials.read == expected
    assert numbers(tally) == (4, 2, 2, 4, [0, 1, 2, 3])

"""Samplers move away from configurations whose loss diverges; a crash tells them nothing."""

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from optuna.pruners import HyperbandPruner
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from kerasweep.results import Outcome
from kerasweep.search.ledger import RESULT, is_poor
from kerasweep.search.poor_trials import PoorTrialsSampler, show_poor
from kerasweep.search.samplers import build_sampler
from kerasweep.search.sweep import Sweep
from tests.searches import SAMPLERS

LARGEST = sys.float_info.max
# The best rate is 0.6, and training diverges above 0.62.
SPACE = {"rate": "interval(0.0,1.0)", "decay": "interval(0.0,1.0)"}
POOR = {RESULT: {"is_poor": True}}
GENERATION = {"nsga2": "NSGAIISampler:generation", "cmaes": "cma:generation"}


def beside_a_cliff(params: Mapping[str, Any], poor: bool) -> Outcome:
    if params["rate"] > 0.62:
        return Outcome("failed", "run", reason="loss became nan in epoch 1", is_poor=poor)
    return Outcome("complete", "run", values=(1 - (params["rate"] - 0.6) ** 2 - params["decay"] ** 2,))


@pytest.fixture
def failed_of_40(
    sweep_of: Callable[..., Sweep], search: Callable[..., Any], tmp_path: Path
) -> Callable[[bool], list[int]]:
    """Returns a function that counts the failed trials of searches of 40 trials by TPE, with two seeds."""

    def count(poor: bool) -> list[int]:
        counts = []
        for seed in range(2):
            sweep = sweep_of(SPACE, total=40, sampler="tpe", seed=seed)
            search(sweep, lambda params: beside_a_cliff(params, poor))
            counts.append(sum(trial.state is TrialState.FAIL for trial in sweep.study.trials))
            (tmp_path / "s-0.journal").unlink()
        return counts

    return count


def test_tpe_moves_away_from_a_cliff(failed_of_40: Callable[[bool], list[int]]) -> None:
    """Without it more than four trials in five fail: the best seen are beside the cliff."""
    assert max(failed_of_40(True)) <= 17
    assert min(failed_of_40(False)) >= 30


@pytest.mark.parametrize(
    ("sampler", "complete", "poor", "generations"),
    [
        ("nsga2", 1, True, [0, 0, 0, 0, 1]),
        ("nsga2", 1, False, [0, 0, 0, 0, 0]),
        ("nsga2", 0, True, [0, 0, 0, 0, 0]),
        ("cmaes", 2, True, [None, None, 0, 0, 0, 0, 0, 0, 1]),
        ("cmaes", 2, False, [None, None, 0, 0, 0, 0, 0, 0, 0]),
        ("cmaes", 1, True, [None, None, None, None, None]),
    ],
)
def test_poor_trials_are_members_of_a_generation(
    sampler: str,
    complete: int,
    poor: bool,
    generations: list[int | None],
    sweep_of: Callable[..., Sweep],
    search: Callable[..., Any],
) -> None:
    """A generation has four trials here, of CMA-ES six, after two random ones."""
    left = iter([True] * complete)
    sweep = sweep_of(SPACE, total=len(generations), sampler=sampler)

    def train(params: Mapping[str, Any]) -> Outcome:
        if next(left, False):
            return Outcome("complete", "run", values=(0.5,))
        return Outcome("failed", "run", reason="loss became nan", is_poor=poor)

    search(sweep, train)
    attribute = GENERATION[sampler]
    assert [trial.system_attrs.get(attribute) for trial in sweep.study.trials] == generations


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2"])
def test_hyperband_shows_samplers_a_study_of_its_own(sampler: str, sweep_of: Callable[..., Sweep]) -> None:
    study = sweep_of(SPACE).study
    study.pruner = HyperbandPruner(min_resource=1, max_resource=9)
    for number in range(12):
        study.sampler = build_sampler(OmegaConf.structured(SAMPLERS[sampler]), number)
        trial = study.ask()
        rate = trial.suggest_float("rate", 0, 1)
        trial.report(rate, 1)
        trial.should_prune()
        if number % 3:
            study.tell(trial, rate)
        else:
            trial.set_user_attr(RESULT, POOR[RESULT])
            study.tell(trial, state=TrialState.FAIL)
    assert len(study.trials) == 12


def test_trial_stays_failed_in_the_storage(
    sweep_of: Callable[..., Sweep], search: Callable[..., Any]
) -> None:
    sweep = sweep_of(SPACE, total=8, sampler="tpe")
    search(sweep, lambda params: Outcome("failed", "run", reason="loss became nan", is_poor=True))
    assert {trial.state for trial in sweep.study.trials} == {TrialState.FAIL}
    assert all(trial.user_attrs[RESULT]["reason"] == "loss became nan" for trial in sweep.study.trials)


def trial_of(state: TrialState, number: int, values: list[float] | None = None, **attrs: Any) -> FrozenTrial:
    trial = create_trial(state=state, values=values, user_attrs=attrs, system_attrs={"of": number})
    trial.number, trial._trial_id = number, 100 + number
    return trial


@pytest.mark.parametrize(
    ("complete", "shown"),
    [
        ([], (-1.0, 1.0)),
        ([(0.5, 3.0)], (-0.5, 4.0)),
        ([(0.5, 3.0), (0.75, 8.0), (0.25, 4.0)], (-0.25, 13.0)),
        ([(1e308, -1e308), (-1e308, 1e308)], (-LARGEST, LARGEST)),
        ([(math.inf, 0.0)], (LARGEST, 1.0)),
    ],
    ids=["no complete trial", "one", "three", "huge", "infinite"],
)
def test_poor_trials_are_worse_than_all_complete_ones(
    complete: list[tuple[float, float]], shown: tuple[float, float]
) -> None:
    """The first objective is maximized, the second minimized: each is one range beyond the worst."""
    trials = [trial_of(TrialState.COMPLETE, number, list(values)) for number, values in enumerate(complete)]
    crashed = trial_of(TrialState.FAIL, len(trials), **{RESULT: {"reason": "its process was killed"}})
    older = trial_of(TrialState.FAIL, len(trials) + 1)
    poor = trial_of(TrialState.FAIL, len(trials) + 2, **POOR)
    *others, last = show_poor([*trials, crashed, older, poor], is_poor, ["MAXIMIZE", "MINIMIZE"])
    assert others == [*trials, crashed, older]
    assert (last.state, tuple(last.values)) == (TrialState.COMPLETE, shown)
    assert (last.number, last._trial_id, last.system_attrs) == (
        poor.number,
        poor._trial_id,
        {"of": poor.number},
    )


class Witness(RandomSampler):
    """A random sampler that notes the trials that it sees."""

    def __init__(self) -> None:
        super().__init__(0)
        self.seen: list[list[TrialState]] = []

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        self.seen.append([each.state for each in study.get_trials(deepcopy=False)])
        self.seen.append(
            [each.state for each in study._get_trials(states=(TrialState.COMPLETE,), use_cache=True)]
        )
        return super().infer_relative_search_space(study, trial)


def test_sampler_sees_the_running_trial_too(sweep_of: Callable[..., Sweep]) -> None:
    study = sweep_of(SPACE).study
    witness = Witness()
    study.sampler = PoorTrialsSampler(witness, is_poor, min_complete=0)
    trial = study.ask()
    trial.set_user_attr(RESULT, POOR[RESULT])
    study.tell(trial, state=TrialState.FAIL)
    study.ask().suggest_float("rate", 0, 1)
    assert witness.seen == [[TrialState.COMPLETE, TrialState.RUNNING], [TrialState.COMPLETE]]
    assert study.trials[0].state is TrialState.FAIL

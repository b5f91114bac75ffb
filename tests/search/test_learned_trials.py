"""A sampler learns from trials of other sweeps, which never become trials of its own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from kerasweep.config.search import CustomSamplerConf
from kerasweep.results import Outcome
from kerasweep.search.learned_trials import as_learned, is_informative, needed_axes, shared_params
from kerasweep.search.ledger import RESULT
from kerasweep.search.samplers import drawn
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Axis
from kerasweep.space.rows import Params
from kerasweep.space.space import Space
from kerasweep.space.zipped import zipped_axis

Search = Callable[..., tuple[str, list[Params]]]
Spaces = Callable[..., Space]
RATES = {"rate": "tag(log,interval(1e-5,1.0))", "momentum": "interval(0.0,1.0)"}
GOOD_RATE = 1e-3


def decades_away(params: Mapping[str, Any]) -> float:
    return abs(math.log10(params["rate"] / GOOD_RATE))


def near_the_good_rate(params: Mapping[str, Any]) -> Outcome:
    return Outcome("complete", "run", values=(-decades_away(params),))


def ended(params: Params, distributions: Mapping[str, BaseDistribution], **more: Any) -> FrozenTrial:
    given = {"state": TrialState.COMPLETE, "value": 0.5, **more}
    return create_trial(params=params, distributions=dict(distributions), **given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"size": (3, CategoricalDistribution([3, 5]))}, {"size": 3}),
        ({"size": (3.0, FloatDistribution(1, 9))}, {"size": 3}),
        ({"size": (3, IntDistribution(1, 9)), "other": (1, IntDistribution(0, 1))}, {"size": 3}),
        ({"size": (4, IntDistribution(1, 9))}, None),
        ({"size": (3, IntDistribution(1, 9)), "drop": (0.6, FloatDistribution(0, 1))}, None),
        ({"drop": (0.30000000000000004, FloatDistribution(0, 0.5, step=0.1))}, {"drop": 0.3}),
        ({"+drop": (0.2, FloatDistribution(0, 1))}, {"drop": 0.2}),
        ({"regularizer": ("l2", CategoricalDistribution(["l2"]))}, {"regularizer": "l2"}),
        # The strength of no regularizer does not apply, wherever it lies.
        (
            {
                "regularizer": ("none", CategoricalDistribution(["none"])),
                "strength": (9.0, FloatDistribution(0, 9)),
            },
            {"regularizer": "none"},
        ),
        # The other sweep has a fixed regularizer, which its trials do not name.
        ({"strength": (0.5, FloatDistribution(0, 9))}, {"strength": 0.5}),
        ({"strength": (9.0, FloatDistribution(0, 9))}, None),
    ],
)
def test_a_trial_has_values_on_the_axes_that_both_spaces_have(
    given: Mapping[str, tuple[Any, BaseDistribution]], expected: Params | None, space_of: Spaces
) -> None:
    space = space_of(
        {
            "size": "3,5,7",
            "drop": "range(0.0,0.6,0.1)",
            "regularizer": "none,l1,l2",
            "strength": {"range": "interval(0.0,1.0)", "when": {"regularizer": ["l1", "l2"]}},
        }
    )
    trial = ended(
        {key: value for key, (value, _) in given.items()}, {key: d for key, (_, d) in given.items()}
    )
    assert shared_params(space, trial) == expected


def test_zipped_axes_are_learned_row_by_row() -> None:
    names, rates = ("sgd", "adam"), (0.1, 0.01)
    axes = [
        Axis("optimizer", CategoricalDistribution(names), is_group=True, column=names),
        Axis("rate", CategoricalDistribution(rates), column=rates),
    ]
    space = Space(tuple(axes), str, (zipped_axis(axes),))
    rows, distributions = space.recorded({"optimizer": "adam", "rate": 0.01})
    joint, single = ended(rows, distributions), {axis.key: axis.distribution for axis in axes}
    assert shared_params(space, joint) == {"optimizer": "adam", "rate": 0.01}
    assert shared_params(space, ended({"optimizer": "adam", "rate": 0.1}, single)) is None
    assert shared_params(space, ended({"optimizer": "adam"}, {"optimizer": single["optimizer"]})) is None
    learned = as_learned(space, "tpe", joint, {"optimizer": "adam", "rate": 0.01})
    assert (learned.params, learned.distributions) == (rows, distributions)
    unzipped = Space(tuple(axes), str)
    assert shared_params(unzipped, joint) == {"optimizer": "adam", "rate": 0.01}


@pytest.mark.parametrize(
    ("sampler", "needed"), [("tpe", []), ("cmaes", ["rate"]), ("custom", ["rate", "regularizer"])]
)
def test_a_sampler_needs_the_axes_that_it_searches(sampler: str, needed: list[str], space_of: Spaces) -> None:
    space = space_of(
        {
            "rate": "interval(0.0,1.0)",
            "regularizer": "none,l2",
            "strength": {"range": "interval(0.0,1.0)", "when": {"regularizer": ["l2"]}},
        }
    )
    assert [axis.key for axis in needed_axes(sampler, space)] == needed


def test_only_complete_pruned_and_poor_trials_tell_a_sampler_something() -> None:
    poor = {RESULT: {"is_poor": True}}
    states = {
        state: ended({}, {}, state=state, value=None) for state in (TrialState.FAIL, TrialState.RUNNING)
    }
    assert not any(map(is_informative, states.values()))
    assert is_informative(ended({}, {}))
    assert is_informative(ended({}, {}, state=TrialState.PRUNED))
    assert is_informative(ended({}, {}, state=TrialState.FAIL, value=None, user_attrs=poor))


@pytest.fixture
def first_of(
    sweep_of: Callable[..., Sweep], search: Search, tmp_path: Path
) -> Callable[..., tuple[Params, Sweep]]:
    """Returns a function that gives the first trial of a sweep that learns from random trials."""

    def first(sampler: str, seed: int, trials: int, **custom: Any) -> tuple[Params, Sweep]:
        (tmp_path / "s-0.journal").unlink(missing_ok=True)
        sweep = sweep_of(RATES, total=1, sampler="random" if custom else sampler, seed=seed)
        axes, learned = {axis.key: axis.distribution for axis in sweep.space.axes}, []
        for params in islice(drawn(sweep.space, seed + 100), trials):
            trial = ended(params, axes, value=-decades_away(params))
            learned.append(as_learned(sweep.space, sampler, trial, params))
        cfg = OmegaConf.structured(CustomSamplerConf("custom", seed, **custom)) if custom else sweep.sampler
        sweep = replace(sweep, sampler=cfg, learned=tuple(learned))
        (params,) = search(sweep, near_the_good_rate)[1]
        return params, sweep

    return first


@pytest.mark.parametrize(
    ("sampler", "custom"),
    [
        ("tpe", {}),
        ("cmaes", {}),
        ("custom", {"target": "optuna.samplers:TPESampler", "kwargs": {"n_startup_trials": 5}}),
    ],
)
def test_the_first_trial_is_near_the_good_region(
    sampler: str, custom: dict[str, Any], first_of: Callable[..., tuple[Params, Sweep]]
) -> None:
    """A random rate lies 1.3 decades from the good one on average; 40 trials are known."""
    distances = [decades_away(first_of(sampler, seed, 40, **custom)[0]) for seed in range(12)]
    assert sum(distances) / 12 < 0.6


def test_without_other_sweeps_the_first_trial_is_random(
    first_of: Callable[..., tuple[Params, Sweep]],
) -> None:
    assert sum(decades_away(first_of("tpe", seed, 0)[0]) for seed in range(12)) / 12 > 0.9


def test_a_learned_trial_is_no_trial_of_the_sweep(first_of: Callable[..., tuple[Params, Sweep]]) -> None:
    _, sweep = first_of("tpe", 0, 20)
    assert [trial.number for trial in sweep.study.trials] == [0]


def test_cmaes_goes_on_with_its_own_generations(
    sweep_of: Callable[..., Sweep], search: Search, first_of: Callable[..., tuple[Params, Sweep]]
) -> None:
    """Optuna writes the state of CMA-ES into the sweep's own trials, and reads it there after a restart."""
    _, sweep = first_of("cmaes", 0, 20)
    for total in (8, 30):
        search(replace(sweep, total=total), near_the_good_rate)
    generations = [trial.system_attrs.get("cma:generation") for trial in sweep.study.trials]
    assert generations[0] == 0 and max(filter(None, generations)) >= 3
    last = [decades_away(trial.params) for trial in sweep.study.trials[-6:]]
    assert sum(last) / 6 < 0.4


def test_a_pruned_trial_alone_is_no_start_for_cmaes(
    sweep_of: Callable[..., Sweep], search: Search, space_of: Spaces
) -> None:
    sweep = sweep_of(RATES, total=6, sampler="cmaes")
    axes = {axis.key: axis.distribution for axis in sweep.space.axes}
    pruned = ended(
        {"rate": 0.1, "momentum": 0.5}, axes, state=TrialState.PRUNED, intermediate_values={1: 0.2}
    )
    learned = as_learned(sweep.space, "cmaes", pruned, dict(pruned.params))
    reason, _ = search(replace(sweep, learned=(learned,)), near_the_good_rate)
    assert reason == "all 6 trials are done"


def test_a_poor_trial_stays_poor(sweep_of: Callable[..., Sweep], search: Search) -> None:
    """Twenty poor trials above a rate: TPE, which sees complete ones below it, searches there."""
    sweep = sweep_of({"rate": "interval(0.0,1.0)"}, total=10, sampler="tpe")
    axes = {"rate": sweep.space.axes[0].distribution}
    poor = {"state": TrialState.FAIL, "value": None, "user_attrs": {RESULT: {"is_poor": True}}}
    trials = [ended({"rate": 0.5 + i / 40}, axes, **poor) for i in range(20)]
    trials += [ended({"rate": i / 40}, axes, value=0.1) for i in range(20)]
    learned = [as_learned(sweep.space, "tpe", trial, dict(trial.params)) for trial in trials]
    _, trained = search(
        replace(sweep, learned=tuple(learned)), lambda params: Outcome("complete", "run", (0.1,))
    )
    assert sum(float(str(params["rate"])) > 0.5 for params in trained) <= 2

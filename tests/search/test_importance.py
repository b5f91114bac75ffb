"""The importance of axes is given where enough trials allow an estimate."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import Study, create_study
from optuna.trial import TrialState, create_trial

from kerasweep.results import Outcome
from kerasweep.search import importance as module
from kerasweep.search.importance import importance, importance_of
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params

Search = Callable[..., tuple[str, list[Params]]]


def score(of: Callable[[Mapping[str, Any]], float]) -> Callable[[Mapping[str, Any]], Outcome]:
    return lambda params: Outcome("complete", "run", (float(of(params)),))


@pytest.mark.parametrize(("direction", "sign"), [("maximize", 1), ("minimize", -1)])
def test_axis_that_decides_comes_first(
    direction: str, sign: int, sweep_of: Callable[..., Sweep], search: Search
) -> None:
    sweep = sweep_of({"a": "1,2,3,4", "b": "1,2,3,4"}, total=16, sampler="grid", directions=(direction,))
    search(sweep, score(lambda params: sign * (10 * params["b"] + 0.1 * params["a"])))
    found = importance(sweep.study)
    assert found is not None and list(found.shares) == ["b", "a"]
    assert found.shares["b"] > 0.8 and sum(found.shares.values()) == pytest.approx(1)
    assert (found.top, found.trials) == (5, 16)


def test_an_effect_is_told_from_noise_and_noise_seldom() -> None:
    random = np.random.default_rng(0)
    alarms, found = 0, 0
    for _ in range(40):
        rows = [
            (
                {axis: str(random.integers(levels)) for axis, levels in (("a", 3), ("b", 4), ("c", 5))},
                random.normal(),
            )
            for _ in range(30)
        ]
        null = importance_of(rows, True)
        assert null is not None
        alarms += bool(null.beyond_noise)
        moved = importance_of([(values, value + 3 * (values["a"] == "1")) for values, value in rows], True)
        assert moved is not None
        found += "a" in moved.beyond_noise
    assert alarms <= 7  # 5 % of 40 and 3.5 standard errors
    assert found >= 25


def test_one_of_twenty_shuffles_is_beyond_noise() -> None:
    """Without an effect a sweep is one of its shuffles, so exactly one in twenty is beyond noise."""
    table = np.random.default_rng(0).exponential(size=(100, 4))
    alarms = [bool(module.is_beyond(np.roll(table, -place, axis=0)).any()) for place in range(100)]
    assert sum(alarms) == 5
    assert not module.is_beyond(np.ones((100, 4))).any()


def test_conditional_axis_counts_where_it_applies(sweep_of: Callable[..., Sweep], search: Search) -> None:
    space = {
        "regularizer": "none,l1,l2",
        "strength": {"range": "tag(log,interval(1e-6,1e-2))", "when": {"regularizer": ["l1", "l2"]}},
        "idle": "interval(0.0,1.0)",
    }
    sweep = sweep_of(space, total=60)
    search(sweep, score(lambda params: -params.get("strength", 1e-3)))
    found = importance(sweep.study)
    assert found is not None and set(found.shares) == {"regularizer", "strength", "idle"}
    assert found.shares["strength"] > 0.4 > found.shares["idle"]


@pytest.mark.parametrize(
    ("space", "total", "value"),
    [
        ({"a": "1,2,3", "b": "1,2,3"}, 9, lambda params: params["a"]),
        ({"a": "range(20)"}, 20, lambda params: params["a"]),
        ({"a": "range(20)", "b": "choice(3)"}, 20, lambda params: params["a"]),
        ({"a": "range(4)", "b": "range(4)"}, 16, lambda params: 1.0),
        ({"a": "range(4)", "b": "range(4)"}, 16, lambda params: float("inf")),
    ],
    ids=["nine trials", "one axis", "one axis varies", "all are equal", "no finite value"],
)
def test_no_importance_without_enough_information(
    space: Mapping[str, str],
    total: int,
    value: Callable[[Mapping[str, Any]], float],
    sweep_of: Callable[..., Sweep],
    search: Search,
) -> None:
    sweep = sweep_of(space, total=total, sampler="grid")
    search(sweep, score(value))
    assert importance(sweep.study) is None


def test_failed_trials_do_not_count(sweep_of: Callable[..., Sweep], search: Search) -> None:
    def train(params: Mapping[str, Any]) -> Outcome:
        if params["a"] == 0:
            return Outcome("failed", "run", reason="no")
        return Outcome("complete", "run", (float(params["a"]),))

    sweep = sweep_of({"a": "range(4)", "b": "range(4)"}, total=16, sampler="grid")
    search(sweep, train)
    found = importance(sweep.study)
    assert found is not None and found.trials == 12


def in_memory(rows: list[tuple[dict[str, Any], float]], axes: Mapping[str, BaseDistribution]) -> Study:
    study = create_study()
    for params, value in rows:
        distributions = {key: axes[key] for key in params}
        study.add_trial(
            create_trial(state=TrialState.COMPLETE, value=value, params=params, distributions=distributions)
        )
    return study


AXES: dict[str, BaseDistribution] = {
    "choice": CategoricalDistribution((None, True, 3, 0.5, "[32,64]")),
    "int": IntDistribution(1, 9, step=2),
    "log_int": IntDistribution(1, 1000, log=True),
    "float": FloatDistribution(0.0, 1.0, step=0.1),
    "log": FloatDistribution(1e-6, 1e-2, log=True),
}
VALUES = {
    "choice": st.sampled_from((None, True, 3, 0.5, "[32,64]")),
    "int": st.sampled_from((1, 3, 5, 7, 9)),
    "log_int": st.integers(1, 1000),
    "float": st.integers(0, 10).map(lambda step: step / 10),
    "log": st.floats(1e-6, 1e-2),
}
ROWS = st.lists(
    st.tuples(
        st.fixed_dictionaries({}, optional=VALUES),
        st.floats(-1e6, 1e6) | st.just(float("inf")),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS)
def test_shares_add_up_to_one(rows: list[tuple[dict[str, Any], float]]) -> None:
    found = importance(in_memory(rows, AXES))
    if found is not None:
        assert sum(found.shares.values()) == pytest.approx(1)
        assert all(0 <= share <= 1 for share in found.shares.values())
        assert 5 <= found.top <= found.trials


@pytest.mark.parametrize(("count", "evaluations"), [(100, 100), (200, 40)])
def test_many_trials_are_shuffled_less_often(
    count: int, evaluations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shuffle takes longer with more trials, and a sweep should not wait for it."""
    rows = [
        ({"float": index % 11 / 10, "int": index % 5 * 2 + 1}, float(index % 7)) for index in range(count)
    ]
    calls: list[float] = []
    evaluate = module._evaluate

    def counted(study: Study, keys: list[str], quantile: float) -> dict[str, float]:
        calls.append(quantile)
        return evaluate(study, keys, quantile)

    monkeypatch.setattr(module, "_evaluate", counted)
    assert importance(in_memory(rows, AXES)) is not None
    assert len(calls) == evaluations


@pytest.mark.parametrize("maximize", [True, False])
def test_importance_is_computed_from_recorded_runs_too(maximize: bool) -> None:
    sign = 1 if maximize else -1
    rows = [({"a": str(a), "b": str(b)}, sign * (10.0 * b + 0.1 * a)) for a in range(4) for b in range(4)]
    found = importance_of([*rows, ({"a": "0", "b": "0"}, float("nan"))], maximize)
    assert found is not None and list(found.shares) == ["b", "a"]
    assert (found.top, found.trials) == (5, 16)
    assert importance_of(rows[:9], maximize) is None


@pytest.mark.parametrize("seed", range(5))
def test_values_of_an_interval_are_numbers_of_a_scale(seed: int) -> None:
    """As categories, each with one run, all such axes would be equally important."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(40):
        idle, width, rate = random.uniform(), random.integers(1, 200), 10 ** random.uniform(-5, 0)
        values = {"idle": f"{idle}", "width": f"{width}", "rate": f"{rate}"}
        rows.append((values, -abs(float(np.log10(rate)) + 3) + 0.01 * random.normal()))
    found = importance_of(rows, maximize=True)
    assert found is not None and next(iter(found.shares)) == "rate"
    assert "rate" in found.beyond_noise


@pytest.mark.parametrize(
    ("values", "distribution"),
    [
        (["3", "5", "7"], CategoricalDistribution(("3", "5", "7"))),
        (["1", "2", "3", "4", "5", "6"], IntDistribution(1, 6)),
        (["8", "16", "32", "64", "128", "256"], IntDistribution(8, 256, log=True)),
        (["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"], FloatDistribution(0.0, 0.5)),
        (["1e-05", "0.0001", "0.001", "0.01", "0.1", "1"], FloatDistribution(1e-5, 1.0, log=True)),
        (
            ["null", "1", "2", "3", "4", "5"],
            CategoricalDistribution(("null", "1", "2", "3", "4", "5")),
        ),
        (["nan", "1", "2", "3", "4", "5"], CategoricalDistribution(("nan", "1", "2", "3", "4", "5"))),
    ],
)
def test_recorded_values_get_the_distribution_of_their_scale(
    values: list[str], distribution: BaseDistribution
) -> None:
    assert module.distribution_of(values) == distribution


def test_conditional_axis_of_recorded_runs_counts_where_it_applies() -> None:
    rows = [({"r": "none"}, 0.5)] * 4 + [({"r": "l2", "s": str(s)}, s / 10) for s in range(8)]
    found = importance_of(rows, maximize=True)
    assert found is not None and set(found.shares) == {"r", "s"}

"""The effect of each axis and the interactions of two axes are computed from runs."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kerasweep.report.effects import axis_effect, interactions, variance_shares
from kerasweep.tracking.run_record import RunRecord

DRAWS = 300
LEVEL_AND_LUCK = 0.094  # 0.05 plus 3.5 standard errors of 300 draws


def runs(
    value: Callable[..., float],
    axes: Mapping[str, Sequence[str]],
    seeds: int = 5,
    noise: float = 0.01,
    seed: int = 0,
) -> list[RunRecord]:
    """Returns runs of a full grid: `value` of the axes plus an offset of each seed and noise of each run."""
    random = np.random.default_rng(seed)
    luck = random.normal(0, 0.05, seeds)
    found = []
    for chosen, number in itertools.product(itertools.product(*axes.values()), range(seeds)):
        tags = {"state": "complete", "dataset": "digits", "objective": "val_accuracy maximize", "kind": "run"}
        tags |= dict(zip(axes, chosen, strict=True))
        objective = value(*chosen) + luck[number] + random.normal(0, noise)
        params = {"training.seed": str(number)}
        run_id = f"{'-'.join(chosen)}-{number}"
        found.append(RunRecord(run_id, "run", "FINISHED", tags, params, {"objective": objective}, 0.0, 1.0))
    return found


AXES = {"k": ["3", "5", "11"], "b": ["8", "32"]}


def test_effect_of_an_axis_is_averaged_over_the_others() -> None:
    found = axis_effect(runs(lambda k, b: int(k) + 100 * (b == "8"), AXES, noise=0.0), "k", ["k", "b"])
    assert [group.values for group in found.groups] == [("3",), ("5",), ("11",)]
    means = [standing.estimate.mean for standing in found.standings if standing.estimate]
    assert np.diff(means) == pytest.approx([2.0, 6.0])
    assert [standing.is_best for standing in found.standings] == [False, False, True]
    assert [standing.estimate.count for standing in found.standings if standing.estimate] == [5, 5, 5]
    assert found.is_balanced


def test_a_worse_value_is_significant_and_equals_are_not() -> None:
    found = axis_effect(runs(lambda k, b: 0.9 - 0.1 * (k == "3"), AXES), "k", ["k", "b"])
    assert [standing.against_best.is_worse for standing in found.standings] == [True, False, False]


def test_one_erratic_combination_causes_no_false_interaction() -> None:
    """Fisher's test without adjustment errs in 9 to 15 % of such studies."""
    ps = []
    for seed in range(DRAWS):
        wild = iter(np.random.default_rng([seed, 1]).normal(0, 0.1, 5))
        observed = runs(lambda k, b, wild=wild: next(wild) if (k, b) == ("3", "8") else 0.0, AXES, seed=seed)
        ps.append(interactions(observed, ["k", "b"])[0].p)
    assert np.mean([p < 0.05 for p in ps if p is not None]) <= LEVEL_AND_LUCK


def test_variance_shares_are_those_of_an_analysis_of_variance() -> None:
    """A full grid without interaction: means 0, 1, 2 of one axis and 0, 3 of the other."""
    effects = {"3": 0.0, "5": 1.0, "11": 2.0}
    found = variance_shares(runs(lambda k, b: effects[k] + 3.0 * (b == "32"), AXES, noise=1e-4), ["k", "b"])
    own = {"k": 2 * 2.0, "b": 3 * 4.5}  # sums of squares over the six cells
    assert [each.axis for each in found] == ["b", "k"]
    for each in found:
        assert each.share == pytest.approx(own[each.axis] / sum(own.values()), abs=1e-3)
        assert each.p < 1e-6


def test_variance_share_of_two_values_has_the_p_of_a_paired_test() -> None:
    observed = runs(lambda k, b: 0.01 * (b == "8"), AXES, noise=0.02)
    by_seed: dict[str, dict[str, list[float]]] = {}
    for run in observed:
        by_seed.setdefault(run.params["training.seed"], {}).setdefault(run.tags["b"], []).append(
            run.metrics["objective"]
        )
    gaps = [np.mean(values["8"]) - np.mean(values["32"]) for values in by_seed.values()]
    p = stats.ttest_1samp(gaps, 0).pvalue
    shares = {each.axis: each for each in variance_shares(observed, ["k", "b"])}
    others = shares["k"].p  # Holm: the smaller of the two is doubled
    assert shares["b"].p == pytest.approx(min(1, 2 * p)) or shares["b"].p == pytest.approx(max(p, others))


def test_axes_without_an_effect_seldom_have_a_share_beyond_chance() -> None:
    ps = [
        [each.p for each in variance_shares(runs(lambda k, b: 0.5, AXES, seed=seed), ["k", "b"])]
        for seed in range(DRAWS)
    ]
    assert np.mean([min(each) < 0.05 for each in ps]) <= LEVEL_AND_LUCK


def test_shares_of_noise_are_not_shown() -> None:
    """The variance of the means is then noise, and so is each part of it."""
    shown = []
    for seed in range(DRAWS):
        observed = runs(lambda k, b: 0.5, AXES, seed=seed)
        shares = [each.share for each in variance_shares(observed, ["k", "b"])]
        shown.append([*shares, interactions(observed, ["k", "b"])[0].share] != [None] * 3)
    assert np.mean(shown) <= 2 * LEVEL_AND_LUCK


def test_the_share_of_an_idle_axis_is_shown_beside_an_effect() -> None:
    found = {each.axis: each.share for each in variance_shares(runs(lambda k, b: int(k), AXES), ["k", "b"])}
    assert found["k"] is not None and found["b"] is not None and found["k"] > 0.99 > 0.01 > found["b"]


def test_variance_shares_need_a_full_grid_with_seeds() -> None:
    observed = runs(lambda k, b: 0.5, AXES)
    assert variance_shares(observed[5:], ["k", "b"]) == []
    assert variance_shares(observed[:5], ["k", "b"]) == []  # one configuration
    two = runs(lambda k, b: 0.5, AXES, seeds=2)
    assert variance_shares(two, ["k", "b"]) == []
    (found,) = interactions(two, ["k", "b"])
    assert (found.share, found.p) == (None, None)
    constant = variance_shares(runs(lambda k, b: float(k), AXES, noise=0.0), ["k", "b"])
    assert [(each.axis, round(each.share, 6)) for each in constant] == [("k", 1.0), ("b", 0.0)]
    assert [each.p for each in constant] == [0.0, 1.0]


def test_effect_of_an_incomplete_grid_is_not_balanced() -> None:
    observed = [run for run in runs(lambda k, b: 0.5, AXES) if (run.tags["k"], run.tags["b"]) != ("3", "8")]
    assert not axis_effect(observed, "k", ["k", "b"]).is_balanced


def test_interaction_is_the_variation_beyond_the_main_effects() -> None:
    """In this crossed design no axis has a main effect: all variation is interaction."""
    axes = {"k": ["3", "5"], "b": ["8", "32"]}
    (found,) = interactions(runs(lambda k, b: float((k == "3") == (b == "8")), axes), ["k", "b"])
    assert found.axes == ("k", "b") and found.values == (("3", "5"), ("8", "32"))
    assert found.means == pytest.approx(np.eye(2) + found.means[0, 1], abs=0.02)
    assert found.share > 0.99 and found.p is not None and found.p < 0.001
    (found,) = interactions(runs(lambda k, b: int(k) + int(b), axes), ["k", "b"])
    assert found.share < 0.01 and found.p is not None and found.p > 0.05


def test_strongest_interaction_comes_first() -> None:
    axes = {"k": ["3", "5"], "b": ["8", "32"], "r": ["l1", "l2"]}
    found = interactions(runs(lambda k, b, r: float((k == "3") == (r == "l1")), axes), list(axes))
    assert found[0].axes == ("k", "r") and len(found) == 3


def test_f_is_that_of_the_analysis_of_variance() -> None:
    """With two values an axis, F is the square of Student's t of the seeds' contrasts."""
    axes = {"k": ["3", "5"], "b": ["8", "32"]}
    observed = runs(lambda k, b: 0.02 * ((k == "3") == (b == "8")), axes, noise=0.02)
    objective = {run.run_id: run.metrics["objective"] for run in observed}
    signs = {"3-8": 1, "3-32": -1, "5-8": -1, "5-32": 1}
    contrasts = [sum(sign * objective[f"{cell}-{seed}"] for cell, sign in signs.items()) for seed in range(5)]
    assert interactions(observed, ["k", "b"])[0].p == pytest.approx(stats.ttest_1samp(contrasts, 0).pvalue)


def test_p_values_of_several_interactions_are_those_of_holm() -> None:
    """Holm (1979), by hand: three times the least p-value, twice the next, none below its predecessor."""
    axes = {"k": ["3", "5"], "b": ["8", "32"], "r": ["l1", "l2"]}
    observed = runs(lambda k, b, r: 0.006 * ((k == "3") == (b == "8")), axes, noise=0.01)
    raw = {}
    for pair in itertools.combinations(axes, 2):
        contrasts = np.zeros(5)
        for run in observed:
            sign = np.prod([1 if run.tags[axis] == axes[axis][0] else -1 for axis in pair])
            contrasts[int(run.params["training.seed"])] += sign * run.metrics["objective"]
        raw[pair] = stats.ttest_1samp(contrasts, 0).pvalue
    least, middle, largest = sorted(raw, key=lambda pair: raw[pair])
    expected = {least: 3 * raw[least]}
    expected[middle] = max(expected[least], 2 * raw[middle])
    expected[largest] = max(expected[middle], raw[largest])
    assert max(expected.values()) < 1  # none is cut off at 1
    assert {each.axes: each.p for each in interactions(observed, list(axes))} == pytest.approx(expected)


def test_false_interactions_are_rare() -> None:
    found = [
        interactions(runs(lambda k, b: int(k) + int(b), AXES, seed=seed), ["k", "b"])[0].p
        for seed in range(DRAWS)
    ]
    assert np.mean([p is not None and p < 0.05 for p in found]) <= LEVEL_AND_LUCK


def test_rounding_is_no_interaction_and_an_interaction_without_noise_is_significant() -> None:
    constant = [
        replace(run, metrics={"objective": 0.9666666666666667}) for run in runs(lambda k, b: 0.5, AXES)
    ]
    (found,) = interactions(constant, ["k", "b"])
    assert (found.share, found.p) == (None, 1.0)
    axes = {"k": ["3", "5"], "b": ["8", "32"]}
    (found,) = interactions(runs(lambda k, b: float((k == "3") == (b == "8")), axes, noise=0.0), ["k", "b"])
    assert found.p is not None and found.p < 1e-9


def test_a_single_seed_tests_no_interaction() -> None:
    assert interactions(runs(lambda k, b: 0.5, AXES, seeds=1), ["k", "b"])[0].p is None


@pytest.mark.parametrize(
    "observed",
    [
        pytest.param(runs(lambda k, b: 0.5, AXES)[5:], id="a combination is missing"),
        pytest.param(runs(lambda k, b: float("nan"), AXES), id="no numbers"),
        pytest.param([], id="nothing"),
    ],
)
def test_only_a_full_grid_has_interactions(observed: list[RunRecord]) -> None:
    assert interactions(observed, ["k", "b"]) == []


def test_a_seed_that_some_combination_lacks_does_not_count() -> None:
    observed = [run for run in runs(lambda k, b: 0.5, AXES) if run.run_id != "3-8-4"]
    four = [run for run in observed if run.params["training.seed"] != "4"]
    assert interactions(observed, ["k", "b"])[0].p == interactions(four, ["k", "b"])[0].p
    effect = axis_effect(observed, "k", ["k", "b"])
    assert [standing.estimate.count for standing in effect.standings if standing.estimate] == [4, 5, 5]


def test_combinations_with_different_values_of_a_third_axis_have_no_interactions() -> None:
    """Only the third axis has an effect, and its value follows from the two others."""
    axes = {"k": ["3", "5"], "b": ["8", "32"], "r": ["l1", "l2"]}
    every = runs(lambda k, b, r: float(r == "l1"), axes)
    observed = [
        run for run in every if ((run.tags["k"] == "3") == (run.tags["b"] == "8")) == (run.tags["r"] == "l1")
    ]
    assert interactions(observed, ["k", "b"], ["k", "b", "r"]) == []
    assert len(interactions(every, ["k", "b"], ["k", "b", "r"])) == 1


def test_an_axis_of_one_value_interacts_with_nothing() -> None:
    assert interactions(runs(lambda k, b: 0.5, {"k": ["3"], "b": ["8", "32"]}), ["k", "b"]) == []

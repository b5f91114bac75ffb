"""The runs of a claim support it, contradict it, or leave it undecided."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy import stats

from kerasweep.config.search import ClaimConf
from kerasweep.report.claims import (
    CONTRADICTED,
    FAILS,
    HOLDS,
    OPEN,
    SUPPORTED,
    UNDECIDED,
    evaluate,
    judge,
)
from kerasweep.report.pairs import Observation

DRAWS = 500
LEVEL_AND_LUCK = 0.084  # 0.05 plus 3.5 standard errors of 500 draws


def claim(*comparisons: Mapping[str, Any]) -> ClaimConf:
    schema = OmegaConf.structured(ClaimConf)
    return cast(ClaimConf, OmegaConf.merge(schema, {"text": "so", "comparisons": comparisons}))


def plain(*comparisons: Mapping[str, Any]) -> ClaimConf:
    """Returns a claim for thousands of judgements: OmegaConf's checks take most of their time."""
    return cast(ClaimConf, OmegaConf.to_object(cast(Any, claim(*comparisons))))


def runs(
    value: Callable[..., float],
    axes: Mapping[str, Sequence[Any]],
    seeds: int = 5,
    noise: float = 0.01,
    random: np.random.Generator | None = None,
) -> list[Observation]:
    """Returns runs of a full grid: `value` of the axes plus an offset of each seed and noise of each run."""
    random = random or np.random.default_rng(1)
    luck = random.normal(0, 0.05, seeds)
    return [
        Observation(
            dict(zip(axes, map(str, chosen), strict=True)),
            str(seed),
            {"objective": value(*chosen) + luck[seed] + random.normal(0, noise)},
        )
        for chosen in itertools.product(*axes.values())
        for seed in range(seeds)
    ]


SCORES = {8: [0.9, 0.8, 0.7], 16: [0.7, 0.8, 0.7], 64: [0.6, 0.6, 0.5], 128: [0.8, 0.4, 0.5]}
SIZES = {"training.batch_size": [8, 16, 64, 128]}
SMALL = {"of": {"training.batch_size": [8, 16]}, "than": {"training.batch_size": [64, 128]}}


@pytest.mark.parametrize(
    ("relation", "margin", "slope", "verdict"),
    [
        ("higher", 0.0, -0.001, SUPPORTED),
        ("higher", 0.0, 0.001, CONTRADICTED),
        ("higher", 0.0, 0.0, UNDECIDED),
        ("lower", 0.0, 0.001, SUPPORTED),
        ("lower", 0.0, -0.001, CONTRADICTED),
        ("higher", 0.2, -0.001, CONTRADICTED),
        ("higher", 0.05, -0.001, SUPPORTED),
        ("similar", 0.05, 0.0, SUPPORTED),
        ("similar", 0.05, 0.001, CONTRADICTED),
        ("similar", 0.0001, 0.0, UNDECIDED),
    ],
)
def test_verdict_of_one_comparison(relation: str, margin: float, slope: float, verdict: str) -> None:
    """The mean batch sizes of the two sides, 12 and 96, differ by 84 slopes."""
    observations = runs(lambda size: 0.8 + slope * size, SIZES)
    found = judge(claim({**SMALL, "relation": relation, "margin": margin}), observations)
    assert found.decision == verdict


def test_difference_is_of_the_means_of_each_side_with_students_interval() -> None:
    observations = [
        Observation({"training.batch_size": str(size)}, str(seed), {"objective": score})
        for size, scores in SCORES.items()
        for seed, score in enumerate(scores)
    ]
    finding = evaluate(claim({**SMALL, "relation": "higher"}).comparisons[0], observations)
    (difference,) = finding.differences.values()
    assert difference.estimate.mean == pytest.approx((0.1 + 0.3 + 0.2) / 3)
    half = 4.30265 * 0.1 / 3**0.5  # t(0.975, 2) times the standard error of 0.1, 0.3 and 0.2
    assert difference.estimate.low == pytest.approx(0.2 - half, rel=1e-4)


AXES = {"initializer": ["he_normal", "glorot_normal"], "model.activation": ["relu", "tanh"]}
HE_ABOVE = {
    "of": {"initializer": "he_normal"},
    "relation": "higher",
    "than": {"initializer": "glorot_normal"},
}
SUITS = (
    {**HE_ABOVE, "where": {"model.activation": "relu"}},
    {**HE_ABOVE, "relation": "lower", "where": {"model.activation": "tanh"}},
)


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ({"relu": 0.1, "tanh": -0.1}, SUPPORTED),
        ({"relu": 0.1, "tanh": 0.1}, CONTRADICTED),
        ({"relu": 0.1, "tanh": 0.0}, UNDECIDED),
    ],
)
def test_a_claim_holds_where_all_of_its_comparisons_do(gains: dict[str, float], verdict: str) -> None:
    observations = runs(lambda scheme, activation: gains[activation] * (scheme == "he_normal"), AXES)
    assert judge(claim(*SUITS), observations).decision == verdict


KERNELS = {"model.kernel_size": [3, 5], "training.batch_size": [32, 64]}
NEITHER = {"of": {"model.kernel_size": 3}, "relation": "mixed", "than": {"model.kernel_size": 5}}


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ({32: 0.1, 64: -0.1}, SUPPORTED),
        ({32: 0.1, 64: 0.1}, CONTRADICTED),
        ({32: -0.1, 64: -0.1}, CONTRADICTED),
        ({32: 0.1, 64: 0.0}, UNDECIDED),
    ],
)
def test_neither_always_wins(gains: dict[int, float], verdict: str) -> None:
    observations = runs(lambda kernel, size: gains[size] * (kernel == 3), KERNELS)
    found = judge(claim(NEITHER), observations)
    assert found.decision == verdict
    assert list(found.findings[0].differences) == ["training.batch_size=32", "training.batch_size=64"]


SHRINKS = {
    "of": {"model.normalization.kind": "batch"},
    "relation": "lower",
    "than": {"model.normalization.kind": "none"},
    "spread_over": "initializer",
}


def test_spread_between_the_levels_of_an_axis() -> None:
    schemes = {"initializer": ["a", "b", "c"], "model.normalization.kind": ["none", "batch"]}
    far = {"a": 0.1, "b": 0.0, "c": -0.1}
    observations = runs(lambda scheme, kind: far[scheme] * (kind == "none"), schemes, noise=0.001)
    found = judge(claim(SHRINKS), observations)
    assert found.decision == SUPPORTED
    (difference,) = found.findings[0].differences.values()
    assert difference.estimate.mean == pytest.approx(-0.01, abs=0.001)  # the variance of ±0.1 and 0


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_noise_is_no_spread(noise: float) -> None:
    """The schemes are equally good, but the runs of one side vary more from seed to seed."""
    random = np.random.default_rng(4)
    schemes = {"initializer": list("abcdef"), "model.normalization.kind": ["none", "batch"]}
    decided, shrinks = 0, plain(SHRINKS)
    for _ in range(DRAWS // 2):
        observations = runs(
            lambda scheme, kind: random.normal(0, 0.01 * noise) if kind == "none" else 0.0,
            schemes,
            random=random,
        )
        decided += judge(shrinks, observations).decision != UNDECIDED
    assert decided / (DRAWS // 2) <= LEVEL_AND_LUCK


def test_a_measure_that_no_run_has_is_named() -> None:
    observations = runs(lambda size: 0.8, SIZES)
    found = judge(claim({**SMALL, "relation": "higher", "measure": "val_acuracy"}), observations)
    assert found.findings[0].untested == "no run has the metric val_acuracy"


def test_numbers_are_the_same_however_they_are_written() -> None:
    observations = runs(
        lambda size: 0.8 - 0.001 * float(size), {"training.batch_size": ["8.0", "16", "64", "1.28e2"]}
    )
    assert judge(claim({**SMALL, "relation": "higher"}), observations).decision == SUPPORTED


def test_settings_that_lack_a_value_do_not_count() -> None:
    """Otherwise the two sides would be means over different settings."""
    observations = runs(
        lambda size, kernel: 0.8 - 0.001 * size + kernel, {**SIZES, "model.kernel_size": [3, 5]}
    )
    observations = [each for each in observations if tuple(each.choices.values()) != ("8", "5")]
    (difference,) = evaluate(
        claim({**SMALL, "relation": "higher"}).comparisons[0], observations
    ).differences.values()
    assert difference.estimate.mean == pytest.approx(0.084, abs=0.02)


@pytest.mark.parametrize(
    ("seeds", "sizes", "missing"),
    [
        (2, [8, 16, 64, 128], "the sides need 3 seeds in common, but have 2"),
        (5, [8, 16, 64], "no runs are complete on both sides with all else equal"),
        (5, [], "no runs are complete on both sides with all else equal"),
    ],
)
def test_claim_that_cannot_be_tested_is_undecided_and_says_why(
    seeds: int, sizes: list[int], missing: str
) -> None:
    observations = runs(lambda size: 0.8 - 0.001 * size, {"training.batch_size": sizes}, seeds)
    found = judge(claim({**SMALL, "relation": "higher"}), observations)
    assert found.decision == UNDECIDED
    assert found.findings[0].untested == missing


def test_nan_leaves_a_claim_undecided() -> None:
    observations = runs(lambda size: float("nan") if size == 8 else 0.5, SIZES)
    found = judge(claim({**SMALL, "relation": "higher"}), observations)
    assert found.decision == UNDECIDED
    assert found.findings[0].untested == "a run on one of the sides has no finite result (NaN)"


def without_measures(observations: Sequence[Observation]) -> list[Observation]:
    return [Observation(each.choices, each.seed, {}) for each in observations]


def test_remaining_runs_of_pruned_or_failed_settings_decide_nothing() -> None:
    """Kernel 3 is better with batches of 32 only; after pruning with batches of 64 it seems better always."""
    every = runs(lambda kernel, size: (0.05 if size == 32 else -0.2) * (kernel == 3), KERNELS)
    claimed = claim({"of": {"model.kernel_size": 3}, "relation": "higher", "than": {"model.kernel_size": 5}})
    assert judge(claimed, every).decision == CONTRADICTED
    bad = {"model.kernel_size": "3", "training.batch_size": "64"}
    pruned = [each for each in every if bad.items() <= each.choices.items()]
    left = [each for each in every if each not in pruned]
    assert judge(claimed, left).decision == SUPPORTED
    verdict = judge(claimed, left, without_measures(pruned[:1]))
    assert verdict.decision == UNDECIDED
    assert verdict.findings[0].untested == (
        "in 1 of 2 settings a side was pruned, failed, has not ended or lacks the measure, and the remaining "
        "runs would be selected by their results"
    )
    unmeasured = judge(claimed, [*left, *without_measures(pruned)])
    assert unmeasured.findings[0].untested == verdict.findings[0].untested


def test_remaining_runs_of_failed_seeds_decide_nothing() -> None:
    """If the seed is an axis, each seed is a trial that may fail alone."""
    observations = runs(lambda size: 0.02 * (size < 32), SIZES)
    claimed = claim({**SMALL, "relation": "higher"})
    assert judge(claimed, observations).decision == SUPPORTED
    failed = [
        each for each in observations if each.choices["training.batch_size"] == "8" and each.seed in "34"
    ]
    left = [each for each in observations if each not in failed]
    assert judge(claimed, left, without_measures(failed)).decision == UNDECIDED


@pytest.mark.parametrize("kinds", [("none",), ("none", "batch")])
def test_a_spread_without_the_levels_that_failed_decides_nothing(kinds: tuple[str, ...]) -> None:
    schemes = {"initializer": ["a", "b", "zeros"], "model.normalization.kind": ["none", "batch"]}
    far = {"a": 0.1, "b": -0.1, "zeros": -0.5}
    every = runs(lambda scheme, kind: far[scheme] * (kind == "none"), schemes, noise=0.001)
    assert judge(claim(SHRINKS), every).decision == SUPPORTED
    failed = [
        each
        for each in every
        if each.choices["initializer"] == "zeros" and each.choices["model.normalization.kind"] in kinds
    ]
    left = [each for each in every if each not in failed]
    assert judge(claim(SHRINKS), left, without_measures(failed)).decision == UNDECIDED


def test_a_setting_of_only_one_side_is_no_gap() -> None:
    every = runs(lambda kernel, size: 0.02 * (kernel == 3), KERNELS)
    claimed = claim({"of": {"model.kernel_size": 3}, "relation": "higher", "than": {"model.kernel_size": 5}})
    lone = [Observation({"model.kernel_size": "3", "training.batch_size": "128"}, "0", {})]
    assert judge(claimed, every, lone).decision == SUPPORTED


def gaps_with(p: float, border: float) -> np.ndarray:
    """Returns five gaps above a border for which SciPy's two-sided test against the border gives this p."""
    spread = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
    gaps = spread + border + stats.t.isf(p / 2, 4) * stats.sem(spread)
    assert stats.ttest_1samp(gaps, border).pvalue == pytest.approx(p)
    return gaps


def pairs(*gaps: np.ndarray) -> list[Observation]:
    """Returns runs in which kernel 3 exceeds kernel 5 by these gaps: an array a batch size, a gap a seed."""
    return [
        Observation(
            {"model.kernel_size": kernel, "training.batch_size": str(size)},
            str(seed),
            {"objective": 0.5 + 0.1 * seed + gap * (kernel == "3")},
        )
        for size, of_size in enumerate(gaps)
        for seed, gap in enumerate(of_size)
        for kernel in ("3", "5")
    ]


def about_kernels(relation: str, margin: float = 0.0, size: int = 0) -> dict[str, Any]:
    sides = {"of": {"model.kernel_size": 3}, "than": {"model.kernel_size": 5}}
    return {**sides, "relation": relation, "margin": margin, "where": {"training.batch_size": size}}


@pytest.mark.parametrize(
    ("relation", "p", "verdict"),
    [
        ("higher", 0.04, SUPPORTED),
        ("higher", 0.06, UNDECIDED),
        ("lower", 0.04, CONTRADICTED),
        ("lower", 0.06, UNDECIDED),
        ("similar", 0.04, CONTRADICTED),
        ("similar", 0.06, UNDECIDED),
    ],
)
def test_a_difference_beyond_its_border_is_decided_at_5_percent_two_sided(
    relation: str, p: float, verdict: str
) -> None:
    border = 0.03 if relation == "similar" else 0.0
    found = judge(claim(about_kernels(relation, border)), pairs(gaps_with(p, border)))
    assert found.decision == verdict


@pytest.mark.parametrize(("one_sided", "verdict"), [(0.04, SUPPORTED), (0.06, UNDECIDED)])
@pytest.mark.parametrize("sign", [1, -1])
def test_similar_is_supported_by_two_one_sided_tests_at_5_percent(
    one_sided: float, verdict: str, sign: int
) -> None:
    """A 95 % interval, or two-sided p-values, would leave the first case undecided.

    SciPy's one-sided test of the gaps against one margin gives this p; the other margin is far away.
    """
    gaps = sign * -gaps_with(2 * one_sided, 0.0)
    margin = 1.0
    near = gaps + sign * margin
    sides = (("less", margin), ("greater", -margin))
    p = max(stats.ttest_1samp(near, bound, alternative=side).pvalue for side, bound in sides)
    assert p == pytest.approx(one_sided)
    assert judge(claim(about_kernels("similar", margin)), pairs(near)).decision == verdict


@pytest.mark.parametrize(("p", "verdict"), [(0.04, UNDECIDED), (0.024, CONTRADICTED)])
def test_one_of_two_comparisons_contradicts_at_half_of_5_percent(p: float, verdict: str) -> None:
    """Bonferroni's correction doubles p: p is below 0.05 in both cases, 2 p only in the second."""
    observations = pairs(gaps_with(p, 0.0), gaps_with(0.5, 0.0))
    comparisons = [about_kernels("lower", size=0), about_kernels("higher", size=1)]
    assert judge(claim(comparisons[0]), observations).decision == CONTRADICTED
    found = judge(claim(*comparisons), observations)
    assert found.decision == verdict
    # Each has the outcome of its own interval, whatever the claim's verdict.
    assert [finding.outcome for finding in found.findings] == [FAILS, OPEN]
    assert found.deciding is found.findings[0]


def test_the_comparison_that_leaves_a_claim_open_is_named() -> None:
    observations = pairs(gaps_with(0.001, 0.0), gaps_with(0.5, 0.0))
    comparisons = [about_kernels("higher", size=0), about_kernels("higher", size=1)]
    found = judge(claim(*comparisons), observations)
    assert [finding.outcome for finding in found.findings] == [HOLDS, OPEN]
    assert (found.decision, found.deciding) == (UNDECIDED, found.findings[1])
    lacking = judge(claim(comparisons[0], {**comparisons[1], "measure": "nothing"}), observations)
    assert (lacking.decision, lacking.deciding) == (UNDECIDED, lacking.findings[0])  # only that has numbers


@pytest.mark.parametrize(("ps", "verdict"), [((0.024, 0.024), SUPPORTED), ((0.024, 0.04), UNDECIDED)])
def test_mixed_takes_both_directions_each_at_its_share_of_5_percent(
    ps: tuple[float, float], verdict: str
) -> None:
    observations = pairs(gaps_with(ps[0], 0.0), -gaps_with(ps[1], 0.0))
    assert judge(claim({**about_kernels("mixed"), "where": {}}), observations).decision == verdict


FALSE_CLAIMS: dict[str, list[Mapping[str, Any]]] = {
    "higher": [{**SMALL, "relation": "higher"}],
    "two comparisons": [
        {"of": {"training.batch_size": 8}, "relation": "higher", "than": {"training.batch_size": 64}},
        {"of": {"training.batch_size": 16}, "relation": "higher", "than": {"training.batch_size": 128}},
    ],
}


@pytest.mark.parametrize("comparisons", FALSE_CLAIMS.values(), ids=FALSE_CLAIMS)
def test_a_verdict_is_rare_where_nothing_differs(comparisons: list[Mapping[str, Any]]) -> None:
    random = np.random.default_rng(1)
    decided, together = 0, plain(*comparisons)
    for _ in range(DRAWS):
        observations = runs(lambda size: 0.0, SIZES, random=random)
        decided += judge(together, observations).decision != UNDECIDED
    assert decided / DRAWS <= LEVEL_AND_LUCK


@pytest.mark.parametrize(("gain", "wrong"), [(0.0, (SUPPORTED, CONTRADICTED)), (0.02, (SUPPORTED,))])
def test_mixed_is_rare_where_nothing_differs_or_one_always_wins(gain: float, wrong: Sequence[str]) -> None:
    random = np.random.default_rng(2)
    decided, neither = 0, plain(NEITHER)
    for _ in range(DRAWS):
        observations = runs(lambda kernel, size: gain * (kernel == 3), KERNELS, random=random)
        decided += judge(neither, observations).decision in wrong
    assert decided / DRAWS <= LEVEL_AND_LUCK


@pytest.mark.parametrize(("relation", "shift"), [("higher", 0.0), ("similar", 0.02)])
def test_a_claim_at_its_border_is_seldom_supported(relation: str, shift: float) -> None:
    random = np.random.default_rng(3)
    supported, at_border = 0, plain({**SMALL, "relation": relation, "margin": shift})
    for _ in range(DRAWS):
        observations = runs(lambda size: shift * (size < 32), SIZES, random=random)
        supported += judge(at_border, observations).decision == SUPPORTED
    assert supported / DRAWS <= LEVEL_AND_LUCK

"""The ranking finds configurations that are worse than the best and keeps its error rate."""

import numpy as np
import pytest

from kerasweep.report import ranking
from kerasweep.report.ranking import against_best

DRAWS = 500
# 0.05 plus 3.5 standard errors of 500 draws
LEVEL_AND_LUCK = 0.084


def shares_set_apart(
    deviations: list[float], seeds: int, *, paired: bool = True, missing: float = 0.0, behind: float = 0.0
) -> tuple[float, float]:
    """Returns the share of draws that call any other configuration worse, and the share for the last one."""
    random = np.random.default_rng(seeds + len(deviations))
    count = len(deviations)
    others = last = 0
    for _ in range(DRAWS):
        scores = random.normal(size=(count, seeds)) * np.array(deviations)[:, None]
        scores += random.normal(0, 3, (1, seeds)) if paired else 0
        scores[-1] -= behind
        gone = random.random(scores.shape) < missing
        gone[:, :2] = False
        scores[gone] = np.nan
        if not paired:
            apart = np.full((count, count * seeds), np.nan)
            for number, values in enumerate(scores):
                apart[number, number * seeds : (number + 1) * seeds] = values
            scores = apart
        *rest, final = (each.is_worse for each in against_best(scores, maximize=True))
        others, last = others + any(rest), last + final
    return others / DRAWS, last / DRAWS


CASES = {
    "two": ([1.0] * 2, 5, True, 0.0),
    "four": ([1.0] * 4, 5, True, 0.0),
    "eight": ([1.0] * 8, 5, True, 0.0),
    "24": ([1.0] * 24, 5, True, 0.0),
    "24 of three seeds": ([1.0] * 24, 3, True, 0.0),
    "one erratic": ([10.0] + [1.0] * 7, 5, True, 0.0),
    "one erratic, four seeds": ([10.0] + [1.0] * 23, 4, True, 0.0),
    "two of five erratic": ([20.0] * 2 + [1.0] * 3, 5, True, 0.0),
    "half erratic": ([5.0] * 4 + [1.0] * 4, 5, True, 0.0),
    "some missing": ([1.0] * 8, 5, True, 0.2),
    "no pairs": ([1.0] * 8, 5, False, 0.0),
    "no pairs, half erratic": ([5.0] * 4 + [1.0] * 4, 5, False, 0.0),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_equal_configurations_are_seldom_called_worse(case: tuple[list[float], int, bool, float]) -> None:
    deviations, seeds, paired, missing = case
    others, last = shares_set_apart(deviations, seeds, paired=paired, missing=missing)
    assert others + last <= LEVEL_AND_LUCK


def test_a_worse_one_is_found_although_many_are_compared() -> None:
    """One of 24 is three deviations behind; a test with only its own variance finds it in 7 % of draws."""
    others, last = shares_set_apart([1.0] * 24, 5, behind=3.0)
    assert last > 0.8 and others <= LEVEL_AND_LUCK


def test_an_erratic_one_hides_no_difference_between_the_others() -> None:
    """One of 8 is three deviations behind; with the erratic one in the common variance 18 % are found."""
    others, last = shares_set_apart([10.0] + [1.0] * 7, 5, behind=3.0)
    assert last > 0.4 and others <= LEVEL_AND_LUCK


def test_constant_ones_hide_no_difference_between_the_others() -> None:
    """Zeros as initial weights give constant results; in the common variance they leave 52 % found."""
    random = np.random.default_rng(0)
    found = 0
    for _ in range(DRAWS):
        scores = random.normal(size=(19, 5))
        scores[:3] = -50.0
        scores[-1] -= 3.0
        found += against_best(scores, maximize=True)[-1].is_worse
    assert found / DRAWS > 0.65


@pytest.mark.parametrize("images", [86, 288])
def test_accuracies_equal_by_chance_are_seldom_significant(images: int) -> None:
    """With so few images, many runs have the same accuracy."""
    random = np.random.default_rng(images)
    scores = random.binomial(images, 0.97, (DRAWS, 2, 3)) / images
    assert np.mean([against_best(each, True)[1].is_worse for each in scores]) <= LEVEL_AND_LUCK
    two = [against_best(each, True) for each in scores[:, :, :2]]
    assert all(each.p is None and not each.is_best for found in two for each in found)


@pytest.mark.parametrize("overlap", [0.0, 0.25])
def test_overlap_enters_every_test(overlap: float) -> None:
    """With two configurations the test is Student's with another standard error."""
    from scipy import stats

    scores = np.array([[0.91, 0.95, 0.90, 0.97], [0.90, 0.92, 0.91, 0.94]])
    gaps = scores[0] - scores[1]
    t = gaps.mean() / (gaps.std(ddof=1) * (1 / 4 + overlap) ** 0.5)
    assert against_best(scores, True, overlap)[1].p == pytest.approx(2 * stats.t.sf(t, 3))
    apart = np.full((2, 8), np.nan)
    apart[0, :4], apart[1, 4:] = scores
    shares = scores.var(axis=1, ddof=1) * (1 / 4 + overlap)
    freedom = shares.sum() ** 2 / (shares**2 / 3).sum()
    welch = 2 * stats.t.sf(gaps.mean() / shares.sum() ** 0.5, freedom)
    assert against_best(apart, True, overlap)[1].p == pytest.approx(welch)


def test_three_values_have_their_own_variance_alone() -> None:
    """They are too few to recognize an erratic configuration; Holm's correction is over ten pairs."""
    from scipy import stats

    scores = np.random.default_rng(0).normal(size=(5, 3)) + np.array([9, 0, 0, 0, 0])[:, None]
    found = against_best(scores, maximize=True)
    ps = [stats.ttest_rel(scores[one], scores[two]).pvalue for one in range(5) for two in range(one + 1, 5)]
    smallest = int(np.argmin(ps))
    assert smallest < 4  # the pairs with the first
    assert found[smallest + 1].p == pytest.approx(min(1.0, 10 * ps[smallest]))


@pytest.mark.parametrize("deviations", [[1.0] * 24, [10.0] + [1.0] * 7])
@pytest.mark.parametrize("blocks", [3, 5])
def test_the_interval_of_the_best_knows_that_it_was_selected(deviations: list[float], blocks: int) -> None:
    """Student's interval covers it in 64 to 82 % of studies of 24."""
    random = np.random.default_rng(blocks)
    held = []
    for _ in range(DRAWS):
        scores = random.normal(size=(len(deviations), blocks)) * np.array(deviations)[:, None]
        scores += random.normal(size=(1, blocks))
        ((mean, reach),) = (
            (own.mean(), each.reach)
            for own, each in zip(scores, against_best(scores, True), strict=True)
            if each.is_best
        )
        held.append(mean - reach <= 0)
    assert np.mean(held) >= 0.975 - 3.5 * (0.975 * 0.025 / DRAWS) ** 0.5


def test_reach_of_the_best_of_two() -> None:
    """With two configurations each residual is half of the gap's."""
    from scipy import stats

    scores = np.array([[0.91, 0.95, 0.90, 0.97], [0.90, 0.92, 0.91, 0.94]])
    gaps, blocks = scores[0] - scores[1], scores.mean(axis=0)
    alone = stats.t.ppf(1 - 0.025 / 2, 3) * (gaps.var(ddof=1) / 2) ** 0.5
    together = stats.t.ppf(0.975, 3) * blocks.std(ddof=1)
    best, other = against_best(scores, maximize=True)
    assert best.reach == pytest.approx(np.hypot(alone, together) / 2)
    assert other.reach == 0.0


def test_the_best_depends_on_the_direction() -> None:
    scores = np.array([[0.1, 0.2, 0.3], [0.3, 0.4, 0.5]])
    assert [each.behind for each in against_best(scores, True)] == pytest.approx([0.2, 0.0])
    assert [each.behind for each in against_best(scores, False)] == pytest.approx([0.0, 0.2])


def test_two_configurations_are_compared_by_students_paired_test() -> None:
    from scipy import stats

    scores = np.array([[0.91, 0.95, 0.90, 0.97], [0.90, 0.92, 0.91, 0.94]])
    best, other = against_best(scores, maximize=True)
    assert best.p is None and not best.is_worse
    assert other.p == pytest.approx(stats.ttest_rel(*scores).pvalue)


def test_without_pairs_two_configurations_are_compared_by_welchs_test() -> None:
    from scipy import stats

    one, other = [0.91, 0.95, 0.90, 0.97], [0.60, 0.62, 0.81]
    scores = np.full((2, 7), np.nan)
    scores[0, :4], scores[1, 4:] = one, other
    assert against_best(scores, True)[1].p == pytest.approx(
        stats.ttest_ind(one, other, equal_var=False).pvalue
    )


def test_a_single_seed_is_not_tested() -> None:
    scores = np.array([[0.9, 0.91, 0.92], [0.1, np.nan, np.nan], [0.5, 0.51, 0.5]])
    first, second, third = against_best(scores, maximize=True)
    assert second.p is None and second.behind == pytest.approx(0.81)
    assert third.is_worse


def test_a_single_lucky_seed_is_not_the_best() -> None:
    scores = np.array([[0.99, np.nan, np.nan], [0.1, 0.11, 0.1], [0.5, 0.52, 0.51]])
    lucky, worse, best = against_best(scores, maximize=True)
    assert (best.is_best, best.behind, best.p) == (True, 0.0, None)
    assert worse.is_worse and not worse.is_best
    assert lucky.p is None and lucky.behind == pytest.approx(-0.48) and not lucky.is_best


@pytest.mark.parametrize("maximize", [True, False])
def test_single_seeds_have_no_best(maximize: bool) -> None:
    found = against_best(np.array([[0.9], [0.8]]), maximize)
    assert not any(each.is_best for each in found)
    assert sorted(each.behind for each in found) == pytest.approx([0.0, 0.1])


def test_different_constant_values_are_significant() -> None:
    scores = np.array([[0.9, 0.9, 0.9], [0.1, 0.1, 0.1], [0.9, 0.9, 0.9]])
    first, second, third = against_best(scores, maximize=True)
    assert second.p is not None and second.p < 1e-9
    assert third.p == 1.0


def test_very_many_configurations_use_bonferronis_correction(monkeypatch: pytest.MonkeyPatch) -> None:
    """It equals Holm's for the smallest p and is not smaller for the others."""
    scores = np.random.default_rng(0).normal(size=(30, 5)) - np.arange(30)[:, None] / 10
    holms = against_best(scores, maximize=True)
    monkeypatch.setattr(ranking, "MAX_PAIRED", 29)
    bonferronis = against_best(scores, maximize=True)
    assert [each.behind for each in holms] == pytest.approx([each.behind for each in bonferronis])
    ratios = [b.p / h.p for b, h in zip(bonferronis, holms, strict=True) if b.p and h.p]
    assert len(ratios) == 29 and min(ratios) >= 1 - 1e-9 and max(ratios) < 2
    assert [each.is_worse for each in bonferronis] == [each.is_worse for each in holms]


def test_a_configuration_that_lacks_blocks_is_compared_in_those_it_has() -> None:
    """Its mean is lower only because of the seed that it lacks; in common seeds it leads."""
    scores = np.array([[0.50, 0.51, 0.52, 0.99], [0.60, 0.61, 0.62, np.nan]])
    best, other = against_best(scores, maximize=True)
    assert best.behind == 0.0 and best.is_best and not other.is_best
    assert other.behind == pytest.approx(-0.1) and not other.is_worse
    assert against_best(-scores, maximize=False)[1].behind == pytest.approx(-0.1)

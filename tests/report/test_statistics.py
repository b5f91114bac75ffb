"""Intervals and tests agree with textbook numbers and keep their error rates in simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from kerasweep.report.statistics import (
    Difference,
    Estimate,
    difference,
    estimate,
    holm,
    mcnemar,
    p_text,
    p_values,
    variance_between,
    wilson,
)

DRAWS = 4000


def test_interval_of_the_mean_is_students() -> None:
    """The sample has mean 3, deviation sqrt(2.5) and n = 5, and t(0.975, 4) is 2.776445."""
    found = estimate([1, 2, 3, 4, 5])
    half = 2.776445 * 2.5**0.5 / 5**0.5
    assert (found.mean, found.count) == (3.0, 5)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=1e-6)


def test_a_single_value_has_no_interval() -> None:
    found = estimate([0.5])
    assert (found.mean, found.low, found.high, found.count) == (0.5, None, None, 1)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf"), 1.0]])
def test_a_mean_takes_finite_numbers(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"A mean takes one or more finite numbers, but got"):
        estimate(values)


@pytest.mark.parametrize(("successes", "count"), [(0, 20), (1, 20), (340, 360), (20, 20)])
def test_interval_of_a_probability_is_wilsons(successes: int, count: int) -> None:
    expected = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert wilson(successes, count) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("lost", "gained"), [(1, 0), (5, 0), (6, 0), (3, 9), (9, 3), (5, 5), (200, 150)])
def test_losses_and_gains_are_tested_exactly(lost: int, gained: int) -> None:
    assert mcnemar(lost, gained) == pytest.approx(stats.binomtest(lost, lost + gained).pvalue)


def test_without_losses_and_gains_nothing_differs() -> None:
    assert mcnemar(0, 0) == 1.0


def test_variance_between_levels_lacks_the_noise_of_the_seeds() -> None:
    """The means 1.5 and 4.5 vary by 4.5; residuals of ±0.5 give a mean of two seeds a noise of 0.5."""
    assert variance_between(np.array([[1.0, 2.0], [3.0, 6.0]])) == pytest.approx(4.0)


def test_difference_of_pairs_is_students_paired_test() -> None:
    one, other = [0.91, 0.95, 0.90, 0.97], [0.90, 0.92, 0.91, 0.94]
    found = difference(np.subtract(one, other))
    expected = stats.ttest_rel(one, other)
    p = p_values(np.array([found.estimate.mean]), np.array([found.error]), np.array([3]))
    assert p[0] == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((interval.low, interval.high))


def test_equal_pairs_differ_with_certainty_or_not_at_all() -> None:
    gaps = np.array([0.0, 1.0, 1e-17])
    assert p_values(gaps, np.zeros(3), np.full(3, 4)).tolist() == [1.0, 0.0, 1.0]


def test_a_difference_takes_two_pairs() -> None:
    with pytest.raises(ValueError, match="takes two pairs or more, but got 1"):
        difference([1.0])


def test_holm_by_hand() -> None:
    """The corrected values are 0.01 · 4, 0.02 · 3, 0.03 · 2 (at least the one before) and 0.5 · 1."""
    assert holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0123, "p 0.012"),
        (0.04987, "p 0.0499"),
        (0.05, "p 0.05"),
        (0.0502, "p 0.05"),
        (1.0, "p 1"),
        (1e-4, "p 0.0001"),
        (9e-5, "p < 0.0001"),
        (0.0, "p < 0.0001"),
    ],
)
def test_p_has_enough_digits_to_compare_with_5_percent(p: float, text: str) -> None:
    assert p_text(p) == text


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_an_interval_covers_the_true_difference_in_95_of_100(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    luck = random.normal(0, 1, (DRAWS, seeds))
    one, other = (luck + random.normal(mean, 0.5, (DRAWS, seeds)) for mean in (0.3, 0.0))
    found = [difference(gaps).estimate for gaps in one - other]
    covered = np.mean([each.low <= 0.3 <= each.high for each in found if each.low and each.high])
    assert covered == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors of 4,000


@pytest.mark.parametrize(("pairs", "tests"), [(3, 1), (5, 1), (5, 4), (10, 2)])
def test_detectable_difference_has_a_power_of_80_percent_by_the_noncentral_t(pairs: int, tests: int) -> None:
    found = difference(np.arange(pairs, dtype=float))
    noncentrality = found.detectable(tests) / found.error
    quantile = stats.t.ppf(1 - 0.025 / tests, pairs - 1)
    assert stats.nct.sf(quantile, pairs - 1, noncentrality) == pytest.approx(0.8, abs=1e-6)


def test_detectable_difference_is_found_four_times_in_five() -> None:
    """The simulation has six pairs of deviation 1, so the true error is known."""
    random = np.random.default_rng(0)
    pairs = random.normal(0, 1, (DRAWS, 6))
    errors = [difference(each).detectable() for each in pairs]
    true = float(np.mean(errors)) / _small_sample_bias(6)
    found = stats.ttest_1samp(pairs + true, 0, axis=1).pvalue < 0.05
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_the_true_error_lies_between_its_bounds(count: int) -> None:
    random = np.random.default_rng(count)
    found = [difference(pairs) for pairs in random.normal(0, 1, (DRAWS, count))]
    true = count**-0.5
    held = [
        each.error_factors[0] * each.error <= true <= each.error_factors[1] * each.error for each in found
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_bounds_of_the_error_of_five_pairs() -> None:
    """The chi-square quantiles of 4 degrees of freedom are 0.4844 and 11.1433."""
    found = difference([0.1, 0.2, 0.3, 0.4, 0.6]).error_factors
    assert found == pytest.approx((0.59913, 2.87356), abs=1e-4)


def test_overlapping_splits_widen_by_nadeau_and_bengios_factor() -> None:
    """Five splits of a fifth: the variance of the mean is s² (1/5 + 1/4) instead of s²/5."""
    gaps = [0.01, 0.03, 0.02, 0.05, 0.04]
    plain, corrected = difference(gaps), difference(gaps, overlap=0.25)
    assert corrected.error / plain.error == pytest.approx(1.5)
    assert corrected.estimate.width / plain.estimate.width == pytest.approx(1.5)
    assert corrected.estimate.mean == plain.estimate.mean
    values = np.array([[1.0, 2.0, 4.0], [3.0, 6.0, 5.0]])
    noise = (variance_between(values) - variance_between(values, overlap=0.25)) / 0.25
    assert noise == pytest.approx(3 * (values.mean(axis=1).var(ddof=1) - variance_between(values)))


def test_a_margin_is_provable_four_times_in_five_where_nothing_differs() -> None:
    """The simulation uses two one-sided tests at 5 % with a known true error."""
    random = np.random.default_rng(1)
    pairs = random.normal(0, 1, (DRAWS, 6))
    margin = float(np.mean([difference(each).provable_margin for each in pairs])) / _small_sample_bias(6)
    above = stats.ttest_1samp(pairs, -margin, axis=1, alternative="greater").pvalue < 0.05
    below = stats.ttest_1samp(pairs, margin, axis=1, alternative="less").pvalue < 0.05
    assert np.mean(above & below) == pytest.approx(0.8, abs=0.03)


def _small_sample_bias(count: int) -> float:
    """Returns c4, the mean sample deviation of `count` standard normal values."""
    from math import gamma, sqrt

    return sqrt(2 / (count - 1)) * gamma(count / 2) / gamma((count - 1) / 2)


def test_an_interval_is_cut_to_possible_means() -> None:
    found = estimate([0.97, 0.99, 1.0])
    assert found.high is not None and found.high > 1
    cut = found.within(0.0, 1.0)
    assert (cut.mean, cut.low, cut.high, cut.count) == (found.mean, found.low, 1.0, 3)
    assert estimate([0.5]).within(0.6, 1.0) == estimate([0.5])


@pytest.mark.parametrize("overlap", [0.0, 0.002])
def test_so_many_values_give_the_test_its_power(overlap: float) -> None:
    """The power of Student's test of n values: 80 % from the number on, less with one value fewer."""
    spread, mean = 0.01, 0.005
    found = Difference(Estimate(mean, None, None, 5), spread * math.sqrt(1 / 5 + overlap))
    count = found.deciding_count(0.001, overlap)
    assert count is not None

    def power(number: int) -> float:
        error = spread * math.sqrt(1 / number + overlap)
        quantile = stats.t.ppf(0.975, number - 1)
        return float(stats.nct.sf(quantile, number - 1, (mean - 0.001) / error))

    assert power(count) >= 0.8 > power(count - 1)


def test_splits_that_share_images_may_never_decide() -> None:
    found = Difference(Estimate(0.005, None, None, 5), 0.01 * math.sqrt(1 / 5 + 0.25))
    assert found.deciding_count(0.0, 0.25) is None

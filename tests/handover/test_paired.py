"""Two models are compared on the same images by McNemar's exact test and Tango's interval."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from kerasweep.handover.paired import Paired, images_needed, needed_gain, pair, tango
from kerasweep.report.statistics import mcnemar

Z = norm.ppf(0.975)
COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 300))


def by_enumeration(only_first: int, only_second: int) -> float:
    """Returns the share of all sequences of fair coins that are at least as uneven as the observed one."""
    tosses, gap = only_first + only_second, abs(only_first - only_second)
    return sum(abs(2 * sum(coins) - tosses) >= gap for coins in product((0, 1), repeat=tosses)) / 2**tosses


def by_root(only_first: int, only_second: int, images: int) -> tuple[float, float]:
    """Returns Tango's interval as the roots of his score equation, with his form of the estimate."""

    def score(delta: float) -> float:
        a, b = 2 * images, -only_first - only_second + (2 * images - only_first + only_second) * delta
        c = -only_second * delta * (1 - delta)
        rate = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
        return (only_first - only_second - images * delta) / math.sqrt(
            images * (2 * rate + delta * (1 - delta))
        )

    seen, end = (only_first - only_second) / images, 1 - 1e-12
    low = brentq(lambda delta: score(delta) - Z, -end, seen - 1e-12, xtol=1e-12)
    high = brentq(lambda delta: score(delta) + Z, seen + 1e-12, end, xtol=1e-12)
    return low, high


def test_images_are_counted_that_only_one_model_classifies_rightly() -> None:
    first = np.array([True, True, True, False, False])
    second = np.array([True, False, False, True, False])
    assert pair(first, second) == Paired(only_first=2, only_second=1, images=5)
    assert pair(second, first) == Paired(only_first=1, only_second=2, images=5)


@pytest.mark.parametrize("only_first", range(7))
@pytest.mark.parametrize("only_second", range(7))
def test_p_value_counts_all_sequences_of_fair_coins(only_first: int, only_second: int) -> None:
    assert mcnemar(only_first, only_second) == pytest.approx(by_enumeration(only_first, only_second))


@given(st.integers(0, 500), st.integers(1, 500))
@settings(max_examples=50, deadline=None)
def test_p_value_is_that_of_a_binomial_test(only_first: int, only_second: int) -> None:
    expected = binomtest(only_first, only_first + only_second).pvalue
    assert mcnemar(only_first, only_second) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("table", "p", "interval"),
    [
        # Fagerland, Lydersen and Laake (2017), Statistical analysis of contingency tables, chapter 8.
        ((6, 16, 161), 0.0525, (-0.1240, -0.0054)),  # Cavo et al. (2012)
        ((1, 7, 21), 0.0703, (-0.5172, -0.0260)),  # Bentur et al. (2009)
    ],
)
def test_published_examples_are_reproduced(
    table: tuple[int, int, int], p: float, interval: tuple[float, float]
) -> None:
    paired = Paired(*table)
    assert paired.p_value == pytest.approx(p, abs=5e-5)
    assert paired.interval == pytest.approx(interval, abs=5e-5)


@given(COUNTS)
@settings(max_examples=200, deadline=None)
def test_interval_is_the_root_of_the_score_equation_and_turns_with_the_models(
    counts: tuple[int, int, int],
) -> None:
    only_first, only_second, rest = counts
    images = only_first + only_second + rest
    low, high = tango(only_first, only_second, images)
    assert (low, high) == pytest.approx(by_root(only_first, only_second, images), abs=1e-7)
    assert tango(only_second, only_first, images) == pytest.approx((-high, -low), abs=1e-9)
    assert -1 <= low <= (only_first - only_second) / images <= high <= 1


@pytest.mark.parametrize(
    ("table", "interval"),
    [
        # The limits without a discordant pair are z² / (n + z²), by the equation itself.
        ((0, 0, 359), (-(Z**2) / (359 + Z**2), Z**2 / (359 + Z**2))),
        ((0, 0, 1), (-(Z**2) / (1 + Z**2), Z**2 / (1 + Z**2))),
        # As Wilson's interval of 5 of 5, where one model is always right and the other never.
        ((5, 0, 5), (2 * 5 / (5 + Z**2) - 1, 1.0)),
    ],
)
def test_extreme_tables_have_an_interval(table: tuple[int, int, int], interval: tuple[float, float]) -> None:
    assert tango(*table) == pytest.approx(interval)


@pytest.mark.parametrize(
    ("images", "first_rate", "second_rate"),
    [(359, 0.02, 0.02), (359, 0.03, 0.01), (100, 0.1, 0.05), (40, 0.3, 0.1), (1000, 0.005, 0.001)],
)
def test_interval_covers_the_true_difference_in_about_95_of_100_samples(
    images: int, first_rate: float, second_rate: float
) -> None:
    rng = np.random.default_rng(1)
    rates = [first_rate, second_rate, 1 - first_rate - second_rate]
    tables, counts = np.unique(rng.multinomial(images, rates, 20_000)[:, :2], axis=0, return_counts=True)
    intervals = np.array([tango(int(first), int(second), images) for first, second in tables])
    covers = (intervals[:, 0] <= first_rate - second_rate) & (first_rate - second_rate <= intervals[:, 1])
    assert 0.93 < np.average(covers, weights=counts) < 0.975


@pytest.mark.parametrize(("images", "rate"), [(359, 0.02), (359, 0.1), (40, 0.2)])
def test_equal_models_are_told_apart_in_at_most_5_of_100_samples(images: int, rate: float) -> None:
    rng = np.random.default_rng(2)
    tables = rng.multinomial(images, [rate, rate, 1 - 2 * rate], 20_000)[:, :2]
    better = [Paired(int(first), int(second), images).is_better for first, second in tables]
    worse = [Paired(int(second), int(first), images).is_better for first, second in tables]
    assert np.mean(better) + np.mean(worse) <= 0.05


@given(COUNTS)
@settings(max_examples=300, deadline=None)
def test_model_that_is_better_beyond_chance_has_an_interval_above_zero(counts: tuple[int, int, int]) -> None:
    only_first, only_second, rest = counts
    paired = Paired(only_first, only_second, only_first + only_second + rest)
    assert not paired.is_better or paired.interval[0] > 0


@pytest.mark.parametrize(
    ("only_first", "only_second", "is_better"),
    [(0, 0, False), (5, 0, False), (6, 0, True), (0, 6, False), (7, 1, False), (8, 1, True), (1, 8, False)],
)
def test_better_means_beyond_chance_in_one_direction(
    only_first: int, only_second: int, is_better: bool
) -> None:
    assert Paired(only_first, only_second, 100).is_better is is_better


@pytest.mark.parametrize("discordant", range(0, 80))
def test_needed_gain_is_the_smallest_that_is_beyond_chance(discordant: int) -> None:
    gain = needed_gain(discordant)
    if discordant < 6:
        assert gain == 6
        assert mcnemar(discordant, 0) > 0.05
        return
    only_second = (discordant - gain) / 2
    assert only_second == int(only_second) and gain <= discordant
    assert mcnemar(int(only_second) + gain, int(only_second)) < 0.05
    assert gain < 2 or mcnemar(int(only_second) + gain - 1, int(only_second) + 1) > 0.05


@pytest.mark.parametrize(("only_first", "only_second"), [(12, 4), (30, 22), (40, 20), (9, 1), (3, 1)])
def test_power_with_the_needed_images_is_80_percent(only_first: int, only_second: int) -> None:
    paired = Paired(only_first, only_second, 359)
    images = images_needed(paired)
    assert images is not None
    rng = np.random.default_rng(3)
    rates = [only_first / 359, only_second / 359, 1 - paired.discordant / 359]
    tables, counts = np.unique(rng.multinomial(images, rates, 10_000)[:, :2], axis=0, return_counts=True)
    better = [Paired(int(first), int(second), images).is_better for first, second in tables]
    assert 0.77 < np.average(better, weights=counts) < 0.87


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (4, 4), (3, 9)])
def test_no_number_of_images_is_named_for_a_model_that_is_not_better(
    only_first: int, only_second: int
) -> None:
    assert images_needed(Paired(only_first, only_second, 359)) is None

"""Computes means, differences and variances with their uncertainty, and tests, from a few seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import special  # scipy.stats takes a second to import

from kerasweep.results import DECIMALS

LEVEL = 0.95
POWER = 0.8
ROUNDING = 10.0**-DECIMALS
SMALLEST_P = 1e-4


def rounded(number: float) -> float:
    """Rounds to 12 decimals: means that differ by the order of summation alone are then equal."""
    return round(number, DECIMALS) + 0.0


MAX_DECIDING = 1_000


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval."""

    mean: float
    low: float | None  # None for a single value, which has no interval
    high: float | None
    count: int  # of values

    @property
    def width(self) -> float:
        """The width of the interval, infinite without one."""
        return math.inf if self.low is None or self.high is None else self.high - self.low

    def within(self, lowest: float, highest: float) -> "Estimate":
        """Returns the estimate with its interval cut to the possible values of the mean."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(self.low, lowest), high=min(self.high, highest))


@dataclass(frozen=True)
class Difference:
    """A mean difference of pairs."""

    estimate: Estimate
    error: float  # the standard error of the mean

    def interval(self, level: float) -> tuple[float, float]:
        """Returns Student's interval at this level, such as 0.95."""
        half = float(_quantile((1 + level) / 2, self.estimate.count - 1) * self.error)
        return self.estimate.mean - half, self.estimate.mean + half

    def detectable(self, tests: int = 1) -> float:
        """Returns the smallest true difference that the test at 5 % detects with a power of 80 %.

        In standard errors it is the noncentrality with which Student's t exceeds its quantile four times in
        five: Bloom (1995), Minimum detectable effects, https://doi.org/10.1177/0193841X9501900504, without
        his approximation. It is as uncertain as the error, see `error_factors`.

        Args:
            tests: The number of tests among which the 5 % are divided (Bonferroni).
        """
        freedom = self.estimate.count - 1
        quantile = _quantile(1 - (1 - LEVEL) / 2 / tests, freedom)
        return float(special.nctdtrinc(freedom, 1 - POWER, quantile)) * self.error

    def deciding_count(self, margin: float, overlap: float, tests: int = 1) -> int | None:
        """Returns how many values the test needs to detect this difference with a power of 80 %.

        Args:
            margin: The difference must exceed it.
            overlap: See `Repetition.overlap`.
            tests: See `detectable`.

        Returns:
            The number, more than now; None if 1,000 values are not enough, since splits share images.
        """
        count = self.estimate.count
        spread = self.error / math.sqrt(1 / count + overlap)
        for larger in range(count + 1, MAX_DECIDING + 1):
            error = spread * math.sqrt(1 / larger + overlap)
            found = Difference(replace(self.estimate, count=larger), error)
            if found.detectable(tests) <= abs(self.estimate.mean) - margin:
                return larger
        return None

    @property
    def error_factors(self) -> tuple[float, float]:
        """The ends of the 95 % interval of the true standard error, divided by the estimated one.

        By the chi-square distribution of the variance of normal values: five values leave 0.6 to 2.9.
        """
        freedom = self.estimate.count - 1
        ends = special.chdtri(freedom, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])  # the upper quantile first
        low, high = (math.sqrt(freedom / end) for end in ends)
        return low, high

    @property
    def provable_margin(self) -> float:
        """The margin that two one-sided tests support with a power of 80 % if the true difference is 0.

        It is (t_0.95 + t_0.9) standard errors: each of the two tests may fail once in ten.
        """
        freedom = self.estimate.count - 1
        return (_quantile(LEVEL, freedom) + _quantile((1 + POWER) / 2, freedom)) * self.error


def estimate(values: Sequence[float] | np.ndarray, level: float = LEVEL, overlap: float = 0.0) -> Estimate:
    """Returns the mean of independent values with Student's interval.

    Student (1908), The probable error of a mean, https://doi.org/10.1093/biomet/6.1.1

    Args:
        values: Shape (n,), n >= 1. A single value has no interval.
        level: The probability with which the interval covers the true mean.
        overlap: See `Repetition.overlap`.

    Raises:
        ValueError: There is no value, or one is not finite.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.size == 0 or not np.isfinite(numbers).all():
        raise ValueError(f"A mean takes one or more finite numbers, but got {list(values)}.")
    mean = float(numbers.mean())
    if numbers.size == 1:
        return Estimate(mean, None, None, 1)
    half = _quantile((1 + level) / 2, numbers.size - 1) * _error(numbers, overlap)
    return Estimate(mean, mean - half, mean + half, numbers.size)


@cache
def _quantile(probability: float, freedom: int) -> float:
    """Returns Student's quantile, cached: thousands of groups have the same number of seeds."""
    return float(special.stdtrit(freedom, probability))


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Returns the interval of a probability, given how many of `count` trials succeeded.

    Wilson (1927), Probable inference, https://doi.org/10.1080/01621459.1927.10502953
    """
    z = special.ndtri((1 + LEVEL) / 2)
    middle = (successes + z**2 / 2) / (count + z**2)
    half = z * math.sqrt(successes * (count - successes) / count + z**2 / 4) / (count + z**2)
    return max(0.0, middle - half), min(1.0, middle + half)


def mcnemar(lost: int, gained: int) -> float:
    """Returns the two-sided exact p-value of McNemar's test of two classifiers on the same images.

    McNemar (1947), Sampling error of correlated proportions, https://doi.org/10.1007/BF02295996

    Args:
        lost: How many images only the first classifier gets right.
        gained: How many only the second one does.
    """
    return min(1.0, 2 * float(special.bdtr(min(lost, gained), lost + gained, 0.5)))


def _error(values: np.ndarray, overlap: float) -> float:
    """Returns the standard error of the mean of values (n,), n >= 2."""
    return float(values.std(ddof=1)) * math.sqrt(1 / values.size + overlap)


def difference(gaps: Sequence[float] | np.ndarray, overlap: float = 0.0) -> Difference:
    """Returns the mean difference of pairs, such as two choices trained with the same seeds.

    Student's paired test: the gaps are normal with an unknown variance.

    Args:
        gaps: Shape (n,), n >= 2: per pair the first value minus the second.
        overlap: See `Repetition.overlap`.

    Raises:
        ValueError: There are fewer than two pairs.
    """
    differences = np.asarray(gaps, dtype=float)
    if differences.size < 2:
        raise ValueError(f"A difference takes two pairs or more, but got {differences.size}.")
    return Difference(estimate(differences, overlap=overlap), _error(differences, overlap))


def p_values(differences: np.ndarray, errors: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Returns two-sided p-values of Student's t.

    Args:
        differences: Shape (m,). One of at most 1e-12 is rounding: its p-value is 1.
        errors: Their standard errors (m,). A difference without error has the p-value 0.
        freedom: Their degrees of freedom (m,).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ps = 2 * special.stdtr(freedom, -np.abs(differences) / errors)
    return np.where(np.abs(differences) <= ROUNDING, 1.0, ps)


def p_text(p: float) -> str:
    """Returns a text such as `p 0.012`, with enough digits to show on which side of 0.05 it lies.

    Below 0.0001 it is `p < 0.0001`: the assumptions of the tests support no smaller number.
    """
    if p < SMALLEST_P:
        return "p < 0.0001"
    border = rounded(1 - LEVEL)
    shown = (f"{p:.{digits}g}" for digits in range(2, 18))
    return f"p {next(text for text in shown if (float(text) < border) == (p < border))}"


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns the p-values of a family (m,), adjusted for the number of tests.

    Rejecting all below 0.05 gives any false alarm in at most 5 % of families: Holm (1979), A simple
    sequentially rejective multiple test procedure, https://www.jstor.org/stable/4615733
    """
    ps = np.asarray(p_values, dtype=float)
    order = np.argsort(ps, kind="stable")
    factors = ps.size - np.arange(ps.size)
    adjusted = np.empty_like(ps)
    adjusted[order] = np.minimum(np.maximum.accumulate(ps[order] * factors), 1.0)
    return adjusted


def variance_between(values: np.ndarray, overlap: float = 0.0) -> float:
    """Returns the variance between the levels of an axis, without the noise of the seeds in their means.

    It is the variance component of a two-way layout, (mean square of levels - mean square of residuals)
    / seeds without overlap, and may be negative by chance: Scheffé (1959), The analysis of variance, Wiley.

    Args:
        values: Shape (levels, seeds), both at least 2.
        overlap: See `Repetition.overlap`.
    """
    levels, seeds = values.shape
    means = values.mean(axis=1)
    rest = values - means[:, None] - values.mean(axis=0) + values.mean()
    noise = float((rest**2).sum()) / ((levels - 1) * (seeds - 1))
    return float(means.var(ddof=1)) - noise * (1 / seeds + overlap)


def jackknife(pairs: Sequence[tuple[np.ndarray, np.ndarray]], overlap: float = 0.0) -> list[float]:
    """Returns the jackknife's pseudo-value of each seed for the difference of two variances between levels.

    Their mean estimates the difference, and Student's interval holds approximately: Miller (1974), The
    jackknife: a review, https://doi.org/10.1093/biomet/61.1.1

    Args:
        pairs: Per setting both sides, each (levels, seeds), with the same three or more seeds.
        overlap: See `Repetition.overlap`.
    """
    seeds = pairs[0][0].shape[1]
    whole = _difference(pairs, overlap)
    parts = [
        [(np.delete(one, seed, 1), np.delete(other, seed, 1)) for one, other in pairs]
        for seed in range(seeds)
    ]
    return [seeds * whole - (seeds - 1) * _difference(part, overlap) for part in parts]


def _difference(pairs: Sequence[tuple[np.ndarray, np.ndarray]], overlap: float) -> float:
    gaps = [variance_between(one, overlap) - variance_between(other, overlap) for one, other in pairs]
    return float(np.mean(gaps))

"""Means, differences and variances with their uncertainty, and tests, from a few seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import stats

LEVEL = 0.95
POWER = 0.8
DECIMALS = 12
ROUNDING = 10.0**-DECIMALS
SMALLEST_P = 1e-4


def rounded(number: float) -> float:
    """Without what sums in another order may add: equal means are equal."""
    return round(number, DECIMALS) + 0.0


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval. low, high: None where a single value gives no interval."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @property
    def width(self) -> float:
        """Of its interval; without end where it has none."""
        return math.inf if self.low is None or self.high is None else self.high - self.low

    def within(self, lowest: float, highest: float) -> "Estimate":
        """Its interval cut to where the mean can lie at all: what is cut off never held it."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(self.low, lowest), high=min(self.high, highest))


@dataclass(frozen=True)
class Difference:
    """A mean difference of pairs. error: its standard error."""

    estimate: Estimate
    error: float

    def interval(self, level: float) -> tuple[float, float]:
        """Student's, of 95 % or another level."""
        half = float(stats.t.ppf((1 + level) / 2, self.estimate.count - 1) * self.error)
        return self.estimate.mean - half, self.estimate.mean + half

    def detectable(self, tests: int = 1) -> float:
        """The smallest true difference that such a test at 5 % finds four times in five.

        (t_0.975 + t_0.8) errors: Bloom (1995), Minimum detectable effects,
        https://doi.org/10.1177/0193841X9501900504. tests: of so many, each at its part of the 5 %.
        """
        freedom = self.estimate.count - 1
        quantile = 1 - (1 - LEVEL) / 2 / tests
        return float((stats.t.ppf(quantile, freedom) + stats.t.ppf(POWER, freedom)) * self.error)

    @property
    def provable_margin(self) -> float:
        """The margin within which two one-sided tests place no difference at all, four times in five.

        (t_0.95 + t_0.9) errors, since each of the two tests may fail once in ten.
        """
        freedom = self.estimate.count - 1
        return float((stats.t.ppf(LEVEL, freedom) + stats.t.ppf((1 + POWER) / 2, freedom)) * self.error)


def estimate(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> Estimate:
    """The mean of independent values (n,) and Student's interval for it, of 95 % or another level.

    Student (1908), The probable error of a mean. Raises ValueError without a value, or where one is
    not finite: a mean of those says nothing.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.size == 0 or not np.isfinite(numbers).all():
        raise ValueError(f"A mean takes one or more finite numbers, but got {list(values)}.")
    mean = float(numbers.mean())
    if numbers.size == 1:
        return Estimate(mean, None, None, 1)
    half = _quantile((1 + level) / 2, numbers.size - 1) * float(numbers.std(ddof=1)) / math.sqrt(numbers.size)
    return Estimate(mean, mean - half, mean + half, numbers.size)


@cache
def _quantile(probability: float, freedom: int) -> float:
    """Student's; thousands of groups have as many seeds."""
    return float(stats.t.ppf(probability, freedom))


def difference(gaps: Sequence[float] | np.ndarray) -> Difference:
    """Of pairs (n,), such as the same seed with either of two choices: by how much one exceeds the other.

    The gaps are taken for normal with an unknown variance (Student's paired test). Raises ValueError
    for fewer than two pairs.
    """
    differences = np.asarray(gaps, dtype=float)
    if differences.size < 2:
        raise ValueError(f"A difference takes two pairs or more, but got {differences.size}.")
    return Difference(estimate(differences), float(stats.sem(differences)))


def p_values(differences: np.ndarray, errors: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Two-sided by Student's t, of differences with these standard errors (m,); 1 where there is none.

    What is left of a difference by rounding (1e-12 and less) is none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 2 * stats.t.sf(np.abs(differences) / errors, freedom)
    return np.where(np.abs(differences) <= ROUNDING, 1.0, found)


def p_text(p: float) -> str:
    """As in p 0.012, with as many digits as tell its side of 0.05.

    What is smaller than the tests' assumptions can carry is only said to be small.
    """
    if p < SMALLEST_P:
        return "p < 0.0001"
    border = rounded(1 - LEVEL)
    shown = (f"{p:.{digits}g}" for digits in range(2, 18))
    return f"p {next(text for text in shown if (float(text) < border) == (p < border))}"


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """p-values of a family (m,), adjusted so that the whole family raises a false alarm in 5 % at most.

    Holm (1979), A simple sequentially rejective multiple test procedure,
    https://www.jstor.org/stable/4615733
    """
    ps = np.asarray(p_values, dtype=float)
    order = np.argsort(ps, kind="stable")
    factors = ps.size - np.arange(ps.size)
    adjusted = np.empty_like(ps)
    adjusted[order] = np.minimum(np.maximum.accumulate(ps[order] * factors), 1.0)
    return adjusted


def variance_between(values: np.ndarray) -> float:
    """The variance between rows (levels, seeds), without what is left of the seeds' luck in their means.

    The component of variance of a two-way layout, (mean square of levels - mean square of the rest) /
    seeds; negative where chance made levels more alike than seeds are. Scheffé (1959), The analysis of
    variance. levels >= 2, seeds >= 2.
    """
    levels, seeds = values.shape
    means = values.mean(axis=1)
    rest = values - means[:, None] - values.mean(axis=0) + values.mean()
    noise = float((rest**2).sum()) / ((levels - 1) * (seeds - 1))
    return float(means.var(ddof=1)) - noise / seeds


def jackknife(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Of each seed its part in how much more one side varies between its levels than the other.

    pairs: of each setting both sides, (levels, seeds) with the same seeds, three or more. The mean of
    what is returned estimates the difference of the variances, and Student's interval holds for it
    roughly: Miller (1974), The jackknife: a review, https://doi.org/10.1093/biomet/61.1.1
    """
    seeds = pairs[0][0].shape[1]
    whole = _difference(pairs)
    parts = [
        [(np.delete(one, seed, 1), np.delete(other, seed, 1)) for one, other in pairs]
        for seed in range(seeds)
    ]
    return [seeds * whole - (seeds - 1) * _difference(part) for part in parts]


def _difference(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(np.mean([variance_between(one) - variance_between(other) for one, other in pairs]))

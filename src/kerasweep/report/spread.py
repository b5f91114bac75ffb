"""How far values of an axis lie apart, beyond what seeds alone would make of them."""

from collections.abc import Sequence

import numpy as np


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

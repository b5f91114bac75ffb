"""Tests which configurations are significantly worse than the best one."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from kerasweep.report.statistics import LEVEL, ROUNDING, holm, p_values
from kerasweep.results import DECIMALS

# Values per configuration for a test. With two, accuracies that are equal by chance give a false alarm in
# one study of ten.
MIN_VALUES = 3
# Above this many configurations the correction is Bonferroni's, without all pairs in memory.
MAX_PAIRED = 1_000
# The numbers of values and of configurations from which erratic configurations are recognized, and the
# distance in deviations from which one counts as erratic.
MIN_ROBUST_VALUES, MIN_ROBUST_CONFIGURATIONS, ERRATIC_DEVIATIONS = 4, 5, 4.0
MAX_ROUNDS = 50


@dataclass(frozen=True)
class AgainstBest:
    """The comparison of a configuration with the one of the best mean."""

    behind: float  # how much worse it is over the shared blocks; negative if it is better in these
    p: float | None  # the adjusted p-value of no difference; None for the best, and with too few values
    is_best: bool = False
    # For the best: how far its mean may flatter, see `_reach`.
    reach: float = 0.0

    @property
    def is_worse(self) -> bool:
        return self.p is not None and self.p < 1 - LEVEL and self.behind > 0


def against_best(scores: np.ndarray, maximize: bool, overlap: float = 0.0) -> list[AgainstBest]:
    """Compares each configuration with the best; at most 5 % of rankings of equals contain a false alarm.

    The best has the best mean among configurations with three values or more. The data select it, so
    Holm's correction is over all pairs: over the pairs with the best alone, 24 equal configurations of 5
    seeds give a false alarm in 16 % of rankings. Above a thousand configurations Bonferroni's correction
    replaces it, with hardly less power. If every pair shares three blocks, the paired differences are
    tested, else the values as independent ones (Welch, 1947).

    A pair's variance is moderated towards the common one, never below its own: Smyth (2004), Linear models
    and empirical Bayes methods, https://doi.org/10.2202/1544-6115.1027. Erratic
    configurations do not enter the common variance, as in Phipson et al. (2016), Robust hyperparameter
    estimation, https://doi.org/10.1214/16-AOAS920, with another criterion. Three values are too few to
    recognize one: then each pair has its own variance alone, which finds little among many.

    Args:
        scores: Shape (configurations, blocks), NaN where a value is missing. A block, such as a seed, makes
            values pairs.
        maximize: Whether larger scores are better.
        overlap: See `Repetition.overlap`.

    Returns:
        A comparison per configuration, in their order.
    """
    sign = 1 if maximize else -1
    means = np.round(sign * np.nanmean(scores, axis=1), DECIMALS)
    several = np.flatnonzero(np.isfinite(scores).sum(axis=1) >= MIN_VALUES)
    count = len(several)
    if not count:
        return [AgainstBest(float(means.max() - mean), None) for mean in means]
    place = int(np.argmax(means[several]))
    best = int(several[place])
    found = [
        AgainstBest(float(means[best] - mean), None, number == best) for number, mean in enumerate(means)
    ]
    if count == 1:
        return found
    found[best] = replace(found[best], reach=_reach(scores[several], place, overlap))
    if count <= MAX_PAIRED:
        first, second = np.triu_indices(count, 1)
    else:
        second = np.delete(np.arange(count), place)
        first = np.full(count - 1, place)
    gaps, errors, freedom = _pairs(scores[several], first, second, overlap)
    ps = p_values(gaps, errors, freedom)
    adjusted = holm(ps) if count <= MAX_PAIRED else np.minimum(ps * (count * (count - 1) / 2), 1.0)
    for pair in np.flatnonzero((first == place) | (second == place)):
        other = several[first[pair] + second[pair] - place]
        gap = gaps[pair] if first[pair] == place else -gaps[pair]
        found[other] = AgainstBest(sign * float(gap), float(adjusted[pair]))
    return found


def _reach(scores: np.ndarray, best: int, overlap: float) -> float:
    """Returns how far the mean of the best may lie above its expectation, in 97.5 % of studies.

    The best of many is partly the luckiest: Student's interval of its mean covers its expectation in 64 to
    82 % of studies of 24 equal configurations. Chance moves all configurations of a block together, which
    selects none, and each one alone, where the largest of them counts (Bonferroni).

    Args:
        scores: Shape (configurations, blocks), NaN where a value is missing, with three values or more each.
        best: The place of the best.
        overlap: See `Repetition.overlap`.
    """
    present = np.isfinite(scores)
    count, own = len(scores), present[best].sum()
    if present.all():
        freedom = (present.sum(axis=1) - 1) * (1 - 1 / count)
        variances = np.nansum(_without_blocks(scores) ** 2, axis=1) / freedom
        together = scores.mean(axis=0).var(ddof=1)
    else:
        freedom, variances = present.sum(axis=1) - 1.0, np.nanvar(scores, axis=1, ddof=1)
        together = 0.0
    prior, weight = _common_variance(variances, freedom) if own >= MIN_ROBUST_VALUES else (0.0, 0.0)
    alone = _moderated(variances[best : best + 1], freedom[best], prior, weight)[0]
    tail = (1 - LEVEL) / 2
    each = special.stdtrit(own - 1 + weight, 1 - tail / count) * np.sqrt(alone)
    whole = special.stdtrit(own - 1, 1 - tail) * np.sqrt(together)
    return float(np.hypot(each, whole) * np.sqrt(1 / own + overlap))


def _pairs(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray, overlap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns per pair the difference of the means, its standard error and the degrees of freedom."""
    present = np.isfinite(scores).astype(float)
    shared = np.einsum("pb,pb->p", present[first], present[second])
    if shared.min() >= MIN_VALUES:
        return _paired(scores, first, second, shared, overlap)
    return _independent(scores, first, second, overlap)


def _paired(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray, shared: np.ndarray, overlap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    differences = scores[first] - scores[second]
    # The means of the blocks are subtracted and cost degrees of freedom, too.
    freedom = (np.isfinite(scores).sum(axis=1) - 1) * (1 - 1 / len(scores))
    prior, weight = _common_variance(np.nansum(_without_blocks(scores) ** 2, axis=1) / freedom, freedom)
    if shared.min() < MIN_ROBUST_VALUES:
        prior, weight = 0.0, 0.0
    own = np.nanvar(differences, axis=1, ddof=1)
    moderated = _moderated(own, shared - 1, 2 * prior, weight)
    errors = np.sqrt(moderated * (1 / shared + overlap))
    return np.nanmean(differences, axis=1), errors, shared - 1 + weight


def _independent(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray, overlap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_pairs`, for unequal variances: Welch (1947), https://doi.org/10.1093/biomet/34.1-2.28"""
    counts = np.isfinite(scores).sum(axis=1)
    own = np.nanvar(scores, axis=1, ddof=1)
    prior, weight = _common_variance(own, counts - 1)
    if counts.min() < MIN_ROBUST_VALUES:
        prior, weight = 0.0, 0.0
    shares = _moderated(own, counts - 1, prior, weight) * (1 / counts + overlap)
    errors = shares[first] + shares[second]
    parts = shares**2 / (counts - 1 + weight)
    with np.errstate(invalid="ignore"):
        freedom = errors**2 / (parts[first] + parts[second])
    means = np.nanmean(scores, axis=1)
    return means[first] - means[second], np.sqrt(errors), np.nan_to_num(freedom, nan=1.0)


def _without_blocks(scores: np.ndarray) -> np.ndarray:
    """Returns the residuals without the means of configurations and the centres of blocks.

    A block's centre is its median, which an erratic configuration does not move; of few values its mean.
    """
    left = scores[:, np.isfinite(scores).any(axis=0)]
    configurations, blocks = left.shape
    is_robust = configurations >= MIN_ROBUST_CONFIGURATIONS and blocks >= MIN_ROBUST_VALUES
    for _ in range(MAX_ROUNDS):
        before = left
        left = left - np.nanmean(left, axis=1, keepdims=True)
        left = left - (_medians(left) if is_robust else np.nanmean(left, axis=0))
        if np.nanmax(np.abs(left - before)) <= ROUNDING * np.nanmax(np.abs(left)):
            break
    return left - np.nanmean(left, axis=1, keepdims=True)


def _medians(values: np.ndarray) -> np.ndarray:
    """Returns each column's median without NaN; np.nanmedian takes ten times as long."""
    ordered, counts = np.sort(values, axis=0), np.isfinite(values).sum(axis=0)  # NaN comes last
    columns = np.arange(values.shape[1])
    return (ordered[(counts - 1) // 2, columns] + ordered[counts // 2, columns]) / 2


def _common_variance(variances: np.ndarray, freedom: np.ndarray) -> tuple[float, float]:
    """Returns the common variance of the configurations and its prior degrees of freedom.

    From Smyth's moments of the log variances, without configurations that never vary or are erratic; zeros
    with fewer than three. The degrees of freedom are at most those of the other configurations together.
    """
    count = len(variances)
    varying = variances > 0
    if varying.sum() < 3:
        return 0.0, 0.0
    variances, freedom = variances[varying], freedom[varying]
    centred = np.log(variances) - special.digamma(freedom / 2) + np.log(freedom / 2)
    usual = _usual(centred) if freedom.min() > MIN_ROBUST_VALUES - 2 else np.full(len(centred), True)
    variances, freedom, centred = variances[usual], freedom[usual], centred[usual]
    excess = float(centred.var(ddof=1) - special.polygamma(1, freedom / 2).mean())
    most = float(freedom.sum() - freedom.max() / (1 - 1 / count))
    if excess <= 0:
        return float(variances @ freedom / freedom.sum()), most
    weight = 2 * _inverse_trigamma(excess)
    prior = float(np.exp(centred.mean() + special.digamma(weight / 2) - np.log(weight / 2)))
    return prior, min(weight, most)


def _usual(values: np.ndarray) -> np.ndarray:
    """Tells which values lie within four deviations of the median, estimated by the median distance."""
    distances = np.abs(values - np.median(values))
    return distances <= ERRATIC_DEVIATIONS * np.median(distances) / special.ndtri(0.75)


def _inverse_trigamma(value: float) -> float:
    """Inverts the trigamma function by the Newton iteration of Smyth's appendix, monotone from below."""
    found = 0.5 + 1 / value
    for _ in range(MAX_ROUNDS):
        trigamma = special.polygamma(1, found)
        step = trigamma * (1 - trigamma / value) / special.polygamma(2, found)
        found += step
        if abs(step) <= ROUNDING * found:
            break
    return float(found)


def _moderated(own: np.ndarray, freedom: np.ndarray, prior: float, weight: float) -> np.ndarray:
    return np.maximum(own, (weight * prior + freedom * own) / (weight + freedom))

"""Which configurations cannot be told apart from the best one."""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from kerasweep.report.statistics import DECIMALS, LEVEL, ROUNDING, holm, p_values

# Values that a test takes: of two, equal accuracies make a certainty of chance in one study of ten.
FEWEST = 3
# Configurations of which all pairs are compared.
MOST = 1_000
# Values of each, and so many of them, that tell an erratic configuration; its distance in deviations.
TELLING_VALUES, TELLING_CONFIGURATIONS, ERRATIC = 4, 5, 4.0
MAX_ROUNDS = 50


@dataclass(frozen=True)
class AgainstBest:
    """A configuration beside the one with the best mean.

    behind: by how much it is worse, over the blocks that it shares with the best; where blocks are
    missing it may be the better one there, and this negative. p: of no difference, adjusted; None for
    the best itself, and where too few values were given to say.
    """

    behind: float
    p: float | None
    is_best: bool = False

    @property
    def is_worse(self) -> bool:
        return self.p is not None and self.p < 1 - LEVEL and self.behind > 0


def against_best(scores: np.ndarray, maximize: bool) -> list[AgainstBest]:
    """Compare each configuration with the best, so that 5 % of such comparisons at most err anywhere.

    With three values each and an erratic configuration among them it is 7 %: so few do not tell it.

    scores: (configurations, blocks), NaN where there is none. A block is what makes values pairs,
    such as a seed. Where each two configurations share three blocks or more, their differences are
    tested; else the values are taken for independent ones (Welch, 1947).

    The best is that of the best mean among those with three values or more; with none, nothing is tested.
    It is found by looking, so Holm's correction is over all pairs of configurations: over
    those with the best alone, 5 seeds of 24 equal configurations err in 16 %. Of more than a thousand
    configurations it is Bonferroni's, which finds hardly less. A pair's variance is
    drawn towards the common one, as far as the configurations vary alike: Smyth (2004), Linear
    models and empirical Bayes methods, https://doi.org/10.2202/1544-6115.1027; never below its own.
    Erratic configurations have no part in what is common: Phipson et al. (2016), Robust hyperparameter
    estimation, https://doi.org/10.1214/16-AOAS920, which tells them otherwise.
    """
    sign = 1 if maximize else -1
    means = np.round(sign * np.nanmean(scores, axis=1), DECIMALS)
    several = np.flatnonzero(np.isfinite(scores).sum(axis=1) >= FEWEST)
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
    if count <= MOST:
        first, second = np.triu_indices(count, 1)
    else:
        second = np.delete(np.arange(count), place)
        first = np.full(count - 1, place)
    gaps, errors, freedom = _pairs(scores[several], first, second)
    ps = p_values(gaps, errors, freedom)
    adjusted = holm(ps) if count <= MOST else np.minimum(ps * (count * (count - 1) / 2), 1.0)
    for pair in np.flatnonzero((first == place) | (second == place)):
        other = several[first[pair] + second[pair] - place]
        gap = gaps[pair] if first[pair] == place else -gaps[pair]
        found[other] = AgainstBest(sign * float(gap), float(adjusted[pair]))
    return found


def _pairs(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pair the difference of the means, its standard error and the degrees of freedom."""
    present = np.isfinite(scores).astype(float)
    shared = np.einsum("pb,pb->p", present[first], present[second])
    if shared.min() >= FEWEST:
        return _paired(scores, first, second, shared)
    return _independent(scores, first, second)


def _paired(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray, shared: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    differences = scores[first] - scores[second]
    # The blocks' means, which are taken off, are of the same values.
    freedom = (np.isfinite(scores).sum(axis=1) - 1) * (1 - 1 / len(scores))
    prior, weight = _common_variance(np.nansum(_without_blocks(scores) ** 2, axis=1) / freedom, freedom)
    own = np.nanvar(differences, axis=1, ddof=1)
    moderated = _moderated(own, shared - 1, 2 * prior, weight)
    return np.nanmean(differences, axis=1), np.sqrt(moderated / shared), shared - 1 + weight


def _independent(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unequal variances: Welch (1947), https://doi.org/10.1093/biomet/34.1-2.28"""
    counts = np.isfinite(scores).sum(axis=1)
    own = np.nanvar(scores, axis=1, ddof=1)
    prior, weight = _common_variance(own, counts - 1)
    shares = _moderated(own, counts - 1, prior, weight) / counts
    errors = shares[first] + shares[second]
    parts = shares**2 / (counts - 1 + weight)
    with np.errstate(invalid="ignore"):
        freedom = errors**2 / (parts[first] + parts[second])
    means = np.nanmean(scores, axis=1)
    return means[first] - means[second], np.sqrt(errors), np.nan_to_num(freedom, nan=1.0)


def _without_blocks(scores: np.ndarray) -> np.ndarray:
    """What is left without the means of configurations and the centres of blocks; some may be missing.

    A block's centre is its median, which an erratic configuration does not move; of few its mean.
    """
    left = scores[:, np.isfinite(scores).any(axis=0)]
    configurations, blocks = left.shape
    is_telling = configurations >= TELLING_CONFIGURATIONS and blocks >= TELLING_VALUES
    centre = np.nanmedian if is_telling else np.nanmean
    for _ in range(MAX_ROUNDS):
        before = left
        left = left - np.nanmean(left, axis=1, keepdims=True)
        left = left - centre(left, axis=0, keepdims=True)
        if np.nanmax(np.abs(left - before)) <= ROUNDING * np.nanmax(np.abs(left)):
            break
    return left - np.nanmean(left, axis=1, keepdims=True)


def _common_variance(variances: np.ndarray, freedom: np.ndarray) -> tuple[float, float]:
    """The variance that configurations have in common, and the degrees of freedom that it is worth.

    Smyth's moments of log variances, without those that never vary or are erratic; nothing with
    fewer than three configurations. It is worth no more than the others together.
    """
    count = len(variances)
    varying = variances > 0
    if varying.sum() < 3:
        return 0.0, 0.0
    variances, freedom = variances[varying], freedom[varying]
    centred = np.log(variances) - special.digamma(freedom / 2) + np.log(freedom / 2)
    usual = _usual(centred) if freedom.min() > TELLING_VALUES - 2 else np.full(len(centred), True)
    variances, freedom, centred = variances[usual], freedom[usual], centred[usual]
    excess = float(centred.var(ddof=1) - special.polygamma(1, freedom / 2).mean())
    most = float(freedom.sum() - freedom.max() / (1 - 1 / count))
    if excess <= 0:
        return float(variances @ freedom / freedom.sum()), most
    weight = 2 * _inverse_trigamma(excess)
    prior = float(np.exp(centred.mean() + special.digamma(weight / 2) - np.log(weight / 2)))
    return prior, min(weight, most)


def _usual(values: np.ndarray) -> np.ndarray:
    """Which lie within four deviations of the median, by the median distance from it (at least half)."""
    distances = np.abs(values - np.median(values))
    return distances <= ERRATIC * stats.norm.ppf(0.75) ** -1 * np.median(distances)


def _inverse_trigamma(value: float) -> float:
    """Newton's iteration of Smyth's appendix, which only climbs from below."""
    found = 0.5 + 1 / value
    for _ in range(MAX_ROUNDS):
        trigamma = special.polygamma(1, found)
        found += trigamma * (1 - trigamma / value) / special.polygamma(2, found)
    return float(found)


def _moderated(own: np.ndarray, freedom: np.ndarray, prior: float, weight: float) -> np.ndarray:
    return np.maximum(own, (weight * prior + freedom * own) / (weight + freedom))

"""Tests a study's claim: supported, contradicted, or not decided by these runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kerasweep.config.search import ClaimConf, ComparisonConf
from kerasweep.report.pairs import Observation, Pairs, pairs_of, spread_levels
from kerasweep.report.repetition import BY_SEED, Repetition
from kerasweep.report.statistics import LEVEL, Difference, difference, jackknife, p_values

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "not decided by these runs"
# The same of one comparison, by its own interval.
HOLDS, FAILS, OPEN = "holds", "does not hold", "open"
# With two seeds, accuracies that are equal by chance decide 8 % of claims without any difference.
MIN_SEEDS = 3


@dataclass(frozen=True)
class Finding:
    """The result of one comparison."""

    comparison: ComparisonConf
    differences: Mapping[str, Difference]  # by setting of the other axes for `mixed`, else one under ""
    p_for: float = 1.0  # the p-value against the comparison being false
    p_against: float = 1.0  # … against it being true
    untested: str | None = None  # why it was not tested

    @property
    def outcome(self) -> str:
        return _chosen((HOLDS, FAILS, OPEN), self.p_for, self.p_against)


@dataclass(frozen=True)
class Verdict:
    """The result of a claim."""

    decision: str  # SUPPORTED, CONTRADICTED or UNDECIDED
    findings: tuple[Finding, ...]
    has_splits: bool = False  # whether each repeat had its own split
    overlap: float = 0.0  # see `Repetition.overlap`

    @property
    def deciding(self) -> Finding:
        """The comparison that decides the claim most clearly, or the one that leaves it open."""
        if self.decision == CONTRADICTED:
            return min(self.findings, key=lambda finding: finding.p_against)
        tested = [finding for finding in self.findings if not finding.untested]
        return max(tested or self.findings, key=lambda finding: finding.p_for)


def judge(
    claim: ClaimConf,
    observations: Sequence[Observation],
    lacking: Sequence[Observation] = (),
    repetition: Repetition = BY_SEED,
) -> Verdict:
    """Tests a claim: it is supported if all its comparisons are, and contradicted if one is.

    Support needs no correction, since all comparisons must hold: Berger (1982), Multiparameter hypothesis
    testing, https://doi.org/10.1080/00401706.1982.10487790. Contradiction by one of m takes Bonferroni's. If
    nothing differs, at most 5 % of claims are decided.

    Args:
        claim: One or more comparisons.
        observations: The networks that were trained to their end.
        lacking: The networks that were pruned, failed or have not ended, see `evaluate`.
        repetition: What the repeats vary.
    """
    overlap = repetition.overlap
    findings = tuple(evaluate(comparison, observations, lacking, overlap) for comparison in claim.comparisons)
    p_for = max(finding.p_for for finding in findings)
    p_against = len(findings) * min(finding.p_against for finding in findings)
    decision = _chosen((SUPPORTED, CONTRADICTED, UNDECIDED), p_for, p_against)
    return Verdict(decision, findings, repetition.has_splits, overlap)


def undecided(claim: ClaimConf, reason: str) -> Verdict:
    """Returns the verdict on a claim that is not tested, with the reason for every comparison."""
    return Verdict(
        UNDECIDED, tuple(Finding(comparison, {}, untested=reason) for comparison in claim.comparisons)
    )


def evaluate(
    comparison: ComparisonConf,
    observations: Sequence[Observation],
    lacking: Sequence[Observation] = (),
    overlap: float = 0.0,
) -> Finding:
    """Compares the two sides seed by seed, in the settings of the other axes that both were trained in.

    Args:
        comparison: The two sides, their relation and the measure.
        observations: The networks that were trained to their end.
        lacking: The networks that were pruned, failed or have not ended. A comparison that misses a setting
            or seed because of them, or because a network lacks the measure, is not tested: pruners, failures
            and early stopping select by results.
        overlap: See `Repetition.overlap`.
    """
    measured = [observation for observation in observations if comparison.measure in observation.measures]
    unmeasured = [
        observation for observation in observations if comparison.measure not in observation.measures
    ]
    if observations and not measured:
        return Finding(comparison, {}, untested=f"no run has the metric {comparison.measure}")
    untested = [
        replace(observation, measures={comparison.measure: 0.0}) for observation in (*lacking, *unmeasured)
    ]
    begun = [*measured, *untested]
    levels = spread_levels(comparison, begun)
    pairs = pairs_of(comparison, measured, levels)
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in pairs.values()))) if pairs else []
    missing = _untestable(pairs, pairs_of(comparison, begun, levels) if untested else pairs, len(seeds))
    if missing:
        return Finding(comparison, {}, untested=missing)
    sides = {
        setting: (_columns(by_seed[seed][0] for seed in seeds), _columns(by_seed[seed][1] for seed in seeds))
        for setting, by_seed in pairs.items()
    }
    if not all(np.isfinite(side).all() for pair in sides.values() for side in pair):
        return Finding(comparison, {}, untested="a run on one of the sides has no finite result (NaN)")
    if comparison.spread_over:
        found = difference(jackknife(list(sides.values()), overlap), overlap)
        return Finding(comparison, {"": found}, *_p_values(found, comparison))
    gaps = {setting: one.mean(axis=0) - other.mean(axis=0) for setting, (one, other) in sides.items()}
    if comparison.relation == "mixed":
        differences = {setting: difference(values, overlap) for setting, values in gaps.items()}
        return Finding(comparison, differences, *_mixed(list(differences.values())))
    found = difference(np.mean(list(gaps.values()), axis=0), overlap)
    return Finding(comparison, {"": found}, *_p_values(found, comparison))


def _untestable(pairs: Pairs, begun: Pairs, seeds: int) -> str | None:
    """Returns why a comparison is not tested: `pairs` were measured, `begun` includes all networks."""
    if not pairs:
        return "no runs are complete on both sides with all else equal"
    dropped = [setting for setting, by_seed in begun.items() if set(by_seed) - set(pairs.get(setting, ()))]
    if dropped:
        return (
            f"in {len(dropped)} of {len(begun)} settings a side was pruned, failed, has not ended or "
            "lacks the measure, and the remaining runs would be selected by their results"
        )
    if seeds < MIN_SEEDS:
        return f"the sides need {MIN_SEEDS} seeds in common, but have {seeds}"
    return None


def _p_values(found: Difference, comparison: ComparisonConf) -> tuple[float, float]:
    return (_similar if comparison.relation == "similar" else _ordered)(found, comparison)


def _columns(values: Iterable[Sequence[float]]) -> np.ndarray:
    """Returns the values of a side as (values, seeds)."""
    return np.array(list(values), dtype=float).T


def _chosen(words: tuple[str, str, str], p_for: float, p_against: float) -> str:
    """Returns the first word if the test shows it to be true, the second if false, else the third."""
    if p_for < 1 - LEVEL:
        return words[0]
    return words[1] if p_against < 1 - LEVEL else words[2]


def _ordered(found: Difference, comparison: ComparisonConf) -> tuple[float, float]:
    """Tests whether the difference exceeds the margin in the claimed direction."""
    sign = 1 if comparison.relation == "higher" else -1
    return _sides(sign * found.estimate.mean - comparison.margin, found)


def _similar(found: Difference, comparison: ComparisonConf) -> tuple[float, float]:
    """Tests whether the difference lies within the margin, by two one-sided tests at 5 % (TOST).

    Schuirmann (1987), A comparison of the two one-sided tests procedure,
    https://doi.org/10.1007/BF01068419
    """
    outside = abs(found.estimate.mean) - comparison.margin
    above, below = _sides(outside, found)
    return below / 2, above


def _mixed(found: Sequence[Difference]) -> tuple[float, float]:
    """Tests whether each side wins in some setting (Bonferroni); against it, one side wins in all."""
    sides = [_sides(finding.estimate.mean, finding) for finding in found]
    one, other = zip(*sides, strict=True)
    some = max(min(1.0, len(found) * min(side)) for side in (one, other))
    return some, min(max(one), max(other))


def _sides(distance: float, found: Difference) -> tuple[float, float]:
    """Returns the two-sided p-value of a distance from the border, for being above it and below it."""
    freedom = np.array([found.estimate.count - 1])
    p = float(p_values(np.array([distance]), np.array([found.error]), freedom)[0])
    return (p, 1.0) if distance > 0 else (1.0, p)

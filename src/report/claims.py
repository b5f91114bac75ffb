"""Tests a study's claim: supported, contradicted, or not decided by these runs."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

import numpy as np
from omegaconf import ListConfig
from scipy import stats

from src.config.search import ClaimConf, ComparisonConf
from src.report.statistics import LEVEL, Difference, difference
from src.tracking.names import tag_text

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "not decided by these runs"
FEWEST_SEEDS = 2
Choices = Mapping[str, str]


@dataclass(frozen=True)
class Observation:
    """A trained network. choices: its axes' keys and values; measures: what came of it."""

    choices: Choices
    seed: str
    measures: Mapping[str, float]


@dataclass(frozen=True)
class Finding:
    """What the runs say of one comparison.

    p_for, p_against: how probable such runs are where the comparison does not hold, and where it
    does. differences: of each setting of the other axes, for `mixed`; else a single one. missing:
    why it could not be tested.
    """

    comparison: ComparisonConf
    differences: Mapping[str, Difference]
    p_for: float = 1.0
    p_against: float = 1.0
    missing: str | None = None

    @property
    def verdict(self) -> str:
        return _verdict(self.p_for, self.p_against)


@dataclass(frozen=True)
class Verdict:
    verdict: str
    findings: tuple[Finding, ...]


def judge(claim: ClaimConf, observations: Sequence[Observation]) -> Verdict:
    """A claim holds where all its comparisons do, and fails where one does.

    All must be significant for the first, which needs no correction (Berger, 1982, Multiparameter
    hypothesis testing, https://doi.org/10.1080/00401706.1982.10487790); one of m for the second,
    which takes Bonferroni's. Where nothing differs, 5 % of verdicts at most are no `not decided`.
    """
    findings = tuple(find(comparison, observations) for comparison in claim.comparisons)
    p_for = max(finding.p_for for finding in findings)
    p_against = len(findings) * min(finding.p_against for finding in findings)
    return Verdict(_verdict(p_for, p_against), findings)


def find(comparison: ComparisonConf, observations: Sequence[Observation]) -> Finding:
    """Compare the two sides seed by seed, in the settings of the other axes that both were trained in."""
    pairs = _pairs(comparison, observations)
    if not pairs:
        return Finding(comparison, {}, missing="no runs were trained on both sides with all else equal")
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in pairs.values())))
    if len(seeds) < FEWEST_SEEDS:
        return Finding(comparison, {}, missing=f"{len(seeds)} seed in common gives no interval")
    gaps = {setting: [by_seed[seed] for seed in seeds] for setting, by_seed in pairs.items()}
    if not np.isfinite(list(gaps.values())).all():
        return Finding(comparison, {}, missing="a run on one of the sides came to no number (NaN)")
    if comparison.relation == "mixed":
        differences = {setting: difference(values, np.zeros(len(values))) for setting, values in gaps.items()}
        return Finding(comparison, differences, *_mixed(list(differences.values())))
    means = np.mean(list(gaps.values()), axis=0)
    found = difference(means, np.zeros(len(means)))
    judged = _similar if comparison.relation == "similar" else _ordered
    return Finding(comparison, {"": found}, *judged(found, comparison))


def _verdict(p_for: float, p_against: float) -> str:
    if p_for < 1 - LEVEL:
        return SUPPORTED
    return CONTRADICTED if p_against < 1 - LEVEL else UNDECIDED


def _ordered(found: Difference, comparison: ComparisonConf) -> tuple[float, float]:
    """Whether the difference is more than the margin, on the side that was claimed."""
    sign = 1 if comparison.relation == "higher" else -1
    return _sides(sign * found.estimate.mean - comparison.margin, found)


def _similar(found: Difference, comparison: ComparisonConf) -> tuple[float, float]:
    """Whether it lies within the margin: two one-sided tests.

    Schuirmann (1987), A comparison of the two one-sided tests procedure,
    https://doi.org/10.1007/BF01068419
    """
    outside = abs(found.estimate.mean) - comparison.margin
    above, below = _sides(outside, found)
    return below / 2, above


def _mixed(found: Sequence[Difference]) -> tuple[float, float]:
    """Whether one is better in some settings and the other in others; against it, one in all of them."""
    sides = [_sides(each.estimate.mean, each) for each in found]
    one, other = zip(*sides, strict=True)
    some = max(min(1.0, len(found) * min(side)) for side in (one, other))
    return some, min(max(one), max(other))


def _sides(distance: float, found: Difference) -> tuple[float, float]:
    """p of a distance from the border, two-sided, for being above it and for being below."""
    p = _two_sided(distance, found)
    return (p, 1.0) if distance > 0 else (1.0, p)


def _two_sided(distance: float, found: Difference) -> float:
    if distance == 0:
        return 1.0
    if found.error == 0:
        return 0.0
    return float(2 * stats.t.sf(abs(distance) / found.error, found.estimate.count - 1))


def _pairs(comparison: ComparisonConf, observations: Iterable[Observation]) -> dict[str, dict[str, float]]:
    """By how much the first side exceeds the second, by setting of the other axes and by seed."""
    sides = _side(comparison.of), _side(comparison.than)
    where = _side(comparison.where)
    named = {key for side in sides for key in side} | {str(comparison.spread_over)}
    cells: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for observation in observations:
        if comparison.measure in observation.measures and _fits(observation.choices, where):
            others = (
                f"{key}={value}" for key, value in sorted(observation.choices.items()) if key not in named
            )
            cells[" ".join(others), observation.seed].append(observation)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for (setting, seed), members in cells.items():
        one, other = (_value(members, side, comparison) for side in sides)
        if one is not None and other is not None:
            found[setting][seed] = one - other
    return found


def _side(choices: Mapping[str, Any]) -> dict[str, list[str]]:
    """Of each key the texts of its values, one or several."""
    return {
        key: [tag_text(each) for each in value] if isinstance(value, ListConfig | list) else [tag_text(value)]
        for key, value in choices.items()
    }


def _fits(choices: Choices, side: Mapping[str, Sequence[str]]) -> bool:
    return all(choices.get(key) in values for key, values in side.items())


def _value(
    members: Sequence[Observation], side: Mapping[str, Sequence[str]], comparison: ComparisonConf
) -> float | None:
    """A side's mean over the values that it lists, or its spread; None unless each of them was trained."""
    if comparison.spread_over:
        levels = {member.choices.get(comparison.spread_over, "") for member in members}
        sides = [{**side, comparison.spread_over: [level]} for level in sorted(levels)]
        means = [_mean(members, each, comparison.measure) for each in sides]
    else:
        values = itertools.product(*side.values())
        means = [
            _mean(members, dict(zip(side, zip(each), strict=True)), comparison.measure) for each in values
        ]
    known = [mean for mean in means if mean is not None]
    if len(known) < len(means):
        return None
    return pstdev(known) if comparison.spread_over else fmean(known)


def _mean(members: Sequence[Observation], side: Mapping[str, Sequence[str]], measure: str) -> float | None:
    found = [member.measures[measure] for member in members if _fits(member.choices, side)]
    return fmean(found) if found else None

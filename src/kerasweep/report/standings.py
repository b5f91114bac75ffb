"""Computes each group's standing: its mean over the seeds with an interval, compared with the best."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from types import MappingProxyType
from typing import Any

import numpy as np

from kerasweep.report.groups import (
    UNBOUNDED,
    Group,
    bounds_of,
    comparable,
    dataset_of,
    maximizes,
    measure_of,
    values_of,
)
from kerasweep.report.ranking import AgainstBest, against_best
from kerasweep.report.repetition import Repetition, repetition_of
from kerasweep.report.statistics import ROUNDING, Estimate, estimate, rounded
from kerasweep.results import State
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import RunKind

NOT_TESTED = AgainstBest(math.nan, None)
CONFOUNDED = "settings differ"
NO_MINIMUM: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Standing:
    """A group's mean over its seeds, and its comparison with the best group."""

    estimate: Estimate | None  # None without a seed that met all settings, or with a NaN
    against_best: AgainstBest
    untested: str | None = None  # why it was not compared with the best
    is_partial: bool = False  # whether a seed is left out because it did not meet all settings
    lacks_repeats: bool = False  # whether other configurations of its grid have more: it ranks after them

    @property
    def is_best(self) -> bool:
        return self.against_best.is_best

    @property
    def is_not_worse(self) -> bool:
        """Whether it is the best, or was tested and is not significantly worse."""
        return self.is_tested and not self.against_best.is_worse

    @property
    def is_tested(self) -> bool:
        """Whether it is the best, or was compared with it."""
        return self.is_best or self.against_best.p is not None

    @property
    def has_seeds(self) -> bool:
        """Whether there are several seeds, which give an interval."""
        return self.estimate is not None and self.estimate.count > 1


def runs_per_seed(runs: Sequence[RunRecord], every: Sequence[RunRecord] | None = None) -> list[RunRecord]:
    """Replaces each complete trial of several seeds by the runs of its seeds.

    A trial that failed, was pruned or still runs stays, without its seeds: their mean would be compared with
    means of all seeds.

    Args:
        runs: Trials, their seeds and single runs.
        every: The runs that tell how the trials ended, if `runs` is a selection of these.
    """
    repeated = {_trial(run) for run in runs if run.tags.get("kind") == RunKind.REPEAT}
    kept = {
        _trial(run)
        for run in (runs if every is None else every)
        if run.tags.get("kind") == RunKind.TRIAL and run.tags.get("state") != State.COMPLETE
    }
    whole = repeated - kept
    return [
        run
        for run in runs
        if run.tags.get("kind") not in (RunKind.TRIAL, RunKind.REPEAT)
        or (_trial(run) in whole) == (run.tags.get("kind") == RunKind.REPEAT)
    ]


def training_seconds(runs: Iterable[RunRecord]) -> float:
    """Returns the seconds of training of all runs, pruned and failed ones included.

    A trial whose seeds are among the runs is not counted: it records their mean.
    """
    runs = list(runs)
    have_seeds = {_trial(run) for run in runs if run.tags.get("kind") == RunKind.REPEAT}
    return sum(
        run.metrics.get("seconds", 0.0)
        for run in runs
        if run.tags.get("kind") != RunKind.TRIAL or _trial(run) not in have_seeds
    )


def _trial(run: RunRecord) -> tuple[str | None, str | None]:
    return run.tags.get("sweep"), run.tags.get("trial")


def by_seed(group: Group, metric: str, axes: Sequence[str], repetition: Repetition) -> dict[str, float]:
    """Returns the group's mean of a metric by seed, or by split if the splits differ.

    A seed counts only if it was trained in all settings of the group: else its mean would differ by these.

    Args:
        group: Runs of one configuration.
        metric: The name of a final metric.
        axes: All axes that vary.
        repetition: That of all runs in the comparison.
    """
    scores: dict[str, dict[tuple[str, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in group.runs:
        if metric in run.metrics:
            scores[repetition.block(run)][values_of(run, axes)].append(run.metrics[metric])
    every = set().union(*scores.values())
    whole = {seed: settings for seed, settings in scores.items() if set(settings) == every}
    return {seed: fmean(map(fmean, settings.values())) for seed, settings in whole.items()}


def standings(
    groups: Sequence[Group],
    axes: Sequence[str],
    by: Sequence[str] | None = None,
    min_runs: Mapping[str, int] = NO_MINIMUM,
) -> list[Standing]:
    """Returns the standing of each group, compared with the best on the same data set.

    Groups with a NaN are not tested, nor groups that met other settings than the rest, see `comparable`.

    Args:
        groups: The groups, whose order is kept.
        axes: All axes that vary.
        by: The axes by which the runs are grouped, if not all.
        min_runs: By data set; a group with fewer is not tested. Its runs are selected if the others failed.
    """
    lacking = [len(group.runs) < min_runs.get(dataset_of(group), 0) for group in groups]
    repetition = repetition_of(run for group in groups for run in group.runs)
    values = [by_seed(group, "objective", axes, repetition) for group in groups]
    known = [place for place, seeds in enumerate(values) if seeds and _are_finite(seeds)]
    alike = comparable(groups, axes if by is None else by, axes)
    compared: dict[int, AgainstBest] = {}
    for dataset in sorted({dataset_of(group) for group in groups}):
        own = {place: values[place] for place in known if dataset_of(groups[place]) == dataset}
        whole = {place: seeds for place, seeds in own.items() if not lacking[place]}
        tested = {place: seeds for place, seeds in whole.items() if alike[place]}
        compared |= _distances(own, whole, maximizes(groups)) | _compared(
            tested, maximizes(groups), repetition.overlap
        )
    bounds = bounds_of(measure_of(groups))
    all_standings = [
        _standing(seeds, compared.get(place), bounds, not alike[place], repetition.overlap, maximizes(groups))
        for place, seeds in enumerate(values)
    ]
    every = [{repetition.block(run) for run in group.runs} for group in groups]
    return [
        replace(standing, is_partial=len(seeds) < len(all_seeds), lacks_repeats=lacks)
        for standing, seeds, all_seeds, lacks in zip(all_standings, values, every, lacking, strict=True)
    ]


def _standing(
    seeds: Mapping[str, float],
    comparison: AgainstBest | None,
    bounds: tuple[float, float],
    is_confounded: bool,
    overlap: float,
    maximize: bool,
) -> Standing:
    if comparison is None:
        return Standing(None, NOT_TESTED)
    mean = estimate(list(seeds.values()), overlap=overlap)
    mean = _selected(mean, comparison.reach, maximize).within(*bounds)
    if mean.width <= ROUNDING and bounds != UNBOUNDED:  # equal accuracies of a few images are no certainty
        mean = replace(mean, low=None, high=None)
    if is_confounded:
        return Standing(mean, comparison, CONFOUNDED)
    if comparison.p is None and not comparison.is_best:
        return Standing(mean, comparison, f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'}")
    return Standing(mean, comparison)


def _selected(mean: Estimate, reach: float, maximize: bool) -> Estimate:
    """Returns the mean of the best with an interval that knows of its selection: longer on the worse side."""
    if mean.low is None or mean.high is None:
        return mean
    if maximize:
        return replace(mean, low=min(mean.low, mean.mean - reach))
    return replace(mean, high=max(mean.high, mean.mean + reach))


def ranked(groups: Sequence[Group], standings: Sequence[Standing]) -> list[tuple[Group, Standing]]:
    """Sorts by data set, then by the mean over the seeds, the best first; untested groups come last."""
    sign = -1 if maximizes(groups) else 1

    def rank(pair: tuple[Group, Standing]) -> tuple[Any, ...]:
        group, standing = pair
        mean = math.inf if standing.estimate is None else rounded(sign * standing.estimate.mean)
        is_unknown = standing.estimate is None
        return dataset_of(group), is_unknown, standing.lacks_repeats, not standing.is_tested, mean

    return sorted(zip(groups, standings, strict=True), key=rank)


def _are_finite(values: Mapping[str, float]) -> bool:
    return all(map(math.isfinite, values.values()))


def _compared(
    tested: Mapping[int, Mapping[str, float]], maximize: bool, overlap: float
) -> dict[int, AgainstBest]:
    """Returns the tested comparisons by the places of the groups."""
    if not tested:
        return {}
    columns = sorted(set().union(*tested.values()))
    scores = np.array([[seeds.get(seed, math.nan) for seed in columns] for seeds in tested.values()])
    return dict(zip(tested, against_best(scores, maximize, overlap), strict=True))


def _distances(
    groups: Mapping[int, Mapping[str, float]], whole: Collection[int], maximize: bool
) -> dict[int, AgainstBest]:
    """Returns how far each mean is behind the best one of the whole groups, without a test."""
    sign = 1 if maximize else -1
    means = {place: sign * fmean(seeds.values()) for place, seeds in groups.items()}
    best = max((means[place] for place in whole), default=max(means.values(), default=0.0))
    return {place: AgainstBest(best - mean, None) for place, mean in means.items()}

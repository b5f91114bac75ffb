"""Puts runs together by seed: what is repeated, so that a mean has an uncertainty."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from src.report.groups import Group, bounds_of, maximizes, objective_of, values_of
from src.report.ranking import AgainstBest, against_best
from src.report.statistics import Estimate, estimate
from src.tracking.run_record import RunRecord
from src.tracking.selection import SEED

NOT_TESTED = AgainstBest(math.nan, None)


@dataclass(frozen=True)
class Standing:
    """A group's mean over its seeds, and how it stands beside the best group.

    estimate: None where seeds cannot be told apart from other differences.
    """

    estimate: Estimate | None
    against_best: AgainstBest

    @property
    def is_best(self) -> bool:
        return self.against_best.is_best

    @property
    def is_not_worse(self) -> bool:
        """Whether it is the best, or was tested and cannot be told from it."""
        tested = self.against_best.p is not None
        return self.is_best or (tested and not self.against_best.is_worse)

    @property
    def has_interval(self) -> bool:
        return self.estimate is not None and self.estimate.low is not None


def measured(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs that trained: those of the seeds instead of the trial that has their mean.

    Of a trial that failed, was pruned or goes on, the trial: the mean of the seeds that it has so far
    would stand beside the mean of all of another's.
    """
    repeated = {_trial(run) for run in runs if run.tags.get("kind") == "repeat"}
    kept = {
        _trial(run) for run in runs if run.tags.get("kind") == "trial" and run.tags.get("state") != "complete"
    }
    whole = repeated - kept
    return [
        run
        for run in runs
        if run.tags.get("kind") not in ("trial", "repeat")
        or (_trial(run) in whole) == (run.tags.get("kind") == "repeat")
    ]


def _trial(run: RunRecord) -> tuple[str | None, str | None]:
    return run.tags.get("sweep"), run.tags.get("trial")


def by_seed(group: Group, metric: str, axes: Sequence[str]) -> dict[str, float]:
    """The mean of each seed over the group's runs with it.

    axes: all that vary. Only seeds that were trained with all the values of the axes that the group
    averages over: else a seed's mean would differ by these too.
    """
    found: dict[str, dict[tuple[str, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in group.runs:
        if metric in run.metrics:
            found[seed_of(run)][values_of(run, axes)].append(run.metrics[metric])
    every = set().union(*found.values())
    whole = {seed: settings for seed, settings in found.items() if set(settings) == every}
    return {seed: fmean(map(fmean, settings.values())) for seed, settings in whole.items()}


def seed_of(run: RunRecord) -> str:
    """The seed of its weights; a run that names none stands for itself."""
    return run.params.get(SEED, run.run_id)


def standings(groups: Sequence[Group], axes: Sequence[str]) -> list[Standing]:
    """How the groups stand, in their order. A group with a value that is no number is not tested."""
    seeds = [by_seed(group, "objective", axes) for group in groups]
    bounds = bounds_of(objective_of(groups))
    known = [place for place, values in enumerate(seeds) if values and _are_finite(values)]
    compared = dict(zip(known, _compared([seeds[place] for place in known], groups), strict=True))
    return [
        Standing(
            estimate(list(values.values())).within(*bounds) if place in compared else None,
            compared.get(place, NOT_TESTED),
        )
        for place, values in enumerate(seeds)
    ]


def _are_finite(values: Mapping[str, float]) -> bool:
    return all(map(math.isfinite, values.values()))


def _compared(seeds: Sequence[Mapping[str, float]], groups: Sequence[Group]) -> list[AgainstBest]:
    if not seeds:
        return []
    columns = sorted(set().union(*seeds))
    scores = np.array([[values.get(seed, math.nan) for seed in columns] for values in seeds])
    return against_best(scores, maximizes(groups))

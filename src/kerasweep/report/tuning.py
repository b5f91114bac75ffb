"""Reads how nuisance values were tuned, and tells whether a training had flattened."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from kerasweep.config.search import TrackingConf
from kerasweep.report.groups import NOT_APPLICABLE, Group, label, number_of, values_of
from kerasweep.report.repetition import SEED
from kerasweep.report.selection import nuisance_of, swept
from kerasweep.report.statistics import LEVEL, difference, holm, p_values
from kerasweep.results import State
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import TUNING, TUNING_NOTES, RunKind, read_objectives

PARTS, MIN_RUNS = 5, 3


@dataclass(frozen=True)
class Isolation:
    """The best objective at each value of one nuisance axis, by combination of the compared axes.

    Of a combination with several tunings, the mean of their bests.
    """

    axis: str
    arms: Mapping[str, tuple[tuple[str, float], ...]]  # a combination -> its values with the best objective
    is_shared: bool = True  # whether half of the values or more were tried by all tunings, as on a grid


@dataclass(frozen=True)
class Tuned:
    """The nuisance values that a combination was compared with."""

    labels: tuple[str, ...]  # of the combination
    values: Mapping[str, str]  # by nuisance axis; if the repeats differ, a list by repeat


@dataclass(frozen=True)
class Tuning:
    """How the nuisance axes of a sweep were tuned."""

    isolations: tuple[Isolation, ...]
    notes: tuple[str, ...]  # such as best values at a border
    seconds: float  # of training


def read_tunings(cfg: TrackingConf, parents: Sequence[RunRecord]) -> list[Tuning]:
    """Returns the tunings of the sweeps that have nuisance axes. Several sweeps may share one."""
    shared = {parent.tags[TUNING]: parent for parent in parents if TUNING in parent.tags}
    return [_read(cfg, parent) for parent in shared.values()]


def _read(cfg: TrackingConf, parent: RunRecord) -> Tuning:
    runs = find_runs(cfg, {"sweep": parent.tags[TUNING], "kind": RunKind.TUNING})
    complete = [run for run in runs if run.tags.get("state") == State.COMPLETE and "objective" in run.metrics]
    maximize = read_objectives(parent.tags.get("objective", "objective"))[0][1] == "maximize"
    axes = swept(parent)
    isolations = [_isolation(complete, axes, name, maximize) for name in sorted(nuisance_of([parent]))]
    notes = parent.tags.get(TUNING_NOTES, "").splitlines()
    seconds = sum(run.metrics.get("seconds", 0.0) for run in runs)
    return Tuning(tuple(isolations), tuple(notes), seconds)


def _isolation(runs: Sequence[RunRecord], axes: Sequence[str], axis: str, maximize: bool) -> Isolation:
    objectives: dict[str, dict[str, dict[str, list[float]]]] = {}  # by combination, value and tuning
    for run in runs:
        if axis in run.tags:
            pairs = zip(axes, map(label, values_of(run, axes)), strict=True)
            values = objectives.setdefault(" ".join(f"{name}={text}" for name, text in pairs), {})
            tunings = values.setdefault(run.tags[axis], {})
            tunings.setdefault(run.params.get(SEED, ""), []).append(run.metrics["objective"])
    choose = max if maximize else min
    arms = {
        arm: tuple(
            sorted(
                ((value, fmean(map(choose, tunings.values()))) for value, tunings in values.items()),
                key=_order,
            )
        )
        for arm, values in sorted(objectives.items())
    }
    return Isolation(axis, arms, all(map(_share_values, objectives.values())))


def _share_values(values: Mapping[str, Mapping[str, object]]) -> bool:
    """Whether all tunings of a combination, given by value, tried half of the values or more."""
    count = len(set[str]().union(*values.values()))
    return 2 * sum(len(tunings) == count for tunings in values.values()) >= len(values)


def tuned_values(groups: Sequence[Group], parents: Sequence[RunRecord]) -> list[Tuned]:
    """Returns the tuned values of each group."""
    axes = sorted(nuisance_of(parents))
    return [Tuned(group.labels, {axis: _values_by_repeat(group, axis) for axis in axes}) for group in groups]


def _values_by_repeat(group: Group, axis: str) -> str:
    runs = sorted(group.runs, key=lambda run: int(run.tags.get("repeat", 0)))
    values = [label(run.tags.get(axis, NOT_APPLICABLE)) for run in runs]
    return values[0] if len(set(values)) == 1 else ", ".join(values)


def _order(pair: tuple[str, float]) -> tuple[bool, float, str]:
    number = number_of(pair[0])
    return number is None, number or 0.0, pair[0]


def still_rising(
    groups: Sequence[Group], histories: Mapping[str, Sequence[float]], overlap: float = 0.0
) -> dict[str, float]:
    """Returns how far accuracies rose in the last fifth of the epochs, by the labels of groups that rose.

    A group rose if the mean of the last fifth, or of the last of fewer than ten epochs, is above that of the
    fifth before it, beyond the noise of the runs (Student's t, corrected for the number of groups by Holm's
    method).

    Args:
        groups: Each with the runs of one configuration.
        histories: By run, its validation accuracy after each epoch. Three runs or more of two epochs or more
            can tell.
        overlap: See `Repetition.overlap`.
    """
    rises = {" ".join(group.labels): _rises(group, histories) for group in groups}
    tested = {
        label: difference(differences, overlap)
        for label, differences in rises.items()
        if len(differences) >= MIN_RUNS
    }
    means = np.array([rise.estimate.mean for rise in tested.values()])
    errors = np.array([rise.error for rise in tested.values()])
    freedoms = np.array([rise.estimate.count - 1 for rise in tested.values()])
    ps = holm(p_values(means, errors, freedoms))
    return {
        label: float(mean)
        for label, mean, p in zip(tested, means, ps, strict=True)
        if p < 1 - LEVEL and mean > 0
    }


def _rises(group: Group, histories: Mapping[str, Sequence[float]]) -> list[float]:
    rises = []
    for run in group.runs:
        values = histories.get(run.run_id, ())
        size = max(1, len(values) // PARTS)
        rise = fmean(values[-size:]) - fmean(values[-2 * size : -size]) if len(values) > 1 else math.nan
        if math.isfinite(rise):
            rises.append(rise)
    return rises

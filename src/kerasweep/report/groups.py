"""Groups runs by their configuration and ranks the groups."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from kerasweep.errors import TrackingError
from kerasweep.report.statistics import rounded
from kerasweep.results import State
from kerasweep.terminal import value_text
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import read_objectives

NOT_APPLICABLE = "-"
UNBOUNDED = (-math.inf, math.inf)
LONG_NUMBER = 8  # characters; longer fractions are shortened
# Axes, and the combinations of their values that were trained.
Settings = tuple[tuple[str, ...], frozenset[tuple[str, ...]]]


@dataclass(frozen=True)
class Group:
    """Runs of one configuration."""

    values: tuple[str, ...]  # the tag of each axis, "-" if the axis does not apply
    runs: tuple[RunRecord, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The values for people: long fractions have four digits."""
        return tuple(map(label, self.values))

    def mean(self, metric: str) -> float | None:
        """Returns the mean of a final metric over the runs that have it, None without any."""
        found = [run.metrics[metric] for run in self.runs if metric in run.metrics]
        return fmean(found) if found else None


def label(value: str) -> str:
    """Returns a value for people: a long fraction has four digits."""
    number = number_of(value)
    is_short = len(value) <= LONG_NUMBER or value.lstrip("-").isdigit()
    return value if number is None or is_short else value_text(number)


def number_of(value: str) -> float | None:
    """Returns the value as a finite number, or None if it is not one."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def group_runs(runs: Iterable[RunRecord], axes: Sequence[str]) -> list[Group]:
    """Groups the complete runs by the values of their axes, the best mean objective first.

    Raises:
        TrackingError: A group mixes data sets, or the runs have different objectives: a mean of these
            has no meaning.
    """
    members: dict[tuple[str, ...], list[RunRecord]] = {}
    for run in runs:
        if run.tags.get("state") == State.COMPLETE and "objective" in run.metrics:
            members.setdefault(values_of(run, axes), []).append(run)
    groups = [Group(values, tuple(runs)) for values, runs in members.items()]
    for group in groups:
        _check_data(group, axes)
    _check_objective(groups)
    return sorted(groups, key=best_first(groups))


def values_of(run: RunRecord, axes: Sequence[str]) -> tuple[str, ...]:
    """Returns the run's tags for these axes, `-` for a missing one."""
    return tuple(run.tags.get(axis, NOT_APPLICABLE) for axis in axes)


def _check_data(group: Group, axes: Sequence[str]) -> None:
    datasets = sorted({run.tags.get("dataset", "?") for run in group.runs})
    if len(datasets) > 1:
        where = " ".join(f"{axis}={value}" for axis, value in zip(axes, group.values, strict=True))
        raise TrackingError(
            f"The runs with {where or 'no axis'} come from different data sets: {', '.join(datasets)}. "
            f"Compare one at a time with tags.dataset={datasets[0]}, or add dataset to group_by."
        )


def _check_objective(groups: Sequence[Group]) -> None:
    found = sorted({run.tags.get("objective", "?") for group in groups for run in group.runs})
    if len(found) > 1:
        raise TrackingError(
            f"These runs have different objectives: {'; '.join(found)}. "
            f"Compare one at a time with study=NAME, or with 'tags.objective=\"{found[0]}\"'."
        )


def best_first(groups: Sequence[Group]) -> Callable[[Group], tuple[Any, ...]]:
    """Returns a sort key: the best mean first, a missing mean or NaN last.

    Among equals the earliest trial is first, as in a sweep's own summary, then the smallest values.
    """
    sign = -1 if maximizes(groups) else 1

    def rank(group: Group) -> tuple[bool, float, float, Any]:
        mean = group.mean("objective")
        missing = mean is None or math.isnan(mean)
        return (
            missing,
            0.0 if missing or mean is None else rounded(sign * mean),
            min(map(_trial_number, group.runs)),
            natural_sort_key(group.values),
        )

    return rank


def _trial_number(run: RunRecord) -> float:
    """Returns the number of a run's trial, infinite for a single run."""
    number = number_of(run.tags.get("trial", ""))
    return math.inf if number is None else number


def best_run(runs: Sequence[RunRecord]) -> RunRecord:
    """Returns the run with the best objective; of several, the first that started, as a sweep's summary."""
    alone = [Group((), (run,)) for run in sorted(runs, key=lambda run: run.start_time)]
    return min(alone, key=best_first(alone)).runs[0]


def maximizes(groups: Sequence[Group]) -> bool:
    """Whether the first objective is maximized."""
    return read_objectives(objective_of(groups))[0][1] == "maximize"


def objective_of(groups: Sequence[Group]) -> str:
    """Returns the objectives that all groups share, such as `val_accuracy maximize`."""
    return groups[0].runs[0].tags.get("objective", "objective") if groups else "objective"


def measure_of(groups: Sequence[Group]) -> str:
    """Returns the name of the first objective, such as val_accuracy."""
    return read_objectives(objective_of(groups))[0][0]


def bounds_of(measure: str) -> tuple[float, float]:
    """Returns the possible range of a measure: 0 to 1 for an accuracy, else unbounded."""
    return (0.0, 1.0) if measure.endswith("accuracy") else UNBOUNDED


def natural_sort_key(values: Sequence[str]) -> tuple[Any, ...]:
    """Returns a sort key that compares numbers as numbers, also in lists, and puts them before words."""
    return tuple(_natural(value) for value in values)


def _natural(value: str) -> tuple[int, tuple[float | str, ...]]:
    number = number_of(value)
    if number is not None:
        return (0, (number,))
    parts = re.split(r"(\d+)", value.strip("[]"))  # every second part is a number
    return (1, tuple(float(part) if place % 2 else part for place, part in enumerate(parts)))


def is_unbalanced(groups: Iterable[Group], axes: Sequence[str], varied: Sequence[str]) -> bool:
    """Whether the groups differ in the values of the other axes, which could explain their differences.

    Args:
        groups: Runs grouped by `axes`.
        axes: The axes of the groups.
        varied: All axes that vary.
    """
    others = [axis for axis in varied if axis not in axes]
    return len({frozenset(values_of(run, others) for run in group.runs) for group in groups}) > 1


def comparable(groups: Sequence[Group], axes: Sequence[str], varied: Sequence[str]) -> list[bool]:
    """Tells which groups were trained with the same values of the other axes, and so can be compared.

    Two groups are compared in the axes that apply to both. The strength of a regularizer, for example, does
    not apply to a group without one.

    Args:
        groups: Runs grouped by `axes`.
        axes: The axes of the groups.
        varied: All axes that vary.

    Returns:
        A flag per group. If not all groups are alike, the largest set of mutually alike groups is
        comparable; if all differ, none is.
    """
    others = [axis for axis in varied if axis not in axes]
    if not others:
        return [True] * len(groups)
    settings = [_settings(group, others) for group in groups]
    counts = Counter(settings)
    alike = {value: {other for other in counts if _are_alike(value, other)} for value in counts}
    parts = [part for part in alike.values() if all(part <= alike[each] for each in part)]
    part = max(parts, key=lambda each: sum(counts[one] for one in each), default=set())
    if sum(counts[each] for each in part) < min(2, len(groups)):
        return [False] * len(groups)
    return [each in part for each in settings]


def _settings(group: Group, axes: Sequence[str]) -> Settings:
    """Returns the axes that apply to the group, and the combinations of their values in its runs."""
    own = tuple(axis for axis in axes if any(axis in run.tags for run in group.runs))
    return own, frozenset(values_of(run, own) for run in group.runs)


def _are_alike(one: Settings, other: Settings) -> bool:
    shared = [axis for axis in one[0] if axis in other[0]]
    return _projected(one, shared) == _projected(other, shared)


def _projected(settings: Settings, onto: Sequence[str]) -> set[tuple[str, ...]]:
    axes, found = settings
    places = [axes.index(axis) for axis in onto]
    return {tuple(values[place] for place in places) for values in found}


def dataset_of(group: Group) -> str:
    """Returns the data set of the group's runs."""
    return group.runs[0].tags.get("dataset", "?")


def by_dataset(groups: Iterable[Group]) -> dict[str, list[Group]]:
    """Returns the groups of each data set, in their order."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(dataset_of(group), []).append(group)
    return found


def mixed_sweeps(groups: Iterable[Group]) -> list[str]:
    """Returns the sorted names of sweeps whose runs are averaged with runs of another sweep."""
    found = [{run.tags.get("sweep", "single runs") for run in group.runs} for group in groups]
    return sorted(set().union(*(sweeps for sweeps in found if len(sweeps) > 1)))

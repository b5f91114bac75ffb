"""Groups runs by their configuration, ranks the groups, and renders them as a table and as CSV."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.table import Table

from src.errors import TrackingError
from src.tracking.query import RunRecord

Key = tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Runs of one configuration. values: the axes' tags, `-` where an axis does not apply."""

    values: Key
    runs: tuple[RunRecord, ...]

    def mean(self, metric: str) -> float | None:
        """The mean of a final metric over the runs that have it."""
        found = [run.metrics[metric] for run in self.runs if metric in run.metrics]
        return fmean(found) if found else None


def group_runs(runs: Iterable[RunRecord], axes: Sequence[str]) -> list[Group]:
    """Complete runs by the values of their axes, the best mean objective first.

    Raises TrackingError where a group mixes data sets or objectives, whose mean means nothing.
    """
    groups: dict[Key, list[RunRecord]] = {}
    for run in runs:
        if run.tags.get("state") == "complete" and "objective" in run.metrics:
            groups.setdefault(tuple(run.tags.get(axis, "-") for axis in axes), []).append(run)
    made = [Group(values, tuple(members)) for values, members in groups.items()]
    for group in made:
        _check_alike(group, axes)
    _check_one(made, "objective")
    sign = -1 if _is_maximized(made) else 1
    return sorted(made, key=lambda group: (sign * (group.mean("objective") or 0.0), natural(group.values)))


def _check_alike(group: Group, axes: Sequence[str]) -> None:
    datasets = sorted({run.tags.get("dataset", "?") for run in group.runs})
    if len(datasets) > 1:
        where = ", ".join(f"{axis}={value}" for axis, value in zip(axes, group.values, strict=True))
        raise TrackingError(
            f"The runs with {where or 'no axis'} come from different data sets: {', '.join(datasets)}. "
            f"Compare one at a time with tags.dataset={datasets[0]}, or add dataset to group_by."
        )


def _check_one(groups: Sequence[Group], tag: str) -> None:
    found = sorted({run.tags.get(tag, "?") for group in groups for run in group.runs})
    if len(found) > 1:
        raise TrackingError(
            f"These runs have different objectives: {'; '.join(found)}. "
            "Compare one study at a time with study=NAME."
        )


def _is_maximized(groups: Sequence[Group]) -> bool:
    first = groups[0].runs[0].tags.get("objective", "") if groups else ""
    return first.partition(",")[0].endswith("maximize")


def natural(values: Sequence[str]) -> tuple[tuple[int, float, str], ...]:
    """A sort key in which numbers compare as numbers and come before words."""
    return tuple(_natural(value) for value in values)


def _natural(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, value)


def render(groups: Sequence[Group], axes: Sequence[str], objective: str) -> Table:
    """One row a group: its axes, mean objective, runs, mean parameters and seconds."""
    table = Table()
    for column in axes:
        table.add_column(column, no_wrap=True)
    for column in (objective, "runs", "parameters", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for group in groups:
        table.add_row(
            *group.values,
            _number(group.mean("objective"), ".4f"),
            str(len(group.runs)),
            _number(group.mean("parameters"), ",.0f"),
            _number(group.mean("seconds"), ".1f"),
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def tally(runs: Iterable[RunRecord]) -> str:
    """How many runs are in each state, as in `24 complete, 1 failed`; what runs still has none."""
    counts = Counter(run.tags.get("state", "running") for run in runs)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def write_csv(path: Path, runs: Sequence[RunRecord], axes: Sequence[str]) -> None:
    """One row a run: id, name, state, data set, axes, objective, best epoch, parameters, seconds."""
    metrics = ("objective", "best_epoch", "parameters", "seconds", "test_accuracy")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["run_id", "name", "state", "dataset", *axes, *metrics])
        for run in runs:
            tags = [run.tags.get(tag, "") for tag in ("state", "dataset", *axes)]
            numbers = [run.metrics.get(metric, "") for metric in metrics]
            writer.writerow([run.run_id, run.name, *tags, *numbers])
    temporary.replace(path)

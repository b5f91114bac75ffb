"""Renders groups of runs as a table for people and as CSV for programs."""

import csv
import errno
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from src.errors import ConfigError
from src.report.groups import NOT_APPLICABLE, Group, best_first, natural, values_of
from src.tracking.query import RunRecord

MEASURES = ("objective", "best_epoch", "parameters", "seconds", "test_accuracy")


def render(groups: Sequence[Group], axes: Sequence[str]) -> Table:
    """One row a group: its axes, mean objective, number of runs, mean parameters and seconds, best run."""
    objective = groups[0].runs[0].tags.get("objective", "objective") if groups else "objective"
    table = Table()
    for column in axes:
        table.add_column(column, no_wrap=True)
    for column in (f"mean {objective.partition(' ')[0]}", "runs", "parameters", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("best run", no_wrap=True)
    for group in groups:
        table.add_row(*group.values, *_measures(group), _best_run(group))
    return table


def _measures(group: Group) -> list[str]:
    return [
        _number(group.mean("objective"), ".4f"),
        str(len(group.runs)),
        _number(group.mean("parameters"), ",.0f"),
        _number(group.mean("seconds"), ".1f"),
    ]


def _best_run(group: Group) -> str:
    alone = [Group(group.values, (run,)) for run in group.runs]
    return min(alone, key=best_first(alone)).runs[0].run_id


def _number(value: float | None, form: str) -> str:
    return NOT_APPLICABLE if value is None else format(value, form)


def tally(runs: Iterable[RunRecord]) -> str:
    """How many runs are in each state, as in `24 complete, 1 failed`; what runs still has none."""
    counts = Counter(run.tags.get("state", "running") for run in runs)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def write_csv(path: Path, runs: Sequence[RunRecord], axes: Sequence[str]) -> None:
    """One row a run, in the order of its axes: id, name, state, data set, axes and final metrics.

    Raises ConfigError where the file cannot be written.
    """
    tags = list(dict.fromkeys(("state", "dataset", *axes)))
    rows = [
        [run.run_id, run.name, *(run.tags.get(tag, "") for tag in tags), *_final(run)]
        for run in sorted(runs, key=lambda run: natural(values_of(run, axes)))
    ]
    try:
        _replace(path, [["run_id", "name", *tags, *MEASURES], *rows])
    except OSError as error:
        raise ConfigError(
            f"csv={path} cannot be written: {error.strerror}. Name another file, as in csv=runs.csv."
        ) from error


def _final(run: RunRecord) -> list[float | str]:
    return [run.metrics.get(measure, "") for measure in MEASURES]


def _replace(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write to a temporary name first, so that no reader meets half a file."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    temporary.replace(path)

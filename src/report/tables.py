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
from src.report.seeds import Standing
from src.tracking.query import RunRecord

MEASURES = ("objective", "best_epoch", "parameters", "seconds", "test_accuracy")


def render(groups: Sequence[Group], axes: Sequence[str], found: Sequence[Standing]) -> Table:
    """One row a group: its axes, mean objective, number of runs, mean parameters and seconds, best run.

    Where seeds were repeated, the interval of the mean over them and how it stands beside the best.
    """
    repeated = any(_has_interval(standing) for standing in found)
    objective = groups[0].runs[0].tags.get("objective", "objective") if groups else "objective"
    table = Table()
    for column in axes:
        table.add_column(column, no_wrap=True)
    for column in (
        f"mean {objective.partition(' ')[0]}",
        *(("95 % interval", "seeds", "beside the best") if repeated else ()),
        *("runs", "parameters", "seconds"),
    ):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("best run", no_wrap=True)
    for group, standing in zip(groups, found, strict=True):
        certainty = _certainty(standing) if repeated else []
        mean = _number(group.mean("objective"), ".4f")
        table.add_row(*group.values, mean, *certainty, *_measures(group), _best_run(group))
    return table


def notes(found: Sequence[Standing]) -> list[str]:
    """What the table's last columns mean, or why there is no interval."""
    if not any(_has_interval(standing) for standing in found):
        return ["note: one seed each tells no uncertainty; study.repeats=5 trains five"]
    equal = [standing for standing in found if standing.is_best or _is_equal(standing)]
    some = f"{len(equal)} of {len(found)} configurations cannot be told from the best (Holm, 5 %)"
    missing = sum(not _has_interval(standing) for standing in found)
    untold = f"; {missing} without an interval" if missing else ""
    return [f"{some}{untold}"]


def _has_interval(standing: Standing) -> bool:
    return standing.estimate is not None and standing.estimate.low is not None


def _is_equal(standing: Standing) -> bool:
    return standing.against_best.p is not None and not standing.against_best.is_worse


def _certainty(standing: Standing) -> list[str]:
    found, beside = standing.estimate, standing.against_best
    if found is None:
        return [NOT_APPLICABLE] * 3
    if found.low is None:
        return [NOT_APPLICABLE, "1", "one seed"]
    interval = f"{found.low:.4f} to {found.high:.4f}"
    if standing.is_best:
        return [interval, str(found.count), "best"]
    if beside.p is None:
        return [interval, str(found.count), "not tested"]
    gap = f"{-beside.behind:+.4f}"
    told = f"worse, p {beside.p:.2g}" if beside.is_worse else "not told apart"
    return [interval, str(found.count), f"{gap}, {told}"]


def _measures(group: Group) -> list[str]:
    return [
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

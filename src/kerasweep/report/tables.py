"""Renders groups of runs as a table, with notes on the comparison with the best."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.table import Table

from kerasweep.report.groups import NOT_APPLICABLE, Group, best_run, measure_of
from kerasweep.report.ranking import MIN_VALUES
from kerasweep.report.standings import CONFOUNDED, Standing
from kerasweep.report.statistics import p_text
from kerasweep.results import State
from kerasweep.tracking.run_record import RunRecord

MAX_ROWS = 100
CERTAINTY = ("95 % interval", "seeds", "vs. best")
HEADINGS = (*CERTAINTY, "runs", "parameters", "seconds", "best run")


def render(groups: Sequence[Group], axes: Sequence[str], standings: Sequence[Standing]) -> Table:
    """Renders a row per group: axes, mean objective, number of runs, mean parameters and seconds, best run.

    With several seeds it adds the interval of the mean and the comparison with the best. The table ends
    after a hundred groups.
    """
    table = Table()
    for column in axes:
        table.add_column(column, no_wrap=True)
    table.add_column(f"mean {measure_of(groups)}", justify="right", no_wrap=True)
    for column in headings(standings):
        table.add_column(column, justify="left" if column == "best run" else "right", no_wrap=True)
    for group, standing in list(zip(groups, standings, strict=True))[:MAX_ROWS]:
        table.add_row(*group.labels, *shown_cells(group, standing, standings))
    return table


def has_seeds(standings: Sequence[Standing]) -> bool:
    """Whether any configuration has several seeds."""
    return any(standing.has_seeds for standing in standings)


def headings(standings: Sequence[Standing]) -> list[str]:
    """Returns the columns after the mean, without those on certainty if there is a single seed."""
    return [column for column in HEADINGS if has_seeds(standings) or column not in CERTAINTY]


def shown_cells(group: Group, standing: Standing, standings: Sequence[Standing]) -> list[str]:
    """Returns the mean objective and the cells of the columns of `headings`.

    Args:
        group: The group of the row.
        standing: Its standing.
        standings: The standings of all rows, which decide on the columns.
    """
    mean, *others = cells(group, standing)
    shown = headings(standings)
    return [mean, *(cell for column, cell in zip(HEADINGS, others, strict=True) if column in shown)]


def cells(group: Group, standing: Standing) -> list[str]:
    """Returns the mean objective and the cells of all HEADINGS."""
    return [
        _number(standing.estimate.mean if standing.estimate else group.mean("objective"), ".4f"),
        *_certainty(standing),
        str(len(group.runs)),
        _number(group.mean("parameters"), ",.0f"),
        _number(group.mean("seconds"), ".1f"),
        best_run(group.runs).run_id,
    ]


def notes(standings: Sequence[Standing]) -> list[str]:
    """Returns lines that sum up the comparison with the best, or say why there is no interval."""
    if not has_seeds(standings) and any(standing.is_partial for standing in standings):
        said = (
            "note: nothing is tested: no two seeds were trained in all settings of a group; "
            "choose other axes with group_by, or leave it out"
        )
        return [said, *cut_note(standings)]
    if not has_seeds(standings):
        return [
            "note: each configuration has one seed, so there is no interval; study.repeats=5 trains five",
            *cut_note(standings),
        ]
    return [_count_worse(standings), *cut_note(standings)]


def _count_worse(standings: Sequence[Standing]) -> str:
    """Counts the groups that are significantly worse than the best; each data set has a best one."""
    bests = sum(standing.is_best for standing in standings)
    if not bests and any(standing.untested == CONFOUNDED for standing in standings):
        return "note: nothing is tested: groups were trained with different settings of other axes"
    if not bests:
        return f"note: nothing is tested: no configuration has {MIN_VALUES} seeds or more"
    tested = sum(standing.is_tested for standing in standings) - bests
    worse = sum(standing.against_best.is_worse for standing in standings)
    missing = len(standings) - tested - bests
    untested = f"; {missing} not tested" if missing else ""
    if not tested:
        per_data = "" if bests == 1 else " per data set"
        return f"one configuration{per_data}: nothing to compare it with{untested}"
    same_data = "" if bests == 1 else " of the same data set"
    others = f"{tested} other{'s' if tested > 1 else ''}"
    return f"significantly worse than the best{same_data} (Holm, 5 %): {worse} of {others}{untested}"


def cut_note(standings: Sequence[Standing]) -> list[str]:
    """Returns a line with the number of rows that the table leaves out, if any."""
    hidden = len(standings) - MAX_ROWS
    return [f"… and {hidden} more configurations, in the CSV"] if hidden > 0 else []


def _certainty(standing: Standing) -> list[str]:
    estimate, against_best = standing.estimate, standing.against_best
    if estimate is None:
        return [NOT_APPLICABLE] * 3
    interval = NOT_APPLICABLE if estimate.low is None else f"{estimate.low:.4f} to {estimate.high:.4f}"
    count, difference = str(estimate.count), f"{round(-against_best.behind, 4) + 0.0:+.4f}"
    if standing.is_best:
        return [interval, count, "best"]
    if against_best.p is None:
        return [interval, count, f"{difference}, {standing.untested or 'not tested'}"]
    result = f"worse, {p_text(against_best.p)}" if against_best.is_worse else "not significant"
    return [interval, count, f"{difference}, {result}"]


def _number(value: float | None, form: str) -> str:
    return NOT_APPLICABLE if value is None else format(value, form)


def tally(runs: Iterable[RunRecord]) -> str:
    """Counts the runs in each state, as in `24 complete, 1 failed`. A run without a state is running."""
    counts = Counter(run.tags.get("state", State.RUNNING) for run in runs)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))

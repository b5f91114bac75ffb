"""Lists the runs that are not complete, and counts the states of the runs by the values of the axes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from kerasweep.report.groups import label, natural_sort_key, values_of
from kerasweep.report.reading import Report
from kerasweep.results import State
from kerasweep.tracking.run_record import RunRecord

MAX_OTHERS = 100


def states_by_axis(report: Report) -> list[dict[str, Any]]:
    """Counts the states of the runs of each value of an axis; none if all runs are complete."""
    states = sorted({run.tags.get("state", State.RUNNING) for run in report.runs} - {State.COMPLETE})
    if not states:
        return []
    rows = [
        {
            "axis": axis,
            "value": label(value),
            "counts": [counts[state] for state in (State.COMPLETE, *states)],
        }
        for axis in report.axes
        for value, counts in _counted(report.runs, axis)
    ]
    return [{"axis": "axis", "value": "value", "counts": [State.COMPLETE, *states]}, *rows]


def _counted(runs: Sequence[RunRecord], axis: str) -> list[tuple[str, Counter[str]]]:
    """Returns how many runs of each value of an axis have each state."""
    found: dict[str, Counter[str]] = {}
    for run in runs:
        if axis in run.tags:
            found.setdefault(run.tags[axis], Counter())[run.tags.get("state", State.RUNNING)] += 1
    return sorted(found.items(), key=lambda item: natural_sort_key([item[0]]))


def unfinished_rows(report: Report) -> dict[str, Any]:
    """Returns the runs that failed, were pruned or still run, with the reasons."""
    found = [run for run in report.runs if run.tags.get("state") != State.COMPLETE]
    shown = [
        {
            "name": run.name,
            "state": run.tags.get("state", State.RUNNING),
            "configuration": " ".join(
                f"{axis}={label(value)}"
                for axis, value in zip(report.axes, values_of(run, report.axes), strict=True)
            ),
            "reason": run.tags.get("reason", ""),
        }
        for run in found[:MAX_OTHERS]
    ]
    return {"others": shown, "hidden_others": max(0, len(found) - MAX_OTHERS)}

"""How soon a search finds good configurations: its best so far over time, as tables."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PARTS = (1 / 8, 1 / 4, 1 / 2, 1)


@dataclass(frozen=True)
class Epoch:
    """One that was trained and validated.

    seconds: from the start of the search's process to its end. configuration: what was trained.
    """

    seconds: float
    accuracy: float
    configuration: str


Curves = Mapping[str, Sequence[Sequence[Epoch]]]


def best_within(epochs: Sequence[Epoch], seconds: float) -> float:
    """The best accuracy of any epoch that had ended by then; NaN before the first one."""
    return max((epoch.accuracy for epoch in epochs if epoch.seconds <= seconds), default=math.nan)


def seconds_until(epochs: Sequence[Epoch], accuracy: float) -> float:
    """When an epoch first was as good as that; infinity where none was."""
    return min((epoch.seconds for epoch in epochs if epoch.accuracy >= accuracy), default=math.inf)


def progress_table(curves: Curves, minutes: float) -> str:
    """Markdown: the best so far at an eighth, a quarter and half of the time, and at its end.

    curves: of each search the epochs of every seed. Accuracies are means with their range.
    """
    marks = [part * minutes for part in PARTS]
    columns = [*(f"{mark:g} min" for mark in marks), "configurations", "epochs"]
    lines = [f"| best so far | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for name, seeds in curves.items():
        cells = [_mean_and_range([best_within(epochs, 60 * mark) for epochs in seeds]) for mark in marks]
        tried = statistics.mean(len({epoch.configuration for epoch in epochs}) for epochs in seeds)
        trained = statistics.mean(len(epochs) for epochs in seeds)
        lines.append(f"| {name} | {' | '.join(cells)} | {tried:.0f} | {trained:.0f} |")
    return "\n".join(lines)


def reach_table(curves: Curves, own: str, minutes: float) -> str:
    """Markdown: when `own` was as good as each other search ever was, seed by seed: medians with ranges."""
    columns = ["its best", "it took, s", f"{own} took, s", "of its time", f"of {minutes:g} min"]
    lines = [f"| | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for name, seeds in curves.items():
        if name == own:
            continue
        bests = [best_within(epochs, math.inf) for epochs in seeds]
        theirs = [seconds_until(epochs, best) for epochs, best in zip(seeds, bests, strict=True)]
        ours = [seconds_until(epochs, best) for epochs, best in zip(curves[own], bests, strict=True)]
        shares = [mine / its for mine, its in zip(ours, theirs, strict=True)]
        cells = [
            _mean_and_range(bests),
            _median_and_range(theirs, 0),
            _median_and_range(ours, 0),
            _median_and_range(shares, 2),
            _median_and_range([mine / (60 * minutes) for mine in ours], 2),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean_and_range(accuracies: Sequence[float]) -> str:
    if any(math.isnan(accuracy) for accuracy in accuracies):
        return "–"
    return f"{statistics.mean(accuracies):.4f} ({min(accuracies):.4f}–{max(accuracies):.4f})"


def _median_and_range(values: Sequence[float], digits: int) -> str:
    if math.isinf(min(values)):
        return "not reached"
    median, low, high = (
        f"{value:.{digits}f}" if math.isfinite(value) else "not reached"
        for value in (statistics.median(values), min(values), max(values))
    )
    return f"{median} ({low}–{high})"

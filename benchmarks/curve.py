"""Tabulates how soon searches find good configurations: their best so far over time."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PARTS = (1 / 8, 1 / 4, 1 / 2, 1)


@dataclass(frozen=True)
class Epoch:
    """An epoch that was trained and validated."""

    seconds: float  # from the start of the search's process to the end of the epoch
    accuracy: float
    configuration: str


Curves = Mapping[str, Sequence[Sequence[Epoch]]]


def best_within(epochs: Sequence[Epoch], seconds: float) -> float:
    """Returns the best accuracy of the epochs that ended within these seconds; NaN if there are none."""
    return max((epoch.accuracy for epoch in epochs if epoch.seconds <= seconds), default=math.nan)


def seconds_until(epochs: Sequence[Epoch], accuracy: float) -> float:
    """Returns when an epoch first reached an accuracy; infinity if none did."""
    return min((epoch.seconds for epoch in epochs if epoch.accuracy >= accuracy), default=math.inf)


def progress_table(curves: Curves, minutes: float) -> str:
    """Returns a Markdown table of the best so far at an eighth, a quarter, half and the end of the time.

    Accuracies are means with their range.

    Args:
        curves: The epochs of each search by seed.
        minutes: The time of a search.
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
    """Returns a Markdown table of when a search reached the best of every other search.

    Seeds are compared one by one; the table has medians with ranges.

    Args:
        curves: The epochs of each search by seed.
        own: The name of the search that is compared with the others.
        minutes: The time of a search.
    """
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

"""Tabulates the models that searches hand over, by their accuracy on the test set."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Score:
    """The result of a search."""

    test_accuracy: float  # of the model that it hands over
    configurations: int  # begun
    epochs: int  # trained, of all configurations
    seconds: float  # of the whole command


def score_table(scores: Mapping[str, Sequence[Score]], own: str) -> str:
    """Returns a Markdown table of test accuracies and of their differences from `own`.

    Intervals are Student's over the seeds; differences are paired by seed, since the searches of a seed have
    the same images. They do not cover that several searches are compared.

    Args:
        scores: The scores of each search in the order of the seeds, at least two.
        own: The search that the others are compared with.
    """
    lines = [
        f"| search | test accuracy, 95 % | {own} is better by, 95 % | better in | configurations | epochs "
        "| seconds, most |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    ours = _accuracies(scores[own])
    for name, found in scores.items():
        theirs = _accuracies(found)
        gains = [mine - other for mine, other in zip(ours, theirs, strict=True)]
        wins = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
        compared = ("–", "–") if name == own else (_mean_and_interval(gains, "+"), wins)
        counts = (
            statistics.mean(getattr(score, each) for score in found) for each in ("configurations", "epochs")
        )
        cells = [_mean_and_interval(theirs), *compared, *(f"{count:.0f}" for count in counts)]
        lines.append(f"| {name} | {' | '.join(cells)} | {max(score.seconds for score in found):.0f} |")
    return "\n".join(lines)


def _accuracies(scores: Sequence[Score]) -> list[float]:
    return [score.test_accuracy for score in scores]


def _mean_and_interval(values: Sequence[float], sign: str = "") -> str:
    """Returns `0.9000 (0.8800 to 0.9200)`."""
    low, high = stats.ttest_1samp(values, 0).confidence_interval(LEVEL)
    return f"{statistics.mean(values):{sign}.4f} ({low:{sign}.4f} to {high:{sign}.4f})"

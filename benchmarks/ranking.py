"""Tabulates whether short trials rank configurations as long ones do: accuracies and rank correlations."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

SHORT = (1, 2, 3)
LAST = 5


def accuracy_table(found: Mapping[str, np.ndarray]) -> str:
    """Returns a Markdown table of mean accuracies after few epochs and after all.

    Each has its standard deviation over the configurations of a seed, averaged over the seeds.

    Args:
        found: The validation accuracies (seeds, configurations, epochs) of each contender.
    """
    epochs = sorted({*SHORT, _epochs(found)})
    lines = [
        _row("mean ± spread", [f"epoch {epoch}" for epoch in epochs]),
        _row("---", ["---"] * len(epochs)),
    ]
    for name, accuracies in found.items():
        after = [accuracies[:, :, epoch - 1] for epoch in epochs]
        lines.append(_row(name, [f"{each.mean():.3f} ± {each.std(axis=1).mean():.3f}" for each in after]))
    return "\n".join(lines)


def rank_table(found: Mapping[str, np.ndarray]) -> str:
    """Returns a Markdown table of the rank correlations between short and long trials.

    The last row of a contender compares its long trials between seeds.

    Args:
        found: As for `accuracy_table`.
    """
    last = _epochs(found)
    goals = f"epochs {last - LAST + 1}–{last}", f"epoch {last}"
    columns = [f"{goal}, {of}" for goal in goals for of in ("each seed", "seeds' mean")]
    lines = [_row("rank correlation with", columns), _row("---", ["---"] * len(columns))]
    for name, accuracies in found.items():
        long = settled(accuracies), accuracies[:, :, -1]
        for epoch in SHORT:
            short = accuracies[:, :, epoch - 1]
            lines.append(
                _row(f"{name}, epoch {epoch}", [text for each in long for text in _cells(short, each)])
            )
        lines.append(
            _row(f"{name}, another seed", [text for each in long for text in (_agreement(each), "–")])
        )
    return "\n".join(lines)


def settled(accuracies: np.ndarray) -> np.ndarray:
    """Returns the mean of the last five epochs (seeds, configurations).

    At a constant learning rate an accuracy jumps from epoch to epoch about as far as configurations differ,
    so the ranks of a single epoch are partly noise.
    """
    return _rounded(accuracies[:, :, -LAST:].mean(axis=2))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's rank correlation over configurations (n,); NaN if all values of one are equal."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)


def _cells(short: np.ndarray, long: np.ndarray) -> tuple[str, str]:
    """Returns the correlation of each seed's trials (mean and range), and of the means over the seeds."""
    each = [rank_correlation(*pair) for pair in zip(short, long, strict=True)]
    means = rank_correlation(_rounded(short.mean(axis=0)), _rounded(long.mean(axis=0)))
    return _mean_and_range(each), f"{means:.2f}"


def _agreement(long: np.ndarray) -> str:
    """Returns the correlation of long trials between two seeds: the reproducible part of a ranking."""
    return _mean_and_range([rank_correlation(*pair) for pair in itertools.combinations(long, 2)])


def _rounded(means: np.ndarray) -> np.ndarray:
    """Removes differences by the order of summation, so that equal means share a rank."""
    return np.round(means, 9)


def _mean_and_range(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "–"


def _epochs(found: Mapping[str, np.ndarray]) -> int:
    (epochs,) = {accuracies.shape[2] for accuracies in found.values()}
    return epochs


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"

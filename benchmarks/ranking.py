"""Whether short trials rank configurations as long ones do: accuracies and rank correlations, as tables."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

SHORT = (1, 2, 3)
LAST = 5


def accuracy_table(found: Mapping[str, np.ndarray]) -> str:
    """Markdown: mean, and standard deviation over a seed's configurations, after few epochs and after all.

    found: of each contender, validation accuracies (seeds, configurations, epochs).
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
    """Markdown: the rank correlation of what a short trial says with what the same trial came to.

    found: as for `accuracy_table`. The last row of a contender is that of its long trials between seeds.
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
    """The mean of the last five epochs, (seeds, configurations).

    At a constant rate an accuracy keeps jumping from epoch to epoch, about as far as configurations
    differ in the end: the ranks of a single epoch are partly that noise.
    """
    return _rounded(accuracies[:, :, -LAST:].mean(axis=2))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, over configurations (n,); NaN where all are equal, which is no ranking."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)


def _cells(short: np.ndarray, long: np.ndarray) -> tuple[str, str]:
    """Of each seed's trials, and of the means over the seeds."""
    each = [rank_correlation(*pair) for pair in zip(short, long, strict=True)]
    means = rank_correlation(_rounded(short.mean(axis=0)), _rounded(long.mean(axis=0)))
    return _mean_and_range(each), f"{means:.2f}"


def _agreement(long: np.ndarray) -> str:
    """Of the long trials of any two seeds: how much of a ranking is more than a seed's luck."""
    return _mean_and_range([rank_correlation(*pair) for pair in itertools.combinations(long, 2)])


def _rounded(means: np.ndarray) -> np.ndarray:
    """Without what the order of summation adds, so that equal means share a rank."""
    return np.round(means, 9)


def _mean_and_range(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "–"


def _epochs(found: Mapping[str, np.ndarray]) -> int:
    (epochs,) = {accuracies.shape[2] for accuracies in found.values()}
    return epochs


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"

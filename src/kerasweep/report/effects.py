"""Computes the effect of each axis, averaged over the others, and the interactions of two axes."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from kerasweep.report.groups import Group, comparable, group_runs, is_unbalanced, natural_sort_key, values_of
from kerasweep.report.repetition import repetition_of
from kerasweep.report.standings import Standing, by_seed, standings
from kerasweep.report.statistics import ROUNDING, holm
from kerasweep.tracking.run_record import RunRecord


@dataclass(frozen=True)
class Effect:
    """The effect of an axis: a mean per value, over the other axes within each seed."""

    axis: str
    groups: tuple[Group, ...]  # one per value, sorted by the value
    standings: tuple[Standing, ...]  # of the groups
    is_balanced: bool  # whether all are averaged over the same values of the other axes


@dataclass(frozen=True)
class Interaction:
    """The interaction of two axes."""

    axes: tuple[str, str]
    values: tuple[tuple[str, ...], tuple[str, ...]]
    means: np.ndarray  # (values of the first axis, values of the second)
    # The share of the means' variance, without the noise of seeds, that the sum of the two effects does not
    # explain; None with a single seed.
    share: float | None
    # The p-value of effects that only add up, corrected for the number of pairs (Holm); None with one seed.
    p: float | None


def axis_effect(runs: Sequence[RunRecord], axis: str, axes: Sequence[str]) -> Effect:
    """Returns the effect of an axis. Its intervals are over seeds alone: the axes' values were chosen.

    Args:
        runs: The runs to average.
        axis: The axis.
        axes: All axes that vary, including this one.
    """
    groups = group_runs(runs, [axis])
    found = zip(groups, standings(groups, axes, [axis]), strict=True)
    ordered = sorted(found, key=lambda pair: natural_sort_key(pair[0].values))
    return Effect(
        axis,
        tuple(pair[0] for pair in ordered),
        tuple(pair[1] for pair in ordered),
        all(comparable(groups, [axis], axes)),
    )


def interactions(
    runs: Sequence[RunRecord], axes: Sequence[str], varied: Sequence[str] = ()
) -> list[Interaction]:
    """Returns the interaction of every two axes, the strongest first; none unless the runs are a full grid.

    F is the mean square of the interaction divided by that of interaction × seed, with seeds as blocks:
    Fisher (1935), The design of experiments. Only seeds that all combinations have are used.

    Args:
        runs: The runs of the grid.
        axes: The axes of the grid.
        varied: All axes that vary. Every combination needs the same values of the other axes.
    """
    levels = [
        sorted({values_of(run, [axis])[0] for run in runs}, key=lambda value: natural_sort_key([value]))
        for axis in axes
    ]
    groups = group_runs(runs, axes)
    repetition = repetition_of(run for group in groups for run in group.runs)
    seeds = {group.values: by_seed(group, "objective", varied or axes, repetition) for group in groups}
    grid = None if is_unbalanced(groups, axes, varied) else _full_grid(seeds, levels)
    if grid is None:
        return []
    pairs = [
        pair
        for pair in itertools.combinations(range(len(axes)), 2)
        if min(grid.shape[each] for each in pair) > 1
    ]
    found = [_interaction(grid, pair, axes, levels, repetition.overlap) for pair in pairs]
    tested = [place for place, each in enumerate(found) if each.p is not None]
    for place, p in zip(tested, holm([found[place].p or 0.0 for place in tested]), strict=True):
        found[place] = replace(found[place], p=float(p))
    return sorted(found, key=lambda interaction: -(interaction.share or 0.0))


def _interaction(
    grid: np.ndarray,
    pair: tuple[int, int],
    axes: Sequence[str],
    levels: Sequence[Sequence[str]],
    overlap: float,
) -> Interaction:
    """Returns the interaction of a pair of axes in the grid (values of axis 0, of axis 1, ..., seeds)."""
    others = tuple(place for place in range(grid.ndim - 1) if place not in pair)
    cells = grid.mean(axis=others)
    rows, columns, seeds = cells.shape
    left = cells - cells.mean(axis=0, keepdims=True) - cells.mean(axis=1, keepdims=True)
    left = left + cells.mean(axis=(0, 1), keepdims=True)
    mean, between = left.mean(axis=2), cells.mean(axis=2)
    total = float(((between - between.mean()) ** 2).sum())
    explained = float((mean**2).sum())
    freedom = (rows - 1) * (columns - 1)
    error = float(((left - mean[:, :, None]) ** 2).sum()) / max(freedom * (seeds - 1), 1)
    noise = error * (1 / seeds + overlap)  # the variance of a cell's mean; not used with a single seed
    p = None
    if explained <= ROUNDING**2:
        explained = 0.0
    if seeds > 1 and (error > ROUNDING**2 or explained):
        p = (
            0.0
            if error <= ROUNDING**2
            else float(special.fdtrc(freedom, freedom * (seeds - 1), explained / freedom / noise))
        )
    own = max(0.0, explained - freedom * noise)
    whole = total - (rows * columns - 1) * noise
    share = None if seeds == 1 else (min(1.0, own / whole) if own and whole > 0 else 0.0)
    first, second = pair
    return Interaction(
        (axes[first], axes[second]),
        (tuple(levels[first]), tuple(levels[second])),
        between,
        share,
        p,
    )


def _full_grid(
    cells: Mapping[tuple[str, ...], Mapping[str, float]], levels: Sequence[Sequence[str]]
) -> np.ndarray | None:
    """Returns (values of axis 0, of axis 1, ..., seeds); None if the combinations share no seed."""
    places = list(itertools.product(*levels))
    if not places:
        return None
    seeds = set.intersection(*(set(cells.get(place, {})) for place in places))
    if not seeds:
        return None
    names = sorted(seeds)
    values = [[cells[place][seed] for seed in names] for place in places]
    array = np.array(values, dtype=float).reshape(*map(len, levels), len(names))
    return array if np.isfinite(array).all() else None

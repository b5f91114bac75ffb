"""Measures how well accuracies after 1, 2 and 3 epochs predict those after 30, here and in KerasTuner."""

import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.page import machine, publish
from benchmarks.peers import python_of, versions
from benchmarks.race import Contender, race
from benchmarks.ranking import SHORT, accuracy_table, rank_table
from benchmarks.sweeps import histories
from benchmarks.trials import AXES, SCRIPTS, Grid, export

# The axes of a trial as texts, and its validation accuracy after each epoch.
Record = tuple[tuple[str, ...], list[float]]
LARGER = (32, 64)


def run(seeds: int, epochs: int = 30) -> None:
    """Trains the grid with each contender, and short trials of a larger network; publishes the tables."""
    grid = Grid(seed=tuple(range(seeds)), epochs=epochs)
    found = trained(grid)
    larger = replace(grid, filters=LARGER, epochs=max(SHORT))
    tables = [accuracy_table(found), rank_table(found), accuracy_table(trained(larger))]
    publish("honest", _section(grid, *tables))
    print(*tables, sep="\n\n")


def trained(grid: Grid) -> dict[str, np.ndarray]:
    """Returns the validation accuracies (seeds, configurations, epochs) of each contender."""
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder, "task.npz")
        export(task, grid)
        return {
            name: accuracies(grid, name, command, read)
            for name, command, read in (
                ("kerasweep", ours(grid), recorded),
                ("KerasTuner", tuner(task), written),
            )
        }


def ours(grid: Grid) -> list[str]:
    """Returns kerasweep's command, with the defaults for all but the grid."""
    return [sys.executable, "-m", "src.train", "-m", *grid.overrides()]


def tuner(task: Path) -> list[str]:
    return [python_of("keras_tuner"), str(SCRIPTS / "tuner.py"), str(task), "found.json"]


def accuracies(grid: Grid, name: str, command: list[str], read: Callable[[Path], list[Record]]) -> np.ndarray:
    """Runs a contender, and returns its accuracies (seeds, configurations, epochs)."""
    records: list[Record] = []

    def keep(folder: Path) -> list[float]:
        records.extend(read(folder))
        return []

    race([Contender(name, command, keep)], repeats=1)
    return arranged(grid, records)


def recorded(folder: Path) -> list[Record]:
    """Reads the accuracies that kerasweep recorded in MLflow."""
    keys = [f"{key}.name" if key in ("regularizer", "initializer") else key for key in AXES.values()]
    return [(tuple(run.params[key] for key in keys), run.accuracies) for run in histories(folder)]


def written(folder: Path) -> list[Record]:
    """Reads the accuracies that KerasTuner's script wrote."""
    trials = json.loads((folder / "histories.json").read_text())
    return [(tuple(str(trial[axis]) for axis in AXES), trial["val_accuracy"]) for trial in trials]


def arranged(grid: Grid, records: Iterable[Record]) -> np.ndarray:
    """Returns the accuracies as (seeds, configurations, epochs). Raises KeyError if a trial is missing.

    They are rounded, so that equal counts of images are equal accuracies in float32 and in float64.
    """
    by_axes = dict(records)
    *axes, seeds = ([str(value) for value in getattr(grid, axis)] for axis in AXES)
    configurations = list(itertools.product(*axes))
    return np.round([[by_axes[*each, seed] for each in configurations] for seed in seeds], 6)


def _section(grid: Grid, accuracies: str, ranks: str, larger: str) -> str:
    held = ", ".join(f"{name} {version}" for name, version in versions("keras_tuner").items())
    return (
        "## How well a short trial predicts a long one\n\n"
        f"The grid of {grid.size // len(grid.seed)} configurations on digits (kernel 3/5 × batch 32/64 × "
        f"none/l1/l2 × Glorot/He) with {len(grid.seed)} seeds. Each contender trains it once for "
        f"{grid.epochs} epochs, with its defaults: kerasweep with the warm-up of its batch normalization's "
        "moving statistics, KerasTuner's GridSearch with the same network of Keras's own layers. The "
        "learning rate is constant, so epochs 1, 2 and 3 are short trials, and the last epochs the long "
        "trial. Accuracies are validation accuracies; the spread is the standard deviation over the "
        "configurations of a seed, averaged over the seeds.\n\n"
        "The result of a long trial is the mean of its last five epochs, since single epochs jump about as "
        "far as the configurations differ; the last epoch alone is shown too. Rank correlations are "
        "Spearman's over the configurations: for each seed (mean and range), and for the means over the "
        'seeds. The rows "another seed" compare long trials of two seeds, and show how reproducible a '
        "ranking is.\n\n"
        f"{accuracies}\n\n{ranks}\n\n"
        f"The same grid with {' and '.join(map(str, LARGER))} filters instead of "
        f"{' and '.join(map(str, grid.filters))}, whose short trials learn faster:\n\n"
        f"{larger}\n\n{machine()}. KerasTuner: {held}.\n"
    )

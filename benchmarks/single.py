"""Times a single run of one epoch, as a whole process, against a script that uses Keras alone."""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.page import machine, publish
from benchmarks.race import Contender, race
from benchmarks.trials import SCRIPTS, Grid, export
from kerasweep.tracking.client import open_client


def run(repeats: int, grid: Grid = Grid()) -> None:  # noqa: B008
    """Times both in turns, ours with an existing database; publishes the medians and their difference."""
    with tempfile.TemporaryDirectory() as folder:
        images, database = Path(folder, "digits.npz"), Path(folder, "mlflow.db")
        export(images, grid)
        open_client(f"sqlite:///{database}", create=True)
        found = race(_contenders(images, database, grid), repeats)
    medians = {name: statistics.median(times.seconds) for name, times in found.items()}
    lines = ["| | seconds, median (range) |", "| --- | --- |"]
    for name, times in found.items():
        low, high = min(times.seconds), max(times.seconds)
        lines.append(f"| {name} | {medians[name]:.1f} ({low:.1f}–{high:.1f}) |")
    ours, script = medians.values()
    lines.append(f"| difference | {ours - script:+.1f} |")
    table = "\n".join(lines)
    publish(
        "single",
        "## One run\n\n`python -m src.train training.epochs=1` with an existing database, its model and "
        f"figures included, against a script that trains the same network.\n\n{table}\n\n"
        f"{repeats} repeats, {machine()}.\n",
    )
    print(table)


def _contenders(images: Path, database: Path, grid: Grid) -> list[Contender]:
    program = (
        "import pathlib, shutil, runpy, sys\n"
        "pathlib.Path('mlruns').mkdir()\n"
        f"shutil.copy({str(database)!r}, 'mlruns/mlflow.db')\n"
        f"sys.argv = ['src.train', 'training.epochs=1', 'model.filters={list(grid.filters)}']\n"
        "runpy.run_module('src.train', run_name='__main__')\n"
    )
    script = [sys.executable, str(SCRIPTS / "one_run.py"), str(images), "found.json"]
    return [
        Contender("kerasweep", [sys.executable, "-c", program], _no_accuracies),
        Contender("Keras alone", script, _no_accuracies),
    ]


def _no_accuracies(folder: Path) -> list[float]:
    return []

"""Measures what a sweep costs besides its training, with trials that train nothing or sleep."""

import statistics
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.sweeps import Ended, TrialRun, sweep, trained

WORKERS = 2
SPACE = ("sampler=random", "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))")
INSTANT = ("trial.target=benchmarks.targets:instant", "workers=1")
SLEEPING = ("trial.target=benchmarks.targets:sleeping", "study.trials=40", f"workers={WORKERS}")
BATCHES = ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={WORKERS}")
EDGE = 100


def run(trials: int = 1000) -> None:
    """Measures, and prints a row per figure with its goal."""
    table = Table("figure", "measured", "must reach")
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder, "long")
        for row in _cost(long, trials):
            table.add_row(*row)
        table.add_row(*_resume(long, trials))
    with tempfile.TemporaryDirectory() as folder:
        for row in _idle(Path(folder)):
            table.add_row(*row)
    Console(width=110).print(table)


def _cost(folder: Path, trials: int) -> list[tuple[str, str, str]]:
    """Measures the engine alone, by the time between starts of trials that take no time, with one worker."""
    folder.mkdir()
    ended = sweep(folder, *SPACE, *INSTANT, f"study.trials={trials}")
    runs = trained(folder)
    assert len(runs) == trials, len(runs)
    costs = [later.start - earlier.start for earlier, later in pairwise(runs)]
    first, last = _cpu_between(ended, runs[1], runs[EDGE]), _cpu_between(ended, runs[-EDGE], runs[-1])
    return [
        ("engine's cost a trial, median", f"{statistics.median(costs):.3f} s", "≤ 0.15 s"),
        (f"CPU of the last {EDGE} against the first {EDGE} of {trials}", f"{last / first:.2f} ×", "≤ 1.2 ×"),
        ("growth of the driver's memory", f"{_growth(ended, runs):.0f} MB", "< 50 MB"),
    ]


def _cpu_between(ended: Ended, first: TrialRun, last: TrialRun) -> float:
    """Returns the CPU-seconds between two trials' starts; wall-clock time of a shared machine says little."""
    moments, seconds = zip(*ended.cpu, strict=True)
    return float(np.interp(last.start, moments, seconds) - np.interp(first.start, moments, seconds))


def _growth(ended: Ended, runs: list[TrialRun]) -> float:
    """Returns the growth of the driver's memory from the tenth trial, after all imports, to the last."""
    while_training = [rss for when, rss in ended.rss_mb if runs[10].start <= when <= runs[-1].end]
    return while_training[-1] - while_training[0]


def _resume(folder: Path, trials: int) -> tuple[str, str, str]:
    """Times the command that continues a finished sweep with one more trial."""
    ended = sweep(folder, *SPACE, *INSTANT, f"study.trials={trials + 1}")
    return f"resume after {trials} trials, with one more", f"{ended.seconds:.1f} s", "< 10 s"


def _idle(folder: Path) -> list[tuple[str, str, str]]:
    """Measures the share of time that two workers are idle, over 40 trials of 1 to 10 s."""
    rows = []
    for name, extra, goal in (("workers", (), "< 5 %"), ("batches (joblib)", BATCHES, "over 25 %")):
        place = folder / name.split()[0]
        place.mkdir()
        sweep(place, *SPACE, *SLEEPING, *extra)
        runs = trained(place)
        span = max(run.end for run in runs) - min(run.start for run in runs)
        busy = sum(run.seconds for run in runs)
        rows.append((f"idle workers, {name}", f"{100 * (1 - busy / (WORKERS * span)):.1f} %", goal))
    return rows

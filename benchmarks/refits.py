"""Measures what training on the validation images, too, gains on the test set.

python -m benchmarks refits      writes a section of docs/winner.md (20 minutes)
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.fashion import FASHION
from benchmarks.page import publish
from benchmarks.race import environment
from benchmarks.results import Results
from benchmarks.serving import PAGE
from kerasweep.report.statistics import difference

DATA = {
    "digits": ("data=digits",),
    "fashion_mnist, 2,000 images": ("data=fashion_mnist", f"data.path={FASHION.path}", "data.limit=2000"),
}
EPOCHS = 15
ACCURACY = re.compile(r"accuracy (0\.\d+|1\.0+) \(")


def run(seeds: int, is_fresh: bool = False) -> None:
    """Trains on `seeds` splits of each data set, refits each, and publishes the differences."""
    results = Results("refits", f"{DATA}, {EPOCHS} epochs")
    if is_fresh:
        results.clear()
    rows = []
    for name, data in DATA.items():
        for seed in range(seeds):
            key = f"{name}, {seed}"
            if results.get(key) is None:
                results.add(key, measure(data, seed))
        rows.append(row_of(name, [results.get(f"{name}, {seed}") for seed in range(seeds)]))
    head = "| data | validated | refitted | difference |\n| --- | --- | --- | --- |"
    table = "\n".join([head, *rows])
    note = (
        f"Mean test accuracy of the default network over {seeds} splits into training and validation images, "
        f"each with weights of its own: the best of {EPOCHS} epochs, and its refit. The difference has "
        f"Student's 95 % interval for other splits, on the same test images. {results.machine()}."
    )
    publish("refits", f"{table}\n\n{note}", PAGE)
    print(table)


def measure(data: Sequence[str], seed: int) -> list[float]:
    """Returns the test accuracies of a single run and of its refit."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        arguments = (*data, f"training.epochs={EPOCHS}", f"training.seed={seed}", f"data.split_seed={seed}")
        run_id = re.search(r"predict: .*run_id=(\w+)", _output(place, "train", *arguments))
        assert run_id is not None
        validated, refitted = ACCURACY.findall(_output(place, "refit", f"run_id={run_id[1]}"))
        return [float(validated), float(refitted)]


def row_of(name: str, pairs: Sequence[Sequence[float]]) -> str:
    """Renders the scores of one data set."""
    validated, refitted = zip(*pairs, strict=True)
    estimate = difference([after - before for before, after in pairs]).estimate
    interval = f"{estimate.mean:+.4f} ({estimate.low:+.4f} to {estimate.high:+.4f})"
    return f"| {name} | {fmean(validated):.4f} | {fmean(refitted):.4f} | {interval} |"


def _output(folder: Path, command: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"src.{command}", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"src.{command} {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout

"""Runs the studies of sweeps/study on real images, and writes docs/lessons.md from their results.

python -m benchmarks.lessons cifar10 FOLDER [NAME …]         train these lessons, or all, on images in FOLDER
python -m benchmarks.lessons fashion_mnist FOLDER [NAME …]   the same on Fashion-MNIST
python -m benchmarks.lessons                                 only write docs/lessons.md from docs/lessons

The sweeps stay in mlruns/lessons, so that the same command goes on after a stop.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import PYTHONPATH, ROOT
from benchmarks.courses import COURSES, lessons_of, overrides, study_of
from benchmarks.lesson_page import LESSONS, write
from kerasweep.multirun.tuning import ONCE

WORK = ROOT / "mlruns" / "lessons"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lessons", description="Measure the lessons.")
    parser.add_argument("dataset", nargs="?", choices=COURSES, help="which images")
    parser.add_argument(
        "images", nargs="?", type=Path, help="folder with cifar-10-batches-py or the IDX files"
    )
    parser.add_argument("lessons", nargs="*", help="which lessons (default: all)")
    arguments = parser.parse_args()
    if arguments.images is not None:
        for name in arguments.lessons or lessons_of(arguments.dataset):
            train(arguments.dataset, name, arguments.images.resolve())
    write()


def train(dataset: str, name: str, images: Path) -> None:
    """Runs a lesson, or the rest of it, and saves its runs as CSV, with the notes of `src.compare`.

    Args:
        dataset: A key of COURSES.
        name: The lesson.
        images: The folder with the images.
    """
    folder = WORK / dataset / name
    folder.mkdir(parents=True, exist_ok=True)
    _run(folder, "src.train", "-m", *(text.format(path=images) for text in overrides(dataset, name)))
    compare = ("src.compare", f"study={study_of(dataset, name)}", "csv=runs.csv")
    compared = _run(folder, *compare, stdout=subprocess.PIPE, text=True).stdout
    print(compared)
    target = LESSONS / dataset / f"{name}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".notes").write_text(notes_of(compared), encoding="utf-8")
    shutil.copyfile(folder / "runs.csv", target)
    print(f"{dataset} {name}: done", flush=True)


def notes_of(compared: str) -> str:
    """Returns the notes of `src.compare`, a line each, without the one that the page's introduction has."""
    notes = (line for line in compared.splitlines(keepends=True) if line.startswith("note: "))
    return "".join(line.removeprefix("note: ") for line in notes if ONCE not in line)


def _run(folder: Path, module: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    return subprocess.run(command, cwd=folder, env=environment, check=True, **options)


if __name__ == "__main__":
    main()

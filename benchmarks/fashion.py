"""Measures the best validation accuracy over time, in the space of study=full_search on Fashion-MNIST."""

import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from benchmarks import ROOT
from benchmarks.curve import Epoch, best_within, progress_table, reach_table
from benchmarks.page import machine, publish
from benchmarks.peers import python_of, versions
from benchmarks.search import Search, searched
from benchmarks.sweeps import histories
from benchmarks.trials import SCRIPTS, images
from kerasweep.config.data import DataConf
from kerasweep.space.parse import axis_of_entry

STUDY = "full_search"
FASHION = DataConf(source="fashion_mnist", path="/usr/share/datasets/fashion-mnist", limit=10_000)
TUNERS = {"hyperband": "KerasTuner, Hyperband", "random": "KerasTuner, RandomSearch"}
WITHOUT_END = 1_000_000


def run(seeds: int, minutes: float = 8, epochs: int = 10) -> None:
    """Runs each search for the same time, in turns, and publishes their best accuracies over time."""
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder, "task.npz")
        export(task, FASHION, epochs)
        searches = [*peers(task), ours(FASHION, minutes, epochs)]
        curves: dict[str, list[list[Epoch]]] = {search.name: [] for search in searches}
        for seed in range(1, seeds + 1):
            shift = (seed - 1) % len(searches)
            for search in [*searches[shift:], *searches[:shift]]:
                found = searched(search, seed, minutes)
                curves[search.name].append(found)
                best = best_within(found, math.inf)
                print(f"  {seed}/{seeds} {search.name}: {best:.4f} in {len(found)} epochs", flush=True)
    tables = f"{progress_table(curves, minutes)}\n\n{reach_table(curves, 'kerasweep', minutes)}"
    publish("fashion", _section(seeds, minutes, epochs, tables))
    print(tables)


def ours(data: DataConf, minutes: float, epochs: int) -> Search:
    """Returns kerasweep's search: the unchanged study with the pruner that README recommends."""
    common = [
        *(f"study={STUDY}", "pruner=asha", f"study.trials={WITHOUT_END}", f"budget.hours={minutes / 60:.6f}"),
        *(f"data={data.source}", f"data.path={data.path or 'null'}", f"data.limit={data.limit or 'null'}"),
        f"training.epochs={epochs}",
    ]

    def command(seed: int) -> list[str]:
        seeds = [f"sampler.seed={seed}", f"training.seed={seed}"]
        return [sys.executable, "-m", "src.train", "-m", *common, *seeds]

    return Search("kerasweep", command, True, recorded)


def peers(task: Path) -> list[Search]:
    interpreter = python_of("keras_tuner")

    def peer(tuner: str, name: str) -> Search:
        script = [interpreter, str(SCRIPTS / "tuner_search.py"), str(task), "epochs.jsonl", tuner]
        return Search(name, lambda seed: [*script, str(seed)], False, written)

    return [peer(tuner, name) for tuner, name in TUNERS.items()]


def export(path: Path, data: DataConf, epochs: int) -> None:
    """Writes images, space and epochs for KerasTuner's script."""
    arrays = {axis: np.array(ends) for axis, ends in space().items()}
    np.savez(path, **images(data), **arrays, epochs=np.array(epochs))  # type: ignore[arg-type]


def space() -> dict[str, list]:
    """Returns the study's axes by the last part of their key: every choice, or the ends of an interval."""
    entries = OmegaConf.load(ROOT / "sweeps" / "study" / f"{STUDY}.yaml").study.space
    axes = {key: axis_of_entry(key, entry, lambda _: ()) for key, entry in entries.items()}
    return {key.rpartition(".")[2]: axis.ends() for key, axis in axes.items()}


def recorded(folder: Path, began: float) -> list[Epoch]:
    """Reads the epochs that kerasweep recorded in MLflow; it trains no configuration twice."""
    return [
        Epoch(moment - began, round(accuracy, 6), str(number))
        for number, run in enumerate(histories(folder))
        for moment, accuracy in zip(run.moments, run.accuracies, strict=True)
    ]


def written(folder: Path, began: float) -> list[Epoch]:
    """Reads the epochs that KerasTuner's script wrote, rounded so that equal counts are equal accuracies."""
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    return [
        Epoch(line["moment"] - began, round(line["accuracy"], 6), str(line["configuration"]))
        for line in lines
    ]


def _section(seeds: int, minutes: float, epochs: int, tables: str) -> str:
    held = ", ".join(f"{name} {version}" for name, version in versions("keras_tuner").items())
    return (
        "## Best accuracy against the clock\n\n"
        f"The space of `study={STUDY}` (filter size, batch size, regularizer with its strength, initializer) "
        f"on {FASHION.limit:,} images of Fashion-MNIST, of which {FASHION.validation_split:.0%} validate. "
        f"Each search has {minutes:g} minutes per seed from the start of its process, in turns, and at most "
        f"{epochs} epochs per configuration. KerasTuner's Hyperband (factor 3, iterated) and RandomSearch "
        f"train in one process with all cores; kerasweep is `python -m src.train -m study={STUDY} "
        f"pruner=asha budget.hours=… training.epochs={epochs}`, whose sampler is TPE, and records every "
        "trial in MLflow. All train the same images and the same network with their defaults: KerasTuner's "
        "is made of Keras's own layers, kerasweep's has the warm-up of its batch normalization's moving "
        "statistics. A seed is that of sampler and weights. Accuracies are validation accuracies, the best "
        f"of all epochs so far; epochs that end after the {minutes:g} minutes do not count.\n\n"
        f"{tables}\n\n"
        f"{seeds} seeds; the upper table has means with ranges, the lower one medians of the seeds' pairs "
        "with ranges. "
        f"{machine()}. KerasTuner: {held}.\n"
    )

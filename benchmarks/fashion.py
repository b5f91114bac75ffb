"""Compares the models that searches hand over, in the space of study=full_search on Fashion-MNIST."""

import json
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from benchmarks import ROOT
from benchmarks.page import publish
from benchmarks.peers import python_of, versions
from benchmarks.results import Results
from benchmarks.scores import Score, score_table
from benchmarks.search import Search, run_in, searched
from benchmarks.sweeps import histories, winner_accuracies
from benchmarks.trials import SCRIPTS, data_overrides, images
from kerasweep.config.data import DataConf
from kerasweep.space.parse import axis_of_entry

STUDY = "full_search"
FASHION = DataConf(source="fashion_mnist", path="/usr/share/datasets/fashion-mnist", limit=5000)
TUNERS = {
    "hyperband": "KerasTuner, Hyperband",
    "random": "KerasTuner, RandomSearch",
    "bayesian": "KerasTuner, BayesianOptimization",
}
# Each switches one advantage off.
VARIANTS = {
    "kerasweep": (),
    "kerasweep, one worker": ("workers=1",),
    "kerasweep, Keras's averaging": ("model.normalization.moving_statistics=keras",),
    "kerasweep, random sampler": ("sampler=random",),
    "kerasweep, no pruning": ("pruner=none",),
}
WITHOUT_END = 1_000_000
# For what budget.hours does not count: kerasweep's command shall end in time, its model and test included.
START_AND_END = 20.0


def run(seeds: int, minutes: float, is_fresh: bool, epochs: int = 10) -> None:
    """Runs each search for the same time, in turns, and publishes the accuracies of their models.

    Args:
        seeds: How many searches each contender makes.
        minutes: The time of a search.
        is_fresh: Whether to measure everything again, instead of what an interrupted start has not.
        epochs: Of a configuration at most.
    """
    results = Results("fashion", f"{FASHION}, {epochs} epochs")
    if is_fresh:
        results.clear()
    scores: dict[str, list[Score]] = {}
    for seed in range(1, seeds + 1):
        data = replace(FASHION, split_seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            task = Path(folder, "task.npz")
            export(task, data, epochs)
            searches = [*peers(task), *ours(data, minutes, epochs)]
            shift = (seed - 1) % len(searches)
            for search in [*searches[shift:], *searches[:shift]]:
                score = _score(search, seed, minutes, results)
                scores.setdefault(search.name, []).append(score)
                print(f"  {seed}/{seeds} {search.name}: {score.test_accuracy:.4f}", flush=True)
    table = score_table({name: scores[name] for name in (*TUNERS.values(), *VARIANTS)}, "kerasweep")
    publish("fashion", _section(seeds, minutes, epochs, table, results.machine()))
    print(table)


def _score(search: Search, seed: int, minutes: float, results: Results) -> Score:
    key = f"{search.name}, seed {seed}, {minutes:g} minutes"
    if results.get(key) is None:
        results.add(key, asdict(searched(search, seed, minutes)))
    return Score(**results.get(key))


def ours(data: DataConf, minutes: float, epochs: int) -> list[Search]:
    """Returns kerasweep's search, the unchanged study, and the same with one advantage switched off each."""
    hours = (60 * minutes - START_AND_END) / 3600
    common = [
        *(f"study={STUDY}", f"study.trials={WITHOUT_END}", f"budget.hours={hours:.6f}"),
        *data_overrides(data),
        f"training.epochs={epochs}",
    ]

    def variant(name: str, overrides: tuple[str, ...]) -> Search:
        def command(seed: int) -> list[str]:
            seeds = [f"sampler.seed={seed}", f"training.seed={seed}"]
            return [sys.executable, "-m", "src.train", "-m", *common, *seeds, *overrides]

        return Search(name, command, True, recorded)

    return [variant(name, overrides) for name, overrides in VARIANTS.items()]


def peers(task: Path) -> list[Search]:
    """Returns KerasTuner's searches."""
    interpreter = python_of("keras_tuner")

    def peer(tuner: str, name: str) -> Search:
        def command(seed: int, *more: str) -> list[str]:
            script = str(SCRIPTS / "tuner_search.py")
            return [interpreter, script, str(task), "epochs.jsonl", tuner, str(seed), *more]

        def result(folder: Path, seed: int) -> tuple[float, int, int]:
            run_in(folder, command(seed, "test"), None)
            return written(folder)

        return Search(name, command, False, result)

    return [peer(tuner, name) for tuner, name in TUNERS.items()]


def export(path: Path, data: DataConf, epochs: int) -> None:
    """Writes images, space and epochs for KerasTuner's script."""
    arrays = {axis: np.array(ends) for axis, ends in space().items()}
    np.savez(path, **images(data, with_test=True), **arrays, epochs=np.array(epochs))  # type: ignore[arg-type]


def space() -> dict[str, list]:
    """Returns the study's axes by the last part of their key: every choice, or the ends of an interval."""
    entries = OmegaConf.load(ROOT / "sweeps" / "study" / f"{STUDY}.yaml").study.space
    axes = {key: axis_of_entry(key, entry, lambda _: ()) for key, entry in entries.items()}
    return {key.rpartition(".")[2]: axis.ends() for key, axis in axes.items()}


def recorded(folder: Path, seed: int) -> tuple[float, int, int]:
    """Reads the test accuracy of kerasweep's winner, and the number of its trials and epochs."""
    trials = histories(folder)
    (accuracy,) = winner_accuracies(folder)
    return accuracy, len(trials), sum(len(trial.accuracies) for trial in trials)


def written(folder: Path) -> tuple[float, int, int]:
    """Reads the test accuracy of KerasTuner's best model, and the number of configurations and epochs."""
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    configurations = {str(line["configuration"]) for line in lines}
    return float((folder / "test.json").read_text()), len(configurations), len(lines)


def _section(seeds: int, minutes: float, epochs: int, table: str, machine: str) -> str:
    held = ", ".join(f"{name} {version}" for name, version in versions("keras_tuner").items())
    return (
        "## The model after a search\n\n"
        f"The space of `study={STUDY}` (filter size, batch size, regularizer with its strength, initializer) "
        f"on {FASHION.limit:,} images of Fashion-MNIST, of which {FASHION.validation_split:.0%} validate. "
        f"Each search has {minutes:g} minutes per seed from the start of its process, in turns, and at most "
        f"{epochs} epochs per configuration. Then the model that it hands over is tested on the 10,000 test "
        "images, which no search has seen: KerasTuner's is `get_best_models()[0]`, loaded and tested after "
        "its time; kerasweep's is the winner that its command saves and tests within the time. So it does "
        "not matter how often a search looks at its validation images.\n\n"
        "KerasTuner's Hyperband (factor 3, iterated), RandomSearch and BayesianOptimization have their "
        "defaults and train in one process with all cores, the network with Keras's own layers. kerasweep is "
        f"`python -m src.train -m study={STUDY} budget.hours=… training.epochs={epochs}`, with one worker "
        "for each core, the warm-up of its batch normalization's moving statistics, TPE, and ASHA; it "
        "records every trial in MLflow. The last four rows each switch one of these off. A seed is that of "
        "sampler, weights, and split: the searches of a seed have the same images.\n\n"
        f"{table}\n\n"
        f"{seeds} seeds; intervals are Student's over the seeds, paired for differences, and each holds for "
        f"itself alone. {machine}. KerasTuner: {held}.\n"
    )

"""Times a grid of small trainings on digits as whole processes, against the peers, with the accuracies."""

import json
import math
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from omegaconf import OmegaConf

from benchmarks.page import machine, publish
from benchmarks.peers import python_of, versions
from benchmarks.race import Contender, Times, race
from kerasweep.config.data import DataConf
from kerasweep.data.prepare import prepare
from kerasweep.data.sources import load

SCRIPTS = Path(__file__).with_name("contenders")
AXES = {
    "kernel_size": "model.kernel_size",
    "batch_size": "training.batch_size",
    "regularizer": "regularizer",
    "initializer": "initializer",
    "seed": "training.seed",
}
PEERS = {"keras_tuner": "KerasTuner", "hydra_optuna_sweeper": "hydra-optuna-sweeper, MLflow"}


@dataclass(frozen=True)
class Grid:
    """A grid of configurations: every combination is trained for `epochs` epochs."""

    kernel_size: tuple[int, ...] = (3, 5)
    batch_size: tuple[int, ...] = (32, 64)
    regularizer: tuple[str, ...] = ("none", "l1", "l2")
    initializer: tuple[str, ...] = ("glorot_uniform", "he_normal")
    seed: tuple[int, ...] = (0,)
    epochs: int = 3
    filters: tuple[int, ...] = (16, 32)

    @property
    def size(self) -> int:
        return math.prod(len(getattr(self, axis)) for axis in AXES)

    def overrides(self) -> list[str]:
        """Returns the grid as overrides of kerasweep."""
        axes = [f"{AXES[axis]}={','.join(map(str, getattr(self, axis)))}" for axis in AXES]
        filters = ",".join(map(str, self.filters))
        return [*axes, f"training.epochs={self.epochs}", f"model.filters=[{filters}]"]


def run(seeds: int, repeats: int) -> None:
    """Times the grid with this number of seeds, and publishes the table; prints the ratios last."""
    grid = Grid(seed=tuple(range(seeds)))
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder, "task.npz")
        export(task, grid)
        contenders = [*peers(task), *ours(grid)]
        if seeds > 1:  # one seed suffices for the others, in a third of the time
            contenders = [one for one in contenders if one.name in ("kerasweep", *PEERS.values())]
        found = race(contenders, repeats)
    table = table_of(found)
    publish("trials" if seeds == 1 else f"trials{grid.size}", _section(grid, repeats, table))
    print(table)
    own = statistics.median(found["kerasweep"].seconds)
    ratios = {peer: statistics.median(found[name].seconds) / own for peer, name in PEERS.items()}
    print("ratio", *(f"{peer}={ratio:.1f}" for peer, ratio in ratios.items()))


def peers(task: Path) -> list[Contender]:
    """Returns Keras in a loop, KerasTuner and hydra-optuna-sweeper."""
    tuner, sweeper = (python_of(peer) for peer in PEERS)
    return [
        script("Keras in a loop", "bare_keras.py", tuner, task),
        script(PEERS["keras_tuner"], "tuner.py", tuner, task),
        script(PEERS["hydra_optuna_sweeper"], "optuna_sweeper.py", sweeper, task),
    ]


def script(name: str, file: str, interpreter: str, task: Path) -> Contender:
    return Contender(name, [interpreter, str(SCRIPTS / file), str(task), "found.json"], _written)


def ours(grid: Grid) -> list[Contender]:
    """Returns kerasweep with its defaults, with a single worker, and without shared programs.

    All use Keras's moving averages, so that the accuracies agree with those of the peers.
    """
    statistics_of_keras = "model.normalization.moving_statistics=keras"
    command = [sys.executable, "-m", "src.train", "-m", *grid.overrides(), statistics_of_keras]
    return [
        Contender("kerasweep", command, _recorded),
        Contender("kerasweep, workers=1", [*command, "workers=1"], _recorded),
        Contender("kerasweep, reuse_programs=false", [*command, "training.reuse_programs=false"], _recorded),
    ]


def export(path: Path, grid: Grid) -> None:
    """Writes the images of data=digits and the grid for the scripts."""
    arrays = {axis: np.array(getattr(grid, axis)) for axis in (*AXES, "epochs", "filters")}
    np.savez(path, **images(DataConf(source="digits")), **arrays)  # type: ignore[arg-type]


def images(data: DataConf) -> dict[str, np.ndarray]:
    """Returns the training and the validation part, split and scaled by kerasweep, for the scripts."""
    cfg = OmegaConf.structured(data)
    prepared = prepare(cfg, load(cfg))
    arrays: dict[str, np.ndarray] = {}
    for name, part in (("train", prepared.train), ("validation", prepared.validation)):
        arrays |= {f"x_{name}": prepared.scaling.apply(part.images), f"y_{name}": part.labels}
    return arrays


def _written(folder: Path) -> list[float]:
    return [float(value) for value in json.loads((folder / "found.json").read_text())]


def _recorded(folder: Path) -> list[float]:
    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("kerasweep")
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'", max_results=1000)
    return [float(run.data.metrics["objective"]) for run in runs]


def table_of(found: dict[str, Times]) -> str:
    """Returns a Markdown table of median times with ranges, ratios to kerasweep, and accuracies."""
    own = statistics.median(found["kerasweep"].seconds)
    lines = [
        "| contender | seconds, median (range) | × kerasweep | CPU-seconds | accuracy, mean ± spread |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, times in found.items():
        median = statistics.median(times.seconds)
        lines.append(
            f"| {name} | {median:.1f} ({min(times.seconds):.1f}–{max(times.seconds):.1f}) "
            f"| {median / own:.1f} | {statistics.median(times.cpu_seconds):.0f} "
            f"| {statistics.mean(times.accuracies):.3f} ± {statistics.pstdev(times.accuracies):.3f} |"
        )
    return "\n".join(lines)


def _section(grid: Grid, repeats: int, table: str) -> str:
    what = f" with {len(grid.seed)} seeds each" if len(grid.seed) > 1 else ""
    held = {name: version for peer in PEERS for name, version in versions(peer).items()}
    return (
        f"## {grid.size} trials on digits\n\n"
        f"Kernel 3/5 × batch 32/64 × none/l1/l2 × Glorot/He{what}, {grid.epochs} epochs each, whole process "
        "from start to exit, in turns. kerasweep and hydra-optuna-sweeper record every trial in MLflow, each "
        "in a new database; KerasTuner records nothing there. All contenders train the same images, with "
        "Keras's own averaging of batch normalization. The same seed gives each contender other weights: "
        "with one seed the accuracies differ by this chance, with four seeds less.\n\n"
        f"{table}\n\n"
        f"{repeats} repeats, {machine()}. Peers: {', '.join(f'{k} {v}' for k, v in held.items())}.\n"
    )

"""Times grids of small trainings as whole processes, against the peers, with the accuracies."""

import json
import math
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from omegaconf import OmegaConf

from benchmarks.page import publish
from benchmarks.peers import python_of, versions
from benchmarks.race import Contender, Times, race
from benchmarks.results import Results
from kerasweep.config.data import DataConf
from kerasweep.data.prepare import prepare
from kerasweep.data.sources import load

SCRIPTS = Path(__file__).with_name("contenders")
AXES = {
    "kernel_size": "model.kernel_size",
    "downsampling": "model.downsampling",
    "batch_size": "training.batch_size",
    "dropout": "model.dropout",
    "regularizer": "regularizer",
    "initializer": "initializer",
    "seed": "training.seed",
}
FASHION = DataConf(source="fashion_mnist", path="/usr/share/datasets/fashion-mnist", limit=5000)
PEERS = {"keras_tuner": "KerasTuner", "hydra_optuna_sweeper": "hydra-optuna-sweeper, MLflow"}
SHORT = ("kerasweep", "KerasTuner, 2 processes", "hydra-optuna-sweeper, MLflow, 2 processes", *PEERS.values())


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
    downsampling: tuple[str, ...] = ("max",)
    dropout: tuple[float, ...] = (0.0,)
    data: DataConf = field(default_factory=lambda: DataConf(source="digits"))

    @property
    def size(self) -> int:
        return math.prod(len(getattr(self, axis)) for axis in AXES)

    def overrides(self) -> list[str]:
        """Returns the grid as overrides of kerasweep."""
        axes = [f"{AXES[axis]}={','.join(map(str, getattr(self, axis)))}" for axis in AXES]
        filters = ",".join(map(str, self.filters))
        return [
            *data_overrides(self.data),
            *axes,
            f"training.epochs={self.epochs}",
            f"model.filters=[{filters}]",
        ]


TWO_GRAPHS = Grid()
# Each graph serves two trials, so that tracing takes a large part of the time.
TWELVE_GRAPHS = Grid(
    kernel_size=(3, 5, 7),
    downsampling=("max", "stride"),
    batch_size=(16, 128),
    dropout=(0.0, 0.3),
    regularizer=("none",),
    initializer=("glorot_uniform",),
    epochs=1,
    data=FASHION,
)


def run(name: str, grid: Grid, repeats: int, is_fresh: bool) -> None:
    """Times the grid, and publishes the table; prints the ratios last.

    Args:
        name: The benchmark, of which an interrupted start is continued.
        grid: The trials.
        repeats: How often each contender trains them.
        is_fresh: Whether to measure everything again.
    """
    results = Results(name, str(grid))
    if is_fresh:
        results.clear()
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder, "task.npz")
        export(task, grid)
        contenders = [*peers(task), *ours(grid)]
        if len(grid.seed) > 1:  # one seed suffices for the others, in a third of the time
            contenders = [contender for contender in contenders if contender.name in SHORT]
        found = race(contenders, repeats, results)
    table = table_of(found)
    publish(name, _section(grid, repeats, table, results.machine()))
    print(table)
    own = statistics.median(found["kerasweep"].seconds)
    ratios = {name: statistics.median(found[name].seconds) / own for name in SHORT[1:]}
    print("ratio", *(f"{name}: {ratio:.1f}" for name, ratio in ratios.items()), sep="\n")


def peers(task: Path) -> list[Contender]:
    """Returns Keras in a loop, KerasTuner and hydra-optuna-sweeper, these two with two processes as well."""
    tuner, sweeper = (python_of(peer) for peer in PEERS)
    names = PEERS["keras_tuner"], PEERS["hydra_optuna_sweeper"]
    return [
        script("Keras in a loop", "bare_keras.py", tuner, task),
        script(names[0], "tuner.py", tuner, task),
        script(f"{names[0]}, 2 processes", "tuner_pair.py", tuner, task),
        script(names[1], "optuna_sweeper.py", sweeper, task, "1"),
        script(f"{names[1]}, 2 processes", "optuna_sweeper.py", sweeper, task, "2"),
    ]


def script(name: str, file: str, interpreter: str, task: Path, *more: str) -> Contender:
    return Contender(name, [interpreter, str(SCRIPTS / file), str(task), "found.json", *more], _written)


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
    """Writes the images and the grid for the scripts."""
    arrays = {axis: np.array(getattr(grid, axis)) for axis in (*AXES, "epochs", "filters")}
    np.savez(path, **images(grid.data), **arrays)  # type: ignore[arg-type]


def data_overrides(data: DataConf) -> list[str]:
    """Returns the data as overrides of kerasweep."""
    fields = {"path": data.path, "limit": data.limit, "split_seed": data.split_seed}
    given = [f"data.{key}={value}" for key, value in fields.items() if value is not None]
    return [f"data={data.source}", *given]


def images(data: DataConf, with_test: bool = False) -> dict[str, np.ndarray]:
    """Returns the parts of the data, split and scaled by kerasweep, for the scripts."""
    cfg = OmegaConf.structured(data)
    prepared = prepare(cfg, load(cfg))
    arrays: dict[str, np.ndarray] = {}
    parts = {"train": prepared.train, "validation": prepared.validation}
    for name, part in (parts | ({"test": prepared.test} if with_test else {})).items():
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


def _section(grid: Grid, repeats: int, table: str, machine: str) -> str:
    held = {name: version for peer in PEERS for name, version in versions(peer).items()}
    return (
        f"## {_title(grid)}\n\n"
        f"{_axes(grid)}, {grid.epochs} {'epoch' if grid.epochs == 1 else 'epochs'} each, whole process from "
        "start to exit, in turns. kerasweep and hydra-optuna-sweeper record every trial in MLflow, each in a "
        "new database; KerasTuner records nothing there. With 2 processes, KerasTuner searches as its guide "
        "on distributed tuning says, with a chief beside the two, whose end is not waited for; "
        "hydra-optuna-sweeper has `n_jobs=2` and hydra-joblib-launcher. Each of them has one thread then, as "
        "kerasweep's workers. All contenders train the same images, with Keras's own averaging of batch "
        "normalization. The same seed gives each contender other weights: with one seed the accuracies "
        "differ by this chance, with four seeds less.\n\n"
        f"{table}\n\n"
        f"{repeats} repeats, {machine}. Peers: {', '.join(f'{k} {v}' for k, v in held.items())}.\n"
    )


def _title(grid: Grid) -> str:
    return f"{grid.size} trials on {grid.data.source}" + (", twelve graphs" if grid == TWELVE_GRAPHS else "")


def _axes(grid: Grid) -> str:
    """Returns the axes with several values: `kernel_size 3/5 × batch_size 32/64`."""
    axes = {axis: getattr(grid, axis) for axis in AXES}
    swept = [f"{axis} {'/'.join(map(str, values))}" for axis, values in axes.items() if len(values) > 1]
    limit = f"{grid.data.limit:,} images, " if grid.data.limit else ""
    return f"{limit}{' × '.join(swept)}"

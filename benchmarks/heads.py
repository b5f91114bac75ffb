"""Times 24 heads on a frozen backbone as whole processes: its outputs kept or not, and KerasTuner."""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from omegaconf import OmegaConf

from benchmarks.page import publish
from benchmarks.peers import python_of, versions
from benchmarks.race import Contender, Times, race
from benchmarks.results import Results
from benchmarks.trials import script, table_of
from kerasweep.config.data import DataConf
from kerasweep.data.prepare import prepare
from kerasweep.data.sources import load

SIDE, EPOCHS = 96, 10
AXES: dict[str, list[Any]] = {
    "dense_units": [32, 64],
    "dropout": [0.1, 0.3],
    "learning_rate": [0.0003, 0.001, 0.003],
    "batch_size": [32, 64],
}


def run(repeats: int, is_fresh: bool) -> None:
    """Times all contenders in turns, publishes the table, and prints the ratios last."""
    results = Results("heads", f"{AXES}, {SIDE}, {EPOCHS}")
    if is_fresh:
        results.clear()
    with tempfile.TemporaryDirectory() as folder:
        task, weights = Path(folder, "task.npz"), Path(folder, "backbone.weights.h5")
        _write_weights(weights)
        _write_task(task, weights)
        tuner = script("KerasTuner", "tuner_heads.py", python_of("keras_tuner"), task)
        found = race([_ours(weights), tuner, _slow(weights)], repeats, results)
    table = table_of(found)
    publish("heads", _section(repeats, table, results.machine(), found))
    print(table)


def _ours(weights: Path) -> Contender:
    """Returns kerasweep; each process begins with an empty cache."""
    keys = {"dropout": "model.dropout", "learning_rate": "optimizer.learning_rate"}
    keys["batch_size"] = "training.batch_size"
    axes = [f"{key}={','.join(map(str, AXES[axis]))}" for axis, key in keys.items()]
    heads = f"model.dense_units={','.join(f'[{units}]' for units in AXES['dense_units'])}"
    backbone = ["model=backbone", "model.backbone=mobilenet_v3_small", f"model.weights={weights}"]
    size = [f"model.image_size=[{SIDE},{SIDE}]", f"training.epochs={EPOCHS}", "data.cache_dir=cache"]
    command = [sys.executable, "-m", "src.train", "-m", heads, *axes, *backbone, *size]
    return Contender("kerasweep", command, _recorded)


def _slow(weights: Path) -> Contender:
    """Returns kerasweep without kept features."""
    command = [*_ours(weights).command, "model.cache_features=false"]
    return Contender("kerasweep, cache_features=false", command, _recorded)


def _recorded(folder: Path) -> list[float]:
    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("kerasweep")
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'", max_results=1000)
    return [float(run.data.metrics["max_val_accuracy"]) for run in runs]


def _digits() -> dict[str, np.ndarray]:
    cfg = OmegaConf.structured(DataConf(source="digits"))
    data = prepare(cfg, load(cfg))
    parts = {"train": data.train, "validation": data.validation}
    return {
        f"{axis}_{name}": value
        for name, part in parts.items()
        for axis, value in (("x", part.images), ("y", part.labels))
    }


def _write_task(path: Path, weights: Path) -> None:
    numbers = {**AXES, "side": SIDE, "epochs": EPOCHS}
    arrays = {name: np.array(value) for name, value in numbers.items()}
    np.savez(path, **_digits(), **arrays, weights=np.array(str(weights)))  # type: ignore[arg-type]


def _write_weights(path: Path) -> None:
    """Saves random weights, with the digits' statistics of batch normalization: there are none offline."""
    import keras

    keras.utils.set_random_seed(0)
    base = keras.applications.MobileNetV3Small(input_shape=(SIDE, SIDE, 3), include_top=False, weights=None)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    images = np.repeat(_digits()["x_train"][:256].astype(np.float32), 3, axis=-1)
    base(keras.ops.image.resize(images, (SIDE, SIDE)), training=True)
    base.save_weights(path)


def _section(repeats: int, table: str, machine: str, found: dict[str, Times]) -> str:
    own = statistics.median(found["kerasweep"].cpu_seconds)
    tuner, slow = (statistics.median(times.cpu_seconds) / own for times in list(found.values())[1:])
    axes = " × ".join(f"{axis} {'/'.join(map(str, values))}" for axis, values in AXES.items())
    held = ", ".join(f"{name} {version}" for name, version in versions("keras_tuner").items())
    return (
        f"## 24 heads on a frozen backbone\n\n"
        f"{axes}, {EPOCHS} epochs each, on a frozen MobileNetV3Small that reads the digits at {SIDE}×{SIDE}; "
        "whole process from start to exit, in turns. kerasweep computes the backbone's outputs once, into "
        "a cache that is empty at the start of each process, and records every trial in MLflow; KerasTuner "
        "calls the backbone for each image in each epoch. The weights are the same random ones, "
        "with batch normalization fitted to the digits: the table is about speed. Without kept features "
        f"kerasweep uses {slow:.0f} times the CPU-seconds, KerasTuner {tuner:.0f} times. "
        f"Other programs ran beside them, so the CPU-seconds compare them.\n\n{table}\n\n"
        f"Repeats: {repeats}; {machine}. Peer: {held}.\n"
    )

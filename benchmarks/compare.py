"""Measures time and memory of src.compare over ten thousand recorded runs."""

import itertools
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from benchmarks.page import machine, publish
from benchmarks.race import environment
from kerasweep.config.search import TrackingConf
from kerasweep.tracking.writer import open_tracker

SEEDS, EPOCHS = 5, 5
AXES = {
    "kernel_size": ["3", "5", "7", "9", "11"],
    "batch_size": [str(8 * number) for number in range(1, 21)],
    "regularizer": ["none", "l1", "l2", "l1_l2"],
    "initializer": ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"],
}
OTHERS = {f"model.key_{number}": "a value" for number in range(40)}


def run(repeats: int, runs: int = 10_000) -> None:
    """Records a full grid of runs through MLflow's client, and times src.compare as a whole process."""
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), runs)
        found = [compared(Path(folder)) for _ in range(repeats)]
    table, page, megabytes = (sorted(each)[len(each) // 2] for each in zip(*found, strict=True))
    sentence = f"the table appears after {table:.1f} s, the page after {page:.1f} s, with {megabytes:.0f} MB"
    publish(
        "compare",
        f"## Comparing {runs:,} runs\n\n`python -m src.compare study=made` over {runs // SEEDS:,} "
        f"configurations of four axes with {SEEDS} seeds each, recorded through MLflow's client with "
        f"{len(OTHERS) + 2} params per run: {sentence}.\n\n{repeats} repeats, medians, {machine()}.\n",
    )
    print(sentence)


def record(folder: Path, runs: int) -> None:
    """Records runs in the database that src.compare reads in this folder."""
    (folder / "mlruns").mkdir()
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    tracker = open_tracker(TrackingConf(uri=uri))
    own = {"study": "made", "sweep": "made-1", "dataset": "digits", "objective": "val_accuracy maximize"}
    tracker.start("made-1", {**own, "kind": "study", "axes": ",".join(AXES)}, {})
    for number, (values, seed) in enumerate(itertools.islice(_grid(), runs)):
        _record(tracker.client, tracker.experiment_id, {**own, **values, "trial": str(number)}, seed)


def _grid() -> Iterator[tuple[dict[str, str], int]]:
    for values in itertools.product(*AXES.values()):
        for seed in range(SEEDS):
            yield dict(zip(AXES, values, strict=True)), seed


def _record(client: MlflowClient, experiment_id: str, tags: dict[str, str], seed: int) -> None:
    luck = random.Random(f"{sorted(tags.items())} {seed}")
    accuracy = 0.9 - 0.0002 * int(tags["batch_size"]) + luck.gauss(0, 0.01)
    made = client.create_run(experiment_id, tags={**tags, "kind": "trial", "state": "complete"})
    params = {**OTHERS, "training.seed": str(seed), "training.epochs": str(EPOCHS)}
    final = {"objective": accuracy, "seconds": 1.5, "parameters": 6_000.0, "best_epoch": 5.0, "traces": 0.0}
    now = int(1000 * time.time())
    metrics = [Metric(name, value, now, 0) for name, value in final.items()]
    for epoch in range(1, EPOCHS + 1):
        metrics.append(Metric("val_accuracy", accuracy * epoch / EPOCHS, now, epoch))
    client.log_batch(
        made.info.run_id, metrics, [Param(*each) for each in params.items()], [RunTag("note", "made")]
    )
    client.set_terminated(made.info.run_id)


def compared(folder: Path) -> tuple[float, float, float]:
    """Returns the seconds until the table is complete, those of the whole command, and its memory in MB."""
    command = [sys.executable, "-u", "-m", "src.compare", "study=made"]
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = [(time.perf_counter() - began, line) for line in process.stdout]
    whole = time.perf_counter() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, "".join(line for _, line in lines))
    table = next(seconds for seconds, line in lines if re.match(r"\d+ runs: ", line))
    return table, whole, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024

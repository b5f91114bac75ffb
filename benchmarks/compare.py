"""Measures time and memory of src.compare over thousands of recorded runs."""

import itertools
import random
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from benchmarks.page import machine, publish
from benchmarks.race import environment
from kerasweep.config.search import TrackingConf
from kerasweep.tracking.writer import open_tracker

SEEDS, EPOCHS = 5, 5
MAX_RECORDED = 10_000  # more runs would take MLflow's client hours
AXES = {
    "kernel_size": ["3", "5", "7", "9", "11"],
    "batch_size": [str(8 * number) for number in range(1, 21)],
    "regularizer": ["none", "l1", "l2", "l1_l2"],
    "initializer": ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"],
}
OTHERS = {f"model.key_{number}": "a value" for number in range(40)}


def run(repeats: int, runs: int = 10_000, name: str = "compare", is_small: bool = False) -> None:
    """Records a full grid of runs, and times src.compare as a whole process.

    Args:
        repeats: How often.
        runs: How many are recorded.
        name: Of the section of the page.
        is_small: Whether to print alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), runs)
        found = [compared(Path(folder)) for _ in range(repeats)]
    table, page, megabytes = (sorted(each)[len(each) // 2] for each in zip(*found, strict=True))
    sentence = f"the table appears after {table:.1f} s, the page after {page:.1f} s, with {megabytes:.0f} MB"
    print(sentence)
    if is_small:
        return
    copies = "" if runs <= MAX_RECORDED else f" ({runs - MAX_RECORDED:,} of them are copies of its rows)"
    often = "once" if repeats == 1 else f"{repeats} repeats, medians"
    publish(
        name,
        f"## Comparing {runs:,} runs\n\n`python -m src.compare study=made` over {runs // SEEDS:,} "
        f"configurations of {len(axes_for(runs))} axes with {SEEDS} seeds each, recorded through MLflow's "
        f"client{copies} with {len(OTHERS) + 2} params per run: {sentence}.\n\n{often}, {machine()}.\n",
    )


def axes_for(runs: int) -> dict[str, list[str]]:
    """Returns the axes of the grid; more than MAX_RECORDED runs have another one."""
    if runs <= MAX_RECORDED:
        return AXES
    return {"dropout": [f"{rate / 20}" for rate in range(-(-runs // MAX_RECORDED))], **AXES}


def record(folder: Path, runs: int) -> None:
    """Records runs in the database that src.compare reads in this folder."""
    (folder / "mlruns").mkdir()
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    tracker = open_tracker(TrackingConf(uri=uri))
    own = {"study": "made", "sweep": "made-1", "dataset": "digits", "objective": "val_accuracy maximize"}
    axes = axes_for(runs)
    tracker.start("made-1", {**own, "kind": "study", "axes": ",".join(axes)}, {})
    for number, (values, seed) in enumerate(itertools.islice(_grid(axes), min(runs, MAX_RECORDED))):
        _record(tracker.client, tracker.experiment_id, {**own, **values, "trial": str(number)}, seed)
    for number, rate in enumerate(axes.get("dropout", [])[1:], start=1):
        copy_runs(folder / "mlruns" / "mlflow.db", number, rate)


def _grid(axes: Mapping[str, list[str]]) -> Iterator[tuple[dict[str, str], int]]:
    for values in itertools.product(*axes.values()):
        for seed in range(SEEDS):
            yield dict(zip(axes, values, strict=True)), seed


def copy_runs(database: Path, number: int, rate: str) -> None:
    """Adds copies of all recorded trials, with another rate of dropout and a slightly lower accuracy.

    Args:
        database: MLflow's.
        number: The number of the copy, from 1 to 15.
        rate: The value of the tag `dropout`.
    """
    values = {
        "run_uuid": f"'x{number:x}' || substr(run_uuid, 3)",  # no recorded run's id begins with x
        "tags.value": f"CASE key WHEN 'dropout' THEN '{rate}' "
        f"WHEN 'trial' THEN CAST(value + {number * MAX_RECORDED} AS TEXT) ELSE value END",
        "metrics.value": f"value - {0.001 * number} * (key IN ('objective', 'val_accuracy'))",
    }
    values["latest_metrics.value"] = values["metrics.value"]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "CREATE TEMP TABLE recorded AS SELECT run_uuid FROM tags WHERE key = 'dropout' AND value = '0.0'"
        )
        for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            chosen = [values.get(f"{table}.{name}", values.get(name, name)) for name in columns]
            connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(chosen)} FROM {table} "
                "WHERE run_uuid IN (SELECT run_uuid FROM recorded)"
            )


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

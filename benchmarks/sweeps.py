"""Runs sweeps as users do, in a folder of their own, and reads back what they recorded."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

from benchmarks import PYTHONPATH

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Trained:
    """One trial's run: when it began and ended, in seconds since 1970. seconds: of training."""

    number: int
    start: float
    end: float
    seconds: float


@dataclass(frozen=True)
class History:
    """One trial's run, an epoch after the other.

    params: as they are recorded. moments: when each epoch had ended, in seconds since 1970.
    accuracies: of validation, after each epoch.
    """

    params: Mapping[str, str]
    moments: list[float]
    accuracies: list[float]


@dataclass(frozen=True)
class Ended:
    """A sweep that has ended. seconds: wall-clock.

    rss_mb: of the driver; worker_rss_mb: of its largest worker; cpu: CPU-seconds of the driver and its
    workers. All are pairs with the time since 1970.
    """

    seconds: float
    rss_mb: list[tuple[float, float]]
    worker_rss_mb: list[tuple[float, float]]
    cpu: list[tuple[float, float]]


def sweep(folder: Path, *overrides: str) -> Ended:
    """Run `python -m src.train -m …` in a folder. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "src.train", "-m", *overrides]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    environment.pop("MLFLOW_TRACKING_URI", None)
    began, rss, workers, cpu = time.time(), [], [], []
    with open(folder / "output.txt", "a") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            rss.append((time.time(), driver.memory_info().rss / 2**20))
            workers.append((time.time(), _largest_child_mb(driver)))
            cpu.append((time.time(), _cpu_seconds(driver)))
            time.sleep(POLL_SECONDS)
    if process.returncode:
        print((folder / "output.txt").read_text()[-3000:])
        raise subprocess.CalledProcessError(process.returncode, command)
    return Ended(time.time() - began, rss[:-1], workers[:-1], cpu[:-1])


def _largest_child_mb(driver: psutil.Process) -> float:
    held = [0.0]
    for process in driver.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            held.append(process.memory_info().rss / 2**20)
    return max(held)


def _cpu_seconds(driver: psutil.Process) -> float:
    """Of a process and of those that it has started and that still run."""
    seconds = 0.0
    for process in [driver, *driver.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


def trained(folder: Path) -> list[Trained]:
    """The finished trials of a folder's sweeps, by the time of their start."""
    found = [
        Trained(
            int(run.data.tags["trial"]),
            run.info.start_time / 1000,
            run.info.end_time / 1000,
            run.data.metrics["seconds"],
        )
        for run in _trial_runs(_client(folder))
        if run.info.end_time is not None
    ]
    return sorted(found, key=lambda trial: trial.start)


def histories(folder: Path) -> list[History]:
    """What every trial of a folder's sweeps recorded, pruned ones too."""
    client = _client(folder)
    found = []
    for run in _trial_runs(client):
        epochs = client.get_metric_history(run.info.run_id, "val_accuracy")
        epochs = sorted((epoch for epoch in epochs if epoch.step > 0), key=lambda epoch: epoch.step)
        moments = [epoch.timestamp / 1000 for epoch in epochs]
        found.append(History(run.data.params, moments, [float(epoch.value) for epoch in epochs]))
    return found


def _client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")


def _trial_runs(client: MlflowClient) -> Iterator[Run]:
    experiment, token = client.get_experiment_by_name("kerasweep"), None
    while True:
        page = client.search_runs(
            [experiment.experiment_id], "tags.kind = 'trial'", max_results=1000, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return

"""Runs sweeps as users do, each in a given folder, and reads their records."""

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
class TrialRun:
    """The times of a trial."""

    number: int
    start: float  # in seconds since 1970
    end: float  # in seconds since 1970
    seconds: float  # of training


@dataclass(frozen=True)
class History:
    """The epochs of a trial."""

    params: Mapping[str, str]
    moments: list[float]  # the end of each epoch, in seconds since 1970
    accuracies: list[float]  # of validation, after each epoch


@dataclass(frozen=True)
class Ended:
    """A sweep that has ended, with pairs of (seconds since 1970, value) that were measured meanwhile."""

    seconds: float  # wall-clock
    rss_mb: list[tuple[float, float]]  # of the driver
    worker_rss_mb: list[tuple[float, float]]  # of its largest worker
    cpu: list[tuple[float, float]]  # CPU-seconds of the driver and its workers


def sweep(folder: Path, *overrides: str) -> Ended:
    """Runs `python -m src.train -m …` in a folder. Raises CalledProcessError if it fails."""
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
    """Returns the CPU-seconds of a process and of its running descendants."""
    seconds = 0.0
    for process in [driver, *driver.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


def trained(folder: Path) -> list[TrialRun]:
    """Returns the finished trials of a folder's sweeps, by the time of their start."""
    found = [
        TrialRun(
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
    """Returns the epochs of each trial of a folder's sweeps, pruned trials included."""
    client = _client(folder)
    found = []
    for run in _trial_runs(client):
        epochs = client.get_metric_history(run.info.run_id, "val_accuracy")
        epochs = sorted((epoch for epoch in epochs if epoch.step > 0), key=lambda epoch: epoch.step)
        moments = [epoch.timestamp / 1000 for epoch in epochs]
        found.append(History(run.data.params, moments, [float(epoch.value) for epoch in epochs]))
    return found


def winner_accuracies(folder: Path) -> list[float]:
    """Returns the accuracy on the test set of each tested trial: the winners."""
    metrics = [run.data.metrics for run in _trial_runs(_client(folder))]
    return [float(each["test_accuracy"]) for each in metrics if "test_accuracy" in each]


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

"""Small versions of `python -m benchmarks scale` measure the right quantities."""

import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from benchmarks import page, results
from benchmarks.scale import asks, storages, trials
from benchmarks.scale.light_pool import LightPool
from benchmarks.targets import NAP
from kerasweep.multirun.jobs import TrialJob
from kerasweep.results import TrialRef
from kerasweep.search.journal import JournalFolder
from kerasweep.search.stops import StopRequest
from kerasweep.search.suggest import Proposal
from kerasweep.sweep.driver import Driver
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.view import View
from tests.sweep.stand_ins import Notes


def test_asks_are_measured_once_at_each_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    asks.run((3, 8), 2)
    row = r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$"
    rows = re.findall(row, page.PAGE.read_text(), re.MULTILINE)
    assert [row[0] for row in rows] == ["random", "tpe"] and float(rows[0][1]) > 0
    lines = (tmp_path / "results" / "scale-asks.jsonl").read_text()
    asks.run((3, 8), 2)
    assert (tmp_path / "results" / "scale-asks.jsonl").read_text() == lines and lines.count("\n") == 1


@pytest.mark.parametrize("name", ["journal", "SQLite"])
def test_drivers_of_a_storage_keep_to_the_total(name: str) -> None:
    found = storages.measure(name, drivers=2, trials=6)
    assert (found["complete"], found["others"], found["errors"]) == (6, 0, {})
    assert 0 < found["ask_median"] <= found["ask_95"] and found["trials_a_second"] > 0
    row = storages.section({(name, 2): found}, 7).splitlines()[-1]
    assert row.startswith(f"| {name} | 2 | ") and row.endswith(" | 1 |")  # a trial is missing


class Naps(Notes):
    """Trial runs with jobs for light workers."""

    def job(self, proposal: Proposal, ref: TrialRef, waits: bool) -> tuple[str, Any]:
        cfg = OmegaConf.create({"optimizer": {"learning_rate": proposal.params["a"]}})
        return "unused", TrialJob(cfg, ref, "benchmarks.targets:napping", waits=True)


class Workers(View):
    """Notes which workers train."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self.workers: list[int] = []

    def started(self, worker: int, *arguments: Any) -> None:
        super().started(worker, *arguments)
        self.workers.append(worker)


def test_light_workers_train_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of three workers gets trials, and waits for the pruner's answers."""
    monkeypatch.setenv(NAP, "0")
    sweep = asks.sweep_of(JournalFolder(tmp_path), tmp_path, 6, "random")
    notes, view, pool = Naps(), Workers(Progress.read(sweep)), LightPool(3)
    try:
        Driver(sweep, pool, notes, view, StopRequest()).run()
    finally:
        pool.stop()
    ended = sweep.study.get_trials(deepcopy=False)
    assert [trial.value for trial in ended] == [
        pytest.approx(1 / (1 + abs(trial.params["a"] - 0.01))) for trial in ended
    ]
    assert len(ended) == 6 and set(view.workers) == {0, 1, 2}
    assert sorted(run for run, _ in notes.recorded) == sorted(2 * [f"run-{number}" for number in range(6)])


def test_late_trials_are_compared_with_early_ones() -> None:
    naps = trials.Naps(100, 1.0, 1)
    whole = {"trials": 100, "seconds": 130.0, "driver_cpu_seconds": 75.0, "driver_mb": 80.0}
    growth = {"early_cpu_seconds": 0.1, "early_mb": 60.0, "late_cpu_seconds": 0.12, "late_mb": 70.0}
    lines = trials.section(naps, {"ours": {**whole, **growth}, "peer": whole | {"trials": 50}}).splitlines()
    assert "| ours | 100 | 130 | 1.30 | 0.750 | 80 |" in lines
    assert "| peer | 50 | 130 | 2.60 | 1.500 | 80 |" in lines
    assert lines[-1].startswith("ours: around trial 10 the driver takes 0.100 CPU-s a trial and has 60 MB")
    assert "over the last 10 0.120 CPU-s (1.20 ×)" in lines[-1]


@pytest.mark.parametrize(("count", "ideal"), [(32, 3.0), (33, 4.5)])
def test_the_ideal_counts_whole_rounds(count: int, ideal: float) -> None:
    assert trials.Naps(count, 1.5, 16).ideal == ideal

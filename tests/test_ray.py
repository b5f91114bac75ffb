"""A sweep on a Ray cluster: as on one machine, and workers that go cost what was under way."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord
from tests.processes import run, start_new

WORK = """
import os, pathlib, time
from kerasweep.results import Outcome

def train(cfg, ref, recorder, report, folder):
    size = cfg.training.batch_size
    recorder.set_tags(ref.run_id, {"pid": str(os.getpid()), "threads": os.environ["TF_NUM_INTRAOP_THREADS"]})
    (folder / "notes.txt").write_text("kept")
    recorder.log_file(ref.run_id, folder / "notes.txt", "notes")
    for epoch in (1, 2):
        recorder.log_epoch(ref.run_id, epoch, {"val_accuracy": 0.01 * size})
        if report(epoch, 0.01 * size):
            return Outcome("pruned", ref.run_id, (0.01 * size,), {"val_accuracy": 0.01 * size}, epoch, 0.1)
    if size == 3 and not pathlib.Path("killed").exists():
        pathlib.Path("begun").write_text(str(os.getpid()))
        time.sleep(600)
    return Outcome("complete", ref.run_id, (0.01 * size,), {"val_accuracy": 0.01 * size}, 2, 0.1)
"""
SWEEP = ("-m", "trial.target=work:train", "training.batch_size=1,2,3,4,5", "hydra/launcher=ray")


@pytest.fixture
def folder(tmp_path: Path, copy_database: Callable[[Path], Path]) -> Path:
    copy_database(tmp_path)
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


def runs(folder: Path) -> list[RunRecord]:
    return find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {"kind": "trial"})


def test_a_worker_that_goes_costs_only_what_was_under_way(folder: Path) -> None:
    process = start_new(folder, "train", *SWEEP, "workers=2", "pruner=median", "trial.cpus=0.5")
    deadline = time.monotonic() + 120
    while not (folder / "begun").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    (folder / "killed").touch()
    worker = psutil.Process(int((folder / "begun").read_text()))
    actor = next(parent for parent in worker.parents() if "ray::" in " ".join(parent.cmdline()))
    actor.kill()
    assert not psutil.wait_procs([worker], timeout=30)[1]
    out, err = process.communicate(timeout=120)
    assert process.wait() == 0, (out, err)
    assert "note: trial 2 is trained again: its worker on the cluster has ended: " in out
    assert "finished: all 5 trials are done" in out
    found = runs(folder)
    states = sorted((run.tags["batch_size"], run.tags["state"]) for run in found)
    assert states == [("1", "complete"), ("2", "complete"), ("3", "cancelled"), ("3", "complete")] + [
        (size, "complete") for size in "45"
    ]
    assert {run.tags["threads"] for run in found} == {"1"}
    (lost,) = [run for run in found if run.tags["state"] == "cancelled"]
    assert lost.tags["reason"].startswith("its worker on the cluster has ended: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hydra.launcher.address=127.0.0.1:1"], "Ray cannot be used: "),
        (["trial.cpus=0"], "trial.cpus must be above 0, but got 0"),
        (["trial.gpus=1.5"], "trial.gpus must be whole above 1, as Ray demands, but got 1.5"),
        (["trial.gpus=-1"], "trial.gpus must be at least 0, but got -1"),
    ],
)
def test_bad_input_is_a_sentence(folder: Path, arguments: list[str], said: str) -> None:
    done = run(folder, "train", *SWEEP, *arguments)
    assert done.code == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert all(found.status != "RUNNING" for found in runs(folder))

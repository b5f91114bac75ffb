"""A single run is written by a process of its own: in order, whole, and with every error heard."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient

from kerasweep.commands.beside import TrackerBeside
from kerasweep.config.search import TrackingConf
from kerasweep.errors import RefusedError, TrackingError
from kerasweep.tracking.keras_model import download_model
from tests.processes import environment

# Ends like a command, and tells what its own process has imported.
PROGRAM = """
import atexit, runpy, sys

def tell():
    print("mlflow" in sys.modules, "matplotlib" in sys.modules, "tensorflow" in sys.modules)

atexit.register(tell)
sys.argv = ["src.train", "debug=fast", "training.epochs=1"]
runpy.run_module("src.train", run_name="__main__")
"""


@pytest.fixture
def cfg(copy_database: Callable[[Path], Path], tmp_path: Path) -> TrackingConf:
    return TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")


def beside(cfg: TrackingConf) -> TrackerBeside:
    return TrackerBeside(cfg, get_context("forkserver"))


def process_of(tracker: TrackerBeside) -> int:
    return tracker._pool.submit(os.getpid).result()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one process does both")
def test_the_process_that_trains_imports_neither_mlflow_nor_matplotlib(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False False True"
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("kerasweep").experiment_id])
    drawn = {file.path for file in client.list_artifacts(run.info.run_id, "figures")}
    assert {"figures/dataset.png", "figures/wrong_images.png"} <= drawn


def test_all_that_a_run_holds_arrives(cfg: TrackingConf, tmp_path: Path) -> None:
    import keras

    tracker = beside(cfg)
    run_id = tracker.start("first", {"kind": "run"}, {"training.epochs": "2"})
    tracker.log_epoch(run_id, 1, {"loss": 2.0})
    tracker.log_epoch(run_id, 2, {"loss": 1.0})
    tracker.log_metrics(run_id, {"parameters": 6.0})
    tracker.set_tags(run_id, {"onednn": "1"})
    tracker.log_dataset(run_id, "digits", "0123", "digits", {"train": 3})
    tracker.log_text(run_id, "길이: 3", "config.yaml")
    (tmp_path / "note.txt").write_text("before")
    tracker.log_file(run_id, tmp_path / "note.txt", "notes")
    (tmp_path / "note.txt").write_text("after")
    tracker.log_figure(run_id, partial(Figure, figsize=(1, 1)), "figures/empty.png")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    tracker.log_model(run_id, model, ["a", "b"])
    tracker.finish(run_id, "complete")

    client = MlflowClient(tracking_uri=cfg.uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert {"kind": "run", "onednn": "1", "state": "complete"}.items() <= run.data.tags.items()
    assert run.data.params == {"training.epochs": "2"}
    assert run.data.metrics == {"loss": 1.0, "parameters": 6.0}
    assert [(point.step, point.value) for point in client.get_metric_history(run_id, "loss")] == [
        (1, 2.0),
        (2, 1.0),
    ]
    assert [entry.dataset.digest for entry in run.inputs.dataset_inputs] == ["0123"]
    folder = Path(client.download_artifacts(run_id, "", str(tmp_path)))
    assert (folder / "config.yaml").read_text() == "길이: 3"
    assert (folder / "notes" / "note.txt").read_text() == "before"
    assert (folder / "figures" / "empty.png").read_bytes().startswith(b"\x89PNG")
    file, classes = download_model(cfg, run_id, tmp_path / "model")
    assert classes == ["a", "b"]
    kept = keras.models.load_model(file)
    for ours, theirs in zip(model.get_weights(), kept.get_weights(), strict=True):
        assert (ours == theirs).all()


def test_what_mlflow_refuses_is_raised_before_the_run_is_called_complete(cfg: TrackingConf) -> None:
    tracker = beside(cfg)
    run_id = tracker.start("run", {}, {})
    tracker.log_metrics(run_id, {"a:b!": 1.0})
    with pytest.raises(RefusedError, match="a:b!"):
        tracker.wait()
    tracker.finish(run_id, "failed", "refused")
    run = MlflowClient(tracking_uri=cfg.uri).get_run(run_id)
    assert (run.info.status, run.data.tags["reason"]) == ("FAILED", "refused")


def test_a_database_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    with pytest.raises(TrackingError, match="mlflow.db"):
        beside(TrackingConf(uri=f"sqlite:///{tmp_path}/mlflow.db")).start("run", {}, {})


def test_a_killed_recorder_is_heard_and_its_run_closed(cfg: TrackingConf) -> None:
    tracker = beside(cfg)
    run_id = tracker.start("run", {}, {})
    tracker.wait()
    os.kill(process_of(tracker), signal.SIGKILL)
    with pytest.raises(TrackingError, match="has ended, killed or for lack of memory"):
        tracker.log_epoch(run_id, 1, {"loss": 2.0})
        tracker.wait()
    tracker.finish(run_id, "failed", "the recorder was killed")
    run = MlflowClient(tracking_uri=cfg.uri).get_run(run_id)
    assert (run.info.status, run.data.tags["state"]) == ("FAILED", "failed")


def test_signals_to_the_whole_group_do_not_end_it(cfg: TrackingConf) -> None:
    tracker = beside(cfg)
    run_id = tracker.start("run", {}, {})
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process_of(tracker), number)
    tracker.log_epoch(run_id, 1, {"loss": 2.0})
    tracker.finish(run_id, "cancelled", "it was stopped")
    run = MlflowClient(tracking_uri=cfg.uri).get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("KILLED", {"loss": 2.0})

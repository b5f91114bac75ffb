"""The whole path in processes of its own: sweep, read back, rerun, compare, predict, serve."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.config.search import TrackingConf
from src.tracking.query import RunRecord, find_runs, list_artifacts
from tests.commands import command, environment, run

DEFAULT = ("-m", "study.trials=3", "data.limit=200", "training.epochs=2")
AXES = ("kernel_size", "batch_size", "regularizer", "initializer")


def tracking(folder: Path) -> TrackingConf:
    return TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")


def trials(folder: Path, **tags: str) -> list[RunRecord]:
    return find_runs(tracking(folder), {"kind": "trial", **tags})


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `python -m src.train -m` has run, made small."""
    folder = tmp_path_factory.mktemp("swept")
    done = run(folder, "train", *DEFAULT)
    assert done.code == 0, done
    assert "finished: all 3 trials are done" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    return folder


def client(folder: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking(folder).uri)


def test_the_default_study_is_one_parent_with_its_trials(swept: Path) -> None:
    (parent,) = find_runs(tracking(swept), {"kind": "study"})
    assert parent.tags["study"] == "quickstart"
    assert parent.tags["axes"] == ",".join(AXES)
    assert parent.tags["objective"] == "val_accuracy maximize"
    assert (parent.status, parent.tags["state"], parent.tags["dataset"]) == ("FINISHED", "complete", "digits")
    children = trials(swept)
    assert len(children) == 3
    for child in children:
        assert child.tags["mlflow.parentRunId"] == parent.run_id
        assert child.tags["sweep"] == parent.tags["sweep"]
        assert (child.status, child.tags["state"]) == ("FINISHED", "complete")


def test_tags_are_what_was_trained(swept: Path) -> None:
    for child in trials(swept):
        assert child.tags["kernel_size"] == child.params["model.kernel_size"]
        assert child.tags["batch_size"] == child.params["training.batch_size"]
        assert child.tags["regularizer"] == child.params["regularizer.name"]
        assert child.tags["initializer"] == child.params["initializer.name"]
        assert (child.tags["model"], child.tags["optimizer"]) == ("cnn", "adam")
        assert (child.tags["schedule"], child.tags["normalization"]) == ("constant", "batch")
        assert child.params["data.limit"] == "200" and child.params["training.epochs"] == "2"
        assert not any(key.startswith(("study", "sampler", "tracking")) for key in child.params)


def test_metrics_have_their_epochs_and_the_best_is_the_objective(swept: Path) -> None:
    for child in trials(swept):
        history = client(swept).get_metric_history(child.run_id, "val_accuracy")
        assert [point.step for point in history] == [1, 2]
        values = [point.value for point in history]
        assert child.metrics["objective"] == pytest.approx(max(values))
        assert child.metrics["best_epoch"] == values.index(max(values)) + 1
        assert child.metrics["parameters"] > 0 and child.metrics["seconds"] > 0


def test_artifacts_and_the_data_they_stand_on(swept: Path) -> None:
    (parent,) = find_runs(tracking(swept), {"kind": "study"})
    assert "figures/dataset.png" in list_artifacts(tracking(swept), parent.run_id, "figures")
    children = trials(swept)
    for child in children:
        found = list_artifacts(tracking(swept), child.run_id, "")
        assert {"config.yaml", "overrides.yaml", "figures"} <= set(found)
        (data,) = client(swept).get_run(child.run_id).inputs.dataset_inputs
        assert data.dataset.name == "digits" and len(data.dataset.digest) == 16
        assert {tag.key: tag.value for tag in data.tags} == {"mlflow.data.context": "training"}
    best = max(children, key=lambda child: child.metrics["objective"])
    assert list_artifacts(tracking(swept), best.run_id, "model") == [
        "model/classes.json",
        "model/model.keras",
    ]
    assert set(list_artifacts(tracking(swept), best.run_id, "figures")) == {
        "figures/confusion_matrix.png",
        "figures/learning_curves.png",
        "figures/wrong_images.png",
    }


def test_the_same_command_again_trains_nothing(swept: Path) -> None:
    before = sorted(child.run_id for child in trials(swept))
    done = run(swept, "train", *DEFAULT)
    assert done.code == 0
    assert "continuing: 3 of 3 trials are there already" in done.stdout
    assert sorted(child.run_id for child in trials(swept)) == before


def test_compare_ranks_the_trials_and_writes_them(swept: Path) -> None:
    done = run(swept, "compare", "study=quickstart", "csv=out.csv")
    assert done.code == 0, done
    best = max(trials(swept), key=lambda child: child.metrics["objective"])
    assert all(axis in done.stdout for axis in AXES)
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert len(rows) == 3 and best.run_id in rows[0]
    assert len((swept / "out.csv").read_text().splitlines()) == 4


def test_predict_with_the_winner(swept: Path) -> None:
    from sklearn.datasets import load_digits

    best = max(trials(swept), key=lambda child: child.metrics["objective"])
    pixels = np.rint(load_digits().images[0] * 255 / 16).astype(np.uint8)
    Image.fromarray(pixels).resize((16, 16)).convert("RGB").save(swept / "digit.png")
    done = run(swept, "predict", f"run_id={best.run_id}", "images=[digit.png]", "top=10")
    assert done.code == 0, done
    first, second = done.stdout.splitlines()
    assert first.startswith("digit.png: ") and first.count("%") == 10
    assert "RGB" in second and "16x16" in second and "8x8" in second


def test_mlflows_own_server_answers_with_the_runs(swept: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
        + ["--backend-store-uri", "sqlite:///mlruns/mlflow.db"],
        cwd=swept,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        found = ask(f"http://127.0.0.1:{port}")
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert len(found) == 3


def ask(address: str) -> list[Any]:
    """The trials that the server finds, once it is up."""
    body = {"experiment_ids": ["1"], "filter": "tags.kind = 'trial' and tags.study = 'quickstart'"}
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/runs/search",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return list(json.load(answer)["runs"])
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def test_a_grid_of_two_axes_is_four_children(tmp_path: Path) -> None:
    done = run(tmp_path, "train", "-m", "debug=fast", "model.kernel_size=3,5", "training.batch_size=32,64")
    assert done.code == 0, done
    (parent,) = find_runs(tracking(tmp_path), {"kind": "study"})
    children = trials(tmp_path)
    assert {(c.tags["kernel_size"], c.tags["batch_size"]) for c in children} == {
        ("3", "32"),
        ("3", "64"),
        ("5", "32"),
        ("5", "64"),
    }
    assert {child.tags["mlflow.parentRunId"] for child in children} == {parent.run_id}


NETWORKS = """
import keras

def sometimes(input_shape, num_classes, width=4):
    if width == 5:
        raise ValueError("five is right out")
    layers = [keras.Input(input_shape), keras.layers.Conv2D(width, 3), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(num_classes, activation="softmax")])
"""


def test_a_failing_trial_is_recorded_and_the_sweep_goes_on(tmp_path: Path) -> None:
    (tmp_path / "networks.py").write_text(NETWORKS)
    done = run(
        tmp_path,
        "train",
        "-m",
        "debug=fast",
        "model=custom",
        "model.target=networks:sometimes",
        "model.kwargs.width=4,5,6",
    )
    assert done.code == 0, done
    states = {child.tags["width"]: child.tags["state"] for child in trials(tmp_path)}
    assert states == {"4": "complete", "5": "failed", "6": "complete"}
    (failed,) = trials(tmp_path, state="failed")
    assert failed.status == "FAILED"
    assert failed.tags["reason"] == "ValueError: five is right out"
    assert "traceback.txt" in list_artifacts(tracking(tmp_path), failed.run_id, "")


def test_a_killed_sweep_goes_on_to_its_total(tmp_path: Path) -> None:
    arguments = ("-m", "debug=fast", "study.trials=6", "sampler=random")
    victim = subprocess.Popen(
        command("train", *arguments),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert victim.stdout is not None
    for line in victim.stdout:
        if line.startswith("[2/6]"):
            time.sleep(0.7)  # into the third trial
            victim.kill()
    victim.wait()
    victim.stdout.close()
    assert run(tmp_path, "train", *arguments).code == 0
    found = trials(tmp_path)
    assert Counter(child.tags["state"] for child in found)["complete"] == 6
    trained = [tuple(child.tags[axis] for axis in AXES) for child in trials(tmp_path, state="complete")]
    assert len(set(trained)) == 6
    assert not [child for child in found if child.status == "RUNNING"]


OLD = """
defaults:
  - train
  - override hydra/sweeper: optuna
  - override hydra/sweeper/sampler: random
  - _self_

training: {epochs: 1}
data: {limit: 200}

hydra:
  sweeper:
    sampler: {seed: 123}
    direction: maximize
    study_name: old
    storage: sqlite:///old.db
    n_trials: 2
    n_jobs: 2
    params:
      model.kernel_size: choice(3, 5)
      optimizer.learning_rate: tag(log, interval(0.0001, 0.1))
"""


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "confs").mkdir()
    (tmp_path / "confs/old.yaml").write_text(OLD)
    yield tmp_path


def test_a_sweep_file_written_for_hydra_optuna_sweeper(old: Path) -> None:
    done = run(old, "train", "--config-dir", "confs", "--config-name", "old", "-m")
    assert done.code == 0, done
    assert "note: hydra.sweeper.storage=sqlite:///old.db is not used" in done.stdout
    assert "storage.path=FOLDER" in done.stdout and "hydra/launcher=NAME" in done.stdout
    (parent,) = find_runs(tracking(old), {"kind": "study"})
    assert (parent.tags["study"], parent.tags["sampler"]) == ("old", "random")
    assert len(trials(old)) == 2


def test_a_loss_that_explodes_ends_a_single_run_as_failed(tmp_path: Path) -> None:
    done = run(tmp_path, "train", "debug=fast", "optimizer=sgd", "optimizer.learning_rate=1e30")
    assert done.code == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    (single,) = find_runs(tracking(tmp_path), {"kind": "run"})
    assert (single.status, single.tags["state"]) == ("FAILED", "failed")
    assert "loss became" in single.tags["reason"] and "epoch 1" in single.tags["reason"]


def test_a_deterministic_run_repeats_to_the_last_bit(tmp_path: Path) -> None:
    arguments = ("debug=fast", "training.epochs=2", "training.deterministic=true", "augment=flip_crop")
    for _ in range(2):
        assert run(tmp_path, "train", *arguments, "model.dropout=0.2").code == 0
    first, second = find_runs(tracking(tmp_path), {"kind": "run"})
    for metric in ("loss", "val_loss", "val_accuracy"):
        histories = [
            [point.value for point in client(tmp_path).get_metric_history(record.run_id, metric)]
            for record in (first, second)
        ]
        assert len(histories[0]) == 2 and histories[0] == histories[1]
    assert first.metrics["test_loss"] == second.metrics["test_loss"]

"""Runs the whole path as real commands: sweep, read back, rerun, compare, predict, serve."""

import json
import signal
import sqlite3
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.keras_model import has_model
from kerasweep.tracking.reader import find_runs, list_artifacts
from kerasweep.tracking.run_record import RunRecord
from tests.processes import SERVER, Command, Done, call, environment, run, run_new, start

DEFAULT = ("-m", "study.trials=3", "data.limit=200", "training.epochs=2", "model.filters=[4]")
INSTANT = ("trial.target=benchmarks.targets:instant", "hydra/launcher=basic")
AXES = ("kernel_size", "batch_size", "regularizer", "initializer")


def tracking(folder: Path) -> TrackingConf:
    return TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")


def trials(folder: Path, **tags: str) -> list[RunRecord]:
    return find_runs(tracking(folder), {"kind": "trial", **tags})


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """Runs a small `python -m src.train -m` in a new folder. Returns the folder and how the command ended.

    TensorFlow's C++ code warns of a missing GPU on the stderr of each process that looks for one.
    """
    folder = tmp_path_factory.mktemp("swept")
    return folder, run_new(folder, "train", *DEFAULT, CUDA_VISIBLE_DEVICES="0", TF_CPP_MIN_LOG_LEVEL="2")


@pytest.fixture(scope="session")
def swept(first: tuple[Path, Done]) -> Path:
    """Returns a folder in which a small `python -m src.train -m` has run."""
    return first[0]


def client(folder: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking(folder).uri)


def test_the_command_prints_its_end_and_no_output_of_workers(first: tuple[Path, Done]) -> None:
    done = first[1]
    assert (done.code, done.stderr) == (0, "")
    assert "finished: all 3 trials are done" in done.stdout


def test_the_default_study_is_one_parent_with_its_trials(swept: Path) -> None:
    (parent,) = find_runs(tracking(swept), {"kind": "study"})
    assert parent.tags["study"] == "quickstart"
    assert parent.tags["axes"] == ",".join(AXES)
    assert parent.tags["objective"] == "val_accuracy maximize"
    assert (parent.status, parent.tags["state"], parent.tags["dataset"]) == ("FINISHED", "complete", "digits")
    children = trials(swept)
    assert len(children) == 3
    assert parent.metrics == {"best_val_accuracy": max(child.metrics["objective"] for child in children)}
    for child in children:
        assert child.tags["mlflow.parentRunId"] == parent.run_id
        assert child.tags["sweep"] == parent.tags["sweep"]
        assert (child.status, child.tags["state"]) == ("FINISHED", "complete")


def test_tags_agree_with_the_params(swept: Path) -> None:
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


def test_runs_record_artifacts_and_their_data(swept: Path) -> None:
    (parent,) = find_runs(tracking(swept), {"kind": "study"})
    assert "figures/dataset.png" in list_artifacts(tracking(swept), parent.run_id, "figures")
    children = trials(swept)
    for child in children:
        found = list_artifacts(tracking(swept), child.run_id, "")
        assert {"config.yaml", "overrides.yaml"} <= set(found)
        (data,) = client(swept).get_run(child.run_id).inputs.dataset_inputs
        assert data.dataset.name == "digits" and len(data.dataset.digest) == 16
        assert {tag.key: tag.value for tag in data.tags} == {"mlflow.data.context": "training"}
    best = max(children, key=lambda child: (child.metrics["objective"], -int(child.tags["trial"])))
    assert set(list_artifacts(tracking(swept), best.run_id, "figures")) == {
        "figures/confusion_matrix.png",
        "figures/learning_curves.png",
        "figures/wrong_images.png",
    }
    assert [child.run_id for child in children if has_model(tracking(swept), child.run_id)] == [best.run_id]
    assert [child.run_id for child in children if "test_accuracy" in child.metrics] == [best.run_id]
    others = [child.run_id for child in children if child is not best]
    assert not [run_id for run_id in others if list_artifacts(tracking(swept), run_id, "figures")]
    assert not list(swept.glob("mlruns/jobs/**/best.npz"))


def test_the_same_command_again_trains_nothing(swept: Path) -> None:
    before = {child.run_id: child.metrics for child in trials(swept)}
    done = call(swept, "train", *DEFAULT)
    assert done.code == 0
    assert "continuing: 3 of 3 trials are there already" in done.stdout
    assert {child.run_id: child.metrics for child in trials(swept)} == before
    (tested,) = [child for child in trials(swept) if "test_accuracy" in child.metrics]
    assert len(client(swept).get_metric_history(tested.run_id, "test_accuracy")) == 1


def test_compare_ranks_the_trials_and_writes_them(swept: Path) -> None:
    done = call(swept, "compare", "study=quickstart", "csv=out.csv")
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


def test_a_trial_is_trained_again_by_another_process(swept: Path) -> None:
    """Its worker had one thread, and trained other trials of the same graph before."""
    newest, *_ = trials(swept)
    done = run(swept, "rerun", f"run_id={newest.run_id[:8]}")
    assert done.code == 0, done
    *_, named, said = done.stdout.splitlines()
    assert said == "equal: 2 epochs, all metrics and weights bitwise"
    (again,) = find_runs(tracking(swept), {"rerun_of": newest.run_id})
    assert named == f"run {again.run_id} repeats {newest.run_id}"
    assert (again.tags["threads"], again.tags["rerun_verdict"]) == ("1", said)
    assert "test_accuracy" not in again.metrics


def test_mlflows_server_shows_the_runs(swept: Path) -> None:
    server = Command(swept, ["-c", SERVER], environment())
    port = int(server.stdout.readline())
    body = {"experiment_ids": ["1"], "filter": "tags.kind = 'trial' and tags.study = 'quickstart'"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=60) as answer:
        assert len(json.load(answer)["runs"]) == 3
    server.kill()
    server.communicate()


@pytest.fixture
def folder(tmp_path: Path, copy_database: Callable[[Path], Path]) -> Path:
    """Returns a folder with an empty database."""
    copy_database(tmp_path)
    return tmp_path


NETWORKS = """
import keras

def sometimes(input_shape, num_classes, width=4):
    if width == 5:
        raise ValueError("five is right out")
    layers = [keras.Input(input_shape), keras.layers.Conv2D(width, 3), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(num_classes, activation="softmax")])
"""


def test_a_failing_trial_is_recorded_and_the_sweep_continues(folder: Path) -> None:
    (folder / "networks.py").write_text(NETWORKS)
    done = run(
        folder,
        "train",
        "-m",
        "debug=fast",
        "model=custom",
        "model.target=networks:sometimes",
        "model.kwargs.width=5,6",
        "tracking.models=none",
    )
    assert done.code == 0, done
    states = {child.tags["width"]: child.tags["state"] for child in trials(folder)}
    assert states == {"5": "failed", "6": "complete"}
    (failed,) = trials(folder, state="failed")
    assert failed.status == "FAILED"
    assert failed.tags["reason"] == "ValueError: five is right out"
    assert "traceback.txt" in list_artifacts(tracking(folder), failed.run_id, "")


def test_impossible_combinations_of_a_grid_are_left_out_and_named(folder: Path) -> None:
    axes = ("regularizer=none,l1", "regularizer.strength=0.01,0.1")
    done = call(folder, "train", "-m", "budget.hours=1e-9", *axes, *INSTANT)
    assert ": 2 trials, sampler grid" in done.stdout
    assert "left out: 2 impossible configurations" in done.stdout
    for strength in ("0.01", "0.1"):
        left_out = f"regularizer=none regularizer.strength={strength}"
        assert f"  {left_out}: regularizer.strength={strength} has nothing to act on" in done.stdout
    assert done.code == 1 and "no trial was trained" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr and trials(folder) == []


def running(folder: Path) -> int:
    """Returns the number of open runs, including the sweep's."""
    with closing(sqlite3.connect(folder / "mlruns/mlflow.db")) as connection:
        query = "select count(*) from runs where status = 'RUNNING'"
        return int(connection.execute(query).fetchone()[0])


WAITING = """
import time
from pathlib import Path
from benchmarks.targets import instant

def train(cfg, ref, recorder, report, folder):
    while ref.number == 1 and not Path("goes_on").exists():
        time.sleep(0.01)
    return instant(cfg, ref, recorder, report, folder)
"""


def test_a_killed_sweep_continues_to_its_total(folder: Path) -> None:
    (folder / "waiting.py").write_text(WAITING)
    arguments = ("-m", "study.trials=4", "sampler=random", "workers=1", "trial.target=waiting:train")
    victim = start(folder, "train", *arguments)
    while [child.tags["trial"] for child in trials(folder) if child.status == "RUNNING"] != ["1"]:
        assert victim.poll() is None
        time.sleep(0.01)
    victim.kill()
    victim.communicate()
    (interrupted,) = [child for child in trials(folder) if child.status == "RUNNING"]
    (folder / "goes_on").touch()
    assert run(folder, "train", *arguments).code == 0
    found = trials(folder)
    assert Counter(child.tags["state"] for child in found) == {"complete": 4, "cancelled": 1}
    configurations = {child.run_id: tuple(child.tags[axis] for axis in AXES) for child in found}
    lost = configurations.pop(interrupted.run_id)
    assert len(set(configurations.values())) == 4 and lost in configurations.values()
    assert running(folder) == 0
    (parent,) = find_runs(tracking(folder), {"kind": "study"})
    assert parent.tags["state"] == "complete"


OLD = """
defaults:
  - train
  - override hydra/sweeper: optuna
  - override hydra/sweeper/sampler: tpe
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
def old(folder: Path) -> Path:
    (folder / "confs").mkdir()
    (folder / "confs/old.yaml").write_text(OLD)
    return folder


def test_a_sweep_file_for_hydra_optuna_sweeper_runs(old: Path) -> None:
    done = call(old, "train", "--config-dir", "confs", "--config-name", "old", "-m", *INSTANT)
    assert done.code == 0, done
    assert "note: hydra.sweeper.storage=sqlite:///old.db is not used" in done.stdout
    assert "storage=rdb storage.url=URL" in done.stdout and "workers=N" in done.stdout
    (parent,) = find_runs(tracking(old), {"kind": "study"})
    assert (parent.tags["study"], parent.tags["sampler"]) == ("old", "tpe")
    assert not (old / "old.db").exists()
    rates = [float(child.tags["learning_rate"]) for child in trials(old)]
    assert len(rates) == 2 and all(0.0001 <= rate <= 0.1 for rate in rates)
    assert all(child.params["training.epochs"] == "1" for child in trials(old))


OLDER = """# @package _global_
hydra:
  mode: MULTIRUN
  sweeper:
    _target_: hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper
    n_jobs: 1
    n_trials: 2
    sampler: {_target_: optuna.samplers.TPESampler, seed: 1234, n_startup_trials: 10}
    params:
      model.kernel_size: choice(3, 5)
"""


def test_an_experiment_with_the_class_of_hydra_optuna_sweeper_runs(folder: Path) -> None:
    (folder / "confs/experiment").mkdir(parents=True)
    (folder / "confs/experiment/older.yaml").write_text(OLDER)
    done = call(folder, "train", "--config-dir", "confs", "experiment=older", *INSTANT)
    assert done.code == 0, done
    assert "note: hydra.sweeper.sampler.n_startup_trials=10 is not used" in done.stdout
    assert "finished: all 2 trials are done" in done.stdout


GRID_AXES = {
    "kernel_size": "model.kernel_size=3,5",
    "batch_size": "training.batch_size=32,64",
    "regularizer": "regularizer=none,l2",
    "initializer": "initializer=glorot_uniform,he_normal",
}


@dataclass(frozen=True)
class Grid:
    """A grid that was trained on one thread a worker."""

    folder: Path
    done: Done
    children: list[RunRecord]


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory, copy_database: Callable[[Path], Path]) -> dict[int, Grid]:
    """Returns the same grid of 16 trials, trained by one worker and by two, without saved models."""
    small = ("debug=fast", "training.epochs=2", "training.deterministic=true", "model.filters=[4]")
    options = ("tracking.models=none", *small, *GRID_AXES.values())
    threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
    found = {}
    for workers in (1, 2):
        folder = tmp_path_factory.mktemp("grid")
        copy_database(folder)
        done = run(folder, "train", "-m", *options, f"workers={workers}", **threads)
        assert done.code == 0, done
        found[workers] = Grid(folder, done, trials(folder))
    return found


def configuration(child: RunRecord) -> tuple[str, ...]:
    return tuple(child.tags[axis] for axis in GRID_AXES)


def test_a_grid_is_the_product_of_its_axes_under_one_parent(grids: dict[int, Grid]) -> None:
    (parent,) = find_runs(tracking(grids[1].folder), {"kind": "study"})
    children = grids[1].children
    values = [text.partition("=")[2].split(",") for text in GRID_AXES.values()]
    assert sorted(map(configuration, children)) == sorted(product(*values))
    assert {child.tags["mlflow.parentRunId"] for child in children} == {parent.run_id}


def test_trials_share_graphs(grids: dict[int, Grid]) -> None:
    """Trials of two kernel sizes need two traces with one worker and at most four with two."""
    assert sum(child.metrics["traces"] for child in grids[1].children) == 2
    assert 2 <= sum(child.metrics["traces"] for child in grids[2].children) <= 4


def test_trials_are_bitwise_equal_in_any_worker(grids: dict[int, Grid]) -> None:
    histories: list[Any] = []
    for grid in grids.values():
        assert {child.tags["threads"] for child in grid.children} == {"1"}
        reader = client(grid.folder)
        points = {
            configuration(child): reader.get_metric_history(child.run_id, "val_loss")
            for child in grid.children
        }
        histories.append({key: [(each.step, each.value) for each in found] for key, found in points.items()})
    assert len(histories[0]) == 16 and {len(found) for found in histories[0].values()} == {2}
    assert histories[0] == histories[1]


def assert_only_the_winner_is_tested(folder: Path) -> RunRecord:
    children = trials(folder)
    (best,) = [child for child in children if "test_accuracy" in child.metrics]
    assert best.metrics["objective"] == max(child.metrics["objective"] for child in children)
    assert not list(folder.glob("mlruns/jobs/**/best.npz"))
    return best


def test_the_winner_is_tested_without_saved_models(grids: dict[int, Grid]) -> None:
    best = assert_only_the_winner_is_tested(grids[2].folder)
    assert not has_model(tracking(grids[2].folder), best.run_id)
    assert "predict:" not in grids[2].done.stdout


SMALL = ("debug=fast", "model.filters=[4]", "model.normalization.kind=none")


def test_the_winner_is_tested_with_another_launcher(folder: Path) -> None:
    done = run(folder, "train", "-m", *SMALL, "training.batch_size=32,256", "hydra/launcher=basic")
    assert done.code == 0, done
    assert has_model(tracking(folder), assert_only_the_winner_is_tested(folder).run_id)
    assert "predict:" in done.stdout


def test_a_stopped_sweep_tests_only_its_winner(folder: Path) -> None:
    arguments = ("-m", *SMALL, "training.batch_size=256,64,8", "workers=1")
    process = start(folder, "train", *arguments)
    while not process.stdout.readline().startswith("[1/3]"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not [child for child in trials(folder) if "test_accuracy" in child.metrics]
    assert [child for child in trials(folder) if has_model(tracking(folder), child.run_id)]
    assert run(folder, "train", *arguments).code == 0
    assert has_model(tracking(folder), assert_only_the_winner_is_tested(folder).run_id)

"""`python -m src.train` trains one network, records it, and prints its result."""

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from kerasweep.commands.train import check_writable
from kerasweep.config.search import TrackingConf
from kerasweep.tracking.keras_model import download_model, find_model, has_model
from kerasweep.tracking.reader import download, find_runs, list_artifacts
from kerasweep.tracking.run_record import RunRecord
from tests.processes import Done, call, run, run_new, start, start_new

ARGUMENTS = (
    "debug=fast",
    "model.filters=[4]",
    "training.epochs=2",
    "training.deterministic=true",
    "augment=flip_crop",
    "model.dropout=0.2",
    "tracking.tags.team=vision",
)


def tracking(folder: Path) -> TrackingConf:
    return TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")


def histories(folder: Path, run_id: str, metric: str) -> list[tuple[int, float]]:
    client = MlflowClient(tracking_uri=tracking(folder).uri)
    return [(point.step, point.value) for point in client.get_metric_history(run_id, metric)]


@dataclass(frozen=True)
class Twice:
    """One command that ran twice in a folder; `runs` has the older run first."""

    folder: Path
    done: list[Done]
    runs: list[RunRecord]


@pytest.fixture(scope="session")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    folder = tmp_path_factory.mktemp("single")
    done = [how(folder, "train", *ARGUMENTS) for how in (run_new, run)]
    assert [each.code for each in done] == [0, 0], done
    return Twice(folder, done, find_runs(tracking(folder), {"kind": "run"})[::-1])


def test_the_run_is_closed_and_tagged_with_its_choices(twice: Twice) -> None:
    for record in twice.runs:
        assert record.status == "FINISHED"
        wanted = {
            "state": "complete",
            "dataset": "digits",
            "model": "cnn",
            "kernel_size": "3",
            "batch_size": "32",
            "regularizer": "none",
            "initializer": "glorot_uniform",
            "optimizer": "adam",
            "schedule": "constant",
            "objective": "val_accuracy maximize",
            "team": "vision",
        }
        assert wanted.items() <= record.tags.items()
        assert record.name == " ".join(ARGUMENTS)
        assert not {"study", "sweep", "reason", "mlflow.parentRunId"} & set(record.tags)


def test_params_define_the_run_and_nothing_else(twice: Twice) -> None:
    params = twice.runs[0].params
    assert (params["training.epochs"], params["model.dropout"], params["data.limit"]) == ("2", "0.2", "200")
    groups = {key.partition(".")[0] for key in params}
    assert groups == {
        *("data", "augment", "model", "initializer", "regularizer"),
        *("optimizer", "schedule", "training"),
    }


def test_metrics_are_those_of_each_epoch_and_of_the_test_set_once(twice: Twice) -> None:
    (record, _) = twice.runs
    for metric in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "epoch_seconds"):
        assert [step for step, _ in histories(twice.folder, record.run_id, metric)] == [1, 2]
    accuracies = [value for _, value in histories(twice.folder, record.run_id, "val_accuracy")]
    assert record.metrics["objective"] == max(accuracies)
    assert record.metrics["best_epoch"] == accuracies.index(max(accuracies)) + 1
    for metric in ("test_loss", "test_accuracy", "parameters", "seconds"):
        assert len(histories(twice.folder, record.run_id, metric)) == 1
    assert 0 <= record.metrics["test_accuracy"] <= 1


def test_artifacts_are_the_configuration_the_figures_and_the_model(twice: Twice, tmp_path: Path) -> None:
    run_id, uri = twice.runs[0].run_id, tracking(twice.folder)
    assert set(list_artifacts(uri, run_id, "figures")) == {
        f"figures/{name}.png" for name in ("dataset", "learning_curves", "confusion_matrix", "wrong_images")
    }
    overrides = yaml.safe_load(download(uri, run_id, "overrides.yaml", tmp_path).read_text())
    assert overrides == list(ARGUMENTS)
    config = yaml.safe_load(download(uri, run_id, "config.yaml", tmp_path).read_text())
    assert (config["model"]["dropout"], config["training"]["epochs"]) == (0.2, 2)
    path, classes = download_model(uri, str(find_model(uri, run_id)), tmp_path)
    assert path.is_file() and classes == [str(digit) for digit in range(10)]


def test_run_prints_epochs_result_and_next_commands(twice: Twice) -> None:
    record = twice.runs[0]
    data, *epochs, best, test, browse, predict = twice.done[0].stdout.splitlines()
    assert [re.sub(r"[\d.]+$", "", line) for line in epochs] == [
        "epoch 1/2  val_accuracy ",
        "epoch 2/2  val_accuracy ",
    ]
    assert data.startswith("data: digits, ") and data.endswith(
        "; 10 classes (0: 40, 1: 40, 2: 40, 3: 41, …), 8×8×1"
    )
    epoch, objective = int(record.metrics["best_epoch"]), record.metrics["objective"]
    assert best == f"best epoch {epoch}: val_accuracy {objective:.4g} without the luck of this choice"
    assert test.startswith(f"test accuracy {record.metrics['test_accuracy']:.4g}, ")
    start = f"browse:  mlflow ui --backend-store-uri {tracking(twice.folder).uri}"
    assert browse == f"{start}, then http://127.0.0.1:5000/#/experiments/1/runs"
    assert predict == f"predict: python -m src.predict run_id={record.run_id} images=[IMAGE.png]"
    assert twice.done[0].stderr == ""


def test_a_deterministic_run_repeats_to_the_last_bit(twice: Twice) -> None:
    first, second = twice.runs
    for metric in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert histories(twice.folder, first.run_id, metric) == histories(twice.folder, second.run_id, metric)
    assert first.metrics["test_loss"] == second.metrics["test_loss"]


def test_a_loss_that_explodes_ends_the_run_as_failed(
    tmp_path: Path, copy_database: Callable[[Path], Path]
) -> None:
    copy_database(tmp_path)
    arguments = ("debug=fast", "model.filters=[4]", "optimizer=sgd", "optimizer.learning_rate=1e30")
    done = run(tmp_path, "train", *arguments)
    assert (done.code, done.stderr.count("\n")) == (2, 1), done
    assert done.stderr.startswith("error: ") and "optimizer.clipnorm" in done.stderr
    assert "Traceback" not in done.stdout
    (record,) = find_runs(tracking(tmp_path), {"kind": "run"})
    assert (record.status, record.tags["state"]) == ("FAILED", "failed")
    assert re.match(r"DivergedError: (val_)?loss became (nan|inf) in epoch 1\.", record.tags["reason"])
    assert not has_model(tracking(tmp_path), record.run_id)


@pytest.mark.parametrize(("number", "code", "times"), [(signal.SIGINT, 130, 1), (signal.SIGTERM, 143, 2)])
def test_a_run_that_is_stopped_is_closed_as_cancelled(
    number: signal.Signals, code: int, times: int, tmp_path: Path, copy_database: Callable[[Path], Path]
) -> None:
    """SIGTERM is sent twice because `timeout` signals the command and then its whole process group."""
    copy_database(tmp_path)
    arguments = ("debug=fast", "training.epochs=10000", "model.filters=[4]")
    process = start(tmp_path, "train", *arguments)
    assert process.stdout.readline().startswith("data: digits, ")
    assert process.stdout.readline().startswith("epoch 1/10000")
    for _ in range(times):
        process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (code, "stopped\n")
    (record,) = find_runs(tracking(tmp_path), {"kind": "run"})
    assert (record.status, record.tags["state"]) == ("KILLED", "cancelled")
    assert record.tags["reason"] == "it was stopped"


@pytest.mark.parametrize(
    ("flags", "library"),
    [
        (("training.epochs=10000",), "sqlalchemy"),
        (("training.epochs=10000",), "lib_pywrap_tensorflow_common"),
        (("-m",), ""),
    ],
)
def test_ctrl_c_while_a_command_starts_stops_it_cleanly(
    flags: tuple[str, ...], library: str, tmp_path: Path, copy_database: Callable[[Path], Path]
) -> None:
    """The signal goes to all processes of the command, as from a terminal.

    It comes once a run has loaded this library of MLflow or TensorFlow, or a sweep has a first process.
    """
    copy_database(tmp_path)
    command = start_new(tmp_path, "train", *flags, "debug=fast")
    process = psutil.Process(command.pid)
    if flags == ("-m",):
        wait_until(lambda: bool(process.children()))
    else:
        assert command.stdout is not None and command.stdout.readline().startswith("data: digits, ")
    wait_until(lambda: library in Path(f"/proc/{command.pid}/maps").read_text())
    os.killpg(command.pid, signal.SIGINT)
    _, stderr = command.communicate(timeout=60)
    assert (command.returncode, stderr) == (130, "stopped\n")
    assert not any(run.status == "RUNNING" for run in find_runs(tracking(tmp_path), {}))


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def test_help_names_the_groups_and_shows_examples(tmp_path: Path) -> None:
    done = run_new(tmp_path, "train", "--help")
    assert done.code == 0
    for words in ("python -m src.train -m", "study: augmentation, batch_norm, batch_size", "sampler: cmaes"):
        assert words in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("made", [(), ("mlruns",), ("mlruns", "mlruns/jobs")])
def test_a_single_run_in_a_read_only_folder_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    made: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in made:
        (tmp_path / name).mkdir()
    check_writable(["model.kernel_size=5"])
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write anywhere
    for elsewhere in ("hydra.run.dir=/tmp/x", "-m", "study=quickstart", "--help"):
        check_writable([elsewhere])
    with pytest.raises(SystemExit) as ended:
        check_writable(["model.kernel_size=5"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path.joinpath(*made[-1:])} cannot be written, but a run saves its files there. "
        "Make it writable, or start the command in another folder.\n"
    )


TINY = ("training.epochs=1", "data.limit=100", "model.filters=[4]", "tracking.models=best")


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Done]]:
    """Runs a single run and a sweep whose jobs work in folders of their own."""
    folder = tmp_path_factory.mktemp("moved")
    axis = ("-m", "model.kernel_size=1,3", "workers=1")
    return folder, [run(folder, "train", *more, *TINY, "hydra.job.chdir=true") for more in ((), axis)]


@pytest.mark.parametrize("number", [0, 1])
def test_chdir_leaves_database_and_model_where_the_command_started(
    number: int, moved: tuple[Path, list[Done]]
) -> None:
    """The id on the predict line is that of a run with a model in this database, for a sweep the winner's."""
    folder, done = moved
    assert done[number].code == 0, done[number]
    named = re.search(r"run_id=(\w+)", done[number].stdout)
    assert named is not None and has_model(tracking(folder), named[1])
    assert [path for path in folder.rglob("mlflow.db")] == [folder / "mlruns" / "mlflow.db"]
    assert {path.name for path in folder.iterdir()} == {"mlruns"}
    (artifacts,) = {path.parent for path in folder.rglob(named[1])}
    assert artifacts == folder / "mlruns" / "artifacts"
    assert [path.parent for path in folder.rglob("*.journal")] == [folder / "mlruns" / "studies"]


def test_hydras_own_sweeper_trains_each_job_as_a_single_run(tmp_path: Path) -> None:
    done = run(tmp_path, "train", "-m", "hydra/sweeper=basic", *TINY, "model.kernel_size=1,3")
    assert done.code == 0, done
    runs = find_runs(tracking(tmp_path), {"kind": "run"})
    assert sorted(each.params["model.kernel_size"] for each in runs) == ["1", "3"]
    assert {each.status for each in runs} == {"FINISHED"}
    assert {path.name for path in (tmp_path / "mlruns/jobs").iterdir()} == {"0", "1", "multirun.yaml"}
    assert not (tmp_path / "mlruns/studies").exists()


def test_the_environment_names_the_experiment_of_a_run_and_of_a_sweep(
    tmp_path: Path, copy_database: Callable[[Path], Path]
) -> None:
    copy_database(tmp_path)
    client = MlflowClient(tracking_uri=tracking(tmp_path).uri)
    number = client.create_experiment("mine")
    instant = (
        "-m",
        "model.kernel_size=1,3",
        "trial.target=benchmarks.targets:instant",
        "hydra/launcher=basic",
    )
    done = [run(tmp_path, "train", *TINY, MLFLOW_EXPERIMENT_ID=number)]
    done.append(call(tmp_path, "train", *instant, MLFLOW_EXPERIMENT_ID=number))
    assert [each.code for each in done] == [0, 0], done
    kinds = [each.data.tags["kind"] for each in client.search_runs([number])]
    assert sorted(kinds) == ["run", "study", "trial", "trial"]
    assert client.search_runs(["0"]) == [] and client.get_experiment_by_name("kerasweep") is None

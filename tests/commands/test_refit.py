"""`src.refit` trains the configuration of a winner on all images but those of the test set."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from kerasweep.commands.refit import refit
from kerasweep.errors import ConfigError, KerasweepError, TrackingError
from kerasweep.handover.recorded_data import read_recorded_data
from kerasweep.handover.recorded_model import read_model
from kerasweep.handover.scores import probabilities_of
from kerasweep.results import State
from kerasweep.search.owner import this_owner
from kerasweep.tracking.reader import find_runs, get_run, histories
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import RunKind
from kerasweep.training.schedules import cosine
from tests.commands.test_rerun import Configured, Recorder, composing
from tests.compositions import compose_train
from tests.processes import run, start
from tests.trained_backbones import OVERRIDES

PARTS = "tests.training.own_parts"
SMALL = ("training.epochs=3", "training.deterministic=true", "optimizer=sgd")


class Refitter(Recorder):
    """Records runs, and refits them."""

    def refit(self, *changes: str, **keys: Any) -> list[str]:
        """Calls src.refit; returns the ids of all refits of this database, the oldest first."""
        defaults = {"sweep": None, "run_id": None, "seeds": 1, "ensemble": False, "scale_epochs": False}
        cfg = OmegaConf.create({**defaults, **keys})
        cfg.tracking = OmegaConf.structured(self.tracking)
        with composing():
            refit(cfg, changes, "the command")
        return [run.run_id for run in reversed(self.refits())]

    def refits(self) -> list[RunRecord]:
        return find_runs(self.tracking, {"kind": RunKind.REFIT})

    def run(self, run_id: str) -> RunRecord:
        return get_run(self.tracking, run_id)


@pytest.fixture
def refitter(
    copy_database: Callable[[Path], Path],
    tmp_path: Path,
    configured: Configured,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Refitter]:
    monkeypatch.chdir(tmp_path)
    yield Refitter(f"sqlite:///{copy_database(tmp_path)}", tmp_path, configured)


def test_a_refit_trains_on_all_images_and_is_tested_once(
    refitter: Refitter, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = refitter.record(*SMALL, "schedule=cosine")
    capsys.readouterr()
    (refit_id,) = refitter.refit(run_id=recorded.run_id[:8])
    run = refitter.run(refit_id)
    epochs = math.floor(recorded.metrics["cross_fitted_epoch"] + 0.5)
    # The schedule is that of the recorded training of 3 epochs, with the 4 steps of 200 images.
    rate = cosine(0.01, 3 * 4, 0.0)
    assert histories(refitter.tracking, [refit_id], "learning_rate")[refit_id] == pytest.approx(
        [rate(4 * epoch - 1) for epoch in range(1, epochs + 1)]
    )
    assert "val_accuracy" not in run.metrics
    parent, of = run.tags["mlflow.parentRunId"], run.tags["refit_of"]
    assert parent == of == recorded.run_id
    model = read_model(refitter.tracking, refit_id)
    prepared = read_recorded_data(refitter.tracking, run)
    probabilities = probabilities_of(model.model, prepared.test)
    accuracy = float((probabilities.argmax(axis=1) == prepared.test.labels).mean())
    assert run.metrics["test_accuracy"] == accuracy
    assert run.metrics["trained_epochs"] == epochs
    assert run.tags["command"] == "the command"
    assert run.metrics["test_accuracy_low"] < accuracy < run.metrics["test_accuracy_high"]
    said = capsys.readouterr().out.splitlines()
    images = f"{len(prepared.train) + len(prepared.validation):,} images to train on"
    assert said[0].startswith(
        f"winner of {recorded.run_id[:8]}: run {recorded.run_id[:8]}, on the test set: "
    )
    assert said[1].startswith(f"refit: {images}, training and validation together, ")
    assert said[2] == "note: data.limit=200 holds, as in the winner's training"
    assert said[3 + epochs].startswith(f"seed 0: on the test set: accuracy {accuracy:.4f} (")


@pytest.fixture
def two_phases(refitter: Refitter, backbone_weights: Path) -> Refitter:
    """Records and refits networks whose backbone is frozen at first."""
    small = ("data.limit=100", "training.epochs=3", "optimizer.learning_rate=0.01", "training.unfreeze_at=2")
    fixed = (*OVERRIDES, f"model.weights={backbone_weights}", *small, "training.unfreeze_learning_rate=0.001")
    refitter.configured = lambda *overrides: compose_train(*fixed, *overrides)
    return refitter


@pytest.mark.parametrize(
    ("overrides", "rates"),
    [
        (("schedule=constant",), [0.01, 0.001, 0.001]),
        (("schedule=constant", f"training.callbacks=[{PARTS}:Halving]"), [0.01, 0.001, 0.0005]),
        (("schedule=constant", f"training.callbacks=[{PARTS}:HalvingAfterwards]"), [0.01, 0.0005, 0.00025]),
        (("schedule=plateau",), [0.01, 0.001, 0.001]),
    ],
)
def test_a_refit_of_two_phases_has_the_rates_of_its_winner(
    two_phases: Refitter, overrides: tuple[str, ...], rates: list[float]
) -> None:
    recorded = two_phases.record(*overrides)
    (refit_id,) = two_phases.refit("training.epochs=3", run_id=recorded.run_id)
    found = [
        histories(two_phases.tracking, [run], "learning_rate")[run] for run in (recorded.run_id, refit_id)
    ]
    assert found == [pytest.approx(rates), pytest.approx(rates)]


def test_a_refit_keeps_the_phases_of_its_winner(
    two_phases: Refitter, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = two_phases.record("schedule=plateau", "model.trainable=2", "data.validation_split=0.4")
    for best, trained, rates, note in (
        (2.0, "2", [0.01, 0.001], None),
        (1.0, "null", [0.01], "note: it ends before training.unfreeze_at=2, so only the head trains"),
    ):
        two_phases.tracker.log_metrics(recorded.run_id, {"cross_fitted_epoch": best})
        capsys.readouterr()
        (*_, refit_id) = two_phases.refit(run_id=recorded.run_id, scale_epochs=best > 1)
        said, run = capsys.readouterr().out.splitlines(), two_phases.run(refit_id)
        assert histories(two_phases.tracking, [refit_id], "learning_rate")[refit_id] == pytest.approx(rates)
        assert run.params["training.unfreeze_at"] == trained
        assert run.params["model.trainable"] == ("2" if note is None else "false")
        assert [line for line in said if "unfreeze" in line or "backbone" in line] == [note] * (
            note is not None
        )


def test_the_same_command_trains_nothing_twice_and_averages_its_seeds(refitter: Refitter) -> None:
    recorded = refitter.record(*SMALL)
    first = refitter.refit("training.epochs=2", run_id=recorded.run_id, seeds=2, ensemble=True)
    assert len(first) == 3
    assert refitter.refit("training.epochs=2", run_id=recorded.run_id, seeds=2, ensemble=True) == first
    more = refitter.refit("training.epochs=2", run_id=recorded.run_id, seeds=3)
    assert more[:3] == first and len(more) == 4
    digests = [refitter.run(run_id).tags["weights_digest"] for run_id in (*first[:2], more[3])]
    assert len(set(digests)) == 3
    test = read_recorded_data(refitter.tracking, recorded).test
    members = [probabilities_of(read_model(refitter.tracking, run_id).model, test) for run_id in first[:2]]
    ensemble = probabilities_of(read_model(refitter.tracking, first[2]).model, test)
    assert ensemble == pytest.approx(np.mean(members, axis=0), abs=1e-6)
    assert refitter.run(first[2]).tags["ensemble"] == " ".join(first[:2])


def test_an_ensemble_needs_only_keras(refitter: Refitter) -> None:
    recorded = refitter.record(*SMALL, "model.normalization.kind=batch", "data.scaling=z_score")
    *_, ensemble = refitter.refit("training.epochs=1", run_id=recorded.run_id, seeds=2, ensemble=True)
    (file,) = Path(read_model(refitter.tracking, ensemble).location.removeprefix("file://")).rglob("*.keras")
    code = (
        "import sys; sys.modules['kerasweep'] = None; import keras, numpy; "
        f"model = keras.models.load_model({str(file)!r}); "
        "print(model.predict(numpy.zeros((2, 8, 8, 1), 'uint8'), verbose=0).sum(axis=1).round(4).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert done.stdout.strip() == "[1.0, 1.0]", done.stderr


@pytest.mark.parametrize(
    "schedule", [("cosine",), ("exponential", "schedule.decay_rate=0.5"), ("warmup_cosine",)]
)
def test_a_scaled_refit_follows_the_schedule_step_by_step(
    refitter: Refitter, schedule: tuple[str, ...]
) -> None:
    """160 images in 3 steps an epoch, then 200 images in 4: each rate is that of the same step."""
    name, *changes = schedule
    recorded = refitter.record(*SMALL, "training.epochs=9", f"schedule={name}", *changes)
    refitter.tracker.log_metrics(recorded.run_id, {"cross_fitted_epoch": 8.0})
    (refit_id,) = refitter.refit(run_id=recorded.run_id, scale_epochs=True)
    before, rates = (
        histories(refitter.tracking, [run_id], "learning_rate")[run_id]
        for run_id in (recorded.run_id, refit_id)
    )
    assert len(rates) == 6  # 8 · 160 / 200, rounded
    # Steps 12 and 24 end an epoch of both.
    assert (rates[2], rates[5]) == pytest.approx((before[3], before[7]), rel=1e-6)


def test_a_plateau_repeats_the_recorded_rates(refitter: Refitter) -> None:
    recorded = refitter.record(
        *SMALL,
        "schedule=plateau",
        "schedule.patience=1",
        "schedule.monitor=loss",
        "schedule.factor=0.5",
        "optimizer.learning_rate=0.3",
        "training.epochs=4",
        "training=early_stopping",
    )
    (refit_id,) = refitter.refit("training.epochs=6", run_id=recorded.run_id)
    rates = histories(refitter.tracking, [recorded.run_id, refit_id], "learning_rate")
    before = rates[recorded.run_id]
    assert rates[refit_id] == before + before[-1:] * (6 - len(before))


def test_the_winner_of_a_sweep_has_the_mean_epoch_of_its_seeds(
    refitter: Refitter, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two configurations of two seeds each; the better one is refitted, from its better seed."""
    of_sweep = {"study": "sizes", "sweep": "sizes-1", "state": "complete"}
    parent = refitter.tracker.start("sizes", {**of_sweep, "kind": RunKind.STUDY, "axes": "kernel_size"}, {})
    refitter.tracker.finish(parent, State.COMPLETE)
    winner = None
    for trial, (size, value) in enumerate([(3, 0.5), (5, 0.9)]):
        tags = {**of_sweep, "trial": str(trial), "kernel_size": str(size)}
        above = refitter.tracker.start("trial", {**tags, "kind": RunKind.TRIAL}, {}, parent)
        refitter.tracker.log_metrics(above, {"objective": value})
        refitter.tracker.finish(above, State.COMPLETE)
        for repeat in range(2):
            run = refitter.record(*SMALL, f"model.kernel_size={size}", f"training.seed={repeat}", **tags)
            own = {"kind": RunKind.REPEAT, "repeat": str(repeat), "mlflow.parentRunId": above}
            refitter.tracker.set_tags(run.run_id, own)
            metrics = {"objective": value + repeat / 100, "cross_fitted_epoch": 2.0 - repeat}
            refitter.tracker.log_metrics(run.run_id, metrics)
            winner = run.run_id
    with pytest.raises(TrackingError, match="^sizes has no winner with a test score. Start the command of"):
        refitter.refit(sweep="sizes")
    refitter.tracker.log_metrics(str(winner), {"test_accuracy": 0.5, "test_images": 10.0})
    capsys.readouterr()
    (refit_id,) = refitter.refit(sweep="sizes")
    assert refitter.run(refit_id).tags["refit_of"] == winner
    assert refitter.run(refit_id).params["model.kernel_size"] == "5"
    said = capsys.readouterr().out.splitlines()
    assert (
        said[0]
        == f"winner of sizes: run {str(winner)[:8]}, on the test set: accuracy 0.5000 (0.2366 to 0.7634)"
    )
    assert said[1].endswith("; 2 epochs, the mean of the best epochs of 2 seeds, 1.5, rounded")
    assert refitter.refit(sweep="sizes-1") == [refit_id]
    with pytest.raises(TrackingError, match=f"The run {refit_id} trained the configuration of {winner} on"):
        refitter.refit(run_id=refit_id)
    second = refitter.tracker.start(
        "sizes", {"study": "sizes", "sweep": "sizes-2", "kind": RunKind.STUDY}, {}
    )
    refitter.tracker.finish(second, State.COMPLETE)
    other = refitter.record(*SMALL, "model.kernel_size=7", study="sizes", sweep="sizes-2", trial="0")
    refitter.tracker.set_tags(other.run_id, {"kind": RunKind.TRIAL})
    with pytest.raises(TrackingError, match="^sizes names 2 sweeps. Name one of them: sizes-1, sizes-2.$"):
        refitter.refit(sweep="sizes")


def test_a_sweep_without_a_single_winner_is_refused(refitter: Refitter) -> None:
    tracker, tested = refitter.tracker, {"objective": 0.5, "test_accuracy": 0.5, "test_images": 10.0}
    for name, tags in (
        ("open", {"trials": "3", "objective": "val_accuracy maximize"}),
        ("front", {"objective": "val_accuracy maximize, seconds minimize"}),
    ):
        of_sweep = {"study": name, "sweep": f"{name}-1", **tags}
        parent = tracker.start(name, {**of_sweep, "kind": RunKind.STUDY, "axes": "kernel_size"}, {})
        tracker.finish(parent, State.COMPLETE)
        trial = tracker.start("trial", {**of_sweep, "kind": RunKind.TRIAL, "trial": "0"}, {}, parent)
        tracker.log_metrics(trial, tested)
        tracker.finish(trial, State.COMPLETE)
    with pytest.raises(TrackingError, match="^open is not finished: 2 of its trials have not ended. Start"):
        refitter.refit(sweep="open")
    with pytest.raises(TrackingError, match="^front has several objectives, so a front of best trials and"):
        refitter.refit(sweep="front")


def test_a_refit_that_another_process_trains_is_not_ended(refitter: Refitter) -> None:
    recorded = refitter.record(*SMALL)
    (first,) = refitter.refit("training.epochs=1", run_id=recorded.run_id)
    refitter.tracker.resume(first)
    refitter.tracker.set_tags(first, {"state": "running", "refit_process": json.dumps(this_owner())})
    with pytest.raises(TrackingError, match=f"^The run {first} of this refit is being trained by process "):
        refitter.refit("training.epochs=1", run_id=recorded.run_id)
    assert refitter.run(first).status == "RUNNING"


@pytest.mark.parametrize(
    ("changes", "keys", "message"),
    [
        ((), {}, "src.refit needs the winner of a sweep or a run: sweep=NAME or run_id=ID, one of the two."),
        (
            (),
            {"sweep": "a", "run_id": "b"},
            "src.refit needs the winner of a sweep or a run: sweep=NAME or run_id=ID, one of the two.",
        ),
        (
            (),
            {"sweep": "a", "seeds": 0},
            "seeds must be at least 1, but got 0. It is how many networks are trained.",
        ),
        (
            ("training.epochs=3",),
            {"sweep": "a", "scale_epochs": True},
            "scale_epochs=true scales the epochs that the seeds found best, but training.epochs sets another "
            "number. Leave one of them out.",
        ),
        (
            (),
            {"sweep": "a", "ensemble": True},
            "ensemble=true averages several networks. Add seeds=2 or more.",
        ),
        (
            ("model.kernel_size=3",),
            {"sweep": "a"},
            "src.refit trains the winner's configuration, of which data.path, training.epochs, "
            "training.seed, training.checkpoint can be changed, but got model.kernel_size=3. src.rerun "
            "trains variations of a run.",
        ),
    ],
)
def test_wrong_keys_are_one_sentence(
    refitter: Refitter, changes: tuple[str, ...], keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        refitter.refit(*changes, **keys)
    assert str(raised.value) == message


def test_runs_that_cannot_be_refitted(refitter: Refitter) -> None:
    pruned = refitter.record(*SMALL, end_after=1, trial="0", kind=RunKind.TRIAL)
    refitter.tracker.finish(pruned.run_id, State.PRUNED)
    with pytest.raises(TrackingError, match=f"^The run {pruned.run_id} is pruned. Name a complete one.$"):
        refitter.refit(run_id=pruned.run_id)
    with pytest.raises(TrackingError, match="^No run has the tag study. The tags are"):
        refitter.refit(sweep="sizes")
    with pytest.raises(KerasweepError, match="^No run abcdef in the experiment"):
        refitter.refit(run_id="abcdef")
    assert not refitter.refits()


def test_a_killed_refit_goes_on_with_the_same_command(refitter: Refitter, tmp_path: Path) -> None:
    """It is killed after the first seed, within the second."""
    recorded = refitter.record(*SMALL)
    arguments = (
        f"run_id={recorded.run_id}",
        "seeds=2",
        "training.epochs=100",
        "training.checkpoint.enabled=true",
    )
    command = start(tmp_path, "refit", *arguments)
    lines = iter(command.stdout.readline, "")
    assert any(line.startswith("seed 0: ") for line in lines)
    assert any(line.startswith("epoch 3/100 ") for line in lines)
    os.kill(command.pid, signal.SIGKILL)
    command.communicate()
    (second, first) = refitter.refits()
    assert (first.status, second.status) == ("FINISHED", "RUNNING")
    done = start(tmp_path, "refit", *arguments)
    output, errors = done.communicate(timeout=200)
    assert done.returncode == 0, errors
    assert "epoch 1/100" in output  # of the second seed, from its checkpoint
    states = [run.tags["state"] for run in refitter.refits()]
    assert states == ["complete", "cancelled", "complete"]
    assert refitter.run(second.run_id).tags["reason"] == "its process died"
    (newest, *_) = refitter.refits()
    assert int(newest.tags["restored_epochs"]) >= 2  # the state of the third may not be saved
    seconds = histories(refitter.tracking, [second.run_id, newest.run_id], "epoch_seconds")
    assert len(seconds[newest.run_id]) == 100
    assert seconds[newest.run_id][:2] == seconds[second.run_id][:2]


NETWORK = """
import keras


@keras.saving.register_keras_serializable("mine")
class Twice(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def small(shape, classes):
    layers = [keras.Input(shape), Twice(), keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")]
    return keras.Sequential(layers)
"""


def test_an_ensemble_of_networks_with_layers_of_the_users_own_may_come_later(
    refitter: Refitter, tmp_path: Path
) -> None:
    """A new process has not imported the module of the layer."""
    (tmp_path / "nets.py").write_text(NETWORK)
    trained = run(tmp_path, "train", "debug=fast", "model=custom", "model.target=nets:small")
    assert trained.code == 0, trained
    (recorded,) = find_runs(refitter.tracking, {"kind": RunKind.RUN})
    arguments = (f"run_id={recorded.run_id}", "seeds=2", "training.epochs=1")
    assert run(tmp_path, "refit", *arguments).code == 0
    later = run(tmp_path, "refit", *arguments, "ensemble=true")
    assert later.code == 0, later
    assert [refit.tags["state"] for refit in refitter.refits()] == ["complete"] * 3


def test_a_network_whose_model_is_gone_is_trained_again(refitter: Refitter) -> None:
    recorded = refitter.record(*SMALL)
    (first,) = refitter.refit("training.epochs=1", run_id=recorded.run_id)
    (model,) = refitter.tracker.client.get_run(first).outputs.model_outputs
    refitter.tracker.client.delete_logged_model(model.model_id)
    assert len(refitter.refit("training.epochs=1", run_id=recorded.run_id)) == 2


def test_a_seed_beyond_the_last_one_is_refused_before_anything_is_trained(refitter: Refitter) -> None:
    recorded = refitter.record(*SMALL)
    with pytest.raises(ConfigError, match="^training.seed must be "):
        refitter.refit("training.epochs=1", "training.seed=4294967295", run_id=recorded.run_id, seeds=2)
    assert not refitter.refits()

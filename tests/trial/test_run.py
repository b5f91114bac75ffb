"""A trial records more if it may be the best, ends when pruned, and refuses bad configurations at once."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from mlflow.entities import Run
from omegaconf import DictConfig, OmegaConf

from kerasweep.config.metrics import MEASURES
from kerasweep.config.search import TrackingConf
from kerasweep.data.prepare import Prepared
from kerasweep.data.split import stratified_half
from kerasweep.errors import ConfigError, DataError, KerasweepError, TrainingError, UnreachableError
from kerasweep.results import Outcome, ReportEpoch, TrialRef
from kerasweep.tracking.entries import Entry, Model
from kerasweep.tracking.keras_model import download_model, find_model, has_model
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.tags import POOL_IMAGES, VALIDATION_IMAGES
from kerasweep.tracking.writer import Tracker, open_tracker
from kerasweep.trial.record_best import record_best_figures_and_test, record_best_model, record_best_test
from kerasweep.trial.run import SECONDS_WORTH_A_MODEL, _records_model_now, read_data, run_trial

Configured = Callable[..., DictConfig]
FIGURES = {"learning_curves.png", "confusion_matrix.png", "wrong_images.png"}


def keep_on(epoch: int, best: float) -> bool:
    return False


class Trials:
    """Trains trials and reads their runs back."""

    def __init__(self, tracker: Tracker, folder: Path) -> None:
        self.tracker = tracker
        self.folder = folder

    def train(
        self,
        cfg: DictConfig,
        number: int | None = 0,
        incumbents: tuple[tuple[float, ...], ...] = (),
        report: ReportEpoch = keep_on,
        resume_from: Path | None = None,
        defers_model: bool = False,
    ) -> Outcome:
        run_id = self.tracker.start("trial", {"kind": "trial"}, {})
        ref = TrialRef(
            run_id,
            number,
            incumbents,
            ("model.filters=[4]",),
            resume_from=resume_from,
            defers_model=defers_model,
        )
        self.folder.mkdir(exist_ok=True)
        return run_trial(cfg, ref, self.tracker, report, self.folder)

    def run(self, outcome: Outcome) -> Run:
        return self.tracker.client.get_run(outcome.run_id)

    def has_model(self, outcome: Outcome) -> bool:
        return has_model(TrackingConf(uri=self.tracker.uri), outcome.run_id)

    def model(self, outcome: Outcome) -> Any:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        tracking = TrackingConf(uri=self.tracker.uri)
        path, names = download_model(tracking, str(find_model(tracking, outcome.run_id)), folder)
        assert names == [str(digit) for digit in range(10)]
        return keras.models.load_model(path, safe_mode=True)

    def artifacts(self, outcome: Outcome, folder: str) -> set[str]:
        found = self.tracker.client.list_artifacts(outcome.run_id, folder)
        return {artifact.path.rpartition("/")[2] for artifact in found}


@pytest.fixture(scope="module")
def shared_tracker(
    copy_database: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Tracker:
    return open_tracker(TrackingConf(uri=f"sqlite:///{copy_database(tmp_path_factory.mktemp('tracking'))}"))


@pytest.fixture
def trials(shared_tracker: Tracker, tmp_path: Path) -> Trials:
    return Trials(shared_tracker, tmp_path / "job")


@dataclass(frozen=True)
class TwoTrials:
    """A trial that an incumbent dominates, and one that is better, which may leave its model for later."""

    cfg: DictConfig
    trials: Trials
    dominated: Outcome
    candidate: Outcome
    run: Run  # of the candidate, before it is tested


@pytest.fixture(scope="module")
def train_two(
    shared_tracker: Tracker, configured: Configured, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], TwoTrials]:
    """Returns a function that trains two trials for a value of tracking.models, once."""

    @cache
    def train(models: str) -> TwoTrials:
        cfg = configured("training.epochs=2", f"tracking.models={models}")
        trials, defers = Trials(shared_tracker, tmp_path_factory.mktemp("job")), models != "best"
        dominated = trials.train(cfg, incumbents=((1.1,),), defers_model=defers)
        candidate = trials.train(cfg, incumbents=((0.0,),), defers_model=defers)
        return TwoTrials(cfg, trials, dominated, candidate, trials.run(candidate))

    return train


@pytest.fixture(params=["best", "all", "none"])
def two_trials(request: pytest.FixtureRequest, train_two: Callable[[str], TwoTrials]) -> TwoTrials:
    return train_two(request.param)


def test_a_trial_of_an_older_sweep_keeps_its_halves(
    trials: Trials, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = []

    class Stop(Exception):
        pass

    def stop(cfg: DictConfig, prepared: Prepared) -> None:
        halves.append(prepared.half)
        raise Stop

    monkeypatch.setattr("kerasweep.trial.run.build_network", stop)
    cfg = configured("data.limit=150")
    labels = read_data(cfg).validation.labels
    for draws_odd in (True, False):
        ref = TrialRef(trials.tracker.start("trial", {}, {}), 0, draws_odd=draws_odd)
        with pytest.raises(Stop):
            run_trial(cfg, ref, trials.tracker, keep_on, trials.folder)
        assert np.array_equal(halves[-1], stratified_half(labels, cfg.data.seed, draws_odd))
    assert not np.array_equal(*halves)


def test_trial_that_no_other_dominates_keeps_its_model(
    train_two: Callable[[str], TwoTrials], tmp_path: Path
) -> None:
    best = train_two("best")
    cfg, trials, outcome, run = best.cfg, best.trials, best.candidate, best.run
    assert (outcome.state, outcome.reason, outcome.best_epoch in (1, 2)) == ("complete", None, True)
    assert run.info.status == "RUNNING"  # the caller closes the run
    assert run.data.metrics["objective"] == outcome.values[0]
    assert run.data.metrics["best_epoch"] == outcome.best_epoch
    assert run.data.tags["split"] == read_data(cfg).split
    assert run.data.tags["score"] == "cross-fitted"
    trained = run.data.metrics["generalization_gap"] + outcome.values[0]
    history = trials.tracker.client.get_metric_history(outcome.run_id, "accuracy")
    one, two = (point.value for point in history)  # either half chooses one of two epochs
    assert trained in [pytest.approx(each) for each in (one, two, (one + two) / 2)]
    shown = {name: value for name, value in run.data.metrics.items() if name in outcome.metrics}
    assert shown == outcome.metrics and shown["trained_epochs"] == 2
    assert not [name for name in run.data.metrics if name.startswith("test_")]
    assert trials.artifacts(outcome, "") == {"config.yaml", "overrides.yaml", "figures"}
    assert trials.artifacts(outcome, "figures") == FIGURES
    assert trials.has_model(outcome)
    path = trials.tracker.client.download_artifacts(outcome.run_id, "config.yaml", str(tmp_path))
    assert OmegaConf.to_container(OmegaConf.load(path)) == OmegaConf.to_container(cfg, resolve=True)


def test_metrics_of_a_run_are_those_that_a_claim_may_measure(trials: Trials, configured: Configured) -> None:
    outcome = trials.train(configured("training.epochs=4"), incumbents=((1.1,),))
    recorded = trials.run(outcome).data.metrics
    assert set(recorded) - {VALIDATION_IMAGES, POOL_IMAGES} == set(MEASURES)
    prepared = read_data(configured())
    assert recorded[VALIDATION_IMAGES] == len(prepared.validation)
    assert recorded[POOL_IMAGES] == 1438  # four fifths of the 1,797 digits, of which data.limit draws 200


def test_trial_that_is_dominated_keeps_neither_model_nor_figures(
    trials: Trials, configured: Configured
) -> None:
    heard: list[float | None] = []

    def report(epoch: int, value: float | None) -> bool:
        heard.append(value)
        return False

    outcome = trials.train(configured("training.epochs=3"), incumbents=((1.1,),), report=report)
    history = trials.tracker.client.get_metric_history(outcome.run_id, "val_accuracy")
    assert heard == [point.value for point in history]
    assert trials.artifacts(outcome, "") == {"config.yaml", "overrides.yaml"}
    assert not trials.has_model(outcome)


class WithoutModels(Recorder):
    """Records into MLflow, which goes away whenever a model is to be recorded."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def write(self, run_id: str, entry: Entry) -> None:
        if isinstance(entry, Model):
            raise UnreachableError("MLflow can no longer be used.")
        self.tracker.write(run_id, entry)


def test_a_trial_whose_model_mlflow_cannot_take_is_complete(
    shared_tracker: Tracker, configured: Configured, tmp_path: Path
) -> None:
    """At the end of the sweep, the weights of the best trial become a model."""
    run_id = shared_tracker.start("trial", {"kind": "trial"}, {})
    ref = TrialRef(run_id, 0, ((0.0,),))
    recorder = WithoutModels(shared_tracker)
    outcome = run_trial(configured("training.epochs=2"), ref, recorder, keep_on, tmp_path)
    assert outcome.state == "complete" and outcome.weights is not None and Path(outcome.weights).exists()
    run = shared_tracker.client.get_run(run_id)
    assert run.data.tags["model_error"] == "MLflow can no longer be used."
    assert "objective" in run.data.metrics
    single = replace(ref, number=None)
    assert single.is_single
    with pytest.raises(UnreachableError):
        run_trial(configured("training.epochs=1"), single, recorder, keep_on, tmp_path)


def test_models_are_kept_as_configured(two_trials: TwoTrials) -> None:
    models = two_trials.cfg.tracking.models
    assert two_trials.trials.has_model(two_trials.dominated) is (models == "all")
    assert two_trials.trials.has_model(two_trials.candidate) is (models != "none")


def test_a_candidate_can_be_tested_whenever_its_model_is_recorded(two_trials: TwoTrials) -> None:
    assert two_trials.dominated.weights is None
    cfg, trials, outcome = two_trials.cfg, two_trials.trials, two_trials.candidate
    assert outcome.weights is not None
    ref = TrialRef(outcome.run_id, 0, weights=Path(outcome.weights))
    recorded = record_best_test(cfg, ref, trials.tracker, keep_on, trials.folder)
    assert (recorded.state, recorded.values) == ("complete", outcome.values)
    metrics = trials.run(outcome).data.metrics
    assert metrics["test_images"] == len(read_data(cfg).test.labels) and metrics["test_accuracy"] > 0


def test_any_seed_of_a_repeated_trial_is_a_candidate_for_the_pareto_front(
    trials: Trials, configured: Configured
) -> None:
    """A seed may be dominated while the mean of its trial is not."""
    two = "objective=[{metric: val_accuracy, direction: maximize}, {metric: parameters, direction: minimize}]"
    for repeats, is_left in ((1, False), (2, True)):
        cfg = configured("training.epochs=1", two, f"study.repeats={repeats}")
        outcome = trials.train(cfg, incumbents=((1.1, 1.0),), defers_model=True)
        assert (outcome.weights is not None) is is_left


def test_model_recorded_later_is_that_of_the_candidates_best_epoch(
    trials: Trials, configured: Configured
) -> None:
    cfg = configured("training.epochs=4", "optimizer.learning_rate=0.3")
    direct = trials.train(cfg)
    outcome = trials.train(cfg, defers_model=True)
    assert outcome.weights is not None and not trials.has_model(outcome)
    assert outcome.best_epoch is not None and outcome.best_epoch < 4
    # Another trial overwrites the weights of the shared program.
    trials.train(configured("training.epochs=1", "training.seed=3"), incumbents=((1.1,),))
    ref = TrialRef(outcome.run_id, 0, weights=Path(outcome.weights))
    for record in (record_best_model, record_best_figures_and_test):
        recorded = record(cfg, ref, trials.tracker, keep_on, trials.folder)
        assert (recorded.state, recorded.values) == ("complete", outcome.values)
    assert trials.artifacts(outcome, "figures") == FIGURES
    metrics = trials.run(outcome).data.metrics
    assert metrics["test_images"] == len(read_data(cfg).test.labels)
    right = metrics["test_accuracy"] * metrics["test_images"]
    assert right == pytest.approx(round(right))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1))
    one, other = (trials.model(each)(pixels) for each in (outcome, direct))
    np.testing.assert_array_equal(one, other)
    assert trials.run(outcome).info.status == "RUNNING"


@pytest.mark.parametrize(("uri", "is_now"), [("http://127.0.0.1:1", True), ("sqlite:///absent.db", False)])
def test_a_long_training_records_its_model_at_once_unless_the_database_is_out_of_reach(
    configured: Configured, uri: str, is_now: bool
) -> None:
    """As on a node of a cluster that has no copy of the project's folder."""
    long = Outcome("complete", "run", (0.5,), seconds=SECONDS_WORTH_A_MODEL)
    ref = TrialRef("run", 0, defers_model=True)
    assert _records_model_now(configured(f"tracking.uri={uri}"), ref, long, True) is is_now


def test_epochs_are_reported_without_a_value_where_they_do_not_measure_the_first_objective(
    trials: Trials, configured: Configured
) -> None:
    reported: list[tuple[int, float | None]] = []

    def report(epoch: int, value: float | None) -> bool:
        reported.append((epoch, value))
        return False

    both = "[{metric:parameters,direction:minimize},{metric:val_accuracy,direction:maximize}]"
    cfg = configured(f"objective={both}")
    outcome = trials.train(cfg, incumbents=((1e9, 1.1),), report=report, defers_model=True)
    assert outcome.values[0] == outcome.metrics["parameters"] and 0 < outcome.values[1] <= 1
    assert reported and reported == [(epoch, None) for epoch in range(1, len(reported) + 1)]
    assert outcome.weights is not None  # no other trial dominates it


def test_report_receives_each_epoch_and_prunes(trials: Trials, configured: Configured) -> None:
    heard: list[tuple[int, float]] = []

    def report(epoch: int, value: float | None) -> bool:
        heard.append((epoch, value))
        return epoch == 3

    objective = "objective=[{metric:val_loss,direction:minimize}]"
    outcome = trials.train(configured("training.epochs=9", objective), report=report)
    assert (outcome.state, outcome.reason) == ("pruned", "the pruner ended it after epoch 3")
    history = trials.tracker.client.get_metric_history(outcome.run_id, "val_loss")
    values = [point.value for point in history]
    assert [point.step for point in history] == [1, 2, 3]
    assert heard == list(enumerate(values, start=1))
    assert trials.artifacts(outcome, "") == {"config.yaml", "overrides.yaml"}


def test_epochs_are_reported_while_the_rate_climbs(trials: Trials, configured: Configured) -> None:
    cfg = configured("training.epochs=5", "schedule=warmup_cosine", "schedule.warmup_epochs=1.5")
    heard: list[int] = []

    def report(epoch: int, value: float | None) -> bool:
        heard.append(epoch)
        return epoch == 4

    outcome = trials.train(cfg, report=report)
    assert (outcome.state, outcome.reason) == ("pruned", "the pruner ended it after epoch 4")
    assert heard == [1, 2, 3, 4]


def test_resumed_trial_records_every_epoch_in_its_new_run(
    trials: Trials, configured: Configured, tmp_path: Path
) -> None:
    heard: list[float | None] = []

    def report(epoch: int, value: float | None) -> bool:
        heard.append(value)
        if len(heard) == 2:
            raise KeyboardInterrupt
        return epoch == 1  # the answer for a restored epoch has no effect

    cfg = configured("training.epochs=3", "training.checkpoint.enabled=true")
    with pytest.raises(KeyboardInterrupt):
        trials.train(cfg, report=lambda epoch, value: report(epoch + 1, value))
    trials.folder = tmp_path / "retry"
    outcome = trials.train(cfg, report=report, resume_from=tmp_path / "job")
    history = trials.tracker.client.get_metric_history(outcome.run_id, "val_accuracy")
    assert [point.step for point in history] == [1, 2, 3]
    assert heard[2:] == [point.value for point in history] and heard[2] == heard[0]
    assert outcome.state == "complete"
    assert trials.run(outcome).data.tags["restored_epochs"] == "1"


def test_loss_that_is_not_finite_raises_and_keeps_the_run_open(
    trials: Trials, configured: Configured
) -> None:
    with pytest.raises(TrainingError, match="loss became (nan|inf) in epoch 1"):
        trials.train(configured("optimizer.learning_rate=1e30"))
    newest, *_ = trials.tracker.client.search_runs([trials.tracker.experiment_id])
    assert newest.info.status == "RUNNING"


@pytest.mark.parametrize(
    ("kind", "overrides", "said"),
    [
        (ConfigError, ["training.batch_size=0"], "training.batch_size must be at least 1, but got 0."),
        (ConfigError, ["augment=flip_crop", "augment.crop_padding=8"], "below the image's 8 pixels"),
        (ConfigError, ["model.filters=[4,4,4,4]"], "the images are 8x8"),
        (DataError, ["data=npz", "data.path=absent.npz"], "absent.npz"),
    ],
)
def test_bad_configuration_is_refused_when_the_data_is_read(
    configured: Configured, kind: type[KerasweepError], overrides: list[str], said: str
) -> None:
    with pytest.raises(kind) as raised:
        read_data(configured(*overrides))
    assert said in str(raised.value)


@pytest.mark.parametrize("train", [True, False])
def test_other_data_than_the_sweeps_is_refused(train: bool, trials: Trials, configured: Configured) -> None:
    """In the process that trains, and in the one that records the winner."""
    ref = TrialRef("run", 0, data_digest="0123456789abcdef", weights=trials.folder / "best.npz")
    with pytest.raises(DataError) as refused:
        if train:
            run_trial(configured(), ref, trials.tracker, keep_on, trials.folder)
        else:
            trials.folder.mkdir(exist_ok=True)
            np.savez(trials.folder / "best.npz", notes=np.array("{}"))
            record_best_test(configured(), ref, trials.tracker, keep_on, trials.folder)
    assert "other data than its sweep: the digest is " in str(refused.value)
    assert "0123456789abcdef there" in str(refused.value)

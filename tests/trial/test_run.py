"""One trial: what it records by its rank, when it is pruned, and what it refuses before any run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import Run
from omegaconf import DictConfig, OmegaConf

from src.errors import ConfigError, DataError, KerasweepError, TrainingError
from src.outcome import Outcome, TrialRef
from src.tracking.runs import Tracker
from src.trial.run import Report, read_data, run_trial

Configured = Callable[..., DictConfig]


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
        report: Report = keep_on,
        resume_from: Path | None = None,
    ) -> Outcome:
        run_id = self.tracker.start("trial", {"kind": "trial"}, {})
        ref = TrialRef(run_id, number, incumbents, ("model.filters=[4]",), resume_from=resume_from)
        return run_trial(cfg, ref, self.tracker, report, self.folder)

    def run(self, outcome: Outcome) -> Run:
        return self.tracker.client.get_run(outcome.run_id)

    def artifacts(self, outcome: Outcome, folder: str) -> set[str]:
        found = self.tracker.client.list_artifacts(outcome.run_id, folder)
        return {artifact.path.rpartition("/")[2] for artifact in found}


@pytest.fixture
def trials(tracker: Tracker, tmp_path: Path) -> Trials:
    return Trials(tracker, tmp_path / "job")


def test_trial_that_no_other_dominates_keeps_its_model(trials: Trials, configured: Configured) -> None:
    cfg = configured("training.epochs=2")
    outcome = trials.train(cfg, incumbents=((0.0,),))
    assert (outcome.state, outcome.reason, outcome.best_epoch in (1, 2)) == ("complete", None, True)
    assert outcome.values == (outcome.metrics["val_accuracy"],)
    run = trials.run(outcome)
    assert run.info.status == "RUNNING"  # its caller closes it
    assert run.data.metrics["objective"] == outcome.values[0]
    assert run.data.metrics["best_epoch"] == outcome.best_epoch
    assert not [name for name in run.data.metrics if name.startswith("test_")]
    assert trials.artifacts(outcome, "") == {"config.yaml", "overrides.yaml", "figures", "model"}
    assert trials.artifacts(outcome, "model") == {"model.keras", "classes.json"}
    path = trials.tracker.client.download_artifacts(outcome.run_id, "config.yaml", str(trials.folder.parent))
    assert OmegaConf.to_container(OmegaConf.load(path)) == OmegaConf.to_container(cfg, resolve=True)


def test_trial_that_is_dominated_keeps_its_curves_only(trials: Trials, configured: Configured) -> None:
    heard: list[float] = []

    def report(epoch: int, value: float) -> bool:
        heard.append(value)
        return False

    outcome = trials.train(configured("training.epochs=3"), incumbents=((1.1,),), report=report)
    history = trials.tracker.client.get_metric_history(outcome.run_id, "val_accuracy")
    assert heard == [point.value for point in history]
    assert trials.artifacts(outcome, "") == {"config.yaml", "overrides.yaml", "figures"}
    assert trials.artifacts(outcome, "figures") == {"learning_curves.png"}


def test_first_objective_that_no_epoch_measures_is_not_reported_and_counts(
    trials: Trials, configured: Configured
) -> None:
    def report(epoch: int, value: float) -> bool:
        raise AssertionError(f"epoch {epoch} reported {value}")

    both = "[{metric:parameters,direction:minimize},{metric:val_accuracy,direction:maximize}]"
    outcome = trials.train(configured(f"objective={both}"), incumbents=((1e9, 1.1),), report=report)
    assert outcome.values == (outcome.metrics["parameters"], outcome.metrics["val_accuracy"])
    assert trials.artifacts(outcome, "model") == {"model.keras", "classes.json"}


def test_report_hears_each_epoch_and_prunes(trials: Trials, configured: Configured) -> None:
    heard: list[tuple[int, float]] = []

    def report(epoch: int, value: float) -> bool:
        heard.append((epoch, value))
        return epoch == 3

    objective = "objective=[{metric:val_loss,direction:minimize}]"
    outcome = trials.train(configured("training.epochs=9", objective), report=report)
    assert (outcome.state, outcome.reason) == ("pruned", "the pruner ended it after epoch 3")
    history = trials.tracker.client.get_metric_history(outcome.run_id, "val_loss")
    values = [point.value for point in history]
    assert [point.step for point in history] == [1, 2, 3]
    assert heard == list(enumerate(values, start=1))
    assert trials.artifacts(outcome, "") == {"config.yaml", "overrides.yaml", "figures"}


def test_trial_that_goes_on_shows_every_epoch_in_its_own_run(
    trials: Trials, configured: Configured, tmp_path: Path
) -> None:
    heard: list[float] = []

    def report(epoch: int, value: float) -> bool:
        heard.append(value)
        if len(heard) == 2:
            raise KeyboardInterrupt
        return epoch == 1  # asked of an epoch that has been trained, it prunes nothing

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


def test_loss_that_is_no_number_raises_and_leaves_the_run_to_its_caller(
    trials: Trials, configured: Configured
) -> None:
    with pytest.raises(TrainingError, match="loss became (nan|inf) in epoch 1"):
        trials.train(configured("optimizer=sgd", "optimizer.learning_rate=1e30"))
    (run,) = trials.tracker.client.search_runs([trials.tracker.experiment_id])
    assert run.info.status == "RUNNING"


@pytest.mark.parametrize(
    ("kind", "overrides", "said"),
    [
        (ConfigError, ["training.batch_size=0"], "training.batch_size must be at least 1, but got 0."),
        (ConfigError, ["augment=flip_crop", "augment.crop_padding=8"], "below the image's 8 pixels"),
        (ConfigError, ["model.filters=[4,4,4,4]"], "the images are 8x8"),
        (DataError, ["data=npz", "data.path=absent.npz"], "absent.npz"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_data(
    configured: Configured, kind: type[KerasweepError], overrides: list[str], said: str
) -> None:
    with pytest.raises(kind) as raised:
        read_data(configured(*overrides))
    assert said in str(raised.value)

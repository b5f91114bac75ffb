"""Runs a single training from its configuration to its last line of output."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from kerasweep.commands.answer import give
from kerasweep.commands.open_run import open_run
from kerasweep.config.interpolations import resolve_values
from kerasweep.config.passwords import without_password
from kerasweep.config.search import TrialConf
from kerasweep.config.unread_keys import check_command
from kerasweep.data.prepare import Prepared
from kerasweep.errors import ConfigError
from kerasweep.results import Outcome, ReportEpoch, State, TrialRef
from kerasweep.terminal import next_commands, say
from kerasweep.tracking.client import import_mlflow
from kerasweep.tracking.location import resolve_uri
from kerasweep.tracking.tags import RunKind, check_user_tags, run_tags
from kerasweep.tracking.writer import Tracker, open_tracker
from kerasweep.trial.artifacts import record_images
from kerasweep.trial.digest import note_code
from kerasweep.trial.run import read_data, run_trial
from kerasweep.workers.signals import interrupts_held

# The keys and groups that a single run does not read.
OF_SWEEPS = ("study", "trial", "budget", "sampler", "pruner")


@dataclass(frozen=True)
class TrainedRun:
    """A network that was trained and recorded."""

    run_id: str  # MLflow's
    objective: Mapping[str, float]  # each objective's value, without the luck of the best epoch
    best_epoch: int | None  # from 1; its weights are saved
    # As the run shows them: val_accuracy is the last epoch's. A NaN is null in JSON.
    metrics: Mapping[str, float | None]
    test_accuracy: float
    seconds: float  # of training
    overrides: tuple[str, ...]
    has_model: bool
    tracking_uri: str  # MLflow's, without a password
    experiment: str  # MLflow's


def run_single(cfg: DictConfig, hydra_cfg: DictConfig) -> float:
    """Trains one network, records it, prints its result, and returns the first objective's value.

    Args:
        cfg: The configuration without Hydra's node.
        hydra_cfg: Hydra's node, for the group choices, the overrides and the output folder.
    """
    resolve_values(cfg)
    if cfg.study.dry_run:
        raise ConfigError(
            "study.dry_run=true shows what a sweep would train. Add -m, or leave study.dry_run out."
        )
    overrides = tuple(str(override) for override in hydra_cfg.overrides.task)
    if OmegaConf.select(hydra_cfg, "mode") != RunMode.MULTIRUN:  # another sweeper's jobs come here, too
        _check_overrides(overrides)
    check_command(cfg, hydra_cfg)
    if cfg.trial.target != TrialConf.target:
        raise ConfigError("trial.target is used by sweeps. Add -m, or leave it out.")
    if cfg.data.ship:
        raise ConfigError("data.ship is used by sweeps on a Ray cluster. Leave it out.")
    check_user_tags(cfg.tracking.tags)
    os.chdir(hydra_cfg.runtime.cwd)  # databases, data and jobs lie where the command was started
    note_code(cfg)
    prepared = read_data(cfg)
    say(f"data: {cfg.data.source}, {prepared.describe()}")
    for note in prepared.notes:
        say(f"note: {note}")
    with interrupts_held():
        import_mlflow(resolve_uri(cfg.tracking.uri))
    tracker = open_tracker(cfg.tracking)
    choices = {str(key): str(value) for key, value in hydra_cfg.runtime.choices.items()}
    ref, folder = TrialRef("", overrides=overrides), Path(hydra_cfg.runtime.output_dir)
    tags = run_tags(cfg, choices)
    name = os.environ.get("MLFLOW_RUN_NAME") or " ".join(overrides) or "default"
    outcome = train_in_run(cfg, prepared, tracker, name, tags, ref, print_epoch(cfg), folder)
    _print_result(cfg, outcome, tracker)
    give(_trained(cfg, outcome, tracker, overrides))
    return outcome.values[0]


def train_in_run(
    cfg: DictConfig,
    prepared: Prepared,
    tracker: Tracker,
    name: str,
    tags: Mapping[str, str],
    ref: TrialRef,
    report: ReportEpoch,
    folder: Path,
    on_start: Callable[[str], None] = lambda run_id: None,
) -> Outcome:
    """Opens a run, trains one network in it, and closes it however the training ends.

    Args:
        cfg: The configuration.
        prepared: Its data.
        tracker: Writes to MLflow.
        name: The run's.
        tags: The run's, besides those of `open_run`.
        ref: How to train; its `run_id` is replaced.
        report: Called after each epoch, see `run_trial`.
        folder: For checkpoints.
        on_start: Called with the run's id.
    """
    with open_run(cfg, tracker, name, {"kind": RunKind.RUN, **tags}, on_start) as opened:
        record_images(cfg, opened.run_id, tracker, prepared)
        outcome = run_trial(cfg, replace(ref, run_id=opened.run_id), tracker, report, folder)
        opened.state, opened.reason = State(outcome.state), outcome.reason
    return outcome


def _check_overrides(overrides: Sequence[str]) -> None:
    """Raises ConfigError for an override that only sweeps read."""
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key.partition(".")[0] in OF_SWEEPS:
            raise ConfigError(f"{key} is used by sweeps. Add -m, or leave it out.")


def print_epoch(cfg: DictConfig) -> ReportEpoch:
    """Returns a report that prints each epoch and its first objective."""
    metric, epochs = cfg.objective[0].metric, cfg.training.epochs

    def report(epoch: int, value: float | None) -> bool:
        measured = "" if value is None else f"  {metric} {value:.4g}"
        say(f"epoch {epoch}/{epochs}{measured}")
        return False

    return report


def _trained(cfg: DictConfig, outcome: Outcome, tracker: Tracker, overrides: Sequence[str]) -> TrainedRun:
    metrics = [objective.metric for objective in cfg.objective]
    return TrainedRun(
        run_id=outcome.run_id,
        objective=dict(zip(metrics, outcome.values, strict=True)),
        best_epoch=outcome.best_epoch,
        metrics=dict(outcome.metrics),
        test_accuracy=outcome.metrics["test_accuracy"],
        seconds=outcome.seconds,
        overrides=tuple(overrides),
        has_model=cfg.tracking.models != "none",
        tracking_uri=without_password(tracker.uri),
        experiment=cfg.tracking.experiment,
    )


def _print_result(cfg: DictConfig, outcome: Outcome, tracker: Tracker) -> None:
    metric = cfg.objective[0].metric
    is_cross_fitted = metric.startswith("val_")  # less than the best epoch's own value, printed above
    remark = " without the luck of this choice" if is_cross_fitted else ""
    say(f"best epoch {outcome.best_epoch}: {metric} {outcome.values[0]:.4g}{remark}")
    say(f"test accuracy {outcome.metrics['test_accuracy']:.4g}, {outcome.seconds:.1f} s of training")
    kept = None if cfg.tracking.models == "none" else outcome.run_id
    uri, experiment = without_password(tracker.uri), tracker.experiment_id
    for line in next_commands(uri, tracker.is_default, None, kept, experiment=experiment):
        say(line)

"""Trains the networks of a refit, each in a run below the winner's, and tests them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from omegaconf import DictConfig

from kerasweep.commands.open_run import OpenRun, open_run
from kerasweep.commands.refit_plan import RefitPlan, digest_of, plan_refit
from kerasweep.config import check
from kerasweep.config.backbones import hub_packages
from kerasweep.config.passwords import resolved_text, without_password
from kerasweep.config.target import import_target
from kerasweep.errors import TrackingError
from kerasweep.file_lock import locked
from kerasweep.handover.recorded_model import read_model
from kerasweep.handover.scores import probabilities_of, score
from kerasweep.report.score import TestScore, recorded_score
from kerasweep.results import State, TrialRef
from kerasweep.search.owner import has_ended_here, this_owner
from kerasweep.terminal import next_commands, say
from kerasweep.tracking.keras_model import has_model
from kerasweep.tracking.location import database_path
from kerasweep.tracking.reader import CONFIG, find_runs
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import (
    ENSEMBLE,
    REFIT,
    REFIT_OF,
    REFIT_PROCESS,
    RESTORED_EPOCHS,
    TRAINED_EPOCHS,
    WEIGHTS_DIGEST,
)
from kerasweep.tracking.writer import Tracker, open_tracker
from kerasweep.training.numerics import read_numerics
from kerasweep.training.runtime import start_tensorflow
from kerasweep.trial.artifacts import draw_errors, record_data, record_model
from kerasweep.trial.digest import code_tags
from kerasweep.trial.network import build_network

FOLDER = Path("jobs", "refit")  # beside the database, or below mlruns


@dataclass(frozen=True)
class Trained:
    """A network of a refit."""

    run_id: str
    key: str  # see `RefitPlan.key_of`
    score: TestScore


@dataclass(frozen=True)
class RefittedRun:
    """A network of a refit, or the mean of several."""

    run_id: str  # MLflow's
    test_accuracy: float
    test_interval: tuple[float, float]  # Wilson's 95 % interval, for other images of the same kind
    test_images: int


@dataclass(frozen=True)
class Refit:
    """A winner that was trained on training and validation images together."""

    winner: str  # the id of the winner's run
    epochs: int
    seeds: tuple[RefittedRun, ...]
    ensemble: RefittedRun | None  # None without ensemble=true
    mean_test_accuracy: float  # of the seeds


def refit_seeds(cfg: DictConfig, changes: Sequence[str], command: str) -> Refit:
    """Trains and tests a refit. Networks that an earlier start of the same command trained are kept.

    Args:
        cfg: The configuration of src.refit, checked.
        changes: Overrides of the training.
        command: The command as it was typed, a tag of the runs.
    """
    plan = plan_refit(cfg, changes, command)
    check(plan.cfg_of(cfg.seeds - 1))  # its seed may be too large
    name = cfg.sweep or plan.winner.run.run_id[:8]
    _say_plan(plan, name)
    tracker = open_tracker(plan.cfg.tracking)
    seeds = []
    for number in range(cfg.seeds):
        seeds.append(_train_seed(plan, tracker, number, f"refit of {name}, seed {number}"))
        say(f"seed {number}: on the test set: accuracy {seeds[-1].score}, run {seeds[-1].run_id}")
    if len(seeds) > 1:
        say(f"mean of {len(seeds)} seeds: {fmean(seed.score.accuracy for seed in seeds):.4f}")
    shown, ensemble = seeds[0], None
    if cfg.ensemble:
        shown = ensemble = _average_seeds(plan, tracker, seeds, f"ensemble of {name}")
        say(f"ensemble: on the test set: accuracy {shown.score}, run {shown.run_id}")
    uri, experiment = without_password(tracker.uri), tracker.experiment_id
    for line in next_commands(uri, tracker.is_default, None, shown.run_id, experiment=experiment):
        say(line)
    say(f"promote: with src.promote run_id={shown.run_id} name=NAME, which tests it against the champion")
    return Refit(
        winner=plan.winner.run.run_id,
        epochs=plan.epochs.count,
        seeds=tuple(map(_refitted, seeds)),
        ensemble=None if ensemble is None else _refitted(ensemble),
        mean_test_accuracy=fmean(seed.score.accuracy for seed in seeds),
    )


def _refitted(trained: Trained) -> RefittedRun:
    tested = trained.score
    return RefittedRun(trained.run_id, tested.accuracy, tested.interval, tested.images)


def _say_plan(plan: RefitPlan, name: str) -> None:
    run, prepared, count = plan.winner.run, plan.prepared, plan.epochs.count
    tested = recorded_score(run)
    of_winner = "not tested on the test set" if tested is None else f"on the test set: accuracy {tested}"
    say(f"winner of {name}: run {run.run_id[:8]}, {of_winner}")
    say(
        f"refit: {len(prepared.train):,} images to train on, training and validation together, "
        f"{len(prepared.test):,} to test; {count} epoch{'' if count == 1 else 's'}, {plan.epochs.reason}"
    )
    if plan.epochs.note:
        say(f"note: {plan.epochs.note}")
    if plan.cfg.data.limit is not None:
        say(f"note: data.limit={plan.cfg.data.limit} holds, as in the winner's training")


def _train_seed(plan: RefitPlan, tracker: Tracker, number: int, name: str) -> Trained:
    """Trains a network, or returns the one that an earlier start has trained."""
    cfg = plan.cfg_of(number)
    key, epochs = plan.key_of(cfg), cfg.training.epochs
    with _exclusive(plan, tracker, key) as trained:
        if trained is not None:
            return trained
        with _opened(plan, cfg, tracker, name, {REFIT: key}) as opened:
            network = build_network(cfg, plan.prepared)
            folder = _folder(tracker, key) if cfg.training.checkpoint.enabled else None
            rate = plan.rate(network.steps_per_epoch)
            restored = network.fit_all(epochs, rate, _reporter(tracker, opened.run_id, epochs), folder)
            tracker.set_tags(
                opened.run_id,
                {
                    **read_numerics(hub_packages(cfg.model)),
                    **code_tags(cfg),
                    WEIGHTS_DIGEST: network.weights_digest(),
                    **({RESTORED_EPOCHS: str(restored)} if restored else {}),
                },
            )
            tracker.log_metrics(opened.run_id, {TRAINED_EPOCHS: float(epochs)})
            record_model(TrialRef(opened.run_id), tracker, plan.prepared, network)
            probabilities = network.probabilities(plan.prepared.test)
            return _record_score(plan, tracker, opened, key, probabilities)


def _average_seeds(plan: RefitPlan, tracker: Tracker, seeds: Sequence[Trained], name: str) -> Trained:
    """Records one more model, with the mean of the networks' probabilities."""
    members = " ".join(seed.run_id for seed in seeds)
    key = digest_of([seed.key for seed in seeds])
    with _exclusive(plan, tracker, key) as trained:
        if trained is not None:
            return trained
        start_tensorflow()
        from kerasweep.handover.ensemble import average

        if plan.cfg.model.architecture == "custom":
            import_target(plan.cfg.model.target)  # registers its layers
        model = average([read_model(plan.cfg.tracking, seed.run_id).model for seed in seeds])
        with _opened(plan, plan.cfg, tracker, name, {REFIT: key, ENSEMBLE: members}) as opened:
            tracker.log_model(opened.run_id, model, plan.prepared.class_names, plan.prepared.conversion)
            probabilities = probabilities_of(model, plan.prepared.test)
            return _record_score(plan, tracker, opened, key, probabilities)


@contextmanager
def _opened(
    plan: RefitPlan, cfg: DictConfig, tracker: Tracker, name: str, tags: Mapping[str, str]
) -> Iterator[OpenRun]:
    """Opens a run below the winner's with the refit's configuration and data."""
    all_tags = {**plan.tags, **tags, REFIT_PROCESS: json.dumps(this_owner())}
    with open_run(cfg, tracker, name, all_tags, parent=plan.winner.run.run_id) as opened:
        record_data(cfg, opened.run_id, tracker, plan.prepared)
        tracker.log_text(opened.run_id, resolved_text(cfg), CONFIG)
        yield opened


def _record_score(
    plan: RefitPlan, tracker: Tracker, opened: OpenRun, key: str, probabilities: np.ndarray
) -> Trained:
    part = plan.prepared.test
    tested = score(probabilities, part.labels)
    low, high = tested.interval
    metrics = {"test_accuracy": tested.accuracy, "test_images": float(tested.images)}
    tracker.log_metrics(opened.run_id, {**metrics, "test_accuracy_low": low, "test_accuracy_high": high})
    names = plan.prepared.class_names
    draw_errors(opened.run_id, tracker, part, probabilities, names, "test images")
    opened.state, opened.reason = State.COMPLETE, None
    return Trained(opened.run_id, key, tested)


@contextmanager
def _exclusive(plan: RefitPlan, tracker: Tracker, key: str) -> Iterator[Trained | None]:
    """Lets one process at a time train a network; yields the network if it is trained already.

    A run that a killed process left open is closed. A network whose model is gone is trained again.

    Raises:
        TrackingError: A process on another machine trains it.
    """
    waiting = "note: another process trains this network: waiting for its end"
    with locked(_folder(tracker, key) / "lock", lambda: say(waiting)):
        runs = find_runs(plan.cfg.tracking, {REFIT: key, REFIT_OF: plan.recorded.run.run_id})
        for run in reversed(runs):  # the oldest first, if there are several
            tested, is_complete = recorded_score(run), run.tags.get("state") == State.COMPLETE
            if is_complete and tested is not None and has_model(plan.cfg.tracking, run.run_id):
                yield Trained(run.run_id, key, tested)
                return
            if run.status == State.RUNNING.mlflow:
                _close_if_dead(tracker, run)
        yield None


def _folder(tracker: Tracker, key: str) -> Path:
    """Returns the folder of a network's lock and state: the same for all commands with the same database."""
    database = database_path(tracker.uri)
    return (database.parent if database else Path("mlruns")) / FOLDER / key


def _close_if_dead(tracker: Tracker, run: RunRecord) -> None:
    owner = json.loads(run.tags[REFIT_PROCESS])
    if not has_ended_here(owner):
        raise TrackingError(
            f"The run {run.run_id} of this refit is being trained by process {owner['pid']} on "
            f"{owner['host']}. Wait for it, or delete the run if that process died."
        )
    tracker.finish(run.run_id, State.CANCELLED, "its process died")


def _reporter(tracker: Tracker, run_id: str, epochs: int) -> Callable[[int, dict[str, float]], bool]:
    def after_epoch(epoch: int, metrics: dict[str, float]) -> bool:
        tracker.log_epoch(run_id, epoch, metrics)
        say(f"epoch {epoch}/{epochs}  training accuracy {metrics['accuracy']:.4g}")
        return False

    return after_epoch

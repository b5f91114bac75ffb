"""Trains the networks of a refit, each in a run below the winner's, and tests them."""

import hashlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from omegaconf import DictConfig, OmegaConf

from kerasweep.commands.open_run import OpenRun, open_run
from kerasweep.commands.recorded_config import Again, compose_again
from kerasweep.config.passwords import resolved_text, without_password
from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.config.training import CheckpointConf
from kerasweep.data.prepare import Prepared, join_validation
from kerasweep.file_lock import locked
from kerasweep.handover.recorded_data import check_recorded_digest
from kerasweep.handover.recorded_model import read_model
from kerasweep.handover.refit_epochs import RefitEpochs, seeds_epochs
from kerasweep.handover.scores import TestScore, probabilities_of, recorded_score, score
from kerasweep.handover.winner import Winner, find_winner, winner_of
from kerasweep.results import State, TrialRef
from kerasweep.terminal import next_commands, say
from kerasweep.tracking.reader import CONFIG, find_runs
from kerasweep.tracking.recorded_run import RecordedRun, read_recorded_run
from kerasweep.tracking.tags import ENSEMBLE, REFIT, REFIT_OF, WEIGHTS_DIGEST, RunKind, check_user_tags
from kerasweep.tracking.writer import Tracker, open_tracker
from kerasweep.training.numerics import read_numerics
from kerasweep.training.runtime import start_tensorflow
from kerasweep.training.schedules import Rate, rate_function
from kerasweep.trial.artifacts import draw_errors, record_data, record_model
from kerasweep.trial.digest import note_code, targets_tag
from kerasweep.trial.network import build_network
from kerasweep.trial.run import read_data

FOLDER = Path("mlruns", "jobs", "refit")
KEY_DIGITS = 12


@dataclass(frozen=True)
class Refit:
    """A refit before its training."""

    cfg: DictConfig  # of its first network
    prepared: Prepared  # training and validation images together
    winner: Winner
    recorded: RecordedRun  # the winner's run
    epochs: RefitEpochs
    tags: dict[str, str]  # of each of its runs


@dataclass(frozen=True)
class Trained:
    """A network of a refit."""

    run_id: str
    score: TestScore


def refit_seeds(cfg: DictConfig, changes: Sequence[str]) -> None:
    """Trains and tests a refit. Networks that an earlier start of the same command trained are kept.

    Args:
        cfg: The configuration of src.refit, checked.
        changes: Overrides of the training.
    """
    refit = _prepare(cfg, changes)
    name = cfg.sweep or refit.winner.run.run_id[:8]
    _say_plan(refit, name)
    tracker = open_tracker(refit.cfg.tracking)
    seeds = []
    for number in range(cfg.seeds):
        seeds.append(_train_seed(refit, tracker, number, f"refit of {name}, seed {number}"))
        say(f"seed {number}: on the test set: accuracy {seeds[-1].score}, run {seeds[-1].run_id}")
    if len(seeds) > 1:
        say(f"mean of {len(seeds)} seeds: {fmean(seed.score.accuracy for seed in seeds):.4f}")
    shown = seeds[0]
    if cfg.ensemble:
        shown = _average_seeds(refit, tracker, seeds, f"ensemble of {name}")
        say(f"ensemble: on the test set: accuracy {shown.score}, run {shown.run_id}")
    for line in next_commands(without_password(tracker.uri), tracker.is_default, None, shown.run_id):
        say(line)


def _prepare(cfg: DictConfig, changes: Sequence[str]) -> Refit:
    if cfg.sweep is not None:
        winner = find_winner(cfg.tracking, str(cfg.sweep))
        recorded = read_recorded_run(cfg.tracking, winner.run.run_id)
    else:
        recorded = read_recorded_run(cfg.tracking, str(cfg.run_id))
        winner = winner_of(recorded.tracking, recorded.run)
    again = compose_again(recorded.config, changes, recorded.tags)
    again.cfg.tracking = cfg.tracking.copy()
    again.cfg.tracking.experiment = recorded.tracking.experiment  # that of the run above
    check_user_tags(again.cfg.tracking.tags)
    note_code(again.cfg)
    apart = read_data(again.cfg)
    check_recorded_digest(recorded.data_digest, apart, recorded.run.run_id, again.cfg.data)
    prepared = join_validation(again.cfg.data, apart)
    epochs = _epochs(cfg, changes, again, winner, len(apart.train), len(prepared.train))
    again.cfg.training.epochs = epochs.count
    again.cfg.training.early_stopping.enabled = False
    study = {"study": recorded.tags["study"]} if "study" in recorded.tags else {}
    tags = {**study, **again.tags, "kind": RunKind.REFIT, REFIT_OF: recorded.run.run_id}
    return Refit(again.cfg, prepared, winner, recorded, epochs, tags)


def _epochs(
    cfg: DictConfig, changes: Sequence[str], again: Again, winner: Winner, images: int, more_images: int
) -> RefitEpochs:
    if any(change.lstrip("+").startswith("training.epochs=") for change in changes):
        epochs = again.cfg.training.epochs
        return RefitEpochs(epochs, epochs, "as training.epochs says")
    recorded = int(winner.run.params["training.epochs"])
    return seeds_epochs(winner.seeds, recorded, images, more_images if cfg.scale_epochs else None)


def _say_plan(refit: Refit, name: str) -> None:
    run, prepared = refit.winner.run, refit.prepared
    tested = recorded_score(run)
    of_winner = "not tested on the test set" if tested is None else f"on the test set: accuracy {tested}"
    say(f"winner of {name}: run {run.run_id[:8]}, {of_winner}")
    say(
        f"refit: {len(prepared.train):,} images to train on, training and validation together, "
        f"{len(prepared.test):,} to test; {refit.epochs.count} epochs, {refit.epochs.reason}"
    )


def _train_seed(refit: Refit, tracker: Tracker, number: int, name: str) -> Trained:
    """Trains a network, or returns the one that an earlier start has trained."""
    cfg = refit.cfg.copy()
    cfg.training.seed += number
    key = _key(refit, cfg)
    with _exclusive(refit, tracker, key) as trained:
        if trained is not None:
            return trained
        keeps_state = cfg.training.checkpoint.enabled
        with _opened(refit, cfg, tracker, name, {REFIT: key}) as opened:
            network = build_network(cfg, refit.prepared)
            network.fit_all(
                cfg.training.epochs,
                lambda steps: _rates(refit, steps),
                _reporter(tracker, opened.run_id, cfg.training.epochs),
                FOLDER / key if keeps_state else None,
            )
            tags = {**read_numerics(), **targets_tag(cfg), WEIGHTS_DIGEST: network.weights_digest()}
            tracker.set_tags(opened.run_id, tags)
            record_model(TrialRef(opened.run_id), tracker, refit.prepared, network)
            probabilities = network.probabilities(refit.prepared.test)
            return _record_score(refit, tracker, opened, probabilities)


def _average_seeds(refit: Refit, tracker: Tracker, seeds: Sequence[Trained], name: str) -> Trained:
    """Records one more model, with the mean of the networks' probabilities."""
    members = " ".join(seed.run_id for seed in seeds)
    key = hashlib.sha256(members.encode()).hexdigest()[:KEY_DIGITS]
    with _exclusive(refit, tracker, key) as trained:
        if trained is not None:
            return trained
        with _opened(refit, refit.cfg, tracker, name, {REFIT: key, ENSEMBLE: members}) as opened:
            start_tensorflow()
            from kerasweep.handover.ensemble import average

            models = [read_model(refit.cfg.tracking, seed.run_id).model for seed in seeds]
            model = average(models)
            tracker.log_model(opened.run_id, model, refit.prepared.class_names)
            probabilities = probabilities_of(model, refit.prepared.test)
            return _record_score(refit, tracker, opened, probabilities)


@contextmanager
def _opened(
    refit: Refit, cfg: DictConfig, tracker: Tracker, name: str, tags: dict[str, str]
) -> Iterator[OpenRun]:
    """Opens a run below the winner's with the refit's configuration and data."""
    own = {**refit.tags, **tags, "host": socket.gethostname()}
    with open_run(cfg, tracker, name, own, parent=refit.winner.run.run_id) as opened:
        record_data(cfg, opened.run_id, tracker, refit.prepared)
        tracker.log_text(opened.run_id, resolved_text(cfg), CONFIG)
        yield opened


def _record_score(refit: Refit, tracker: Tracker, opened: OpenRun, probabilities: np.ndarray) -> Trained:
    part = refit.prepared.test
    tested = score(probabilities, part.labels)
    low, high = tested.interval
    metrics = {"test_accuracy": tested.accuracy, "test_images": float(tested.images)}
    tracker.log_metrics(opened.run_id, {**metrics, "test_accuracy_low": low, "test_accuracy_high": high})
    names = refit.prepared.class_names
    draw_errors(opened.run_id, tracker, part, probabilities, names, "test images")
    opened.state, opened.reason = State.COMPLETE, None
    return Trained(opened.run_id, tested)


@contextmanager
def _exclusive(refit: Refit, tracker: Tracker, key: str) -> Iterator[Trained | None]:
    """Lets one process at a time train a network; yields the network if it is trained already.

    A run that a killed process left open is closed.
    """
    with locked(FOLDER / key / "lock"):
        for run in find_runs(refit.cfg.tracking, {REFIT: key, REFIT_OF: refit.recorded.run.run_id}):
            tested = recorded_score(run)
            if run.tags.get("state") == State.COMPLETE and tested is not None:
                yield Trained(run.run_id, tested)
                return
            if run.status == State.RUNNING.mlflow and run.tags.get("host") == socket.gethostname():
                tracker.finish(run.run_id, State.CANCELLED, "its process died")
        yield None


def _key(refit: Refit, cfg: DictConfig) -> str:
    """Returns a digest of everything that defines a network."""
    cfg = cfg.copy()
    cfg.data.path = None
    cfg.training.checkpoint = CheckpointConf()
    groups = [OmegaConf.to_yaml(cfg[group], resolve=True, sort_keys=True) for group in RUN_GROUPS]
    parts = [*groups, refit.prepared.digest, str(refit.epochs.span), str(targets_tag(cfg))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:KEY_DIGITS]


def _rates(refit: Refit, steps: int) -> Rate:
    """Returns the rate by step; where validation decided it, the recorded rate of each epoch."""
    cfg = refit.cfg
    if cfg.schedule.name != "plateau":
        return rate_function(cfg.schedule, cfg.optimizer.learning_rate, steps, refit.epochs.span)
    recorded = refit.recorded.history["learning_rate"]
    return lambda step: recorded[min(step // steps, len(recorded) - 1)]


def _reporter(tracker: Tracker, run_id: str, epochs: int) -> Callable[[int, dict[str, float]], bool]:
    def after_epoch(epoch: int, metrics: dict[str, float]) -> bool:
        tracker.log_epoch(run_id, epoch, metrics)
        say(f"epoch {epoch}/{epochs}  accuracy {metrics['accuracy']:.4g}")
        return False

    return after_epoch

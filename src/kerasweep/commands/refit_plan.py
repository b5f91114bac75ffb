"""Plans a refit from a recorded run: its configuration, images, epochs and learning rates."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from kerasweep.commands.recorded_config import compose_again
from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.config.training import CheckpointConf, TrainingConf
from kerasweep.data.prepare import Prepared, join_validation
from kerasweep.handover.recorded_data import check_recorded_digest
from kerasweep.handover.refit_epochs import RefitEpochs, fixes_epochs, mean_best_epochs
from kerasweep.handover.winner import Winner, find_winner, winner_of
from kerasweep.tracking.recorded_run import RecordedRun, read_recorded_run
from kerasweep.tracking.tags import REFIT_EPOCHS, REFIT_OF, RunKind, check_user_tags
from kerasweep.training.schedules import Rate, rate_function, reads_rate, unfreeze_factor, unfrozen
from kerasweep.trial.digest import code_tags, note_code
from kerasweep.trial.run import read_data

KEY_DIGITS = 12


@dataclass(frozen=True)
class RefitPlan:
    """A refit before its training."""

    cfg: DictConfig  # of its first network
    prepared: Prepared  # training and validation images together
    winner: Winner
    recorded: RecordedRun  # the winner's run
    epochs: RefitEpochs
    course: tuple[float, ...]  # the recorded learning rate of each epoch, as of a backbone that stays frozen
    tags: dict[str, str]  # of each of its runs

    def cfg_of(self, number: int) -> DictConfig:
        """Returns the configuration of a network, from 0."""
        cfg = self.cfg.copy()
        cfg.training.seed += number
        return cfg

    def key_of(self, cfg: DictConfig) -> str:
        """Returns a digest of everything that defines a network."""
        cfg = cfg.copy()
        cfg.data.path = None
        cfg.training.checkpoint = CheckpointConf()
        groups = [OmegaConf.to_yaml(cfg[group], resolve=True, sort_keys=True) for group in RUN_GROUPS]
        schedule = (str(self.epochs.span), str(self.epochs.steps_per_epoch), self.recorded.run.run_id)
        return digest_of([*groups, self.prepared.digest, *schedule, str(code_tags(cfg))])

    def rate(self, steps_per_epoch: int) -> Rate:
        """Returns the learning rate by step: of the schedule, or the recorded one of each epoch.

        Rates are the recorded ones where a plateau chose them, which needs validation, or where the user's
        callbacks may have set them. The recorded training has its own steps per epoch; the rate of a backbone
        that begins to train follows the refit's.

        Args:
            steps_per_epoch: The refit's.
        """
        cfg, steps = self.cfg, self.epochs.steps_per_epoch or steps_per_epoch
        training, learning_rate, course = cfg.training, cfg.optimizer.learning_rate, self.course
        if reads_rate(cfg.schedule, bool(training.callbacks)):
            rate: Rate = lambda step: course[min(step // steps, len(course) - 1)]  # noqa: E731
        else:
            rate = rate_function(cfg.schedule, learning_rate, steps, self.epochs.span)
        return unfrozen(rate, training, learning_rate, steps_per_epoch)


def _course(cfg: DictConfig, rates: Sequence[float]) -> tuple[float, ...]:
    """Returns the learning rates of epochs without the factor of a backbone that trains."""
    if cfg.training.unfreeze_at is None:
        return tuple(rates)
    frozen = cfg.training.unfreeze_at - 1
    factor = unfreeze_factor(cfg.training, cfg.optimizer.learning_rate)
    return (*rates[:frozen], *(rate / factor for rate in rates[frozen:]))


def digest_of(texts: Sequence[str]) -> str:
    """Returns 12 hex digits."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:KEY_DIGITS]


def plan_refit(cfg: DictConfig, changes: Sequence[str], command: str) -> RefitPlan:
    """Plans a refit.

    Args:
        cfg: The configuration of src.refit, checked.
        changes: Overrides of the training.
        command: The command as it was typed, a tag of the runs.

    Raises:
        ConfigError: The recorded configuration does not fit this version, or a change does not fit it.
        TrackingError: There is no such winner, or it cannot be trained again.
        DataError: The images are gone, or changed.
    """
    if cfg.sweep is not None:
        winner = find_winner(cfg.tracking, str(cfg.sweep))
        recorded = read_recorded_run(cfg.tracking, winner.run.run_id)
    else:
        recorded = read_recorded_run(cfg.tracking, str(cfg.run_id))
        winner = winner_of(recorded.tracking, recorded.run)
    again = compose_again(recorded.config, changes, recorded.tags, "refit")
    again.cfg.tracking = cfg.tracking.copy()
    again.cfg.tracking.experiment = recorded.tracking.experiment  # that of the run above
    check_user_tags(again.cfg.tracking.tags)
    note_code(again.cfg)
    split = read_data(again.cfg)
    check_recorded_digest(recorded.data_digest, split, recorded.run.run_id, again.cfg.data)
    prepared = join_validation(again.cfg.data, split)
    training = again.cfg.training
    course = _course(again.cfg, recorded.history["learning_rate"])
    if fixes_epochs(changes):
        count = training.epochs
        epochs = RefitEpochs(count, count, None, "as training.epochs says", training.unfreeze_at)
    else:
        images = (len(split.train), len(prepared.train)) if cfg.scale_epochs else None
        epochs = mean_best_epochs(
            winner.seeds, training.epochs, images, training.batch_size, training.unfreeze_at
        )
    if training.unfreeze_at is not None and epochs.unfreeze_at is None:
        again.cfg.model.trainable = False
        training.unfreeze_learning_rate = TrainingConf.unfreeze_learning_rate
    training.unfreeze_at = epochs.unfreeze_at
    training.epochs = epochs.count
    training.early_stopping.enabled = False
    study = {"study": recorded.tags["study"]} if "study" in recorded.tags else {}
    own = {
        "kind": RunKind.REFIT,
        REFIT_OF: recorded.run.run_id,
        REFIT_EPOCHS: epochs.reason,
        "command": command,
    }
    return RefitPlan(again.cfg, prepared, winner, recorded, epochs, course, {**study, **again.tags, **own})

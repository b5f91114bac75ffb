"""Builds Optuna's pruners from the config group `pruner`, and passes values to them."""

import math
import warnings
from enum import Enum, auto

import optuna
from omegaconf import DictConfig
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
    WilcoxonPruner,
)
from optuna.trial import Trial

from kerasweep.results import sign_of
from kerasweep.search.custom import build_custom_pruner


class PrunerInput(Enum):
    """The values of a trial that its pruner receives."""

    NOTHING = auto()
    BEST = auto()  # after each epoch, the best value so far
    EPOCHS = auto()  # each epoch's own value
    REPEATS = auto()  # each repeat's value; its step is the repeat


def build_pruner(cfg: DictConfig, epochs: int) -> BasePruner:
    """Returns the Optuna pruner of a config.

    Args:
        cfg: The config group `pruner`.
        epochs: The epochs of a whole trial.
    """
    if cfg.name == "median":
        return MedianPruner(n_startup_trials=cfg.n_startup_trials, n_warmup_steps=cfg.n_warmup_steps)
    if cfg.name == "asha":
        return SuccessiveHalvingPruner(min_resource=cfg.min_resource, reduction_factor=cfg.reduction_factor)
    if cfg.name == "hyperband":
        return HyperbandPruner(
            min_resource=cfg.min_resource, max_resource=epochs, reduction_factor=cfg.reduction_factor
        )
    if cfg.name == "threshold":
        return ThresholdPruner(lower=cfg.lower, upper=cfg.upper, n_warmup_steps=cfg.n_warmup_steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if cfg.name == "wilcoxon":
            return WilcoxonPruner(p_threshold=cfg.p_threshold, n_startup_steps=cfg.n_startup_steps)
        if cfg.name == "patient":
            return PatientPruner(None, patience=cfg.patience, min_delta=cfg.min_delta)
        if cfg.name == "custom":
            return build_custom_pruner(cfg)
    if cfg.name == "none":
        return NopPruner()
    raise AssertionError(f"pruner {cfg.name} is not built")


def pruner_input(pruner: str) -> PrunerInput:
    """Returns which values a pruner receives: usually the best so far after each epoch.

    `patient` receives the value of each epoch: a best so far never gets worse, so it would never prune. So
    does `custom`, as pruners of Optuna expect it.
    """
    special = {
        "none": PrunerInput.NOTHING,
        "patient": PrunerInput.EPOCHS,
        "custom": PrunerInput.EPOCHS,
        "wilcoxon": PrunerInput.REPEATS,
    }
    return special.get(pruner, PrunerInput.BEST)


def warmup_epochs(config: DictConfig) -> int:
    """Returns the number of epochs in which a schedule still raises the learning rate, rounded up."""
    return math.ceil(config.schedule.get("warmup_epochs", 0))


class PrunedTrial:
    """Passes a trial's values to its pruner, and remembers the best value so far.

    Args:
        trial: Optuna's trial.
        kind: Which values the pruner receives.
        direction: `maximize` or `minimize`.
        warmup_epochs: The first epochs, which the pruner does not receive: trials with a rising learning rate
            start slowly.
    """

    def __init__(self, trial: Trial, kind: PrunerInput, direction: str, warmup_epochs: int = 0) -> None:
        self.best: float | None = None  # NaN only while every value was NaN
        self._trial = trial
        self._kind = kind
        self._sign = sign_of(direction)
        self._warmup_epochs = warmup_epochs

    def report(self, epoch: int, value: float | None) -> bool:
        """Returns whether the pruner ends the trial after this epoch.

        Args:
            epoch: From 1.
            value: The first objective, None where it is not measured each epoch.
        """
        if value is None:
            return False
        if self.best is None or math.isnan(self.best) or self._sign * value > self._sign * self.best:
            self.best = value
        if self._kind not in (PrunerInput.BEST, PrunerInput.EPOCHS) or epoch <= self._warmup_epochs:
            return False
        self._trial.report(self.best if self._kind is PrunerInput.BEST else value, epoch)
        return bool(self._trial.should_prune())

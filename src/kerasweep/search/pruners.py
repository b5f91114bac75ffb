"""Optuna's pruners, built from the group `pruner`, and what each of them is told."""

import math
import warnings

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

NOTHING, BEST, EACH, SEEDS = "nothing", "the best so far", "each epoch", "each seed"


def build_pruner(cfg: DictConfig, epochs: int) -> BasePruner:
    """The Optuna pruner of a config. epochs: of a whole trial. Its steps are what `hears` says."""
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
    return NopPruner()


def hears(pruner: str) -> str:
    """What a pruner is told: the best so far after each epoch, as a rule.

    `patient` is told each epoch's own value: a best so far never gets worse, and it would never
    prune. `wilcoxon` is told each seed's value, by the seed's index.
    """
    return {"none": NOTHING, "patient": EACH, "wilcoxon": SEEDS}.get(pruner, BEST)


class BestSoFar:
    """Remembers the best of the values it is given; NaN never counts. direction: Optuna's, in lower case."""

    def __init__(self, direction: str) -> None:
        self._sign = 1.0 if direction == "maximize" else -1.0
        self._best = -math.inf

    def hear(self, value: float) -> float:
        """The best so far, this value included."""
        self._best = max(self._best, self._sign * value) if not math.isnan(value) else self._best
        return self._sign * self._best if self._best > -math.inf else value

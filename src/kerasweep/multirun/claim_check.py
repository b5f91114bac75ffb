"""Checks before training whether a sweep can decide its claim: refuses one it never could, notes a lack."""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from kerasweep.config.check_claim import check_claim, check_measures
from kerasweep.config.search import ClaimConf, ComparisonConf, TrialConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.refusals import Refusals
from kerasweep.report.claims import MIN_SEEDS, find
from kerasweep.report.pairs import Observation
from kerasweep.report.selection import SEED
from kerasweep.report.verdicts import named_keys, observations
from kerasweep.results import State
from kerasweep.space.axis import Space
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import axis_tags, run_params, trial_tags
from kerasweep.trial.metrics import MIN_EPOCHS

ENOUGH_SEEDS = 5


def claim_notes(cfg: DictConfig, space: Space) -> list[str]:
    """Returns a sentence for each thing, seeds or epochs, that the claim needs and these runs will lack.

    The sweep is trained all the same. cfg: the configuration that the trials share.
    """
    if cfg.study.claim is None:
        return []
    notes = []
    axes = {axis.name for axis in space.axes}
    repeats = cfg.study.repeats
    if repeats < MIN_SEEDS and SEED not in axes:
        notes.append(
            f"the claim takes {MIN_SEEDS} seeds, and study.repeats={repeats} cannot decide it; "
            f"study.repeats={ENOUGH_SEEDS} gives enough"
        )
    varies = any(comparison.measure == "epoch_variability" for comparison in cfg.study.claim.comparisons)
    epochs, is_custom = cfg.training.epochs, cfg.trial.target != TrialConf.target
    if varies and epochs < MIN_EPOCHS and "training.epochs" not in axes and not is_custom:
        notes.append(
            f"the claim measures epoch_variability, which takes {MIN_EPOCHS} epochs, "
            f"and training.epochs={epochs} cannot decide it"
        )
    return notes


def check_sides(base: DictConfig, refusals: Refusals, names: Mapping[str, str]) -> None:
    """Raises ConfigError for a broken claim, or where a full grid lacks a side of a comparison.

    The trials of a search are not known beforehand, nor the metrics of a user's own training function.

    Args:
        base: The configuration that the trials share.
        refusals: Says which configurations of the grid are trained.
        names: The MLflow tag of each axis by its key.
    """
    claim = base.study.claim
    if claim is None:
        return
    check_claim(claim)
    if base.trial.target == TrialConf.target:
        check_measures(claim)
    if base.sampler.name != "grid":
        return
    foreseen = observations(claim, _foreseen(refusals, names, claim), list(names.values()))
    for number, comparison in enumerate(claim.comparisons):
        _check_keys(f"study.claim.comparisons[{number}]", comparison, foreseen)
        if find(comparison, foreseen).missing is not None:
            raise ConfigError(
                f"study.claim.comparisons[{number}] could not be tested: this grid trains nothing on one of "
                "its sides, or nothing with all else equal. Name values that study.space has."
            )


def _check_keys(name: str, comparison: ComparisonConf, foreseen: Sequence[Observation]) -> None:
    """Raises ConfigError for a key, other than SEED, that no run has a value of."""
    seen = {key for observation in foreseen for key in observation.choices} | {SEED}
    for key in named_keys(comparison):
        if key not in seen:
            raise ConfigError(
                f"{name} names {key}, which no run of this grid records. "
                "Name an axis, or a key that its trials have, as in training.epochs."
            )


def _foreseen(refusals: Refusals, names: Mapping[str, str], claim: ClaimConf) -> list[RunRecord]:
    """Returns the grid's runs as they will be recorded, each configuration with MIN_SEEDS seeds.

    Keys that are no axes depend on the chosen groups alone: each choice is composed once.
    """
    space, composer = refusals.space, refusals.composer
    measures = {comparison.measure: 0.0 for comparison in claim.comparisons}
    groups = {axis.key for axis in space.axes if axis.is_group}
    composed: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    runs = []
    for params in space.configurations():
        if refusals.reason(params) is not None:
            continue
        chosen = {key: value for key, value in params.items() if key in groups}
        if str(chosen) not in composed:
            cfg, choices = composer.compose(chosen), composer.choices(chosen)
            composed[str(chosen)] = run_params(cfg), trial_tags(cfg, choices, chosen, names)
        recorded, tags = composed[str(chosen)]
        tags = {**tags, **axis_tags(params, names), "state": State.COMPLETE}
        runs += [
            RunRecord("", "", "FINISHED", tags, {**recorded, SEED: str(seed)}, measures, 0.0, None)
            for seed in range(MIN_SEEDS)
        ]
    return runs

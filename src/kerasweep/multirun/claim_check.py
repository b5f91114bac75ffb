"""Checks a study's claim: a sweep that could never decide its claim is refused before training.

`check_form` and `check_measures` read the claim alone, `check_claim` also the grid; `claim_notes` warns.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from kerasweep.config.bounds import between, one_of
from kerasweep.config.metrics import MEASURES
from kerasweep.config.schemas import REPEATED_KEYS, run_keys
from kerasweep.config.search import RELATIONS, ClaimConf, ComparisonConf, TrialConf
from kerasweep.errors import ConfigError, suggestion
from kerasweep.multirun.refusals import Refusals
from kerasweep.report.claims import MIN_SEEDS, evaluate
from kerasweep.report.pairs import Observation
from kerasweep.report.repetition import SEED, Repetition
from kerasweep.report.verdicts import named_keys, observations
from kerasweep.results import State
from kerasweep.space.space import Space
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import axis_tags, run_params, tag_text, trial_tags
from kerasweep.trial.metrics import MIN_EPOCHS

ENOUGH_SEEDS = 5
# The keys below these are the user's.
OPEN = ("model.kwargs.", "data.kwargs.")
# The keys whose value is a list.
LISTS = ("model.filters", "model.dense_units", "data.image_size", "schedule.boundaries")


def claim_notes(cfg: DictConfig, space: Space) -> list[str]:
    """Returns a warning for too few seeds and one for too few epochs; the sweep is trained nevertheless.

    cfg: the configuration that the trials share.
    """
    if cfg.study.claim is None:
        return []
    notes = []
    axes = {axis.name for axis in space.axes}
    repeats = cfg.study.repeats
    if repeats < MIN_SEEDS and not axes & set(REPEATED_KEYS):
        notes.append(
            f"the claim needs {MIN_SEEDS} seeds, and study.repeats={repeats} cannot decide it; "
            f"study.repeats={ENOUGH_SEEDS} gives enough"
        )
    varies = any(comparison.measure == "epoch_variability" for comparison in cfg.study.claim.comparisons)
    epochs, is_custom = cfg.training.epochs, cfg.trial.target != TrialConf.target
    if varies and epochs < MIN_EPOCHS and "training.epochs" not in axes and not is_custom:
        notes.append(
            f"the claim measures epoch_variability, which needs {MIN_EPOCHS} epochs, "
            f"and training.epochs={epochs} cannot decide it"
        )
    return notes


def check_claim(
    base: DictConfig,
    refusals: Refusals,
    space: Space,
    names: Mapping[str, str],
    axes: Sequence[str],
    tuned: Collection[str] = (),
) -> None:
    """Raises ConfigError for a broken claim, or if a full grid lacks a side of a comparison.

    The trials of a search are unknown beforehand, and so are the metrics of a user's training function.

    Args:
        base: The configuration that the trials share.
        refusals: Says which configurations of the grid are trained.
        space: The grid.
        names: The MLflow tag of each axis by its key.
        axes: The tags of the axes that are compared.
        tuned: The keys of the nuisance axes.
    """
    claim = base.study.claim
    if claim is None:
        return
    added = {axis.key.lstrip("+") for axis in space.axes} | set(run_params(base))
    check_form(claim, added)
    _check_apart(claim, tuned)
    if base.trial.target == TrialConf.target:
        check_measures(claim)
    if base.sampler.name != "grid":
        return
    foreseen = observations(claim, _foreseen(refusals, space, names, claim), axes, Repetition())
    for number, comparison in enumerate(claim.comparisons):
        _check_keys(f"study.claim.comparisons[{number}]", comparison, foreseen)
        if evaluate(comparison, foreseen).untested is not None:
            raise ConfigError(
                f"study.claim.comparisons[{number}] could not be tested: this grid trains nothing on one of "
                "its sides, or nothing with all else equal. Name values that study.space has."
            )


def _check_apart(claim: DictConfig, tuned: Collection[str]) -> None:
    """Raises ConfigError for a claim on a key that is tuned: its value is unknown before."""
    for number, comparison in enumerate(claim.comparisons):
        for key in named_keys(comparison):
            if key in tuned or key.partition(".")[0] in tuned:
                raise ConfigError(
                    f"study.claim.comparisons[{number}] names {key}, which study.nuisance tunes for each "
                    "combination. Move it to study.space to compare its values, or leave it out of the claim."
                )


def check_form(claim: DictConfig, added: Collection[str] = ()) -> None:
    """Raises ConfigError for a claim with a comparison that could not be tested.

    Args:
        claim: The claim.
        added: Keys that a user added for a training function of one's own.
    """
    if not (claim.text and claim.comparisons):
        raise ConfigError(
            "study.claim needs a text and a comparison, as in claim: {text: 3x3 is better, comparisons: "
            "[{of: {model.kernel_size: 3}, relation: higher, than: {model.kernel_size: 5}}]}."
        )
    for number, comparison in enumerate(claim.comparisons):
        _check_comparison(f"study.claim.comparisons[{number}]", comparison, {*run_keys(), *added})


def check_measures(claim: DictConfig) -> None:
    """Raises ConfigError for a measure that no run of the built-in training has."""
    for number, comparison in enumerate(claim.comparisons):
        measure = str(comparison.measure)
        if measure in MEASURES:
            continue
        start = f"study.claim.comparisons[{number}].measure is {measure}, but "
        if measure.startswith("test_"):
            raise ConfigError(
                f"{start}a study uses the test set only for its winner, at the end. "
                f"Use {'val_loss' if measure == 'test_loss' else 'val_accuracy'}."
            )
        known = f"Every run has {', '.join(MEASURES)}."
        raise ConfigError(f"{start}no run has that metric. {suggestion(measure, MEASURES, known)}")


def _check_comparison(name: str, comparison: DictConfig, known: Collection[str]) -> None:
    if OmegaConf.is_missing(comparison, "relation"):
        raise ConfigError(f"{name}.relation is missing. Give one of {', '.join(RELATIONS)}.")
    one_of(f"{name}.relation", comparison.relation, RELATIONS)
    between(f"{name}.margin", comparison.margin, 0, open_low=comparison.relation == "similar")
    if math.isinf(comparison.margin):
        raise ConfigError(f"{name}.margin must be a number, but got {comparison.margin}.")
    for side in ("of", "than", "where"):
        _check_values(f"{name}.{side}", comparison[side])
    sides = {side: OmegaConf.to_container(comparison[side]) for side in ("of", "than")}
    for side in ("of", "than"):
        if not sides[side]:
            raise ConfigError(f"{name}.{side} is empty. Name values, as in {{model.kernel_size: [3, 5]}}.")
    if sides["of"] == sides["than"]:
        raise ConfigError(f"{name} compares {sides['of']} with itself. Let of and than differ.")
    keys = [str(key) for side in ("of", "than", "where") for key in comparison[side]]
    for key in (*keys, *filter(None, [comparison.spread_over])):
        if key not in known and not key.startswith(OPEN):
            raise ConfigError(
                f"{name} names {key}, but there is no such key. "
                + suggestion(key, known, "Name one as in study.space.")
            )
    for side in ("of", "than"):
        if comparison.spread_over in comparison[side]:
            raise ConfigError(
                f"{name}.spread_over names {comparison.spread_over}, which {side} fixes. Remove one of them."
            )
    if comparison.relation == "mixed" and (_lists_values(comparison) or comparison.margin):
        raise ConfigError(
            f"{name}: mixed compares one value with one other in each setting, without a margin."
        )


def _check_values(name: str, side: Any) -> None:
    """Raises ConfigError for a side without values, or with a list as a value, which must be a text."""
    if not isinstance(side, DictConfig):
        raise ConfigError(
            f"{name} must name keys and values, as in {{model.kernel_size: [3, 5]}}, but is {side}."
        )
    for key, value in side.items():
        if isinstance(value, DictConfig) or (isinstance(value, ListConfig) and not value):
            raise ConfigError(f"{name}.{key!s} needs a value or a list of them, but got {value}.")
    for key in LISTS:
        value = side.get(key)
        if isinstance(value, ListConfig) and not all(isinstance(choice, str) for choice in value):
            raise ConfigError(
                f"{name} gives {key} several values, {list(value)}, but each of them is a list. "
                f'Quote them, as in {{{key}: "{str(list(value)).replace(" ", "")}"}}.'
            )


def _lists_values(comparison: DictConfig) -> bool:
    values = [*comparison.of.values(), *comparison.than.values()]
    return bool(comparison.spread_over) or any(isinstance(value, ListConfig) for value in values)


def _check_keys(name: str, comparison: ComparisonConf, foreseen: Sequence[Observation]) -> None:
    """Raises ConfigError for a key, other than a seed, that no run has a value of."""
    seen = {key for observation in foreseen for key in observation.choices} | set(REPEATED_KEYS)
    for key in named_keys(comparison):
        if key not in seen:
            raise ConfigError(
                f"{name} names {key}, which no run of this grid records. "
                "Name an axis, or a key that its trials have, as in training.epochs."
            )


def _foreseen(
    refusals: Refusals, space: Space, names: Mapping[str, str], claim: ClaimConf
) -> list[RunRecord]:
    """Returns the grid's runs as they will be recorded, each configuration with MIN_SEEDS seeds.

    The keys that are no axes depend only on the chosen groups, so each choice is composed once.
    """
    composer = refusals.composer
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
        recorded = {**recorded, **{key.lstrip("+"): tag_text(value) for key, value in params.items()}}
        runs += [
            RunRecord("", "", "FINISHED", tags, {**recorded, SEED: str(seed)}, measures, 0.0, None)
            for seed in range(MIN_SEEDS)
        ]
    return runs

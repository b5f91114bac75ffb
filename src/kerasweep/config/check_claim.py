"""The rules of a study's claim, so that it can be tested."""

import math
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from kerasweep.config import search
from kerasweep.config.keys import all_keys
from kerasweep.config.rules import between, one_of
from kerasweep.errors import ConfigError, suggestion

# What lies below may be called as the user likes.
OPEN = ("model.kwargs.", "data.kwargs.")
LISTS = ("model.filters", "model.dense_units", "data.image_size", "schedule.boundaries")


def check_claim(claim: DictConfig) -> None:
    """Raise ConfigError where a comparison of a claim could not be tested."""
    if OmegaConf.is_missing(claim, "text") or not claim.comparisons:
        raise ConfigError(
            "study.claim needs a text and a comparison, as in claim: {text: 3x3 is better, comparisons: "
            "[{of: {model.kernel_size: 3}, relation: higher, than: {model.kernel_size: 5}}]}."
        )
    for number, comparison in enumerate(claim.comparisons):
        _check_comparison(f"study.claim.comparisons[{number}]", comparison)


def check_measures(claim: DictConfig) -> None:
    """Raise ConfigError for a measure that no run of the built-in training has."""
    for number, comparison in enumerate(claim.comparisons):
        measure = str(comparison.measure)
        if measure in search.MEASURES:
            continue
        said = f"study.claim.comparisons[{number}].measure is {measure}, but "
        if measure.startswith("test_"):
            raise ConfigError(
                f"{said}a study never looks at the test set, but for its winner at the end. "
                f"Use {'val_loss' if measure == 'test_loss' else 'val_accuracy'}."
            )
        known = f"Every run has {', '.join(search.MEASURES)}."
        raise ConfigError(f"{said}no run has that metric. {suggestion(measure, search.MEASURES, known)}")


def _check_comparison(name: str, comparison: DictConfig) -> None:
    if OmegaConf.is_missing(comparison, "relation"):
        raise ConfigError(f"{name}.relation is missing. Give one of {', '.join(search.RELATIONS)}.")
    one_of(f"{name}.relation", comparison.relation, search.RELATIONS)
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
        if key not in all_keys() and not key.startswith(OPEN):
            raise ConfigError(
                f"{name} names {key}, but there is no such key. "
                + suggestion(key, all_keys(), "Name one as in study.space.")
            )
    for side in ("of", "than"):
        if comparison.spread_over in comparison[side]:
            raise ConfigError(
                f"{name}.spread_over names {comparison.spread_over}, which {side} fixes. Let one go."
            )
    if comparison.relation == "mixed" and (_lists_values(comparison) or comparison.margin):
        raise ConfigError(
            f"{name}: mixed compares one value with one other in each setting, without a margin."
        )


def _check_values(name: str, side: Any) -> None:
    """A side is a mapping. A list is several values; a value that is a list itself is a text."""
    if not isinstance(side, DictConfig):
        raise ConfigError(
            f"{name} must name keys and values, as in {{model.kernel_size: [3, 5]}}, but is {side}."
        )
    for key, value in side.items():
        if isinstance(value, DictConfig) or (isinstance(value, ListConfig) and not value):
            raise ConfigError(f"{name}.{key!s} needs a value or a list of them, but got {value}.")
    for key in LISTS:
        value = side.get(key)
        if isinstance(value, ListConfig) and not all(isinstance(each, str) for each in value):
            raise ConfigError(
                f"{name} gives {key} several values, {list(value)}, but each of them is a list. "
                f'Quote them, as in {{{key}: "{str(list(value)).replace(" ", "")}"}}.'
            )


def _lists_values(comparison: DictConfig) -> bool:
    values = [*comparison.of.values(), *comparison.than.values()]
    return bool(comparison.spread_over) or any(isinstance(value, ListConfig) for value in values)

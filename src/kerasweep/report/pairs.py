"""Pairs the two sides of a claim's comparison by seed and by setting of all other axes."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

from omegaconf import ListConfig

from kerasweep.config.search import ComparisonConf
from kerasweep.tracking.tags import tag_text

Choices = Mapping[str, str]


@dataclass(frozen=True)
class Observation:
    """A trained network."""

    choices: Choices  # the values of its axes by key
    seed: str
    measures: Mapping[str, float]  # its final metrics


Sides = tuple[list[float], list[float]]
Pairs = Mapping[str, Mapping[str, Sides]]


def pairs_of(comparison: ComparisonConf, observations: Sequence[Observation], levels: Sequence[str]) -> Pairs:
    """Returns the values of both sides by setting of the other axes and by seed.

    Args:
        comparison: The two sides and the measure.
        observations: The trained networks.
        levels: The values that a spread is over, see `spread_levels`.
    """
    sides = side_texts(comparison.of), side_texts(comparison.than)
    named = {key for side in sides for key in side} | {comparison.spread_over}
    cells: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for observation in _fitting(comparison, observations):
        choices = sorted(observation.choices.items())
        setting = " ".join(f"{key}={value}" for key, value in choices if key not in named)
        cells[setting, observation.seed].append(observation)
    found: dict[str, dict[str, Sides]] = defaultdict(dict)
    for (setting, seed), members in cells.items():
        one, other = (_values(members, side, comparison, levels) for side in sides)
        if one and other:
            found[setting][seed] = one, other
    return found


def _fitting(comparison: ComparisonConf, observations: Iterable[Observation]) -> list[Observation]:
    where = side_texts(comparison.where)
    return [observation for observation in observations if _fits(observation.choices, where)]


def spread_levels(comparison: ComparisonConf, begun: Iterable[Observation]) -> list[str]:
    """Returns the values of the axis that a spread is over, in all networks that were begun."""
    axis = comparison.spread_over
    found = (
        {
            observation.choices[axis]
            for observation in _fitting(comparison, begun)
            if axis in observation.choices
        }
        if axis
        else ()
    )
    return sorted(found)


def side_texts(choices: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns, for one side of a comparison, the values of each key as texts."""
    return {
        str(key): [tag_text(choice) for choice in value]
        if isinstance(value, ListConfig | list)
        else [tag_text(value)]
        for key, value in choices.items()
    }


def _fits(choices: Choices, side: Mapping[str, Sequence[str]]) -> bool:
    return all(
        _number_or_text(choices.get(key)) in map(_number_or_text, values) for key, values in side.items()
    )


@cache
def _number_or_text(value: str | None) -> str | float | None:
    """Returns a text that is a number as a number: 1 and 1.0 are the same."""
    try:
        return value if value is None else float(value)
    except ValueError:
        return value


def _values(
    members: Sequence[Observation],
    side: Mapping[str, Sequence[str]],
    comparison: ComparisonConf,
    levels: Sequence[str],
) -> list[float]:
    """Returns a mean per combination of the side's values, or per level; none if one is missing."""
    if comparison.spread_over:
        parts = [{**side, comparison.spread_over: [level]} for level in levels] if len(levels) > 1 else []
    else:
        parts = [
            dict(zip(side, zip(combination), strict=True))
            for combination in itertools.product(*side.values())
        ]
    found = [
        [member.measures[comparison.measure] for member in members if _fits(member.choices, part)]
        for part in parts
    ]
    return [fmean(values) for values in found] if all(found) else []

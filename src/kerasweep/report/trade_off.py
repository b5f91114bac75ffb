"""Finds the configurations that no other one beats in every objective."""

from collections.abc import Sequence
from dataclasses import dataclass

from kerasweep.report.groups import Group, objective_of
from kerasweep.results import dominates, objective_name
from kerasweep.tracking.tags import read_objectives


@dataclass(frozen=True)
class TradeOff:
    """Several objectives of groups of runs."""

    measures: tuple[str, ...]  # the names of the objectives
    values: tuple[tuple[float, ...] | None, ...]  # of each group the means; None without all of them
    is_front: tuple[bool, ...]  # which groups are on the Pareto front


def trade_off_of(groups: Sequence[Group]) -> TradeOff | None:
    """Returns the objectives of groups of one data set; None if there is one objective."""
    objectives = read_objectives(objective_of(groups))
    if len(objectives) < 2:
        return None
    measures, directions = zip(*objectives, strict=True)
    values = tuple(_values(group, measures) for group in groups)
    known = [each for each in values if each is not None]
    is_front = tuple(
        each is not None and not any(dominates(other, each, directions) for other in known) for each in values
    )
    return TradeOff(measures, values, is_front)


def _values(group: Group, measures: Sequence[str]) -> tuple[float, ...] | None:
    """Returns the means of the objectives. Older versions recorded only the first one as an objective."""
    found = []
    for number, measure in enumerate(measures):
        mean = group.mean(objective_name(number))
        mean = group.mean(measure) if mean is None else mean
        if mean is None or mean != mean:
            return None
        found.append(mean)
    return tuple(found)

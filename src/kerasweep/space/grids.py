"""Joins the axes of several grids: their union is what a sweep tries (`study.grids`)."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from optuna.distributions import CategoricalDistribution

from kerasweep.errors import ConfigError
from kerasweep.space.axis import MAX_LISTABLE, Axis, joint_axis
from kerasweep.space.parse import GroupOptions, axis_of_entry, make_space
from kerasweep.space.rows import GRIDS, Params, Value, row_text

SEVERAL = re.compile(r"[(,]")  # of choice(3,5), range(2,6) and 3,5
WHERE = "study.grids"
EXAMPLE = "study.grids=[{model.kernel_size:[3,5]},{optimizer:[sgd],optimizer.learning_rate:[0.1,0.01]}]"


def check_grids(grids: Any) -> None:
    """Raises ConfigError unless these are a list of mappings."""
    if not isinstance(grids, list) or not all(isinstance(grid, Mapping) for grid in grids):
        raise ConfigError(
            f"{WHERE} must list grids, each with keys and their values, but got {grids}. "
            f"Write it as in {EXAMPLE}."
        )


def axes_of_grids(
    grids: Sequence[Mapping[str, Any]], group_options: GroupOptions, fixed: Callable[[str], Value]
) -> tuple[list[Axis], list[Axis]]:
    """Returns the axes that any grid names, and the axis that sets them, whose values are the points.

    A configuration of several points counts once. A key that a grid does not name keeps its configured value.

    Args:
        grids: The values of each key, as in `study.space`.
        group_options: Returns the names in a config group; none for a plain key.
        fixed: Returns the value of a key that is not an axis, for conditions on it.

    Raises:
        ConfigError: An entry cannot be read, is an interval, or has a condition outside its grid; or there
            are too many points.
    """
    members: dict[str, Axis] = {}
    points: dict[str, Params] = {}
    for grid in grids:
        axes = [axis_of_entry(key, _several(entry), group_options, WHERE) for key, entry in grid.items()]
        _check_listed(axes)
        for params in islice(make_space(axes, fixed).configurations(), MAX_LISTABLE + 1):
            points.setdefault(row_text(params), params)
        if len(points) > MAX_LISTABLE:
            raise ConfigError(f"{WHERE} takes at most {MAX_LISTABLE:,} points, but has more. Narrow an axis.")
        for axis in axes:
            members[axis.key] = _union(members[axis.key], axis) if axis.key in members else _listed(axis)
    known = {key: fixed(members[key].name) for key in members}
    groups = {key for key, axis in members.items() if axis.is_group}
    distinct: dict[str, Params] = {}
    for point in points.values():
        distinct.setdefault(row_text(_configuration(point, known, groups)), point)
    joint = [joint_axis(GRIDS, list(members), list(distinct.values()), {})] if members else []
    return list(members.values()), joint


def _configuration(point: Params, configured: Params, groups: Collection[str]) -> Params:
    """Returns a point with the configured values of the keys that it leaves out, equal for equal trainings.

    Another option of a group may bring other values: then the point is returned as it is.
    """
    is_configured = all(point.get(group, configured[group]) == configured[group] for group in groups)
    values = {**configured, **point} if is_configured else point
    return {key: float(value) if type(value) is int else value for key, value in values.items()}


def _several(entry: Any) -> Any:
    """Returns a single value as a list: unlike an axis, a key of a grid may have one."""
    is_several = isinstance(entry, (list, Mapping)) or (isinstance(entry, str) and SEVERAL.search(entry))
    return entry if is_several else [entry]


def _check_listed(axes: Sequence[Axis]) -> None:
    names = {axis.name for axis in axes}
    for axis in axes:
        if axis.values() is None:
            raise ConfigError(
                f"{WHERE} needs lists of values, but {axis.key} is an interval: {axis.describe()}. "
                "List its values with choice(...) or range(...), or move it to study.space."
            )
        outside = next((key for key in axis.conditions if key not in names), None)
        if outside is not None:
            raise ConfigError(
                f"{WHERE}.{axis.key} has a condition on {outside}, which its grid does not name. "
                "Name it in this grid, or put the two cases into two grids."
            )


def _listed(axis: Axis) -> Axis:
    """Returns the axis with its values as choices, without conditions."""
    return replace(axis, distribution=CategoricalDistribution(list(axis.values() or [])), conditions={})


def _union(one: Axis, other: Axis) -> Axis:
    """Returns an axis with the values of both."""
    values = dict.fromkeys([*(one.values() or []), *(other.values() or [])])
    return replace(
        one,
        distribution=CategoricalDistribution(list(values)),
        texts={**other.texts, **one.texts},
        raw={**other.raw, **one.raw},
    )

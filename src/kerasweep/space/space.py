"""Defines the space that axes span, and its configurations."""

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import Trial

from kerasweep.space.axis import MAX_LISTABLE, Axis, canonical_axis, joint_axis
from kerasweep.space.prior import Prior
from kerasweep.space.rows import GRIDS, Params, Value

Signature = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Space:
    """The axes of a search."""

    axes: tuple[Axis, ...]  # each after the axes that its conditions name
    fixed: Callable[[str], Value]  # returns the value of a key that is not an axis, for conditions on it
    joint: tuple[Axis, ...] = ()  # see `joint_axis`; an axis is a member of one at most

    @cached_property
    def _keys(self) -> Mapping[str, str]:
        return {axis.name: axis.key for axis in self.axes}

    @cached_property
    def priors(self) -> Mapping[str, Prior]:
        """The priors of the axes that have one, by key."""
        return {axis.key: axis.prior for axis in self.axes if axis.prior is not None}

    @cached_property
    def optional(self) -> frozenset[str]:
        """The keys of axes that some points of `study.grids` leave at their configured value."""
        unions = (axis for axis in self.joint if axis.key.startswith(f"{GRIDS}("))
        return frozenset(key for axis in unions for key in axis.members)

    @cached_property
    def drawn(self) -> tuple[Axis, ...]:
        """The axes that a sampler draws and a study records: a joint axis in place of its members."""
        joint = {key: axis for axis in self.joint for key in axis.members}
        drawn = [joint.get(axis.key, axis) for axis in self.axes]
        return tuple({axis.key: axis for axis in drawn}.values())

    def applies(self, axis: Axis, params: Params) -> bool:
        """Returns whether all conditions of an axis hold; one on an axis that does not apply does not."""
        return all(self._holds(key, allowed, params) for key, allowed in axis.conditions.items())

    def _holds(self, key: str, allowed: Sequence[Value], params: Params) -> bool:
        axis = self._keys.get(key)
        if axis is None or (axis in self.optional and axis not in params):
            return self.fixed(key) in allowed
        return axis in params and params[axis] in allowed

    def suggest(self, trial: Trial) -> Params:
        """Asks an Optuna trial for a value of every axis that applies."""
        params: Params = {}
        for axis in self.drawn:
            if self.applies(axis, params):
                params |= axis.params_of(axis.suggest(trial))
        return params

    def recorded(self, params: Mapping[str, Value]) -> tuple[Params, dict[str, BaseDistribution]]:
        """Returns the parameters and distributions of an Optuna trial with this configuration."""
        axes = [
            axis
            for axis in self.drawn
            if (axis.has(axis.value_in(params)) if axis.is_joint else axis.key in params)
        ]
        return {axis.key: axis.value_in(params) for axis in axes}, {
            axis.key: axis.distribution for axis in axes
        }

    def read(self, recorded: Mapping[str, Value]) -> Params:
        """Returns the configuration of an Optuna trial with these parameters; other keys are left out."""
        axes = {axis.key: axis for axis in self.drawn}
        params: Params = {}
        for key, value in recorded.items():
            if key in axes:
                params |= axes[key].params_of(axes[key].snap(value))
        return params

    def configurations(self) -> Iterator[Params]:
        """Yields every configuration once; the first axis varies slowest.

        Raises:
            ValueError: An axis is an interval of real numbers. The message is its key.
        """
        for axis in self.axes:
            if axis.values() is None:
                raise ValueError(axis.key)
        yield from self._extend({}, 0)

    def _extend(self, params: Params, depth: int) -> Iterator[Params]:
        if depth == len(self.drawn):
            yield dict(params)
            return
        axis = self.drawn[depth]
        if not self.applies(axis, params):
            yield from self._extend(params, depth + 1)
            return
        for value in axis.values() or []:
            yield from self._extend({**params, **axis.params_of(value)}, depth + 1)

    @cached_property
    def max_size(self) -> float:
        """The number of configurations if no condition leaves some out; infinite for an interval."""
        sizes = [axis.values() for axis in self.drawn]
        return math.prod(len(values) if values is not None else math.inf for values in sizes)

    @property
    def is_finite(self) -> bool:
        """Whether the configurations can be listed: at most MAX_LISTABLE, no interval of real numbers."""
        return self.max_size <= MAX_LISTABLE

    def group_choices(self) -> Iterator[Params]:
        """Yields every combination of the axes that are config groups; an empty one if there are none."""
        return self.only({axis.key for axis in self.axes if axis.is_group}).configurations()

    def only(self, keys: Container[str]) -> "Space":
        """Returns the space of the axes with these keys; their conditions on other axes count as true."""
        axes = [axis for axis in self.axes if axis.key in keys]
        others = self._keys.keys() - {axis.name for axis in axes}
        joint = [_part(axis, members) for axis in self.joint if (members := _among(axis.members, keys))]
        return Space(
            tuple(_without(axis, others) for axis in axes),
            self.fixed,
            tuple(_without(axis, others) for axis in joint),
        )

    def within(self, keys: Container[str], params: Params) -> "Space":
        """Returns the other axes, as far as they apply, once the axes of these keys have these values.

        Args:
            keys: The keys of the axes that have a value or do not apply.
            params: The values.
        """
        rest: list[Axis] = []
        left_out: set[str] = set()
        for axis in self.axes:
            if axis.key in keys:
                continue
            chosen = {key: allowed for key, allowed in axis.conditions.items() if self._keys.get(key) in keys}
            holds = all(self._holds(key, allowed, params) for key, allowed in chosen.items())
            if not holds or left_out & set(axis.conditions):
                left_out.add(axis.name)
                continue
            rest.append(_without(axis, chosen))
        kept = {axis.key: axis for axis in rest}
        joint = (
            replace(axis, conditions=kept[axis.members[0]].conditions)
            for axis in self.joint
            if axis.members[0] in kept
        )
        return Space(tuple(rest), self.fixed, tuple(joint))

    def overrides(self, params: Mapping[str, Value]) -> list[str]:
        """Returns the command-line overrides of a configuration, groups first."""
        chosen = [axis for axis in self.axes if axis.key in params]
        chosen.sort(key=lambda axis: not axis.is_group)
        return [axis.override(params[axis.key]) for axis in chosen]

    def as_recorded(self, distributions: Mapping[str, BaseDistribution]) -> "Space":
        """Returns the space with the distributions of a study, by key, where these have the same values."""
        axes, joint = (
            tuple(axis.as_recorded(distributions.get(axis.key)) for axis in axes)
            for axes in (self.axes, self.joint)
        )
        return replace(self, axes=axes, joint=joint)

    def with_distributions(self, distributions: Mapping[str, BaseDistribution]) -> "Space | None":
        """Returns the space with other values of its axes; None without any, or if a key is no axis."""
        if not distributions or not distributions.keys() <= {axis.key for axis in self.drawn}:
            return None
        axes, joint = (
            tuple(replace(axis, distribution=distributions.get(axis.key, axis.distribution)) for axis in axes)
            for axes in (self.axes, self.joint)
        )
        return replace(self, axes=axes, joint=joint)

    def equal_configuration(self, params: Params) -> Params | None:
        """Returns the configuration that equals one of another space; None if this space does not have it."""
        found: Params = {}
        own = {axis.key: axis for axis in self.axes}
        for axis in self.drawn:
            equal = {
                key: values[0]
                for key in axis.members
                if key in params and (values := own[key].equal_values(params[key]))
            }
            is_set = axis.has(axis.value_in(equal)) if axis.is_joint else bool(equal)
            if self.applies(axis, found) != is_set:
                return None
            found |= equal
        return found if found.keys() == params.keys() else None

    def canonical(self) -> list[dict[str, Any]]:
        """Returns the space as plain data, equal for equal spaces in any notation."""
        return [canonical_axis(axis) for axis in sorted(self.drawn, key=lambda axis: axis.key)]


@dataclass(frozen=True)
class ListedSpace(Space):
    """A space of which only some configurations are tried."""

    listed: tuple[Params, ...] = ()

    def configurations(self) -> Iterator[Params]:
        yield from map(dict, self.listed)

    @cached_property
    def max_size(self) -> float:
        return len(self.listed)

    @property
    def is_finite(self) -> bool:
        return True


def signature(params: Mapping[str, Value]) -> Signature:
    """Returns a hashable form of a configuration, equal only for equal ones (1 and True differ)."""
    return tuple(sorted((key, repr(value)) for key, value in params.items()))


def _without(axis: Axis, keys: Container[str]) -> Axis:
    """Returns the axis without its conditions on these keys."""
    return replace(
        axis, conditions={key: values for key, values in axis.conditions.items() if key not in keys}
    )


def _among(members: Sequence[str], keys: Container[str]) -> list[str]:
    return [key for key in members if key in keys]


def _part(axis: Axis, keys: Sequence[str]) -> Axis:
    """Returns a joint axis without its other members."""
    rows = [axis.params_of(value) for value in axis.values() or []]
    parts = [{key: row[key] for key in keys if key in row} for row in rows]
    return joint_axis(axis.key.partition("(")[0], keys, parts, axis.conditions)

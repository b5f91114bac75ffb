"""Defines axes (a config key or group, its values and conditions) and the space that they span."""

import json
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from kerasweep.space.prior import Prior

MAX_LISTED = 12
SEPARATOR = ", "
ZIP, GRIDS = "zip", "grids"
MAX_LISTABLE = 100_000
Value = None | bool | int | float | str
Params = dict[str, Value]
Signature = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Axis:
    """A config key or group and its values."""

    key: str
    distribution: BaseDistribution  # Optuna's; choices that are lists or mappings are Hydra texts
    texts: Mapping[Value, str] = field(default_factory=dict)  # choices as on the command line
    raw: Mapping[Value, Any] = field(default_factory=dict)  # choices as in the configuration
    # By key, without Hydra's +, the values under which this axis applies; all conditions must hold.
    conditions: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    is_group: bool = False
    prior: Prior | None = None  # of a range: where random draws lie
    column: Sequence[Value] = ()  # of a zipped axis: its values in the user's order, repeated ones, too

    @property
    def name(self) -> str:
        """The key without the + of an override that adds it."""
        return self.key.lstrip("+")

    @property
    def members(self) -> tuple[str, ...]:
        """The keys of the axes that this one sets."""
        return members_of(self.key)

    @property
    def is_joint(self) -> bool:
        """Whether this axis stands for others, see `joint_axis`."""
        return self.members != (self.key,)

    @property
    def is_zip(self) -> bool:
        return self.key.startswith(f"{ZIP}(")

    def params_of(self, value: Value) -> Params:
        """Returns the values of the members that a value of this axis stands for."""
        return params_of(self.key, value)

    def value_in(self, params: Mapping[str, Value]) -> Value:
        """Returns the value of this axis in a configuration; a joint one may lack it, see `has`."""
        if not self.is_joint:
            return params[self.key]
        return row_text({key: params[key] for key in self.members if key in params})

    @property
    def is_numeric(self) -> bool:
        return not isinstance(self.distribution, CategoricalDistribution)

    def values(self) -> Sequence[Value] | None:
        """Returns every value in order, or None for an interval of real numbers."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return list(distribution.choices)
        if isinstance(distribution, IntDistribution):
            return range(distribution.low, distribution.high + 1, distribution.step)
        assert isinstance(distribution, FloatDistribution)
        if distribution.step is None:
            return [distribution.low] if distribution.low == distribution.high else None
        count = round((distribution.high - distribution.low) / distribution.step) + 1
        return [_stepped(distribution, index) for index in range(count)]

    def ends(self) -> list[Value]:
        """Returns every choice, or the lowest and highest number: if these are valid, all are."""
        if isinstance(self.distribution, (IntDistribution, FloatDistribution)):
            return [self.distribution.low, self.distribution.high]
        return list(self.values() or [])

    @property
    def whole_interval(self) -> str | None:
        """Hydra's text for the whole numbers of an interval of real numbers; None for other axes."""
        distribution = self.distribution
        if not isinstance(distribution, FloatDistribution) or distribution.step is not None:
            return None
        text = f"int(interval({distribution.low:.15g},{distribution.high:.15g}))"
        return f"tag(log,{text})" if distribution.log else text

    def snap(self, value: Value) -> Value:
        """Returns the value as the user wrote it: 0.3 if steps in floating point give 0.30000000000000004."""
        distribution = self.distribution
        if isinstance(distribution, FloatDistribution) and distribution.step is not None:
            assert isinstance(value, (int, float))
            return _stepped(distribution, round((value - distribution.low) / distribution.step))
        return value

    def has(self, value: Any) -> bool:
        """Returns whether Optuna's distribution has this value, which may be of any type."""
        try:
            return self.distribution._contains(self.distribution.to_internal_repr(value))
        except ValueError:
            return False

    def equal_values(self, value: Value) -> list[Value]:
        """Returns the axis's value that equals one of another axis: 1 for 1.0, not for True; else none."""
        values = self.values()
        if isinstance(self.distribution, (IntDistribution, FloatDistribution)):
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or (values is not None and value not in values):
                return []
            assert isinstance(value, (int, float))
            low, high = self.distribution.low, self.distribution.high
            return [type(low)(value)] if low <= value <= high else []
        is_boolean = isinstance(value, bool)
        return [
            choice for choice in values or [] if choice == value and isinstance(choice, bool) is is_boolean
        ]

    def as_recorded(self, distribution: BaseDistribution | None) -> "Axis":
        """Returns the axis with the distribution of a study if that has the same values, else itself.

        Optuna refuses a trial whose choices have another order than those of the study's first trials.
        """
        if distribution is None:
            return self
        recorded = replace(self, distribution=distribution)
        return recorded if _canonical_axis(recorded) == _canonical_axis(self) else self

    def in_place_of(self, other: "Axis") -> "Axis":
        """Returns the axis with the conditions of another one, and with its prior if that fits the range."""
        prior, distribution = other.prior, self.distribution
        fits = (
            prior is not None
            and isinstance(distribution, (IntDistribution, FloatDistribution))
            and distribution.log == getattr(other.distribution, "log", False)
            and distribution.low <= prior.center <= distribution.high
        )
        prior = self.prior or (prior if fits else None)
        return replace(self, conditions=other.conditions, prior=prior)

    def override(self, value: Value) -> str:
        """Returns the command-line override that sets this axis to a value."""
        text = self.texts[value] if value in self.texts else str(value)
        return f"{self.key}={text}"

    def plain(self, value: Value) -> Any:
        """Returns the value as in the configuration: lists and mappings instead of their Hydra text."""
        return self.raw.get(value, value)

    def suggest(self, trial: Trial) -> Value:
        """Asks an Optuna trial for a value."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return trial.suggest_categorical(self.key, distribution.choices)
        if isinstance(distribution, IntDistribution):
            return trial.suggest_int(
                self.key, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
        assert isinstance(distribution, FloatDistribution)
        value = trial.suggest_float(
            self.key, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
        return self.snap(value)

    def describe(self) -> str:
        """Describes the axis's values and conditions for the user."""
        finite = self.values()
        if finite is None:
            assert isinstance(self.distribution, FloatDistribution)
            text = f"{self.distribution.low:g} … {self.distribution.high:g}"
            text += " (log)" if self.distribution.log else ""
        elif len(finite) > MAX_LISTED:
            first, last = (self.texts.get(value, str(value)) for value in (finite[0], finite[-1]))
            text = f"{first} … {last} ({len(finite)} values)"
        else:
            text = ", ".join(self.texts.get(value, str(value)) for value in finite)
        text += f", prior {self.prior}" if self.prior is not None else ""
        when = [f"{key} is {' or '.join(map(str, allowed))}" for key, allowed in self.conditions.items()]
        return f"{text}, when {' and '.join(when)}" if when else text


def _stepped(distribution: FloatDistribution, index: int) -> float:
    return float(Decimal(str(distribution.low)) + index * Decimal(str(distribution.step)))


def joint_axis(
    kind: str, keys: Sequence[str], rows: Sequence[Params], conditions: Mapping[str, tuple[Value, ...]]
) -> Axis:
    """Returns an axis that sets several others together: for a sampler one categorical parameter.

    Its values are rows as JSON, which a study keeps: never change their form, nor that of the key.

    Args:
        kind: ZIP or GRIDS.
        keys: The keys of the others.
        rows: Their values, each row once. A row may leave out keys.
        conditions: Those of the others.
    """
    texts: dict[Value, str] = {row_text(row): row_words(row, keys) for row in rows}
    key = f"{kind}({SEPARATOR.join(sorted(keys))})"
    return Axis(key, CategoricalDistribution(list(texts)), texts=texts, conditions=conditions)


def members_of(key: str) -> tuple[str, ...]:
    """Returns the keys that an axis sets: for `zip(a, b)`, a and b; for others the key itself."""
    joined = key.partition("(")[2]
    return tuple(joined.removesuffix(")").split(SEPARATOR)) if joined else (key,)


def params_of(key: str, value: Value) -> Params:
    """Returns the values that a value of the axis with this key stands for, see `joint_axis`."""
    if members_of(key) == (key,):
        return {key: value}
    row: Params = json.loads(str(value))
    return row


def row_text(row: Mapping[str, Value]) -> str:
    """Returns a row as JSON, equal for equal rows in any order."""
    return json.dumps(row, sort_keys=True, ensure_ascii=False)


def row_words(row: Mapping[str, Value], keys: Sequence[str]) -> str:
    """Returns a row for the user: `sgd 0.1`, or with the keys if it lacks some."""
    words = {key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()}
    if set(keys) <= row.keys():
        return " ".join(words[key] for key in keys)
    return " ".join(f"{key}={word}" for key, word in words.items()) or "as configured"


def ordered(axes: Sequence[Axis]) -> list[Axis]:
    """Sorts axes after the axes that their conditions name; otherwise keeps their order.

    Raises:
        ValueError: Conditions form a circle. The message is its keys.
    """
    waiting, done = list(axes), []
    while waiting:
        open_keys = {axis.name for axis in waiting}
        ready = [axis for axis in waiting if not open_keys & set(axis.conditions)]
        if not ready:
            raise ValueError(", ".join(sorted(open_keys)))
        done += ready
        waiting = [axis for axis in waiting if axis not in ready]
    return done


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
        return [_canonical_axis(axis) for axis in sorted(self.drawn, key=lambda axis: axis.key)]


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


def _canonical_axis(axis: Axis) -> dict[str, Any]:
    finite = axis.values()
    distribution = axis.distribution
    if finite is not None and len(finite) <= MAX_LISTABLE:
        domain: Any = sorted(map(repr, finite))
    else:
        assert isinstance(distribution, (IntDistribution, FloatDistribution))
        domain = [distribution.low, distribution.high, distribution.step]
    conditions = {key: sorted(map(repr, allowed)) for key, allowed in sorted(axis.conditions.items())}
    return {"key": axis.key, "domain": domain, "log": getattr(distribution, "log", False), "when": conditions}

"""One axis of a search space: a config key or group, the values it may take, and when it applies."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

MAX_LISTED = 12
MAX_LISTABLE = 100_000
MIN_ORDERED = 3
Value = None | bool | int | float | str
Params = dict[str, Value]


@dataclass(frozen=True)
class Axis:
    """A config key or group and its values.

    distribution: Optuna's; a list or mapping among its choices stands as its Hydra text.
    texts: what a choice reads as on the command line. raw: what it is in the configuration.
    conditions: for each key, without Hydra's +, the values under which this axis applies; all must hold.
    """

    key: str
    distribution: BaseDistribution
    texts: Mapping[Value, str] = field(default_factory=dict)
    raw: Mapping[Value, Any] = field(default_factory=dict)
    conditions: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    is_group: bool = False

    @property
    def name(self) -> str:
        """The key in a configuration: an override that adds it begins with a +."""
        return self.key.lstrip("+")

    @property
    def is_numeric(self) -> bool:
        return not isinstance(self.distribution, CategoricalDistribution)

    def values(self) -> Sequence[Value] | None:
        """Every value in order, or None for an interval of real numbers."""
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
        """Every choice, or the lowest and highest number: if those fit, all do."""
        if isinstance(self.distribution, (IntDistribution, FloatDistribution)):
            return [self.distribution.low, self.distribution.high]
        return list(self.values() or [])

    @property
    def whole_interval(self) -> str | None:
        """Hydra's text for the whole numbers of an interval of real ones; None where it is none."""
        distribution = self.distribution
        if not isinstance(distribution, FloatDistribution) or distribution.step is not None:
            return None
        text = f"int(interval({distribution.low:.15g},{distribution.high:.15g}))"
        return f"tag(log,{text})" if distribution.log else text

    def snap(self, value: Value) -> Value:
        """The value as it was written: 0.3 where floating point steps give 0.30000000000000004."""
        distribution = self.distribution
        if isinstance(distribution, FloatDistribution) and distribution.step is not None:
            assert isinstance(value, (int, float))
            return _stepped(distribution, round((value - distribution.low) / distribution.step))
        return value

    def override(self, value: Value) -> str:
        """The command-line override that sets this axis to a value of it."""
        text = self.texts[value] if value in self.texts else str(value)
        return f"{self.key}={text}"

    def plain(self, value: Value) -> Any:
        """The value as configuration: lists and mappings as such, not as their Hydra text."""
        return self.raw.get(value, value)

    def suggest(self, trial: Trial) -> Value:
        """Ask an Optuna trial for a value."""
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
        """The axis's values and conditions for a person."""
        finite = self.values()
        if finite is None:
            assert isinstance(self.distribution, FloatDistribution)
            text = f"{self.distribution.low:g} … {self.distribution.high:g}"
            text += " (log)" if self.distribution.log else ""
        elif len(finite) > MAX_LISTED:
            text = f"{finite[0]} … {finite[-1]} ({len(finite)} values)"
        else:
            text = ", ".join(self.texts.get(value, str(value)) for value in finite)
        when = [f"{key} is {' or '.join(map(str, allowed))}" for key, allowed in self.conditions.items()]
        return f"{text}, when {' and '.join(when)}" if when else text

    def is_at_border(self, value: Value) -> bool:
        """Whether a number lies at an end of its interval (within 1 % of its length).

        Of choices, whether it is the smallest or largest of three numbers or more.
        """
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            numbers = [each for each in distribution.choices if isinstance(each, (int, float))]
            numbers = [each for each in numbers if not isinstance(each, bool)]
            is_ordered = len(numbers) == len(distribution.choices) >= MIN_ORDERED
            return is_ordered and value in (min(numbers), max(numbers))
        assert isinstance(distribution, (IntDistribution, FloatDistribution))
        assert isinstance(value, (int, float))
        scale = math.log if distribution.log else float
        low, high, here = scale(distribution.low), scale(distribution.high), scale(value)
        margin = 0.01 * (high - low)
        return low < high and not low + margin < here < high - margin


def _stepped(distribution: FloatDistribution, index: int) -> float:
    return float(Decimal(str(distribution.low)) + index * Decimal(str(distribution.step)))


def ordered(axes: Sequence[Axis]) -> list[Axis]:
    """The axes so that each comes after those its conditions name; otherwise as given.

    Raises ValueError naming the keys of a circle of conditions.
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
    """Axes in the order in which they are decided.

    fixed: gives the value of a key that is no axis, for conditions on it.
    """

    axes: tuple[Axis, ...]
    fixed: Callable[[str], Value]

    @cached_property
    def _keys(self) -> Mapping[str, str]:
        return {axis.name: axis.key for axis in self.axes}

    def _applies(self, axis: Axis, params: Params) -> bool:
        """Whether every condition of an axis holds: none does on an axis that does not apply itself."""
        return all(self._holds(key, allowed, params) for key, allowed in axis.conditions.items())

    def _holds(self, key: str, allowed: Sequence[Value], params: Params) -> bool:
        if key not in self._keys:
            return self.fixed(key) in allowed
        return self._keys[key] in params and params[self._keys[key]] in allowed

    def suggest(self, trial: Trial) -> Params:
        """Ask an Optuna trial for every axis that applies."""
        params: Params = {}
        for axis in self.axes:
            if self._applies(axis, params):
                params[axis.key] = axis.suggest(trial)
        return params

    def configurations(self) -> Iterator[Params]:
        """Every configuration once, the first axis slowest. Raises ValueError naming an endless axis."""
        for axis in self.axes:
            if axis.values() is None:
                raise ValueError(axis.key)
        yield from self._extend({}, 0)

    def _extend(self, params: Params, depth: int) -> Iterator[Params]:
        if depth == len(self.axes):
            yield dict(params)
            return
        axis = self.axes[depth]
        if not self._applies(axis, params):
            yield from self._extend(params, depth + 1)
            return
        for value in axis.values() or []:
            yield from self._extend({**params, axis.key: value}, depth + 1)

    @property
    def is_finite(self) -> bool:
        """Whether the configurations can be listed: no interval of real numbers, and not too many."""
        sizes = [axis.values() for axis in self.axes]
        return math.prod(len(values) if values is not None else math.inf for values in sizes) <= MAX_LISTABLE

    def group_choices(self) -> Iterator[Params]:
        """Every combination of the axes that are config groups; one empty one where there is none."""
        groups = tuple(axis for axis in self.axes if axis.is_group)
        return Space(groups, self.fixed).configurations()

    def overrides(self, params: Mapping[str, Value]) -> list[str]:
        """The command-line overrides that make a configuration; groups come first."""
        chosen = [axis for axis in self.axes if axis.key in params]
        chosen.sort(key=lambda axis: not axis.is_group)
        return [axis.override(params[axis.key]) for axis in chosen]

    def canonical(self) -> list[dict[str, Any]]:
        """The space as plain data, equal for equal spaces however they were written."""
        return [_canonical_axis(axis) for axis in sorted(self.axes, key=lambda axis: axis.key)]


def signature(params: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
    """A hashable form of a configuration: equal exactly for equal ones (1 and True differ)."""
    return tuple(sorted((key, repr(value)) for key, value in params.items()))


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

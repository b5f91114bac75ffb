"""Defines an axis: a config key or group, its values and its conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from kerasweep.space.prior import Prior
from kerasweep.space.rows import SEPARATOR, ZIP, Params, Value, members_of, params_of, row_text, row_words

MAX_LISTED = 12
MAX_LISTABLE = 100_000


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
        return recorded if canonical_axis(recorded) == canonical_axis(self) else self

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
            text = f"{self._shown(finite[0])} … {self._shown(finite[-1])} ({len(finite)} values)"
        else:
            text = ", ".join(map(self._shown, finite))
        text += f", prior {self.prior}" if self.prior is not None else ""
        when = [f"{key} is {' or '.join(map(str, allowed))}" for key, allowed in self.conditions.items()]
        return f"{text}, when {' and '.join(when)}" if when else text

    def _shown(self, value: Value) -> str:
        """Returns a value as on the command line, without Hydra's escapes of colons, which need none."""
        return self.texts.get(value, str(value)).replace("\\:", ":")


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


def canonical_axis(axis: Axis) -> dict[str, Any]:
    finite = axis.values()
    distribution = axis.distribution
    if finite is not None and len(finite) <= MAX_LISTABLE:
        domain: Any = sorted(map(repr, finite))
    else:
        assert isinstance(distribution, (IntDistribution, FloatDistribution))
        domain = [distribution.low, distribution.high, distribution.step]
    conditions = {key: sorted(map(repr, allowed)) for key, allowed in sorted(axis.conditions.items())}
    return {"key": axis.key, "domain": domain, "log": getattr(distribution, "log", False), "when": conditions}

"""Reads a study's constraints and evaluates them for a configuration."""

from collections.abc import Sequence
from itertools import islice, product
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from kerasweep.config.schemas import run_keys
from kerasweep.errors import ConfigError, suggestion
from kerasweep.multirun.composer import EXPERIMENT, Composer, choices_of
from kerasweep.multirun.question import Question
from kerasweep.space.axis import Axis
from kerasweep.space.constraint import Constraint, read_constraints
from kerasweep.space.constraint_truth import Interval, Possible, possible_truths
from kerasweep.space.rows import Params

MAX_COMPARED = 200


def read_study_constraints(question: Question, composer: Composer) -> "Constraints":
    """Reads the constraints of a study.

    Raises:
        ConfigError: A constraint cannot be read, names an unknown key, or can never hold.
    """
    constraints = Constraints(question, composer, read_constraints(question.master.study.constraints))
    constraints.check_keys()
    constraints.notes = constraints.check_effect()
    return constraints


class Constraints:
    """The constraints of a study, read with read_study_constraints.

    Args:
        question: Its axes and groups are the keys that a constraint may name.
        composer: Gives the values of keys that are no axes.
        parsed: The constraints themselves.
    """

    def __init__(self, question: Question, composer: Composer, parsed: Sequence[Constraint]) -> None:
        self.master = question.master
        self.axes = {axis.name: axis for axis in question.searched.axes}
        self.optional = question.searched.optional
        self.composer = composer
        self.parsed = parsed
        self.notes: list[str] = []  # for the user

    @property
    def texts(self) -> list[str]:
        """The constraints as the user wrote them."""
        return [constraint.text for constraint in self.parsed]

    def check_types(self) -> None:
        """Raises ConfigError if a constraint cannot compare values that the space may combine."""
        for constraint in self.parsed:
            axes = [axis for name, axis in self.axes.items() if constraint.concerns(name)]
            for values in islice(product(*(axis.ends() for axis in axes)), MAX_COMPARED):
                params = {axis.key: value for axis, value in zip(axes, values, strict=True)}
                try:
                    cfg = self.composer.compose(params)
                except ConfigError:
                    continue  # such a combination is never trained
                self._holds(constraint, cfg, params)

    def check_effect(self) -> list[str]:
        """Returns notes on constraints that hold for all values of the space, and so forbid nothing.

        Raises:
            ConfigError: A constraint holds for no values of the space.
        """
        notes = []
        for constraint in self.parsed:
            truths = possible_truths(constraint, self._possible)
            if truths == {False}:
                raise ConfigError(
                    f"study.constraints: {constraint.text!r} must hold, but it is false for all values of "
                    f"the space: {self._described(constraint)}. Correct it, or change the values."
                )
            if truths == {True}:
                notes.append(
                    f"the constraint {constraint.text!r} forbids nothing: it is true for all values of the "
                    f"space, {self._described(constraint)}"
                )
        return notes

    def _described(self, constraint: Constraint) -> str:
        axes = [axis for name, axis in self.axes.items() if constraint.concerns(name)]
        fixed = {key: self._possible(key) for key in sorted(constraint.keys - self.axes.keys())}
        values = [f"{key} is {value[0]}" for key, value in fixed.items() if isinstance(value, tuple)]
        return "; ".join([*(f"{axis.key} is {axis.describe()}" for axis in axes), *values])

    def _possible(self, key: str) -> Possible:
        """Returns the values that a key may have, None if another axis may decide them."""
        axis = self.axes.get(key)
        if axis is not None:
            return None if axis.conditions or axis.key in self.optional else _values_of(axis)
        if EXPERIMENT in self.axes:
            return None
        choices = choices_of(self.master)
        if key in choices:
            return (choices[key],)
        parts = key.split(".")
        if any(".".join(parts[:depth]) in self.axes for depth in range(1, len(parts))):
            return None
        parent, _, leaf = key.rpartition(".")
        above = OmegaConf.select(self.master, parent) if parent else self.master
        node = above._get_node(leaf) if isinstance(above, DictConfig) else None
        if node is None or node._is_interpolation() or OmegaConf.is_config(node):
            return None
        return (node._value(),)

    def broken(self, cfg: DictConfig, params: Params) -> str | None:
        """Returns the first constraint that a configuration breaks, None if it satisfies all.

        cfg: the composition of params.
        """
        return next((rule.text for rule in self.parsed if not self._holds(rule, cfg, params)), None)

    def _holds(self, constraint: Constraint, cfg: DictConfig, params: Params) -> bool:
        return constraint.holds(lambda key: self._value(cfg, params, key))

    def _value(self, cfg: DictConfig, params: Params, key: str) -> Any:
        """Returns a key's value in a trial: its axis's, a config group's choice, or the composed one."""
        axis = self.axes.get(key)
        if axis is not None and axis.key in params:
            return axis.plain(params[axis.key])
        choices = self.composer.choices(params)
        if key in choices:
            return choices[key]
        value = OmegaConf.select(cfg, key)
        return list(value) if isinstance(value, ListConfig) else value

    def check_keys(self) -> None:
        """Raises ConfigError for a key that no configuration has."""
        known = {*self.axes, *choices_of(self.master), *run_keys()}
        for constraint in self.parsed:
            for key in sorted(constraint.keys - known):
                if OmegaConf.select(self.master, key) is None:
                    raise ConfigError(
                        f"study.constraints: {constraint.text!r} names {key}, but there is no such key. "
                        + suggestion(
                            key, known, "Name axes, groups or keys, as in training.batch_size <= 64."
                        )
                    )


def _values_of(axis: Axis) -> Possible:
    if not axis.is_numeric:
        return tuple(map(axis.plain, axis.ends()))
    low, high = axis.ends()
    assert isinstance(low, (int, float)) and isinstance(high, (int, float))
    return Interval(low, high)

"""Holds a study's constraints against its configurations, and refuses those that make no sense."""

from itertools import islice, product
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from kerasweep.config.keys import all_keys
from kerasweep.errors import ConfigError, suggestion
from kerasweep.multirun.composer import Composer, choices_of
from kerasweep.multirun.question import Question
from kerasweep.space.axis import Params
from kerasweep.space.constraint import Constraint, read_constraints

MAX_COMPARED = 200


class Constraints:
    """The constraints of a question. Raises ConfigError for one that cannot be read or names no key."""

    def __init__(self, question: Question, composer: Composer) -> None:
        self.master = question.master
        self.axes = {axis.name: axis for axis in question.space.axes}
        self.composer = composer
        self.parsed = read_constraints(self.master.study.constraints)
        self._check_keys()

    @property
    def texts(self) -> list[str]:
        return [constraint.text for constraint in self.parsed]

    def check_types(self) -> None:
        """Raise ConfigError where values that the space may bring together cannot be compared."""
        for constraint in self.parsed:
            axes = [axis for name, axis in self.axes.items() if constraint.speaks_of(name)]
            for values in islice(product(*(axis.ends() for axis in axes)), MAX_COMPARED):
                params = {axis.key: value for axis, value in zip(axes, values, strict=True)}
                try:
                    cfg = self.composer.compose(params)
                except ConfigError:
                    continue  # such a combination is never trained
                self._holds(constraint, cfg, params)

    def broken(self, cfg: DictConfig, params: Params) -> str | None:
        """The first constraint that a configuration does not satisfy. cfg: what params compose to."""
        return next((each.text for each in self.parsed if not self._holds(each, cfg, params)), None)

    def _holds(self, constraint: Constraint, cfg: DictConfig, params: Params) -> bool:
        return constraint.holds(lambda key: self._value(cfg, params, key))

    def _value(self, cfg: DictConfig, params: Params, key: str) -> Any:
        """What a key is in a trial: its axis's value, a config group's choice, or what is composed."""
        axis = self.axes.get(key)
        if axis is not None and axis.key in params:
            return axis.plain(params[axis.key])
        choices = self.composer.choices(params)
        if key in choices:
            return choices[key]
        found = OmegaConf.select(cfg, key)
        return list(found) if isinstance(found, ListConfig) else found

    def _check_keys(self) -> None:
        known = {*self.axes, *choices_of(self.master), *all_keys()}
        for constraint in self.parsed:
            for key in sorted(constraint.keys - known):
                if OmegaConf.select(self.master, key) is None:
                    raise ConfigError(
                        f"study.constraints: {constraint.text!r} names {key}, but there is no such key. "
                        + suggestion(
                            key, known, "Name axes, groups or keys, as in training.batch_size <= 64."
                        )
                    )

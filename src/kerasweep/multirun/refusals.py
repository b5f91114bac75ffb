"""Decides which configurations of a space can be trained, and says why the others cannot."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from kerasweep.config import check
from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.config.unread_keys import check_keys_are_read, has_own_function
from kerasweep.data.prepare import Prepared, load_prepared
from kerasweep.errors import ConfigError, DataError
from kerasweep.multirun.composer import Composer
from kerasweep.multirun.constraints import Constraints
from kerasweep.multirun.experiments import experiments_change_data
from kerasweep.space.axis import Axis
from kerasweep.space.rows import Params, Value
from kerasweep.space.space import Space
from kerasweep.terminal import say
from kerasweep.trial.begin_program import graph_of
from kerasweep.trial.network import parameters_of
from kerasweep.trial.run import check_images

PROGRESS_SECONDS = 5.0  # between two lines


@dataclass(frozen=True)
class CheckedConfig:
    """The result of checking one configuration."""

    reason: str | None  # why it cannot be trained, None if it can
    graph: str | None = None  # equal for configurations that share a trace, None if unknown


class Refusals:
    """Checks the configurations of a space; in a finite space each is checked once.

    Args:
        space: The axes of the sweep.
        composer: Composes a configuration.
        constraints: The study's constraints.
    """

    def __init__(self, space: Space, composer: Composer, constraints: Constraints) -> None:
        self.space = space
        self.composer = composer
        self.constraints = constraints
        self.sweeps_data = experiments_change_data(space, composer) or any(
            axis.name.partition(".")[0] == "data" for axis in space.axes
        )
        self._checked: dict[str, CheckedConfig] = {}

    def reason(self, params: Mapping[str, Any]) -> str | None:
        """Returns why a configuration cannot be trained, None if it can.

        Raises:
            DataError: The data that all trials share cannot be read.
        """
        return self._check_once(params).reason

    def graph(self, params: Params) -> str | None:
        """Returns the key that configurations share if one worker trains them without a new trace.

        None if it is unknown: in an infinite space, for a custom network, and for a refused configuration.
        """
        return self._check_once(params).graph if self.space.is_finite else None

    def check_values(self) -> None:
        """Raises ConfigError for an axis that no choice of groups accepts: a misspelt key or a wrong type."""
        for axis in self.space.axes:
            if not axis.is_group:
                for value in axis.ends():
                    self._check_value(axis, value)

    def check_some_possible(self) -> None:
        """Raises ConfigError if no configuration of a finite space can be trained."""
        first = None
        for _, reason in self.checked(self.space):
            if reason is None:
                return
            first = first or reason
        raise ConfigError(f"No configuration of this space can be trained. The first one: {first}")

    def checked(self, space: Space) -> Iterator[tuple[Params, str | None]]:
        """Yields each configuration of a finite space with its reason, and says now and then how far it is.

        Raises:
            DataError: As `reason` does.
        """
        possible, said_at = 0, time.monotonic()
        for count, params in enumerate(space.configurations(), 1):
            reason = self.reason(params)
            possible += reason is None
            if time.monotonic() - said_at >= PROGRESS_SECONDS:
                said_at = time.monotonic()
                numbers = f"{count:,} of at most {space.max_size:,} configurations"
                say(f"checked {numbers}, {possible:,} can be trained")
            yield params, reason

    def data_of(self, cfg: DictConfig) -> Prepared:
        """Reads the data of a configuration; a few data sets are kept in memory."""
        return load_prepared(cfg.data)

    def _check_value(self, axis: Axis, value: Value) -> None:
        error = self._misfit(axis, value)
        if error is None:
            return
        if axis.whole_interval and self._misfit(axis, int(float(str(value)))) is None:
            raise ConfigError(
                f"{axis.key} takes whole numbers, but its interval is one of real numbers. "
                f"Write it as {axis.key}='{axis.whole_interval}'."
            )
        raise error

    def _misfit(self, axis: Axis, value: Value) -> ConfigError | None:
        """Returns why no choice of groups accepts a value, None if one does."""
        error = None
        for groups in self.space.group_choices():
            try:
                cfg = self.composer.compose({**groups, axis.key: value})
                check_keys_are_read(cfg, trusted=RUN_GROUPS if has_own_function(cfg) else ())
                return None
            except ConfigError as refused:
                error = refused
        return error

    def _check_once(self, params: Mapping[str, Any]) -> CheckedConfig:
        """Checks a configuration; keeps the result in a finite space, which is listed several times.

        Other keys than those of the space, such as the seed of a tuning, play no part.
        """
        params = {axis.key: params[axis.key] for axis in self.space.axes if axis.key in params}
        if not self.space.is_finite:
            return self._check(dict(params))
        key = str(sorted(params.items(), key=str))
        if key not in self._checked:
            self._checked[key] = self._check(dict(params))
        return self._checked[key]

    def _check(self, params: Params) -> CheckedConfig:
        try:
            cfg = self.composer.compose(params)
            broken = self.constraints.broken(cfg, params)
            if broken is not None:
                return CheckedConfig(f"study.constraints forbids it: {broken}")
            check(cfg)
            prepared = self.data_of(cfg)
            check_images(cfg, prepared)
        except ConfigError as error:
            return CheckedConfig(str(error))
        except DataError as error:
            if not self.sweeps_data:
                raise
            return CheckedConfig(str(error))
        reason = _too_large(cfg, prepared)
        has_graph = reason is None and self.space.is_finite  # else nobody asks for it
        return CheckedConfig(reason, graph_of(cfg, prepared) if has_graph else None)


def _too_large(cfg: DictConfig, prepared: Prepared) -> str | None:
    """Returns why a network exceeds budget.max_parameters, None if it does not."""
    most = cfg.budget.max_parameters
    if most is None:
        return None
    try:
        count = parameters_of(cfg, prepared)
    except Exception as error:  # a user's own network may raise anything
        return f"it cannot be built: {type(error).__name__}: {error}"
    return None if count <= most else f"it has {count:,} parameters, budget.max_parameters is {most:,}"

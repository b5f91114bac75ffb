"""Checks experiments as an axis: each may change what is trained, but nothing that the trials share."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.schemas import ROOTS, RUN_GROUPS
from kerasweep.errors import ConfigError
from kerasweep.multirun.composer import EXPERIMENT, Composer
from kerasweep.space.axis import Axis
from kerasweep.space.rows import Value
from kerasweep.space.space import Space

SHARED = tuple(root for root in ROOTS if root not in RUN_GROUPS)


def has_experiments(space: Space) -> bool:
    """Returns whether experiments are an axis."""
    return any(axis.name == EXPERIMENT for axis in space.axes)


def check_experiments(space: Space, composer: Composer) -> None:
    """Raises ConfigError for an experiment that sets what all trials of a sweep share."""
    for axis in space.axes:
        for option in (axis.values() or []) if axis.name == EXPERIMENT else []:
            changed = _changed(axis, option, composer)
            shared = [root for root in SHARED if root in changed]
            if shared:
                raise ConfigError(
                    f"experiment={option} sets {', '.join(shared)}, which all trials of a sweep share, so it "
                    "cannot be one of several. Take that out of the experiment, and give it on the command "
                    "line."
                )


def experiments_change_data(space: Space, composer: Composer) -> bool:
    """Returns whether an experiment that is one of several has other data."""
    return any(
        "data" in _changed(axis, option, composer)
        for axis in space.axes
        if axis.name == EXPERIMENT
        for option in axis.values() or []
    )


def experiment_config(axis: Axis, option: Value, composer: Composer) -> DictConfig | None:
    """Returns the configuration of an experiment with Hydra's node; None if it cannot be composed."""
    try:
        return composer.job_config({axis.key: option})
    except ConfigError:  # which the check of each configuration reports
        return None


def experiment_configs(space: Space, composer: Composer) -> list[DictConfig]:
    """Returns the configurations of the experiments that are an axis."""
    axes = (axis for axis in space.axes if axis.name == EXPERIMENT)
    found = (experiment_config(axis, option, composer) for axis in axes for option in axis.values() or [])
    return [cfg for cfg in found if cfg is not None]


def _changed(axis: Axis, option: Value, composer: Composer) -> set[str]:
    """Returns the keys at the top that an experiment changes."""
    cfg = experiment_config(axis, option, composer)
    if cfg is None:
        return set()
    contents: list[Any] = [
        OmegaConf.to_container(composed, resolve=False) for composed in (cfg, composer.master)
    ]
    for content in contents:
        content["tracking"].pop("tags")  # each run has those of its experiment
    own, shared = contents
    return {root for root in ROOTS if own[root] != shared[root]}

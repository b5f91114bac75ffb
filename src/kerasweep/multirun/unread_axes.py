"""Refuses axes that no training reads: equal networks would be ranked as if they differed."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.search import TrialConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.experiments import has_experiments
from kerasweep.space.space import Space

OF_CUSTOM = ("model.target", "model.kwargs", "model.architecture")


@dataclass(frozen=True)
class _Switch:
    """A setting without which others are not read."""

    key: str
    is_on: Callable[[DictConfig], bool]
    read: tuple[str, ...]  # the keys, and the groups with all below them, that are read only if it is on
    advice: str

    def governs(self, name: str) -> bool:
        return name != self.key and any(name == key or name.startswith(f"{key}.") for key in self.read)


SWITCHES = (
    _Switch(
        "training.early_stopping.enabled",
        lambda cfg: bool(cfg.training.early_stopping.enabled),
        ("training.early_stopping",),
        "Add training.early_stopping.enabled=true.",
    ),
    _Switch(
        "training.checkpoint.enabled",
        lambda cfg: bool(cfg.training.checkpoint.enabled),
        ("training.checkpoint",),
        "Add training.checkpoint.enabled=true.",
    ),
    _Switch(
        "model.dense_units",
        lambda cfg: bool(cfg.model.dense_units),
        ("model.dense_dropout",),
        "Add dense layers, as in model.dense_units=[128].",
    ),
    _Switch(
        "model.normalization.kind",
        lambda cfg: cfg.model.architecture == "backbone" or cfg.model.normalization.kind != "none",
        ("model.normalization",),
        "Add model.normalization.kind=batch.",
    ),
    _Switch(
        "training.unfreeze_at",
        lambda cfg: cfg.training.unfreeze_at is not None,
        ("training.unfreeze_learning_rate",),
        "Add the epoch from which the backbone trains, as in training.unfreeze_at=4.",
    ),
    _Switch(
        "regularizer.name",
        lambda cfg: cfg.regularizer.name != "none",
        ("regularizer",),
        "Add regularizer=l2.",
    ),
)


def check_axes_are_read(base: DictConfig, space: Space) -> None:
    """Raises ConfigError for an axis that the built-in training does not read in any trial.

    Args:
        base: The configuration that the trials share.
        space: All axes.
    """
    if base.trial.target != TrialConf.target or has_experiments(space):  # which may switch all on
        return
    referred = set(re.findall(r"\w+", " ".join(re.findall(r"\$\{[^}]*\}", OmegaConf.to_yaml(base)))))
    names = [axis.name for axis in space.axes]
    groups = {name.partition(".")[0] for name in names if "." not in name}
    is_custom = base.model.architecture == "custom" and "model" not in groups
    for axis in space.axes:
        name = axis.name
        if name.rpartition(".")[2] in referred:  # by an interpolation, as in model.kwargs
            continue
        if is_custom and _is_of_our_network(name):
            raise ConfigError(
                f"Nothing reads {axis.key} with model=custom: your function gets the shape of an image, the "
                "number of classes and model.kwargs. Sweep model.kwargs.NAME, and let the function read NAME."
            )
        for switch in SWITCHES:
            is_varied = switch.key in names or switch.key.partition(".")[0] in groups
            if switch.governs(name) and not is_varied and not (is_custom or switch.is_on(base)):
                raise ConfigError(f"Nothing reads {axis.key} without {switch.key}. {switch.advice}")


def _is_of_our_network(name: str) -> bool:
    if name.partition(".")[0] in ("regularizer", "initializer"):
        return True
    return name.startswith("model.") and not name.startswith(OF_CUSTOM)

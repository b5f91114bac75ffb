"""Digests the settings of swept groups, which a sweep's name does not contain."""

import hashlib
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.multirun.composer import Composer, config_path
from kerasweep.space.axis import Space

DIGITS = 12


def settings_digests(base: DictConfig, space: Space, composer: Composer) -> dict[str, str]:
    """Returns digests of what a study file sets below a swept group, and of the options' files.

    Args:
        base: The configuration that the trials share.
        space: The axes.
        composer: Composes the trials.

    Returns:
        By group, as in `regularizer`, and by option, as in `regularizer=l2`.
    """
    loader: Any = composer.context.config_loader
    hydra = composer.master.hydra
    _, files = loader._parse_overrides_and_create_caching_repo(
        hydra.job.config_name, list(hydra.overrides.hydra)
    )
    swept = {axis.name for axis in space.axes}
    digests = {}
    for axis in space.axes:
        if axis.is_group:
            shared = OmegaConf.select(base, axis.name.partition("@")[0])
            digests[axis.name] = _digest(_without(shared, axis.name, swept))
            for option in axis.values() or []:
                found = files.load_config(config_path(axis, option))
                if found is not None:
                    digests[f"{axis.name}={option!s}"] = _digest(found.config)
    return digests


def _without(node: Any, prefix: str, swept: set[str]) -> Any:
    """Returns the content of a group without the keys that are axes themselves."""
    if not isinstance(node, DictConfig):
        return node
    content = OmegaConf.to_container(node, resolve=False)
    assert isinstance(content, dict)
    return {key: value for key, value in content.items() if f"{prefix}.{key!s}" not in swept}


def _digest(content: Any) -> str:
    text: str = OmegaConf.to_yaml(OmegaConf.create({"content": content}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

"""Digests the settings that decide what is trained, but are not part of a sweep's name."""

import hashlib
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.backbones import preset_folder
from kerasweep.config.folders import config_folder
from kerasweep.config.interpolations import texts_of
from kerasweep.config.schemas import ROOTS, RUN_GROUPS, SHIP
from kerasweep.model.weights import folder_identity, is_weights_file, weights_identity
from kerasweep.multirun.composer import EXPERIMENT, Composer, config_path
from kerasweep.multirun.experiments import experiment_config, experiment_configs
from kerasweep.space.space import Space

DIGITS = 12
# Other machines may keep the same images elsewhere; the images have a digest of their own.
PLACES = ("data.path", "data.cache_dir")
# Resolvers that give another value at each start.
CHANGING = ("${now:", "${hydra:")


def settings_digests(base: DictConfig, space: Space, composer: Composer) -> dict[str, str]:
    """Returns the digests of settings that a sweep's name leaves out, or names by their text alone.

    Args:
        base: The configuration that the trials share.
        space: The axes.
        composer: Composes the trials.

    Returns:
        By name: `regularizer` for what a study file sets below a swept group, `regularizer=mine` for the file
        of a user's own option, `optimizer.learning_rate` for a value by interpolation, `model.weights=FILE`
        and `model.backbone=hub:FOLDER` for the content of a backbone's files, and keys at the top that the
        user added.
    """
    swept = {SHIP, *(axis.name for axis in space.axes)}
    contents = {
        **{axis.name: _below(base, axis.name, swept) for axis in space.axes if axis.is_group},
        **dict(_own_options(space, composer)),
        **{key: value for key, value in _interpolated(base) if key not in {*swept, *PLACES}},
        **dict(_backbone_files(base, space, composer)),
        **{str(key): base._get_node(key) for key in base if str(key) not in ROOTS},
    }
    return {name: _digest(content) for name, content in contents.items()}


def _below(base: DictConfig, group: str, swept: set[str]) -> Any:
    """Returns a group's values but for axes and for the schema's own, of which newer versions have more."""
    node = OmegaConf.select(base, group.partition("@")[0])
    if not isinstance(node, DictConfig):
        return node
    schema = OmegaConf.get_type(node)
    usual = OmegaConf.to_container(OmegaConf.structured(schema)) if is_dataclass(schema) else {}
    content = OmegaConf.to_container(node, resolve=False)
    assert isinstance(content, dict) and isinstance(usual, dict)
    return {
        key: value
        for key, value in content.items()
        if f"{group}.{key!s}" not in swept and (key not in usual or usual[key] != value)
    }


def _backbone_files(base: DictConfig, space: Space, composer: Composer) -> Iterator[tuple[str, str]]:
    configs = [base, *experiment_configs(space, composer)]

    def values(key: str) -> list[Any]:
        swept = [list(axis.values() or []) for axis in space.axes if axis.name == key]
        return swept[0] if swept else [OmegaConf.select(cfg, key) for cfg in configs]

    for weights in values("model.weights"):
        if is_weights_file(weights):
            yield f"model.weights={weights}", weights_identity(weights)
    for backbone in values("model.backbone"):
        if (folder := preset_folder(backbone)) is not None:
            yield f"model.backbone={backbone}", folder_identity(folder)


def _own_options(space: Space, composer: Composer) -> Iterator[tuple[str, Any]]:
    """Yields the content of each option's file, unless it is ours."""
    loader: Any = composer.context.config_loader
    hydra = composer.master.hydra
    _, files = loader._parse_overrides_and_create_caching_repo(
        hydra.job.config_name, texts_of(hydra.overrides.hydra)
    )
    ours = config_folder("conf")
    for axis in space.axes:
        for option in (axis.values() or []) if axis.is_group else []:
            found = files.load_config(config_path(axis, option))
            if found is not None and not found.path.endswith(ours):
                is_experiment = axis.name == EXPERIMENT
                content = (
                    _trained(experiment_config(axis, option, composer)) if is_experiment else found.config
                )
                yield f"{axis.name}={option!s}", content


def _trained(cfg: DictConfig | None) -> Any:
    """Returns what an experiment changes in each group, also by the files that its defaults list names."""
    return None if cfg is None else {group: _below(cfg, group, set()) for group in RUN_GROUPS}


def _interpolated(base: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yields the values of run groups that come from elsewhere, with their keys."""
    for group in RUN_GROUPS:
        yield from _interpolated_below(base[group], group)


def _interpolated_below(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for key in node if isinstance(node, DictConfig) and not node._is_none() else ():
        name, child = f"{prefix}.{key!s}", node._get_node(key)
        if child is not None and child._is_interpolation():
            if not any(resolver in str(child._value()) for resolver in CHANGING):
                yield name, OmegaConf.select(node, str(key))
        elif isinstance(child, DictConfig):
            yield from _interpolated_below(child, name)


def _digest(content: Any) -> str:
    text: str = OmegaConf.to_yaml(OmegaConf.create({"content": content}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

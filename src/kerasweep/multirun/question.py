"""Reads the question of a `--multirun` command: the study, the axes, and the fixed overrides."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kerasweep.config.interpolations import as_job, texts_of
from kerasweep.config.schemas import run_keys
from kerasweep.errors import ConfigError, first_line
from kerasweep.multirun.composer import choices_of
from kerasweep.multirun.conditions import (
    check_keys_of_conditions,
    check_options_of_conditions,
    notes_on_unused_axes,
)
from kerasweep.multirun.other_sweepers import Translation
from kerasweep.space.axis import Axis
from kerasweep.space.grids import axes_of_grids, check_grids
from kerasweep.space.parse import axis_of_entry, axis_of_override, make_space
from kerasweep.space.rows import Value
from kerasweep.space.space import Space
from kerasweep.space.zipped import check_zip, read_zips, zipped_axis

DEFAULT_STUDY, DEFAULT_SAMPLER = "quickstart", "tpe"
LISTS_CHOICES = re.compile(r"\s*choice\(")


@dataclass(frozen=True)
class Question:
    """A composed sweep."""

    master: DictConfig  # with Hydra's node, without the swept keys
    fixed: list[str]  # the overrides that every trial shares
    space: Space  # the axes that are compared
    # With the axes that are tuned for each configuration of `space`; else the same axes.
    searched: Space
    notes: tuple[str, ...] = ()  # for the user

    @property
    def nuisance(self) -> Space:
        """The axes that are tuned alone."""
        compared = {axis.key for axis in self.space.axes}
        return replace(
            self.searched,
            axes=tuple(axis for axis in self.searched.axes if axis.key not in compared),
            joint=tuple(axis for axis in self.searched.joint if compared.isdisjoint(axis.members)),
        )


def read_question(
    context: HydraContext, config: DictConfig, arguments: Sequence[str], translation: Translation
) -> Question:
    """Decides which keys are swept.

    Without axes and study: the study `quickstart`. Axes without a study: a full grid, unless the user chose a
    sampler, or nuisance axes to search. With both: the command line's range replaces the study's, and a fixed
    value removes its axis.

    Raises:
        ConfigError: An axis cannot be read.
    """
    overrides = OverridesParser.create(config_loader=context.config_loader).parse_overrides(list(arguments))
    swept = [override for override in overrides if override.is_sweep_override()]
    fixed = [override for override in overrides if not override.is_sweep_override()]
    added = list(translation.overrides)
    chosen = {override.key_or_group for override in fixed} | {text.partition("=")[0] for text in added}
    study = config.study
    has_study = choices_of(config).get("study") is not None or bool(study.space)
    has_axes = bool(has_study or translation.axes or study.nuisance)
    if not (swept or has_axes or study.grids):
        added.append(f"study={DEFAULT_STUDY}")
    elif (study.grids or not has_axes) and not _chose_sampler(config, chosen):
        added.append("sampler=grid")
    added += _fold_overrides(config.study)
    lines = [*added, *(str(override.input_line) for override in fixed)]
    master = _compose(context, config, lines) if added else config
    options = _group_options(context, master)
    zips = read_zips(master.study.zip)
    zipped = {key for keys in zips for key in keys}
    axes = _study_axes(
        {**translation.axes, **_entries(master, "space")}, fixed, options, "study.space", zipped
    )
    nuisance = _study_axes(_entries(master, "nuisance"), fixed, options, "study.nuisance", zipped)
    values = _fixed_values(master)
    in_grids, joint_grids = axes_of_grids(_grids(master, fixed), options, values)
    _check_apart(axes, nuisance)
    for override in swept:
        axis = axis_of_override(override, options, override.key_or_group in zipped)
        old = axes.get(axis.name) or nuisance.pop(axis.name, None)
        axes[axis.name] = axis.in_place_of(old) if old else axis
    _check_grids_apart(in_grids, {*axes, *nuisance})
    if nuisance and not (axes or in_grids):
        raise ConfigError(
            "study.nuisance is tuned for each combination of study.space, but study.space is empty. "
            'Name what to compare, as in study: {space: {model.kernel_size: "choice(3, 5)"}}.'
        )
    _check_nested([*axes.values(), *nuisance.values(), *in_grids])
    known = {*axes, *nuisance, *(axis.name for axis in in_grids), *choices_of(master), *run_keys()}
    for where, axes_there in (("study.space", axes), ("study.nuisance", nuisance)):
        check_keys_of_conditions(where, axes_there, known, master)
        check_options_of_conditions(where, axes_there, options)
    joint: dict[str, list[Axis]] = {"space": joint_grids, "nuisance": []}
    for keys in zips:
        check_zip(keys, axes, nuisance, known)
        own = axes if keys[0] in axes else nuisance
        zip_axis = zipped_axis([own[key] for key in keys])
        own |= {key: replace(own[key], conditions=zip_axis.conditions) for key in keys}
        joint["space" if own is axes else "nuisance"].append(zip_axis)
    compared = [*in_grids, *axes.values()]
    space = make_space(compared, values, joint["space"])
    searched = make_space([*compared, *nuisance.values()], values, [*joint["space"], *joint["nuisance"]])
    notes = notes_on_unused_axes(searched, {override.key_or_group for override in overrides})
    return Question(master, lines, space, searched, tuple(notes))


def _fold_overrides(study: DictConfig) -> list[str]:
    """Returns the overrides of study.folds: as many repeats as folds, unless their number is given."""
    if study.folds is None:
        return []
    repeats = [f"study.repeats={study.folds}"] if study.repeats == 1 else []
    return [f"data.folds={study.folds}", *repeats]


def _check_apart(axes: Mapping[str, Axis], nuisance: Mapping[str, Axis]) -> None:
    """Raises ConfigError for a key that is both compared and tuned."""
    both = sorted(axes.keys() & nuisance.keys())
    if both:
        raise ConfigError(
            f"{both[0]} is an axis of study.space and of study.nuisance. It is either compared or tuned: "
            "remove one."
        )


def _check_grids_apart(in_grids: Sequence[Axis], others: Collection[str]) -> None:
    """Raises ConfigError for an axis of study.grids that is an axis elsewhere, too."""
    both = next((axis.key for axis in in_grids if axis.name in others), None)
    if both is not None:
        raise ConfigError(
            f"{both} is an axis of study.grids and another one. Name it in the grids alone, or leave it out "
            "there."
        )


def _check_nested(axes: Sequence[Axis]) -> None:
    """Raises ConfigError for an axis that holds another one, which would replace its value."""
    for axis in axes:
        for inner in axes:
            if inner.name.startswith(f"{axis.name}.") and not axis.is_group:
                raise ConfigError(
                    f"{axis.key} and {inner.key} are both axes, but the first holds the second. Remove one."
                )


def _chose_sampler(config: DictConfig, chosen: set[str]) -> bool:
    """Returns whether the command line, or an experiment that it names, chose a sampler."""
    return "sampler" in chosen or choices_of(config)["sampler"] != DEFAULT_SAMPLER


def _compose(context: HydraContext, config: DictConfig, overrides: list[str]) -> DictConfig:
    """Composes again, with other task overrides and the same ones for Hydra."""
    hydra_overrides = texts_of(config.hydra.overrides.hydra)
    return context.config_loader.load_configuration(
        config_name=config.hydra.job.config_name,
        overrides=[*hydra_overrides, *overrides],
        run_mode=RunMode.MULTIRUN,
    )


def _group_options(context: HydraContext, master: DictConfig) -> Any:
    def options(key: str) -> list[str]:
        group = key.lstrip("+").partition("@")[0]
        name, overrides = master.hydra.job.config_name, texts_of(master.hydra.overrides.hydra)
        return context.config_loader.get_group_options(group, ObjectType.CONFIG, name, overrides)

    return options


def _study_axes(
    entries: Mapping[Any, Any], fixed: Sequence[Override], options: Any, where: str, zipped: Collection[str]
) -> dict[str, Axis]:
    """Returns the axes of these entries that no override fixes, by key without Hydra's +."""
    set_keys = {override.key_or_group for override in fixed}
    kept = {str(key): entry for key, entry in entries.items() if str(key).lstrip("+") not in set_keys}
    axes = [
        axis_of_entry(key, entry, options, where, key.lstrip("+") in zipped) for key, entry in kept.items()
    ]
    return {axis.name: axis for axis in axes}


def _entries(master: DictConfig, name: str) -> dict[Any, Any]:
    """Returns the entries of study.space or study.nuisance. Raises ConfigError if it is not a mapping."""
    node = master.study[name]
    if node is None:
        return {}
    if not isinstance(node, DictConfig):
        raise ConfigError(
            f"study.{name} must name keys and their values, but got {node}. "
            f'Write it as in study: {{{name}: {{model.kernel_size: "choice(3, 5)"}}}}.'
        )
    try:
        with as_job(master):
            return {key: _entry(node, key) for key in node}
    except OmegaConfBaseException as error:
        raise ConfigError(f"study.{name} cannot be resolved: {first_line(error)}.") from error


def _grids(master: DictConfig, fixed: Sequence[Override]) -> list[dict[str, Any]]:
    """Returns the entries of each grid of study.grids that no override fixes."""
    node, set_keys = master.study.grids, {override.key_or_group for override in fixed}
    try:
        with as_job(master):
            grids = [_entries_of(grid) for grid in node] if isinstance(node, ListConfig) else node or []
    except OmegaConfBaseException as error:
        raise ConfigError(f"study.grids cannot be resolved: {first_line(error)}.") from error
    check_grids(grids)
    return [{key: entry for key, entry in grid.items() if key.lstrip("+") not in set_keys} for grid in grids]


def _entries_of(grid: Any) -> Any:
    return {str(key): _entry(grid, key) for key in grid} if isinstance(grid, DictConfig) else grid


def _entry(node: DictConfig, key: Any) -> Any:
    """Returns an entry as plain data. Interpolations among its choices stay: each trial resolves them."""
    raw = node._get_node(key)
    text = raw._value() if isinstance(raw, Node) and not OmegaConf.is_config(raw) else None
    if isinstance(text, str) and LISTS_CHOICES.match(text):
        return text
    entry = node[key]
    if isinstance(entry, DictConfig):
        return {str(name): _entry(entry, name) for name in entry}
    return OmegaConf.to_container(entry, resolve=False) if isinstance(entry, ListConfig) else entry


def _fixed_values(master: DictConfig) -> Any:
    choices = choices_of(master)

    def value(key: str) -> Value:
        if key in choices:
            return choices[key]
        fixed = OmegaConf.select(master, key)
        return str(list(fixed)).replace(" ", "") if isinstance(fixed, ListConfig) else fixed

    return value

"""Composes the configuration of each trial: once for each set of group choices, then from a copy."""

import os
import pickle
from collections.abc import Mapping

from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from kerasweep.config.interpolations import as_job, has_interpolations, resolve_values, texts_of
from kerasweep.errors import ConfigError, first_line
from kerasweep.multirun.freeze_configs import read_ahead
from kerasweep.space.axis import Axis
from kerasweep.space.rows import Params, Value
from kerasweep.space.space import Space

EXPERIMENT = "experiment"  # a group whose options change other groups


def make_composer(context: HydraContext, master: DictConfig, fixed: list[str], space: Space) -> "Composer":
    """Reads the config files that trials may need, and returns a composer that later edits do not affect.

    Args:
        context: The context that Hydra made, frozen.
        master: The composed sweep with Hydra's node.
        fixed: The overrides that all trials share.
        space: The axes.
    """
    groups = [axis for axis in space.axes if axis.is_group]
    options = [config_path(axis, option) for axis in groups for option in axis.values() or []]
    read_ahead(context, options, master.hydra.job.config_name, texts_of(master.hydra.overrides.hydra))
    return Composer(context, master, fixed, space)


class Composer:
    """Composes the configuration of a trial as Hydra would. Build it with make_composer.

    Hydra composes each set of group choices once; plain values are set in a copy, which takes a twentieth of
    the time.
    """

    def __init__(self, context: HydraContext, master: DictConfig, fixed: list[str], space: Space) -> None:
        self.context = context
        self.master = master
        self.fixed = fixed
        self.space = space
        # Without and with Hydra's node, and the chosen option of every group.
        self._composed: dict[tuple[str, ...], tuple[bytes, bytes, dict[str, str]]] = {}

    def overrides(self, params: Mapping[str, Value]) -> list[str]:
        """Returns every task override of a trial, as its job receives them."""
        return [*self.fixed, *self.space.overrides(params)]

    def compose(self, params: Params, number: int = 0) -> DictConfig:
        """Returns the trial's configuration without Hydra's node, its interpolations resolved.

        Args:
            params: The values of the axes.
            number: The trial's, which only interpolations such as `${hydra:job.num}` read.

        Raises:
            ConfigError: The combination cannot be composed, such as a momentum for adam.
        """
        cfg = self._with_values(params, self._compose_groups(params)[0])
        return without_hydra(self.numbered_job(params, number)) if has_interpolations(cfg) else cfg

    def job_config(self, params: Params) -> DictConfig:
        """Returns the trial's whole configuration, equal to the one that Hydra composes of its overrides.

        Raises:
            ConfigError: As compose does.
        """
        cfg = self._with_values(params, self._compose_groups(params)[1])
        cfg.hydra.overrides.task = self.overrides(params)
        cfg.hydra.job.override_dirname = _override_dirname(cfg.hydra)
        return cfg

    def numbered_job(self, params: Params, number: int) -> DictConfig:
        """Returns the configuration of the job with this number; its interpolations are resolved as there.

        Raises:
            ConfigError: As compose does.
        """
        cfg, hydra = self.job_config(params), self.master.hydra
        with open_dict(cfg.hydra.job):
            cfg.hydra.job.num, cfg.hydra.job.id = number, f"job_id_for_{number}"
        cfg.hydra.sweep.dir, cfg.hydra.overrides.hydra = hydra.sweep.dir, hydra.overrides.hydra
        with as_job(cfg):
            cfg.hydra.sweep.subdir = str(cfg.hydra.sweep.subdir)
            folder = os.path.join(str(cfg.hydra.sweep.dir), cfg.hydra.sweep.subdir)
            cfg.hydra.runtime.output_dir = os.path.abspath(folder)
            resolve_values(cfg)
        return cfg

    def choices(self, params: Mapping[str, Value]) -> dict[str, str]:
        """Returns the chosen option of every config group in a trial."""
        groups = self._groups(params)
        composed = self._compose_groups(params)[2] if EXPERIMENT in groups else choices_of(self.master)
        return {**composed, **{key: str(option) for key, option in groups.items()}}

    def _groups(self, params: Mapping[str, Value]) -> Params:
        return {
            axis.key: params[axis.key] for axis in self.space.axes if axis.is_group and axis.key in params
        }

    def _compose_groups(self, params: Mapping[str, Value]) -> tuple[bytes, bytes, dict[str, str]]:
        overrides = tuple(self.space.overrides(self._groups(params)))
        if overrides not in self._composed:
            cfg = self._compose_by_hydra(overrides)
            task = pickle.dumps(without_hydra(cfg))
            self._composed[overrides] = task, pickle.dumps(cfg), choices_of(cfg)
        return self._composed[overrides]

    def _with_values(self, params: Params, composed: bytes) -> DictConfig:
        cfg: DictConfig = pickle.loads(composed)
        for axis in self.space.axes:
            if axis.key in params and not axis.is_group:
                _put(cfg, axis.key, axis.plain(params[axis.key]))
        return cfg

    def _compose_by_hydra(self, overrides: tuple[str, ...]) -> DictConfig:
        if not overrides and "???" not in choices_of(self.master).values():
            return self.master  # composed of the same files and fixed overrides
        try:
            return self.context.config_loader.load_sweep_config(self.master, [*self.fixed, *overrides])
        except (HydraException, OmegaConfBaseException) as error:
            chosen = " ".join(overrides) or "The configuration"
            raise ConfigError(f"{chosen} cannot be composed: {first_line(error)}") from error


def config_path(axis: Axis, option: Value) -> str:
    """Returns the config of a group's option, such as `regularizer/l2`."""
    return f"{axis.key.lstrip('+').partition('@')[0]}/{option}"


def _override_dirname(hydra_cfg: DictConfig) -> str:
    """Returns Hydra's override_dirname: the task overrides sorted, joined, without the excluded keys."""
    form = hydra_cfg.job.config.override_dirname
    lines = texts_of(hydra_cfg.overrides.task)
    kept = [line for line in lines if _key(line) not in form.exclude_keys]
    return str(form.item_sep).join(sorted(kept)).replace("=", form.kv_sep)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def without_hydra(config: DictConfig) -> DictConfig:
    """Returns a copy of the configuration as a task function gets it."""
    cfg = copy_of(config)
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    OmegaConf.set_struct(cfg, True)
    return cfg


def copy_of(config: DictConfig) -> DictConfig:
    """Copies by pickle, which takes a third of the time of copy.deepcopy."""
    copied: DictConfig = pickle.loads(pickle.dumps(config))
    return copied


def _put(cfg: DictConfig, key: str, value: object) -> None:
    is_new, is_forced = key.startswith("+"), key.startswith("++")
    key = key.lstrip("+")
    if is_new and not is_forced and _has(cfg, key):  # as Hydra refuses it in a single run
        raise ConfigError(f"+{key} would add a key that is there already. Sweep {key}, without the +.")
    try:
        OmegaConf.update(cfg, key, value, merge=not isinstance(value, list), force_add=is_new)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}={value} does not fit: {first_line(error)}") from error


def _has(cfg: DictConfig, key: str) -> bool:
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    return isinstance(node, DictConfig) and leaf in node


def choices_of(config: DictConfig) -> dict[str, str]:
    """Returns the chosen option of every config group, from Hydra's record."""
    choices = OmegaConf.to_container(config.hydra.runtime.choices)
    assert isinstance(choices, dict)
    return {str(key): str(value) for key, value in choices.items() if value is not None}

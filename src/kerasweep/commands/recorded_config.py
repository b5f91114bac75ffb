"""Composes the configuration of a recorded training with overrides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from kerasweep.config.recorded import read_recorded
from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.data.sources import source_key
from kerasweep.errors import ConfigError, first_line
from kerasweep.tracking.tags import objective_text, run_params, run_tags

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

# Keys that say where the images are, and change nothing else.
PLACES = ("data.path", "data.cache_dir", "data.ship")
OBJECTIVE = "objective"


@dataclass(frozen=True)
class Again:
    """The configuration of a training that repeats a recorded one."""

    cfg: DictConfig
    variation: Mapping[str, str]  # the keys with another value than the recorded one, other than PLACES
    tags: Mapping[str, str]  # those of `run_tags`
    reads_same_source: bool  # whether it should read the recorded images


def compose_again(
    config: str, changes: Sequence[str], tags: Mapping[str, str], command: str = "rerun"
) -> Again:
    """Composes a recorded configuration with overrides.

    Args:
        config: The recorded configuration, YAML.
        changes: Overrides of the groups that define a run, as on the command line of src.train.
        tags: The tags of the recorded run.
        command: Names the command in errors, as in `src.NAME`.

    Raises:
        ConfigError: The overrides do not fit the recorded configuration, or that this version.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    overrides = OverridesParser.create().parse_overrides(list(changes))
    for override in overrides:
        _check(override, command)
    recorded = read_recorded(config)
    choices = {override.key_or_group: override for override in overrides if _is_choice(override)}
    values = [override for override in overrides if not _is_choice(override)]
    try:
        cfg = hydra.compose("train", [str(choice.input_line) for choice in choices.values()])
        before = cfg.copy()
        for target, kept in ((before, ()), (cfg, choices)):
            with open_dict(target):
                target.update({name: node for name, node in recorded.items() if name not in kept})
        cfg.data.cache_dir, cfg.data.ship = None, False
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        options = {group: str(choice.value()) for group, choice in choices.items()}
        old_tags, new_tags = run_tags(before, {}), run_tags(cfg, options)
    except (HydraException, OmegaConfBaseException) as error:
        reason = first_line(error if error.__cause__ is None else error.__cause__)
        raise ConfigError(f"{' '.join(changes)} does not fit the recorded run: {reason}.") from error
    kept_tags = {
        name: tags.get(name, value) for name, value in new_tags.items() if old_tags.get(name) == value
    }
    return Again(cfg, _varied(before, cfg), {**new_tags, **kept_tags}, _source(before) == _source(cfg))


def _check(override: "Override", command: str) -> None:
    key = str(override.key_or_group)
    if key.partition(".")[0] not in (*RUN_GROUPS, OBJECTIVE):
        raise ConfigError(
            f"{key} is no key of a training. src.{command} takes keys of {', '.join(RUN_GROUPS)} and "
            f"{OBJECTIVE}."
        )
    if override.is_sweep_override():
        raise ConfigError(f"{override.input_line}: src.{command} trains one configuration. Give one value.")


def _is_choice(override: "Override") -> bool:
    """Whether an override chooses an option of a group."""
    return (
        override.key_or_group in RUN_GROUPS and not override.is_delete() and isinstance(override.value(), str)
    )


def _varied(before: DictConfig, cfg: DictConfig) -> dict[str, str]:
    old, new = _flat(before), _flat(cfg)
    names = [name for name in new if name not in PLACES and old.get(name) != new[name]]
    dropped = [name for name in old if name not in PLACES and name not in new]
    return {name: new.get(name, "none") for name in (*names, *dropped)}


def _flat(cfg: DictConfig) -> dict[str, str]:
    return {**run_params(cfg), OBJECTIVE: objective_text(cfg)}


def _source(cfg: DictConfig) -> str:
    """Returns what decides which images are read, besides PLACES."""
    data = cfg.data.copy()
    data.path = data.cache_dir = None
    return source_key(data)

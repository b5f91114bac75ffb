"""Refuses keys that nothing reads: otherwise they would be compared, and one of them would win."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass

from omegaconf import DictConfig, OmegaConf

from kerasweep.config import search
from kerasweep.config.schemas import ROOTS, RUN_GROUPS, run_keys
from kerasweep.errors import ConfigError, suggestion


def check_command(cfg: DictConfig, hydra: DictConfig, are_data_swept: bool = False) -> None:
    """Raises ConfigError for keys that nothing reads, once for all trials.

    Args:
        cfg: The configuration without Hydra's node.
        hydra: That node, whose values may refer to keys of the user's.
        are_data_swept: Whether some trials may have another kind of data.
    """
    check_keys_are_read(cfg, trusted=RUN_GROUPS)
    if has_own_function(cfg):
        return
    _check_roots(cfg, hydra)
    if cfg.data.path is not None and cfg.data.source == "digits" and not are_data_swept:
        raise ConfigError(
            f"data.path={cfg.data.path} is not read: data=digits comes with its package. Name the kind of "
            "the files, as in data=image_folder, or leave data.path out."
        )


def check_keys_are_read(cfg: DictConfig, prefix: str = "", trusted: Sequence[str] = ()) -> None:
    """Raises ConfigError for a key that its group's schema lacks: a + adds it, and nothing would read it.

    The trusted groups may have any key.
    """
    schema = OmegaConf.get_type(cfg)
    if prefix and is_dataclass(schema):
        known = [field.name for field in fields(schema)]
        for name in map(str, cfg):
            if name not in known:
                group = prefix.rstrip(".")
                said = suggestion(name, known, f"It has {', '.join(known)}.")
                raise ConfigError(f"Nothing reads {prefix}{name}: the chosen {group} has no {name}. {said}")
    for key in cfg:
        name = str(key)
        if name in trusted:
            continue
        node = cfg._get_node(key)
        if isinstance(node, DictConfig) and not (
            node._is_none() or node._is_missing() or node._is_interpolation()
        ):
            check_keys_are_read(node, f"{prefix}{name}.")


def _check_roots(cfg: DictConfig, hydra: DictConfig) -> None:
    """Raises ConfigError for an unknown key at the top to which no value refers: nothing reads it."""
    for name in (str(key) for key in cfg if str(key) not in ROOTS):
        texts = (OmegaConf.to_yaml(node, resolve=False) for node in (cfg, hydra))
        if not any(re.search(rf"\$\{{[^}}]*\b{re.escape(name)}\b", text) for text in texts):
            keys = [key for key in run_keys() if key.endswith(f".{name}")]
            said = f"Did you mean {keys[0]}?" if keys else f"The keys at the top are {', '.join(ROOTS)}."
            raise ConfigError(f"Nothing reads {name}. {said}")


def check_kwargs(group: str, kwargs: object, are_read: bool) -> None:
    """Raises ConfigError for a value that is no mapping, and for arguments that no function takes."""
    if not isinstance(kwargs, Mapping):
        raise ConfigError(
            f"{group}.kwargs must name keyword arguments, but got {kwargs}. "
            f"Write it as in {group}.kwargs.width=8."
        )
    if kwargs and not are_read:
        readers = "model=custom and model=backbone" if group == "model" else f"{group}=custom"
        raise ConfigError(
            f"{group}.kwargs is for {readers}: nothing reads {', '.join(map(str, kwargs))}. "
            f"Add {group}=custom and {group}.target, or leave it out."
        )


def has_own_function(cfg: DictConfig) -> bool:
    """Whether a user's training function trains, which may read any key of a run's groups."""
    return bool(cfg.trial.target != search.TrialConf.target)

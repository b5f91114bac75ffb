"""Translates the keys of hydra-optuna-sweeper, and names a replacement for those without a translation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, ListConfig, OmegaConf

from kerasweep.config.search import SAMPLERS
from kerasweep.errors import ConfigError

SUCCESSORS = {
    "storage": "name a database with storage=rdb storage.url=URL; without it, trials are kept in a journal",
    "n_jobs": "set the number of worker processes with workers=N",
    "max_failure_rate": "a failing trial is recorded and never ends the sweep",
    "custom_search_space": "write conditions with `when:` under study.space",
    "search_space": "write the axes under study.space, or on the command line",
}
_SAMPLERS = {"nsgaii": "nsga2", "bruteforce": "grid"}


@dataclass(frozen=True)
class Translation:
    """The translation of a file for hydra-optuna-sweeper."""

    axes: Mapping[str, Any]  # key -> Hydra's sweep syntax
    overrides: tuple[str, ...]  # the same settings as kerasweep's overrides
    notes: tuple[str, ...]  # a sentence for each key that is not used


def translate_keys(keys: Mapping[str, Any]) -> Translation:
    """Translates the `hydra.sweeper` keys that are set.

    Raises:
        ConfigError: There are several directions, or params is not a mapping.
    """
    plain = {key: _plain(value) for key, value in keys.items()}
    overrides = []
    if plain.get("n_trials") is not None:
        overrides.append(f"study.trials={plain['n_trials']}")
    if plain.get("study_name"):
        name = QuotedString(str(plain["study_name"]), Quote.single).with_quotes()
        overrides.append(f"study.name={name}")
    overrides += _sampler(plain.get("sampler"))
    overrides += _direction(plain.get("direction"))
    notes = [
        f"hydra.sweeper.{key}={plain[key]} is not used: {SUCCESSORS[key]}."
        for key in SUCCESSORS
        if plain.get(key) not in (None, {}, 1)
    ]
    notes += _sampler_notes(plain.get("sampler"))
    return Translation(_axes(plain.get("params")), tuple(overrides), tuple(notes))


def _plain(value: Any) -> Any:
    if isinstance(value, (DictConfig, ListConfig)):
        return OmegaConf.to_container(value, resolve=True)
    return value


def _axes(params: Any) -> Mapping[str, Any]:
    if params and not isinstance(params, Mapping):
        raise ConfigError(
            f"hydra.sweeper.params must name keys and their values, but got {params}. "
            'Write it as in {model.kernel_size: "choice(3, 5)"}.'
        )
    return params or {}


def _sampler(sampler: Any) -> list[str]:
    """Returns overrides for the same method and its seed. `_target_` wins: `name` may be a default."""
    if not sampler:
        return []
    name = _successor(sampler)
    overrides = [f"sampler={name}"] if name in SAMPLERS else []
    if sampler.get("seed") is not None:
        overrides.append(f"sampler.seed={sampler['seed']}")
    return overrides


def _class_or_name(sampler: Mapping[str, Any]) -> str:
    return str(sampler.get("_target_") or sampler.get("name") or "")


def _successor(sampler: Mapping[str, Any]) -> str:
    name = _class_or_name(sampler).rpartition(".")[2].lower().removesuffix("sampler")
    return _SAMPLERS.get(name, name)


def _sampler_notes(sampler: Any) -> list[str]:
    if not sampler:
        return []
    notes = [
        f"hydra.sweeper.sampler.{key}={sampler[key]} is not used: set sampler.{key}, if sampler= has it."
        for key in sorted(set(sampler) - {"name", "seed", "_target_"})
    ]
    asked = _class_or_name(sampler)
    if asked and _successor(sampler) not in SAMPLERS:
        choices = ", ".join(SAMPLERS)
        notes.append(
            f"hydra.sweeper.sampler={asked} is not used: choose one with sampler=NAME, of {choices}."
        )
    return notes


def _direction(direction: Any) -> list[str]:
    """Returns no override for maximize, the default direction; minimize means the validation loss."""
    if direction in (None, "maximize"):
        return []
    if direction == "minimize":
        return ["objective=[{metric:val_loss,direction:minimize}]"]
    raise ConfigError(
        f"hydra.sweeper.direction={direction} does not say which metrics are meant. Name them, as in "
        "objective=[{metric:val_accuracy,direction:maximize},{metric:parameters,direction:minimize}]."
    )

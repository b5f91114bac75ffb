"""Checks the conditions of axes, the `when` of a study: each must be able to hold."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.errors import ConfigError, suggestion
from kerasweep.space.axis import Axis
from kerasweep.space.rows import Value
from kerasweep.space.space import Space


def check_keys_of_conditions(
    where: str, axes: Mapping[str, Axis], known: set[str], master: DictConfig
) -> None:
    """Raises ConfigError for a condition on an unknown key: it would never hold."""
    for axis in axes.values():
        for key in axis.conditions:
            if key not in known and OmegaConf.select(master, key) is None:
                raise ConfigError(
                    f"{where}.{axis.key} has a condition on {key}, but there is no such key. "
                    + suggestion(key, known, "Name an axis, a group or a key, as in when: {optimizer: sgd}.")
                )


def check_options_of_conditions(where: str, axes: Mapping[str, Axis], options: Any) -> None:
    """Raises ConfigError for a condition on an option that a group does not have: it would never hold."""
    for axis in axes.values():
        for group, wanted in axis.conditions.items():
            known = options(group)
            for name in wanted:
                if known and str(name) not in {*known, "None"}:
                    raise ConfigError(
                        f"{where}.{axis.key} has the condition {group}: {name}, but {group} never has it. "
                        + suggestion(str(name), known, f"It has {', '.join(known)}.")
                    )


def notes_on_unused_axes(space: Space, chosen: Collection[str]) -> list[str]:
    """Returns notes on axes that apply to no trial because the command line narrows their study.

    Args:
        space: All axes.
        chosen: The keys of the command line's overrides, without Hydra's +.

    Raises:
        ConfigError: An axis of the study as it is written applies to no trial.
    """
    notes, unused = [], dict[str, bool]()  # by name, whether the command line is why
    for axis in space.axes:
        for key, allowed in axis.conditions.items():
            if key not in unused and _may_hold(space, key, allowed):
                continue
            is_narrowed = unused.get(key, "experiment" in chosen or _is_chosen(key, chosen))
            text = f"{axis.key} applies only when {key} is {' or '.join(map(str, allowed))}"
            if not is_narrowed:
                raise ConfigError(
                    f"{text}, but {_instead(space, key, unused)}. Correct the condition or {key}."
                )
            notes.append(f"{text}: not in this sweep, in which {_instead(space, key, unused)}")
            unused[axis.name] = is_narrowed
            break
    return notes


def _may_hold(space: Space, key: str, allowed: Sequence[Value]) -> bool:
    axis = next((axis for axis in space.axes if axis.name == key), None)
    if (axis is None or axis.key in space.optional) and space.fixed(key) in allowed:
        return True
    if axis is None:
        return False
    values = axis.values()
    return any(axis.equal_values(value) if values is None else value in values for value in allowed)


def _is_chosen(key: str, chosen: Collection[str]) -> bool:
    """Returns whether the command line sets a key, or a key or group above it."""
    return any(key == name or key.startswith(f"{name}.") for name in chosen)


def _instead(space: Space, key: str, unused: Collection[str]) -> str:
    if key in unused:
        return f"{key} applies to no trial"
    axis = next((axis for axis in space.axes if axis.name == key), None)
    return f"{key} is {space.fixed(key) if axis is None else axis.describe()}"

"""Zips axes: the n-th value of one goes with the n-th value of the others (`study.zip`)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from omegaconf import ListConfig, OmegaConf

from kerasweep.errors import ConfigError, suggestion
from kerasweep.space.axis import MAX_LISTABLE, Axis, joint_axis
from kerasweep.space.rows import ZIP, Params, row_text, row_words

EXAMPLE = "study.zip=[[data,data.path]]"


def read_zips(node: Any) -> list[list[str]]:
    """Returns the groups of keys of `study.zip`, without Hydra's +.

    Raises:
        ConfigError: It is no list of groups of two keys or more, or names a key twice.
    """
    groups: Any = OmegaConf.to_container(node, resolve=True) if isinstance(node, ListConfig) else node or []
    are_lists = isinstance(groups, list) and all(isinstance(keys, list) for keys in groups)
    if not are_lists or any(len(keys) < 2 for keys in groups):
        raise ConfigError(
            f"study.zip must list groups of two keys or more, but got {groups}. Write it as in {EXAMPLE}."
        )
    zips = [[str(key).lstrip("+") for key in keys] for keys in groups]
    named = [key for keys in zips for key in keys]
    twice = next((key for key in named if named.count(key) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"study.zip names {twice} twice, but an axis goes with one group of others. "
            "Name all that go together in one list."
        )
    return zips


def check_zip(
    keys: Sequence[str], compared: Mapping[str, Axis], tuned: Mapping[str, Axis], known: Collection[str]
) -> None:
    """Raises ConfigError for a group with a key that is no axis, or with both compared and tuned axes.

    Args:
        keys: The keys of the group.
        compared: The axes that are compared, by key.
        tuned: The axes that are tuned.
        known: All keys of the configuration.
    """
    axes = {**compared, **tuned}
    unknown = next((key for key in keys if key not in axes), None)
    if unknown is not None:
        advice = "Give it a list of values, or leave it out of study.zip."
        raise ConfigError(
            f"study.zip names {unknown}, which is no axis of this sweep. "
            + (advice if unknown in known else suggestion(unknown, axes, advice))
        )
    mixed = [key for key in keys if (key in tuned) != (keys[0] in tuned)]
    if mixed:
        raise ConfigError(
            f"study.zip joins {keys[0]} and {mixed[0]}, but one is compared and the other tuned by "
            "study.nuisance. Move one of them."
        )


def zipped_axis(axes: Sequence[Axis]) -> Axis:
    """Returns the axis that sets all of a group; it applies under the conditions of each.

    Raises:
        ConfigError: The axes have different numbers of values, an interval, or a row twice.
    """
    for axis in axes:
        if not len(axis.column):
            raise ConfigError(
                f"study.zip needs lists of values, but {axis.key} is an interval: {axis.describe()}. "
                "List its values with choice(...) or range(...)."
            )
    first = axes[0]
    other = next((axis for axis in axes if len(axis.column) != len(first.column)), None)
    if other is not None:
        raise ConfigError(
            f"study.zip pairs values by their places, but {first.key} has {len(first.column)} and "
            f"{other.key} has {len(other.column)}. Give each as many."
        )
    if len(first.column) > MAX_LISTABLE:
        raise ConfigError(
            f"study.zip takes at most {MAX_LISTABLE:,} values of an axis, but {first.key} has more. "
            "Narrow it."
        )
    keys = [axis.key for axis in axes]
    rows = [dict(zip(keys, row, strict=True)) for row in zip(*(axis.column for axis in axes), strict=True)]
    _check_rows(rows, keys)
    return joint_axis(ZIP, keys, rows, _joined_conditions(axes))


def _check_rows(rows: Sequence[Params], keys: Sequence[str]) -> None:
    texts = set[str]()
    for row in rows:
        if row_text(row) in texts:
            raise ConfigError(
                f"study.zip gives {' and '.join(keys)} the values {row_words(row, keys)} twice. "
                "Name each combination once."
            )
        texts.add(row_text(row))


def _joined_conditions(axes: Sequence[Axis]) -> dict[str, Any]:
    """Returns the conditions of all axes. Raises ConfigError if two axes disagree, or name one of these."""
    conditions: dict[str, Any] = {}
    names = [axis.name for axis in axes]
    for axis in axes:
        for key, allowed in axis.conditions.items():
            if key in names:
                raise ConfigError(
                    f"study.zip sets {axis.key} together with {key}, so {axis.key} cannot have a condition "
                    f"on {key}. Leave the condition out, and list the values that go together."
                )
            if conditions.setdefault(key, allowed) != allowed:
                raise ConfigError(
                    f"study.zip joins {' and '.join(names)}, but they apply under different conditions on "
                    f"{key}. Give them the same one."
                )
    return conditions

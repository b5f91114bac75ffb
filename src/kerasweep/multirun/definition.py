"""Defines which commands continue the same sweep: what must stay equal, and the study's name."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.schemas import RUN_GROUPS, SHIP
from kerasweep.config.search import StudyConf, TrialConf
from kerasweep.space.axis import Axis
from kerasweep.space.space import Space

MAX_NAME_LENGTH = 60
# Keys of run groups that older sweeps did not have; at their defaults they do not change a sweep's name.
NEW_KEYS = (
    "data.split_seed",
    "data.folds",
    "data.resize",
    "data.skip_corrupt",
    "data.image_column",
    "data.label_column",
    "data.split_column",
    "augment.rotation",
    "augment.zoom",
    "augment.brightness",
    "augment.contrast",
    "augment.cutout",
    "augment.mixup",
    "model.from_logits",
    "training.loss",
    "training.label_smoothing",
    "training.class_weight",
    "training.metrics",
    "training.callbacks",
    "training.unfreeze_at",
    "training.unfreeze_learning_rate",
)


def sweep_definition(
    base: DictConfig, space: Space, fixed: Sequence[str], constraints: Sequence[str], nuisance: Space
) -> dict[str, Any]:
    """Returns the settings that identify a sweep; their hash is part of its name.

    A command with other settings starts another sweep.

    Args:
        base: The configuration that the trials share.
        space: The axes that are compared.
        fixed: The overrides that every trial shares.
        constraints: The texts of the study's constraints.
        nuisance: The axes that are tuned.
    """
    groups = OmegaConf.to_container(OmegaConf.masked_copy(base, list(RUN_GROUPS)), resolve=False)
    repeats, target = base.study.repeats, base.trial.target
    axes = (*space.axes, *nuisance.axes)
    swept = {axis.key for axis in axes if axis.key not in space.optional}
    left_out = {SHIP, *swept} | {key for key in NEW_KEYS if _is_default(base, key)}
    return {
        "groups": _without(groups, left_out),
        "below": _fixed_below_groups(axes, fixed),
        "space": space.canonical(),
        "objective": OmegaConf.to_container(base.objective),
        # Left out at their defaults: sweeps from before these keys existed keep their names.
        **({"constraints": list(constraints)} if constraints else {}),
        **({"repeats": repeats} if repeats != 1 else {}),
        **({"splits": base.study.splits} if repeats != 1 and base.study.splits != StudyConf.splits else {}),
        **(
            {"nuisance": nuisance.canonical(), "nuisance_trials": base.study.nuisance_trials}
            if nuisance.axes
            else {}
        ),
        **(
            {"tuning": base.study.tuning}
            if nuisance.axes and repeats != 1 and base.study.tuning != StudyConf.tuning
            else {}
        ),
        **({"target": target} if target != TrialConf.target else {}),
    }


def default_name(short_names: Iterable[str]) -> str:
    """Joins the axes' short names, up to MAX_NAME_LENGTH characters. Equal names differ in their hash."""
    text = "-".join(short_names)
    if len(text) > MAX_NAME_LENGTH:
        text = text[: MAX_NAME_LENGTH + 1].rpartition("-")[0] or text[:MAX_NAME_LENGTH]
    return text or "sweep"


def name_in_any_order(studies: Iterable[str], short_names: Sequence[str], digest: str) -> str:
    """Returns the `default_name` of the axes in the order in which a sweep began, else in the given order.

    Args:
        studies: The names of the sweeps that exist.
        short_names: The axes' short names.
        digest: The sweep's hash, which no order changes.
    """
    name = default_name(short_names)
    begun = [study.rpartition(f"-{digest}")[0] for study in studies if f"-{digest}" in study]
    is_cut = name != "-".join(short_names)
    reordered = [
        other
        for other in begun
        if set(other.split("-")) <= set(short_names) and (is_cut or len(other) == len(name))
    ]
    return name if name in begun or not reordered else reordered[0]


def _fixed_below_groups(axes: Sequence[Axis], fixed: Sequence[str]) -> list[str]:
    """Returns the overrides below swept groups: the content of these groups is not in the definition."""
    prefixes = tuple(f"{axis.key}." for axis in axes if axis.is_group)
    kept = [line for line in fixed if line.lstrip("+").partition("=")[0] != SHIP]
    return sorted(line for line in kept if line.lstrip("+").startswith(prefixes))


def _is_default(base: DictConfig, key: str) -> bool:
    """Whether a key of a group has the value of the group's schema."""
    group, _, name = key.partition(".")
    schema: Any = OmegaConf.get_type(base[group])
    usual = _defaults(schema)
    return bool(OmegaConf.select(base, key) == OmegaConf.select(usual, name))


@cache
def _defaults(schema: type[Any]) -> DictConfig:
    return DictConfig(OmegaConf.structured(schema))


def _without(node: Any, swept: set[str], prefix: str = "") -> Any:
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if f"{prefix}{key}" not in swept}
    return {key: _without(value, swept, f"{prefix}{key}.") for key, value in kept.items()}

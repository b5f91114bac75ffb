"""Digests the code behind the targets of a sweep, which trained its trials."""

import hashlib

from omegaconf import DictConfig, OmegaConf

from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.config.search import TrialConf
from kerasweep.config.target import (
    KEYS_THAT_MAY_NAME_TARGETS,
    TARGETS,
    check_target,
    named_targets,
    targets_in,
)
from kerasweep.config.target_source import check_call, source_digest
from kerasweep.errors import ConfigError
from kerasweep.multirun.composer import Composer
from kerasweep.space.rows import Params
from kerasweep.space.space import Space

# Their files hold no target; composing each of their options would take a while.
WITHOUT_TARGET = set(RUN_GROUPS) - {key.partition(".")[0] for key in (*TARGETS, *KEYS_THAT_MAY_NAME_TARGETS)}


def code_digests(
    base: DictConfig, space: Space, composer: Composer, is_older: bool = False
) -> dict[str, str]:
    """Returns the digest of the code of each function that a user names.

    Args:
        base: The configuration that the trials share.
        space: The axes: keys such as model.target, and groups whose files name a target.
        composer: Composes the options of groups.
        is_older: See `source_digest`.

    Returns:
        By key and target, as in `model.target=nets:small`; of a group's file by its option, as in
        `model=mine`, where the digest changes with the target's name, too.
    """
    named = _named(base, space)
    digests = {f"{key}={target}": source_digest(target, is_older) for key, target in named}
    for option, targets in _named_in_files(space, composer).items():
        in_file = [pair for pair in targets if pair not in named]
        if in_file:
            digests[option] = _digest_of(in_file, is_older)
    return {name: digest for name, digest in digests.items() if digest is not None}


def digests_by_target(base: DictConfig, space: Space, composer: Composer) -> dict[str, str]:
    """Returns the digest of the code of each function that a user names, by its target."""
    in_files = [pair for targets in _named_in_files(space, composer).values() for pair in targets]
    digests = {target: source_digest(target) for _, target in (*_named(base, space), *in_files)}
    return {target: digest for target, digest in digests.items() if digest is not None}


def check_targets(base: DictConfig, space: Space) -> None:
    """Raises ConfigError for a target that cannot be imported or called as named, which fails every trial."""
    axes = [axis.name for axis in space.axes]
    for key, target in _named(base, space):
        check_target(target)
        kwargs = key.replace(".target", ".kwargs")
        swept = [name for name in axes if name.startswith(f"{kwargs}.")]
        # Of several targets, each may have axes of its own, under a condition.
        if key != "trial.target" and not (key in axes and swept):
            given = [str(name) for name in OmegaConf.select(base, kwargs) or ()] if kwargs != key else []
            check_call(key, target, [*given, *(name.split(".")[2] for name in swept)])


def _named(base: DictConfig, space: Space) -> list[tuple[str, str]]:
    """Returns the keys and targets of the shared configuration and of the axes."""
    swept = {axis.name: axis.values() or [] for axis in space.axes}  # not listed: a range may have billions
    targets = [(key, target) for key, target in named_targets(base) if key not in swept]
    for key in (*TARGETS, *KEYS_THAT_MAY_NAME_TARGETS):
        for value in swept.get(key, []):
            named = [value] if key in TARGETS else targets_in(value)
            targets += [(key, str(target)) for target in named]
    return [(key, target) for key, target in targets if _is_users(target)]


def _named_in_files(space: Space, composer: Composer) -> dict[str, list[tuple[str, str]]]:
    """Returns the keys and targets of each option of a swept group whose file may name a target."""
    return {
        f"{axis.name}={option}": _named_by(composer, {axis.key: option})
        for axis in space.axes
        if axis.is_group and axis.name not in WITHOUT_TARGET
        for option in axis.values() or []
    }


def _is_users(target: object) -> bool:
    return target not in (None, TrialConf.target)


def _named_by(composer: Composer, params: Params) -> list[tuple[str, str]]:
    """Returns the keys and targets of a configuration; none if it cannot be composed, which others report."""
    try:
        cfg = composer.compose(params)
    except ConfigError:
        return []
    return [(key, target) for key, target in named_targets(cfg) if _is_users(target)]


def _digest_of(targets: list[tuple[str, str]], is_older: bool) -> str:
    text = " ".join(f"{key}={target} {source_digest(target, is_older)}" for key, target in targets)
    return hashlib.sha256(text.encode()).hexdigest()[:12]

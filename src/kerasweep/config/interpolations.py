"""Resolves interpolations in the values of a run: once, when its whole configuration is composed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, Node, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from kerasweep.config.schemas import RUN_GROUPS
from kerasweep.errors import ConfigError, first_line

TAGS = "tracking.tags"


def resolve_values(cfg: DictConfig) -> None:
    """Replaces the interpolations in the groups of a run and in its tags by their values.

    Code below gets parts of the configuration, in which `${model.filters}` would find nothing. Addresses keep
    theirs, which stand for passwords.

    Args:
        cfg: The configuration, which is changed. `${hydra:…}` needs a job of Hydra's, or `as_job`.

    Raises:
        ConfigError: An interpolation names no key, or its value does not fit.
    """
    for name in (*RUN_GROUPS, TAGS):
        node = OmegaConf.select(cfg, name)
        if isinstance(node, DictConfig | ListConfig) and has_interpolations(node):
            try:
                with flag_override(node, "readonly", False):
                    OmegaConf.resolve(node)
            except OmegaConfBaseException as error:
                raise ConfigError(
                    f"{_unresolved(node) or name} cannot be resolved: {first_line(error)}. An interpolation "
                    "names a key from the top, as in model.dropout='${model.dense_dropout}'."
                ) from error


def _unresolved(node: DictConfig | ListConfig) -> str | None:
    """Returns the first key below a node whose interpolation cannot be resolved."""
    for key in range(len(node)) if isinstance(node, ListConfig) else list(node):
        try:
            child = node[key]
        except OmegaConfBaseException:
            return str(node._get_full_key(key))
        below = _unresolved(child) if isinstance(child, DictConfig | ListConfig) else None
        if below is not None:
            return below
    return None


def resolve_shared_tags(cfg: DictConfig) -> None:
    """Resolves the tags of a sweep's run, and drops tags that only a job has, such as `${hydra:job.num}`."""
    tags = OmegaConf.select(cfg, TAGS)
    for name in list(tags) if isinstance(tags, DictConfig) else ():
        try:
            value = tags[name]  # None for a key of Hydra's that only jobs have
            with flag_override(tags, ["readonly", "struct"], [False, False]):
                if value is None:
                    del tags[name]
                elif isinstance(value, DictConfig | ListConfig):
                    OmegaConf.resolve(value)
                else:
                    tags[name] = value
        except OmegaConfBaseException as error:
            raise ConfigError(f"{TAGS}.{name} cannot be resolved: {first_line(error)}.") from error


def has_interpolations(node: DictConfig | ListConfig) -> bool:
    """Whether a value below a node is an interpolation."""
    if node._is_none() or node._is_missing() or node._is_interpolation():
        return bool(node._is_interpolation())
    keys: Iterable[Any] = range(len(node)) if isinstance(node, ListConfig) else list(node)
    for key in keys:
        child = node._get_node(key)
        is_one = has_interpolations(child) if isinstance(child, DictConfig | ListConfig) else False
        if is_one or (isinstance(child, Node) and child._is_interpolation()):
            return True
    return False


def texts_of(lines: ListConfig) -> list[str]:
    """Returns overrides as they were typed: those in Hydra's lists would be resolved when they are read."""
    texts = OmegaConf.to_container(lines, resolve=False)
    assert isinstance(texts, list)
    return [str(text) for text in texts]


@contextmanager
def as_job(cfg: DictConfig) -> Iterator[None]:
    """Lets `${hydra:…}` read Hydra's node of this configuration meanwhile."""
    instance: Any = HydraConfig.instance()
    before, instance.cfg = instance.cfg, cfg
    try:
        yield
    finally:
        instance.cfg = before

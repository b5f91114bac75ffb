"""Freezes the config files of a sweep: each is read once, at the start, and never again."""

import copy
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import GroupDefault, InputDefault
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.types import HydraContext


class FrozenRepository(IConfigRepository):
    """What a repository of config files held when it was first asked: later edits change nothing."""

    def __init__(self, delegate: IConfigRepository) -> None:
        self._delegate = delegate
        self._read: Callable[[str], ConfigResult | None] = cache(delegate.load_config)
        self.group_exists = cache(delegate.group_exists)  # type: ignore[method-assign]
        self.config_exists = cache(delegate.config_exists)  # type: ignore[method-assign]
        self._options = cache(delegate.get_group_options)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenRepository":
        """Hydra copies its repository for each composition, to keep it as it is; this one stays so."""
        return self

    def __reduce__(self) -> Any:
        """Travels to another process as the repository it stands for."""
        return copy.copy, (self._delegate,)

    def load_config(self, config_path: str) -> ConfigResult | None:
        return copy.deepcopy(self._read(config_path))

    def get_schema_source(self) -> ConfigSource:
        return self._delegate.get_schema_source()

    def initialize_sources(self, config_search_path: Any) -> None:
        """Keeps the sources that it was made with."""

    def group_exists(self, config_path: str) -> bool:
        raise NotImplementedError  # set in __init__

    def config_exists(self, config_path: str) -> bool:
        raise NotImplementedError  # set in __init__

    def get_group_options(
        self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG
    ) -> list[str]:
        return list(self._options(group_name, results_filter))

    def get_sources(self) -> list[ConfigSource]:
        return self._delegate.get_sources()


def freeze(context: HydraContext, config_name: str | None = None, overrides: Sequence[str] = ()) -> None:
    """Have every later composition of this context read each config file once.

    config_name, overrides: those of the compositions, which may name a hydra.searchpath.
    """
    loader: Any = context.config_loader
    if isinstance(loader.repository, FrozenRepository):
        return
    _, caching = loader._parse_overrides_and_create_caching_repo(config_name, list(overrides))
    loader.repository = FrozenRepository(caching.delegate)


def read_ahead(context: HydraContext, config_paths: Sequence[str]) -> None:
    """Read these configs, as `regularizer/l2`, and all that their defaults lists name."""
    repository = context.config_loader.repository  # type: ignore[attr-defined]
    waiting, seen = list(config_paths), set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen or not repository.config_exists(path):
            continue
        seen.add(path)
        found = repository.load_config(path)
        for default in found.defaults_list if found else []:
            waiting += _named(default, path.rpartition("/")[0])


def _named(default: InputDefault, group: str) -> list[str]:
    """The configs that one line of a defaults list names; none where the choice is made elsewhere."""
    default.update_parent(group, "")
    if default.is_self() or default.is_missing() or default.is_interpolation():
        return []
    if isinstance(default, GroupDefault) and isinstance(default.value, list):
        return [f"{default.get_group_path()}/{name}" for name in default.value]
    return [default.get_config_path()] if default.get_name() is not None else []

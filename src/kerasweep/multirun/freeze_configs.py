"""Freezes the config files of a sweep: each is read once, so that edits during the sweep change nothing."""

import copy
import pickle
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import GroupDefault, InputDefault
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.types import HydraContext


class FrozenRepository(IConfigRepository):
    """A repository of config files that answers every request as it did the first time."""

    def __init__(self, delegate: IConfigRepository) -> None:
        self._delegate = delegate
        self._read: Callable[[str], bytes] = cache(lambda path: pickle.dumps(delegate.load_config(path)))
        self.group_exists = cache(delegate.group_exists)  # type: ignore[method-assign]
        self.config_exists = cache(delegate.config_exists)  # type: ignore[method-assign]
        self._options = cache(delegate.get_group_options)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenRepository":
        """Returns itself: Hydra copies its repository for each composition, and this one never changes."""
        return self

    def __reduce__(self) -> Any:
        """Pickles the repository that it wraps: the caches stay in this process."""
        return copy.copy, (self._delegate,)

    def load_config(self, config_path: str) -> ConfigResult | None:
        result: ConfigResult | None = pickle.loads(self._read(config_path))
        return result

    def get_schema_source(self) -> ConfigSource:
        return self._delegate.get_schema_source()

    def initialize_sources(self, config_search_path: Any) -> None:
        """Does nothing: the sources are those of the wrapped repository."""

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
    """Makes every later composition of this context read each config file at most once.

    Args:
        context: Its config loader is changed.
        config_name: The primary config of the compositions.
        overrides: The overrides of Hydra's node, which may name a hydra.searchpath.
    """
    loader: Any = context.config_loader
    if isinstance(loader.repository, FrozenRepository):
        return
    _, caching = loader._parse_overrides_and_create_caching_repo(config_name, list(overrides))
    loader.repository = FrozenRepository(caching.delegate)


def read_ahead(context: HydraContext, config_paths: Sequence[str]) -> None:
    """Reads these configs, such as `regularizer/l2`, and all that their defaults lists name."""
    repository = context.config_loader.repository  # type: ignore[attr-defined]
    pending, seen = list(config_paths), set[str]()
    while pending:
        path = pending.pop()
        if path in seen or not repository.config_exists(path):
            continue
        seen.add(path)
        config = repository.load_config(path)
        for default in config.defaults_list if config else []:
            pending += _named(default, path.rpartition("/")[0])


def _named(default: InputDefault, group: str) -> list[str]:
    """Returns the configs that a line of a defaults list names; none where the choice is made elsewhere."""
    default.update_parent(group, "")
    if default.is_self() or default.is_missing() or default.is_interpolation():
        return []
    if isinstance(default, GroupDefault) and isinstance(default.value, list):
        return [f"{default.get_group_path()}/{name}" for name in default.value]
    return [default.get_config_path()] if default.get_name() is not None else []

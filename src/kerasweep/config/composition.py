"""Composes with each config file read once, and with the files of equal choices merged once.

Hydra composes for its mode, again for the command, for a sweep's study and for its trials, and reads and
merges all files each time. Most of these compositions choose the same files and differ in values alone.
"""

import copy
import pickle
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from hydra._internal import config_loader_impl, defaults_list, hydra
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig

Answers = dict[Hashable, Any]


class OnceRepository(IConfigRepository):
    """A repository of config files that answers each request as it did the first time.

    Args:
        delegate: The repository that reads.
        answers: The answers so far; they stay in this process.
    """

    def __init__(self, delegate: IConfigRepository, answers: Answers | None = None) -> None:
        self._delegate = delegate
        self._answers: Answers = {} if answers is None else answers

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnceRepository":
        """Returns a copy with its own search path: Hydra copies its repository for each composition."""
        return OnceRepository(copy.copy(self._delegate), self._answers)

    def __reduce__(self) -> Any:
        return OnceRepository, (self._delegate,)

    def answer(self, question: Hashable, find: Callable[[], Any]) -> Any:
        """Returns the first answer to a question about the files of this search path."""
        sources = tuple((source.provider, source.path) for source in self.get_sources())
        key = (question, sources)
        if key not in self._answers:
            self._answers[key] = find()
        return self._answers[key]

    def load_config(self, config_path: str) -> ConfigResult | None:
        read = self.answer(
            ("load_config", config_path), lambda: pickle.dumps(self._delegate.load_config(config_path))
        )
        result: ConfigResult | None = pickle.loads(read)
        return result

    def group_exists(self, config_path: str) -> bool:
        return bool(
            self.answer(("group_exists", config_path), lambda: self._delegate.group_exists(config_path))
        )

    def config_exists(self, config_path: str) -> bool:
        return bool(
            self.answer(("config_exists", config_path), lambda: self._delegate.config_exists(config_path))
        )

    def get_group_options(
        self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG
    ) -> list[str]:
        find = lambda: self._delegate.get_group_options(group_name, results_filter)  # noqa: E731
        return list(self.answer(("get_group_options", group_name, results_filter), find))

    def get_schema_source(self) -> ConfigSource:
        return self._delegate.get_schema_source()

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        self._delegate.initialize_sources(config_search_path)

    def get_sources(self) -> list[ConfigSource]:
        return self._delegate.get_sources()


class OnceLoader(config_loader_impl.ConfigLoaderImpl):
    """Hydra's loader with such a repository. A new loader reads all files again."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository: Any = OnceRepository(self.repository, first_answers())

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        once = _once(repo)
        assert once is not None
        merge = super()._compose_config_from_defaults_list
        files = tuple(tuple(vars(default).values()) for default in defaults)
        merged = once.answer(("merged", files), lambda: pickle.dumps(merge(defaults, repo)))
        composed: DictConfig = pickle.loads(merged)
        return composed


def _once(repo: IConfigRepository) -> OnceRepository | None:
    """Returns the repository from which Hydra composes, if it is such a one."""
    delegate = repo.delegate if isinstance(repo, CachingConfigRepository) else None
    return delegate if isinstance(delegate, OnceRepository) else None


def first_answers() -> Answers:
    """Returns the answers that a new loader begins with: none."""
    return {}


def compose_once() -> None:
    """Makes the commands of this process compose so; a second call changes nothing."""
    hydra.ConfigLoaderImpl = OnceLoader  # type: ignore[misc]
    config_loader_impl.create_defaults_list = create_defaults_list
    defaults_list._create_interpolation_map = create_interpolation_map  # type: ignore[assignment]


_list_by_hydra = defaults_list.create_defaults_list
_map_by_hydra = defaults_list._create_interpolation_map


def create_defaults_list(
    repo: IConfigRepository,
    config_name: str | None,
    overrides_list: list[Override],
    prepend_hydra: bool,
    skip_missing: bool,
) -> DefaultsList:
    """Stands for Hydra's function of this name. Overrides of values do not change the list."""
    once = _once(repo)
    if once is None:
        return _list_by_hydra(repo, config_name, overrides_list, prepend_hydra, skip_missing)
    overrides = [override for override in overrides_list if not override.is_sweep_override()]
    choices = [override for override in overrides if repo.group_exists(override.key_or_group)]

    def listed(may_miss: bool) -> DefaultsList:
        question = ("listed", config_name, prepend_hydra, may_miss, *(each.input_line for each in choices))
        found: DefaultsList = once.answer(
            question, lambda: _list_by_hydra(repo, config_name, choices, prepend_hydra, may_miss)
        )
        return found

    found = listed(may_miss=True)
    if not skip_missing and _has_missing(found):
        found = listed(may_miss=False)
    values = [each for each in overrides if each not in choices or isinstance(each.value(), dict)]
    return replace(found, config_overrides=values)


def _has_missing(found: DefaultsList) -> bool:
    missing: list[bool] = []
    defaults_list._dfs_walk(found.defaults_tree, lambda _, node: missing.append(node.is_missing()))
    return any(missing)


def create_interpolation_map(overrides: Any, defaults: list[Any], self_added: bool) -> DictConfig | None:
    """Stands for Hydra's function of this name, whose result only interpolations in defaults lists need."""
    if any(default.is_interpolation() for default in defaults):
        return _map_by_hydra(overrides, defaults, self_added)
    return None

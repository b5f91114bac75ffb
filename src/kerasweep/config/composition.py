"""Makes Hydra read each config file once, and merge each list of files once.

Hydra composes for its mode, again for the command, for a sweep's study and for its trials, and reads and
merges all files each time. Most of these compositions choose the same files and differ in values alone.
"""

import copy
import pickle
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeVar

from hydra._internal import defaults_list
from hydra._internal import hydra as hydra_main
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.object_type import ObjectType
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, flag_override

from kerasweep.config.passwords import hide_passwords_in
from kerasweep.errors import suggestion

T = TypeVar("T")
ADVICE, QUOTE = "To append to your config", "'"
Answers = dict[Hashable, Any]


class OnceRepository(IConfigRepository):
    """A repository of config files that answers each question as it did the first time.

    Args:
        delegate: The repository that reads.
        answers: The answers so far, which other repositories may share; they stay in this process.
    """

    def __init__(self, delegate: IConfigRepository, answers: Answers | None = None) -> None:
        self._delegate = delegate
        self._answers: Answers = {} if answers is None else answers

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnceRepository":
        """Returns a copy with its own search path: Hydra copies its repository for each composition."""
        return OnceRepository(copy.copy(self._delegate), self._answers)

    def __reduce__(self) -> Any:
        return OnceRepository, (self._delegate,)

    def answer(self, question: Hashable, find: Callable[[], T]) -> T:
        """Returns the first answer to a question.

        Args:
            question: A question about the files of the search path.
            find: Finds the answer; called for a new question.
        """
        key = (question, *map(repr, self.get_sources()))
        if key not in self._answers:
            self._answers[key] = find()
        answer: T = self._answers[key]
        return answer

    def load_config(self, config_path: str) -> ConfigResult | None:
        load = partial(self._delegate.load_config, config_path)
        return self.answer(("load_config", config_path), lambda: _copies_of(load()))()

    def group_exists(self, config_path: str) -> bool:
        return self.answer(("group_exists", config_path), partial(self._delegate.group_exists, config_path))

    def config_exists(self, config_path: str) -> bool:
        return self.answer(("config_exists", config_path), partial(self._delegate.config_exists, config_path))

    def get_group_options(
        self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG
    ) -> list[str]:
        find = partial(self._delegate.get_group_options, group_name, results_filter)
        return list(self.answer(("get_group_options", group_name, results_filter), find))

    def get_schema_source(self) -> ConfigSource:
        return self._delegate.get_schema_source()

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        self._delegate.initialize_sources(config_search_path)

    def get_sources(self) -> list[ConfigSource]:
        return self._delegate.get_sources()


def _copies_of(value: T) -> Callable[[], T]:
    """Returns a function that returns copies: by pickle, which takes a third of the time of copy.deepcopy."""
    try:
        return partial(pickle.loads, pickle.dumps(value))
    except (pickle.PicklingError, AttributeError, TypeError):  # a schema that a function defines
        return partial(copy.deepcopy, value)


class OnceLoader(ConfigLoaderImpl):
    """Hydra's loader, which reads and merges each file once. A new loader reads all files again.

    Attributes:
        as_started: Returns a help text with the names of commands as the user types them.
    """

    as_started: Callable[[str], str] = staticmethod(str)

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository: Any = OnceRepository(self.repository, new_answers())

    def load_configuration(self, *arguments: Any, **options: Any) -> DictConfig:
        try:
            cfg = super().load_configuration(*arguments, **options)
        except ConfigCompositionException as error:
            raise _with_our_advice(error) from error.__cause__
        hide_passwords_in(cfg)
        for name in ("app_name", "header", "template") if "hydra" in cfg else ():
            raw: Any = cfg.hydra.help._get_node(name)._value()
            with flag_override(cfg.hydra.help, "readonly", False):
                cfg.hydra.help[name] = self.as_started(raw) if isinstance(raw, str) else raw
        return cfg

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        assert isinstance(repo, CachingConfigRepository) and isinstance(repo.delegate, OnceRepository)
        merge = partial(super()._compose_config_from_defaults_list, defaults, repo)
        files = tuple(tuple(vars(default).values()) for default in defaults)
        return repo.delegate.answer(("merge", files), lambda: _copies_of(merge()))()


def _with_our_advice(error: ConfigCompositionException) -> ConfigCompositionException:
    """Replaces Hydra's advice to append a key: nothing would read a key that its schema does not have."""
    schema, key = getattr(error.__cause__, "object_type", None), getattr(error.__cause__, "full_key", None)
    group, _, name = str(key).rpartition(".")
    if ADVICE not in str(error) or not is_dataclass(schema):
        return error
    overridden = str(error).split(QUOTE)[1]
    if overridden.partition(".")[0] == key:  # at the top, where a user's file may have more keys
        return error
    known = [field.name for field in fields(schema)]
    said = suggestion(name, known, f"It has {', '.join(known)}.")
    # OmegaConf does not say in which list an element is.
    place = f"The chosen {group}" if group else f"A part of {overridden}"
    return ConfigCompositionException(f"{place} has no {name}. {said}")


def new_answers() -> Answers:
    """Returns the dictionary of a new loader; tests replace this function to share one."""
    return {}


def compose_once(as_started: Callable[[str], str] = str) -> None:
    """Replaces Hydra's loader and one of its functions, for the rest of this process.

    Args:
        as_started: See `OnceLoader`.
    """
    OnceLoader.as_started = staticmethod(as_started)
    hydra_main.ConfigLoaderImpl = OnceLoader  # type: ignore[misc]
    defaults_list._create_interpolation_map = create_interpolation_map  # type: ignore[assignment]


hydras_interpolation_map = defaults_list._create_interpolation_map


def create_interpolation_map(
    overrides: defaults_list.Overrides, defaults: list[InputDefault], self_added: bool
) -> DictConfig | None:
    """Replaces Hydra's function of this name, whose result only interpolations in defaults lists need."""
    if any(default.is_interpolation() for default in defaults):
        return hydras_interpolation_map(overrides, defaults, self_added)
    return None

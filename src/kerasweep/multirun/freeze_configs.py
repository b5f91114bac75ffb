"""Freezes the config files of a sweep: each is read once, so that edits during the sweep change nothing."""

from collections.abc import Sequence
from typing import Any

from hydra.core.default_element import GroupDefault, InputDefault
from hydra.types import HydraContext

from kerasweep.config.composition import OnceRepository


def freeze(context: HydraContext) -> None:
    """Makes every later composition of this context read each config file at most once.

    The loader of our commands does so from its start; that of another program with hydra/sweeper=kerasweep
    is changed here.
    """
    loader: Any = context.config_loader
    if not isinstance(loader.repository, OnceRepository):
        loader.repository = OnceRepository(loader.repository)


def read_ahead(
    context: HydraContext, config_paths: Sequence[str], config_name: str, overrides: Sequence[str]
) -> None:
    """Reads these configs, such as `regularizer/l2`, and all that their defaults lists name.

    Args:
        context: A frozen context.
        config_paths: Configs without their suffix, below any folder of the search path.
        config_name: The primary config of the compositions.
        overrides: The overrides of hydra.*, such as hydra.searchpath=[FOLDER].
    """
    loader: Any = context.config_loader
    _, repository = loader._parse_overrides_and_create_caching_repo(config_name, list(overrides))
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

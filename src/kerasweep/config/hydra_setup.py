"""Prepares Hydra for a command: the schemas, the studies, and the name of an older sweeper."""

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from kerasweep.config.schemas import SCHEMAS

OLDER_SWEEPER = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
SWEEPER = "hydra_plugins.kerasweep.sweeper.KerasweepSweeper"

# Kept here and not in the search path plugin: Hydra executes the modules of its plugins again.
_finds_studies = False


def register() -> None:
    """Stores each schema in the config group `schema`; a second call changes nothing."""
    store: Any = ConfigStore.instance()
    # Hydra copies the store, which it only reads, for each composition and 170 times for --help.
    store.__deepcopy__ = _the_store
    for name, node in SCHEMAS.items():
        group, _, leaf = f"schema/{name}".rpartition("/")
        store.store(group=group, name=leaf, node=node)


def _the_store(memo: dict[int, Any]) -> ConfigStore:
    return ConfigStore.instance()


def add_studies() -> None:
    """Adds the config group `study`, the files in `sweeps/study`, to later compositions of this process.

    Hydra's `hydra.searchpath` works in the primary config alone, so a user's primary config could not
    build on `train`. Other programs in the environment do not get the group, and in `src.compare` the key
    `study` holds a plain value.
    """
    global _finds_studies
    _finds_studies = True


def finds_studies() -> bool:
    """Returns whether this process composes with the studies."""
    return _finds_studies


def answer_for_optuna_sweeper() -> None:
    """Makes Hydra use our sweeper for the `_target_` of hydra-optuna-sweeper, unless that is installed."""
    classes = Plugins.instance().class_name_to_class
    classes.setdefault(OLDER_SWEEPER, classes[SWEEPER])

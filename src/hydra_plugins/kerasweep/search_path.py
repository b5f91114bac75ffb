"""Adds the studies of kerasweep to Hydra's search path, if a command asks for it."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from kerasweep.config import hydra_setup
from kerasweep.config.folders import config_folder


class KerasweepSearchPath(SearchPathPlugin):
    """Adds the folder `sweeps` after a call of `hydra_setup.add_studies`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if hydra_setup.finds_studies():
            search_path.append(provider="kerasweep", path=f"file://{config_folder('sweeps')}")

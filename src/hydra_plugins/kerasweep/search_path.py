"""Puts the studies that come with kerasweep on Hydra's search path, where a command asks for it."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from kerasweep.config import studies
from kerasweep.config.folders import config_folder


class KerasweepSearchPath(SearchPathPlugin):
    """Adds the folder `sweeps` once `studies.add_studies` was called."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if studies.are_wanted():
            search_path.append(provider="kerasweep", path=f"file://{config_folder('sweeps')}")

"""Puts the studies that come with kerasweep on Hydra's search path, where a command asks for it."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from src.config import studies


class KerasweepSearchPath(SearchPathPlugin):
    """Adds `pkg://sweeps` once `studies.add_studies` was called."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if studies.are_wanted():
            search_path.append(provider="kerasweep", path="pkg://sweeps")

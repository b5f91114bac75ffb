"""Puts the studies that come with kerasweep on Hydra's search path, whatever the primary config is."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class KerasweepSearchPath(SearchPathPlugin):
    """Adds `pkg://sweeps`. (`hydra.searchpath` would have to stand in the primary config itself, so
    that a user's own primary config could not build on `train`.)"""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="kerasweep", path="pkg://sweeps")

"""Finds folders: the config files `conf` and `sweeps`, and this machine's cache."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def config_folder(name: str) -> str:
    """Returns the absolute path of the folder `conf` or `sweeps`.

    A wheel carries both inside the package; a checkout has them beside `src`.
    """
    packaged = PACKAGE / name
    return str(packaged if packaged.is_dir() else PACKAGE.parents[1] / name)


def cache_folder() -> Path:
    """Returns $XDG_CACHE_HOME/kerasweep, or ~/.cache/kerasweep, for files that take time to make."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kerasweep"

"""Where this machine keeps what takes time to make."""

import os
from pathlib import Path


def default_folder() -> Path:
    """$XDG_CACHE_HOME/kerasweep, or ~/.cache/kerasweep."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kerasweep"

"""A tracker for trials that train in the test's own process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.runs import Tracker, open_tracker


@pytest.fixture
def tracker(copy_database: Callable[[Path], Path], tmp_path: Path) -> Tracker:
    return open_tracker(TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}"))

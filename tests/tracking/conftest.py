"""A tracker on a database of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.runs import Tracker, open_tracker


@pytest.fixture
def tracking(copy_database: Callable[[Path], Path], tmp_path: Path) -> TrackingConf:
    """Names a fresh database."""
    return TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")


@pytest.fixture
def tracker(tracking: TrackingConf) -> Tracker:
    return open_tracker(tracking)

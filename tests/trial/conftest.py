"""A configuration and a tracker for trials that train in the test's own process."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

from src.config import register
from src.config.search import TrackingConf
from src.tracking.runs import Tracker, open_tracker

SMALL = ("debug=fast", "model.filters=[4]", "training.batch_size=64")


@pytest.fixture
def configured() -> Callable[..., DictConfig]:
    """Composes as `python -m src.train OVERRIDES` does, small."""
    register()

    def build(*overrides: str) -> DictConfig:
        with initialize_config_module("conf", version_base="1.3"):
            return compose("train", [*SMALL, *overrides])

    return build


@pytest.fixture
def tracker(copy_database: Callable[[Path], Path], tmp_path: Path) -> Tracker:
    return open_tracker(TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}"))

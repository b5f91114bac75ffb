"""What the environment must say before a test imports TensorFlow, matplotlib or MLflow."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from absl import logging as absl_logging
from omegaconf import DictConfig

if TYPE_CHECKING:
    from kerasweep.config.search import TrackingConf
    from kerasweep.tracking.writer import Tracker

SMALL = ("debug=fast", "model.filters=[4]", "training.batch_size=64")

# What a shell says about a tracking server, or a git hook about the repository it commits to,
# would lead a test there.
for name in [name for name in os.environ if name.startswith(("MLFLOW_", "GIT_"))]:
    del os.environ[name]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # else the first command measures for ten seconds
os.environ["MPLBACKEND"] = "Agg"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# A shell starts background jobs with Ctrl-C ignored, and the commands that a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Hydra closes all log handlers when it configures its own, and TensorFlow's would close the
# stream in which pytest captures what is printed.
absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them, which takes seconds to make."""
    from kerasweep.tracking.client import open_client

    database = tmp_path_factory.mktemp("empty") / "mlflow.db"
    open_client(f"sqlite:///{database}", create=True)
    return database


@pytest.fixture(scope="session")
def copy_database(empty_database: Path) -> Callable[[Path], Path]:
    """Puts a copy of the empty database where commands in that folder look for it."""

    def copy(folder: Path) -> Path:
        database = folder / "mlruns" / "mlflow.db"
        database.parent.mkdir(parents=True)
        shutil.copy(empty_database, database)
        return database

    return copy


@pytest.fixture
def configured() -> Callable[..., DictConfig]:
    """Composes as `python -m src.train OVERRIDES` does, small."""
    from hydra import compose, initialize_config_dir

    from kerasweep.config import register
    from kerasweep.config.folders import config_folder

    register()

    def build(*overrides: str) -> DictConfig:
        with initialize_config_dir(config_folder("conf"), version_base="1.3"):
            return compose("train", [*SMALL, *overrides])

    return build


@pytest.fixture
def tracking(copy_database: Callable[[Path], Path], tmp_path: Path) -> "TrackingConf":
    """Names a fresh database of the test's own."""
    from kerasweep.config.search import TrackingConf

    return TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")


@pytest.fixture
def tracker(tracking: "TrackingConf") -> "Tracker":
    """Writes into that database."""
    from kerasweep.tracking.writer import open_tracker

    return open_tracker(tracking)

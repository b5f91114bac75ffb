"""Sets the environment variables that TensorFlow, Matplotlib and MLflow read when a test imports them."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from absl import logging as absl_logging
from omegaconf import DictConfig

from kerasweep.fast_start import collect_rarely
from tests.processes import share_answers

if TYPE_CHECKING:
    from kerasweep.config.search import TrackingConf
    from kerasweep.tracking.writer import Tracker
    from tests.postgres import Server

SMALL = ("debug=fast", "model.filters=[4]", "training.batch_size=64")

# A shell may name a tracking server, and a git hook names its repository: tests must not write to them.
for name in [name for name in os.environ if name.startswith(("MLFLOW_", "GIT_"))]:
    del os.environ[name]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # without it the first command measures for ten seconds
os.environ["MPLBACKEND"] = "Agg"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
collect_rarely()  # as the commands do
share_answers()
# Background jobs of a shell ignore Ctrl-C, and commands that a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Under nohup they would inherit that SIGHUP is ignored.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Hydra closes all existing log handlers, and TensorFlow's handler would close pytest's capture stream.
absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__


def pytest_collection_finish() -> None:
    """Freezes what the tests' modules import, which each garbage collection would visit: it took a second."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forgets the database in which an earlier test saved a model: MLflow names it in the environment."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a database with MLflow's empty tables. Creating them takes seconds, so tests copy it."""
    from kerasweep.tracking.client import open_client

    database = tmp_path_factory.mktemp("empty") / "mlflow.db"
    open_client(f"sqlite:///{database}", create=True)
    return database


@pytest.fixture(scope="session")
def copy_database(empty_database: Path) -> Callable[[Path], Path]:
    """Returns a function that puts a copy of the empty database where commands in a folder look for it."""

    def copy(folder: Path) -> Path:
        database = folder / "mlruns" / "mlflow.db"
        database.parent.mkdir(parents=True)
        shutil.copy(empty_database, database)
        return database

    return copy


@pytest.fixture(scope="session")
def configured() -> Callable[..., DictConfig]:
    """Returns a function that composes the config of `python -m src.train OVERRIDES` for a small network."""
    from tests.compositions import compose_train

    return lambda *overrides: compose_train(*SMALL, *overrides)


@pytest.fixture(scope="session")
def backbone_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a file with the weights of the backbone of tests.trained_backbones."""
    from tests.trained_backbones import write_weights

    return write_weights(tmp_path_factory.mktemp("weights") / "trained.weights.h5")


@pytest.fixture
def tracking(copy_database: Callable[[Path], Path], tmp_path: Path) -> "TrackingConf":
    """Returns a tracking config with a new, empty database."""
    from kerasweep.config.search import TrackingConf

    return TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")


@pytest.fixture
def tracker(tracking: "TrackingConf") -> "Tracker":
    """Returns a tracker that writes to the database of `tracking`."""
    from kerasweep.tracking.writer import open_tracker

    return open_tracker(tracking)


@pytest.fixture(scope="session")
def postgresql() -> "Iterator[Server]":
    """Returns a PostgreSQL server; skips the test where PostgreSQL is not installed."""
    from tests.postgres import server as started

    with started() as server:
        yield server

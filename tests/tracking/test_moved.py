"""Artifacts are found after their database was moved or copied, and the original is left alone."""

import shutil
from pathlib import Path

import pytest
from mlflow.tracking._tracking_service import utils

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.reader import list_artifacts
from kerasweep.tracking.writer import open_tracker


def conf(folder: Path) -> TrackingConf:
    return TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")


@pytest.fixture
def original(tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "100% # mine"
    tracker = open_tracker(conf(folder))
    run_id = tracker.start("run", {}, {})
    tracker.log_text(run_id, "a: 1", "config.yaml")
    return folder, run_id


@pytest.mark.parametrize("is_moved", [True, False])
def test_artifacts_follow_their_database(original: tuple[Path, str], tmp_path: Path, is_moved: bool) -> None:
    folder, run_id = original
    other = tmp_path / "other"
    (shutil.move if is_moved else shutil.copytree)(folder, other)
    utils._artifact_repos_cache.clear()  # each command is a process of its own
    tracker = open_tracker(conf(other))
    assert list_artifacts(conf(other), run_id, "") == ["config.yaml"]
    tracker.log_text(run_id, "b", "b.txt")
    new = tracker.start("new", {}, {})
    tracker.log_text(new, "c", "c.txt")
    assert sorted(path.name for path in (other / "mlruns/artifacts").rglob("*.txt")) == ["b.txt", "c.txt"]
    assert folder.exists() is not is_moved
    if not is_moved:
        assert not list(folder.rglob("*.txt"))
        utils._artifact_repos_cache.clear()
        open_tracker(conf(folder))
        assert list_artifacts(conf(folder), run_id, "") == ["config.yaml"]


def test_a_location_that_the_user_chose_stays(tmp_path: Path) -> None:
    tracker = open_tracker(conf(tmp_path))
    chosen = (tmp_path / "chosen").as_uri()
    tracker.client.create_experiment("mine", artifact_location=chosen)
    mine = TrackingConf(uri=conf(tmp_path).uri, experiment="mine")
    run_id = open_tracker(mine).start("run", {}, {})
    assert tracker.client.get_run(run_id).info.artifact_uri.startswith(chosen)

"""Artifacts are found after their database was moved or copied, and the original is left alone."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking._tracking_service import utils

from kerasweep.config.search import TrackingConf
from kerasweep.tracking.reader import download, find_runs, list_artifacts
from kerasweep.tracking.writer import Tracker, open_tracker


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


def locations(tracker: Tracker, run_id: str) -> tuple[Any, ...]:
    experiment = tracker.client.get_experiment(tracker.experiment_id)
    return experiment.artifact_location, tracker.client.get_run(run_id).info.artifact_uri


def test_two_drivers_may_see_one_folder_under_two_paths(original: tuple[Path, str], tmp_path: Path) -> None:
    """As containers do that mount it at different places: for each, the path of the other does not exist."""
    folder, run_id = original
    other = tmp_path / "other"
    here = open_tracker(conf(folder))
    folder.rename(other)
    utils._artifact_repos_cache.clear()
    there = open_tracker(conf(other))
    new = there.start("new", {}, {})
    there.log_text(new, "c", "there.txt")
    stored = locations(there, new)
    assert stored[0] == (other / "mlruns/artifacts").as_uri()
    other.rename(folder)
    utils._artifact_repos_cache.clear()
    for each in (run_id, new):
        here.log_text(each, "b", f"here-{each}.txt")
        assert f"here-{each}.txt" in list_artifacts(conf(folder), each, "")
    assert "there.txt" in list_artifacts(conf(folder), new, "")
    assert download(conf(folder), new, "there.txt", tmp_path).read_text() == "c"
    assert len(find_runs(conf(folder), {})) == 2
    assert locations(here, new) == stored  # only a start changes it, so that they do not alternate
    assert not other.exists()


def test_a_link_to_the_folder_changes_nothing(original: tuple[Path, str], tmp_path: Path) -> None:
    folder, run_id = original
    before = locations(open_tracker(conf(folder)), run_id)
    link = tmp_path / "link"
    link.symlink_to(folder)
    tracker = open_tracker(conf(link))
    tracker.log_text(run_id, "b", "b.txt")
    new = tracker.start("new", {}, {})
    assert locations(tracker, run_id) == before
    assert locations(tracker, new)[0] == before[0]
    assert sorted(list_artifacts(conf(folder), run_id, "")) == ["b.txt", "config.yaml"]

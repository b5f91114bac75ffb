"""A page is written whole, and kept by the sweep that it is about."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.report.publish import ARTIFACT, write_page
from kerasweep.report.reading import read_report
from kerasweep.tracking.query import download, list_artifacts
from kerasweep.tracking.writer import Tracker, open_tracker

OWN = {"study": "sizes", "sweep": "sizes-1", "dataset": "digits", "objective": "val_accuracy maximize"}


@pytest.fixture
def tracking(copy_database: Callable[[Path], Path], tmp_path: Path) -> TrackingConf:
    return TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")


@pytest.fixture
def parent(tracking: TrackingConf) -> str:
    """Of a sweep of two sizes with two seeds each, whose epochs are recorded."""
    tracker = open_tracker(tracking)
    parent = tracker.start("sizes-1", {**OWN, "kind": "study", "axes": "kernel_size"}, {})
    for size, accuracy in (("3", 0.5), ("5", 0.75)):
        for seed in ("0", "1"):
            record(tracker, size, seed, accuracy + 0.01 * int(seed))
    return parent


def record(tracker: Tracker, size: str, seed: str, accuracy: float) -> None:
    tags = {**OWN, "kind": "trial", "kernel_size": size}
    run_id = tracker.start("trial", tags, {"training.seed": seed, "training.epochs": "2"})
    for epoch in (1, 2):
        tracker.log_epoch(run_id, epoch, {"val_accuracy": accuracy * epoch / 2})
    tracker.log_metrics(run_id, {"objective": accuracy, "seconds": 1.0})
    tracker.finish(run_id, "complete")


def test_page_is_a_file_and_an_artifact_of_the_parent(
    tracking: TrackingConf, parent: str, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "compare-sizes.html"
    write_page(tracking, read_report(tracking, {"study": "sizes"}), path, "python -m src.compare study=sizes")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert "Learning curves" in path.read_text()
    kept = download(tracking, parent, ARTIFACT, tmp_path)
    assert kept.read_text() == path.read_text()


@pytest.mark.parametrize(
    ("tags", "group_by"),
    [
        ({"study": "sizes", "kernel_size": "5"}, None),
        ({"study": "sizes"}, ["kernel_size"]),
        ({"dataset": "digits"}, None),
    ],
)
def test_a_part_of_a_sweep_is_not_kept_as_the_whole(
    tracking: TrackingConf, parent: str, tmp_path: Path, tags: dict[str, str], group_by: list[str] | None
) -> None:
    write_page(tracking, read_report(tracking, tags, group_by), tmp_path / "page.html", "command")
    assert (tmp_path / "page.html").exists()
    assert list_artifacts(tracking, parent, "") == []


def test_page_that_cannot_be_written_is_named(tracking: TrackingConf, parent: str, tmp_path: Path) -> None:
    report = read_report(tracking, {"study": "sizes"})
    with pytest.raises(ConfigError, match=r"html=.* cannot be written: Is a directory. Name another file"):
        write_page(tracking, report, tmp_path, "command")
    assert list_artifacts(tracking, parent, "") == []

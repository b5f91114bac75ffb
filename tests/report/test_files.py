"""Pages and CSV files are written completely or not at all; the parent run keeps a sweep's page."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.report.files import ARTIFACT, write_csv, write_page
from kerasweep.report.reading import read_report
from kerasweep.tracking.reader import download, list_artifacts
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.writer import Tracker, open_tracker

OWN = {"study": "sizes", "sweep": "sizes-1", "dataset": "digits", "objective": "val_accuracy maximize"}


@pytest.fixture
def tracking(copy_database: Callable[[Path], Path], tmp_path: Path) -> TrackingConf:
    return TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")


@pytest.fixture
def parent(tracking: TrackingConf) -> str:
    """Records a sweep of two sizes with two seeds each, with metrics of each epoch."""
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
def test_page_of_a_part_is_not_kept_for_the_whole_sweep(
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


def run(run_id: str, objective: float, **tags: str) -> RunRecord:
    """Returns a run that is complete unless the tags say otherwise."""
    own = {"state": "complete", "dataset": "digits", "objective": "val_accuracy maximize"}
    return RunRecord(run_id, "trial", "FINISHED", own | tags, {}, {"objective": objective}, 0.0, 1.0)


def test_csv_has_a_row_a_run_in_the_order_of_its_axes(tmp_path: Path) -> None:
    runs = [
        run("c", 0.5, k="32", split="ab12"),
        run("b", 0.75, k="8", state="pruned"),
        run("a", 0.5, note='a,"b"'),
    ]
    write_csv(tmp_path / "new" / "runs.csv", runs, ["k", "note", "dataset"])
    with open(tmp_path / "new" / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("run_id", "name", "state", "dataset", "split", "score", "k", "note"),
        *("seed", "data_seed", "split_seed", "validation_split"),
        *("objective", "max_val_accuracy", "val_accuracy", "best_epoch", "parameters"),
        *("seconds", "epoch_seconds", "cpu_seconds", "epoch_cpu_seconds"),
        *("generalization_gap", "best_epoch_gain", "epoch_variability", "test_accuracy", "test_images"),
        *("validation_images", "pool_images"),
    ]
    assert [(row["run_id"], row["state"], row["k"], row["note"]) for row in rows] == [
        ("b", "pruned", "8", ""),
        ("c", "complete", "32", ""),
        ("a", "complete", "", 'a,"b"'),
    ]
    assert rows[0]["objective"] == "0.75" and rows[0]["test_accuracy"] == ""
    assert [row["split"] for row in rows] == ["", "ab12", ""]


def test_csv_replaces_an_older_one_completely(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("old\n" * 100)
    write_csv(path, [run("a", 0.5)], [])
    assert len(path.read_text().splitlines()) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_and_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write_csv(tmp_path / "link.csv", [run("a", 0.5)], [])
    assert (tmp_path / "link.csv").is_symlink() and len((tmp_path / "real.csv").read_text().splitlines()) == 2
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe cannot be written: It is not a regular file"):
        write_csv(tmp_path / "pipe", [], [])
    assert (tmp_path / "pipe").is_fifo()


def test_csv_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        write_csv(tmp_path, [run("a", 0.5)], [])
    assert str(raised.value) == (
        f"csv={tmp_path} cannot be written: Is a directory. Name another file, as in csv=runs.csv."
    )
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written: File exists"):
        write_csv(tmp_path / "file" / "runs.csv", [], [])

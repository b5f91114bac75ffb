"""The winner does not depend on how runs are grouped, and only an unreadable claim is left out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.errors import UnreachableError
from kerasweep.report import reading
from kerasweep.report.reading import read_report
from kerasweep.report.summary import lines_of
from kerasweep.tracking.writer import open_tracker

OWN = {"study": "sizes", "sweep": "sizes-1", "dataset": "digits", "objective": "val_accuracy maximize"}


@pytest.fixture
def tracking(copy_database: Callable[[Path], Path], tmp_path: Path) -> TrackingConf:
    """Records a sweep of two sizes and two batch sizes, whose best has the size that is worse on average."""
    cfg = TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")
    tracker = open_tracker(cfg)
    tracker.start("sizes-1", {**OWN, "kind": "study", "axes": "kernel_size,batch_size"}, {})
    for kernel, batch, accuracy in (("3", "8", 0.9), ("3", "64", 0.1), ("5", "8", 0.8), ("5", "64", 0.7)):
        tags = {**OWN, "kind": "trial", "kernel_size": kernel, "batch_size": batch}
        run_id = tracker.start("trial", tags, {"training.seed": "0"})
        tracker.log_metrics(run_id, {"objective": accuracy})
        if accuracy == 0.9:
            tracker.log_metrics(run_id, {"test_accuracy": 0.75, "test_images": 100.0})
        tracker.finish(run_id, "complete")
    return cfg


@pytest.mark.parametrize("group_by", [None, ["kernel_size"], []])
def test_winner_is_that_of_the_sweep_however_its_runs_are_grouped(
    group_by: list[str] | None, tracking: TrackingConf
) -> None:
    lines = lines_of(read_report(tracking, {"study": "sizes"}, group_by))
    (line,) = [each for each in lines if "test set" in each]
    assert line.startswith("the winner, run ")
    assert line.endswith("chosen by validation with val_accuracy 0.9000")


def test_selected_runs_have_no_winner(tracking: TrackingConf) -> None:
    lines = lines_of(read_report(tracking, {"study": "sizes"}, where=["objective > 0.75"]))
    assert [each for each in lines if "test set" in each] == ["note: 1 run was evaluated on the test set"]


def test_sweep_without_its_configuration_has_an_unreadable_claim(tracking: TrackingConf) -> None:
    assert read_report(tracking, {"study": "sizes"}).unread == ("sizes-1",)


def test_lost_server_is_not_reported_as_an_unreadable_claim(
    tracking: TrackingConf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*given: Any) -> None:
        raise UnreachableError("the server is away")

    monkeypatch.setattr(reading, "claim_of", lost)
    with pytest.raises(UnreachableError, match="the server is away"):
        read_report(tracking, {"study": "sizes"})

"""The winner does not depend on how runs are grouped, and only an unreadable claim is left out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from kerasweep.config.search import ClaimConf, TrackingConf
from kerasweep.errors import UnreachableError
from kerasweep.report import reading
from kerasweep.report.reading import read_report
from kerasweep.report.summary import lines_of
from kerasweep.tracking.tags import claim_tag
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


@pytest.fixture
def seeds(copy_database: Callable[[Path], Path], tmp_path: Path) -> TrackingConf:
    """Records a grid over seeds, in which a run of the size with the better mean failed."""
    cfg = TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")
    tracker = open_tracker(cfg)
    grid = {**OWN, "kind": "study", "axes": "kernel_size,training.seed", "sampler": "grid"}
    tracker.start("sizes-1", grid, {})
    for kernel, accuracies in (("3", (0.5, 0.6, 0.5)), ("5", (0.9, 0.8, None))):
        for seed, accuracy in enumerate(accuracies):
            tags = {**OWN, "kind": "trial", "kernel_size": kernel, "training.seed": str(seed)}
            run_id = tracker.start("trial", tags, {"training.seed": str(seed)})
            if accuracy is not None:
                tracker.log_metrics(run_id, {"objective": accuracy})
            if accuracy == 0.6:
                tracker.log_metrics(run_id, {"test_accuracy": 0.75, "test_images": 100.0})
            tracker.finish(run_id, "failed" if accuracy is None else "complete")
    return cfg


def test_winner_of_a_grid_over_seeds_has_them_all_as_in_the_sweep(seeds: TrackingConf) -> None:
    report = read_report(seeds, {"study": "sizes"})
    assert [group.values for group in report.groups] == [("3",), ("5",)]
    assert [standing.lacks_repeats for standing in report.standings] == [False, True]
    (line,) = [each for each in lines_of(report) if "test set" in each]
    assert "accuracy 0.7500" in line
    every = read_report(seeds, {"study": "sizes"}, ["kernel_size"])
    assert [each for each in lines_of(every) if "test set" in each] == [line]


def test_repeats_of_a_failed_trial_stay_out_of_a_selection_by_results(
    copy_database: Callable[[Path], Path], tmp_path: Path
) -> None:
    cfg = TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")
    tracker = open_tracker(cfg)
    tracker.start("sizes-1", {**OWN, "kind": "study", "axes": "kernel_size"}, {})
    for trial, (kernel, state) in enumerate((("3", "failed"), ("5", "complete"))):
        tags = {**OWN, "kernel_size": kernel, "trial": str(trial)}
        own = tracker.start("trial", {**tags, "kind": "trial"}, {})
        for repeat in range(2):
            run_id = tracker.start("repeat", {**tags, "kind": "repeat"}, {"training.seed": str(repeat)})
            tracker.log_metrics(run_id, {"objective": 0.9})
            tracker.finish(run_id, "complete")
        if state == "complete":
            tracker.log_metrics(own, {"objective": 0.9})
        tracker.finish(own, state)
    report = read_report(cfg, {"study": "sizes"}, where=["objective > 0.5"])
    assert [group.values for group in report.groups] == [("5",)]


@pytest.mark.parametrize(
    ("began_with", "is_later"), [("same", False), ("none", True), ("0", True), (None, False)]
)
def test_a_claim_that_came_later_is_known(
    began_with: str | None, is_later: bool, copy_database: Callable[[Path], Path], tmp_path: Path
) -> None:
    """By the digest of the comparisons; older versions recorded none."""
    cfg = TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")
    sides = {"of": {"model.kernel_size": 3}, "relation": "higher", "than": {"model.kernel_size": 5}}
    claim = OmegaConf.structured(ClaimConf)
    claim = OmegaConf.merge(claim, {"text": "so", "comparisons": [sides]})
    tags = {**OWN, "kind": "study", "axes": "kernel_size"}
    if began_with is not None:
        tags["claim"] = claim_tag(claim) if began_with == "same" else began_with
    tracker = open_tracker(cfg)
    parent = tracker.start("sizes-1", tags, {})
    tracker.log_text(parent, OmegaConf.to_yaml(OmegaConf.create({"study": {"claim": claim}})), "config.yaml")
    run_id = tracker.start("trial", {**OWN, "kind": "trial", "kernel_size": "3"}, {})
    tracker.log_metrics(run_id, {"objective": 0.5})
    tracker.finish(run_id, "complete")
    (judged,) = read_report(cfg, {"study": "sizes"}).judged
    assert judged.is_later is is_later


def test_sweeps_with_different_numbers_of_seeds_lack_none(
    copy_database: Callable[[Path], Path], tmp_path: Path
) -> None:
    cfg = TrackingConf(uri=f"sqlite:///{copy_database(tmp_path)}")
    tracker = open_tracker(cfg)
    for sweep, kernel, accuracies in (("sizes-1", "3", (0.9, 0.8, 0.9)), ("sizes-2", "5", (0.5,) * 5)):
        own = {**OWN, "sweep": sweep}
        tracker.start(sweep, {**own, "kind": "study", "axes": "kernel_size,data.seed", "sampler": "grid"}, {})
        for seed, accuracy in enumerate(accuracies):
            tags = {**own, "kind": "trial", "kernel_size": kernel, "data.seed": str(seed)}
            run_id = tracker.start("trial", tags, {"training.seed": str(seed)})
            tracker.log_metrics(run_id, {"objective": accuracy})
            tracker.finish(run_id, "complete")
    report = read_report(cfg, {"study": "sizes"})
    assert [group.values for group in report.groups] == [("3",), ("5",)]
    assert not any(standing.lacks_repeats for standing in report.standings)

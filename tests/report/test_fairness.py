"""What could bias a comparison is said."""

from dataclasses import replace

from src.report.fairness import caveats
from src.report.groups import group_runs
from src.report.reading import Report
from src.tracking.run_record import RunRecord


def run(k: str, state: str = "complete", epochs: str = "5", **tags: str) -> RunRecord:
    own = {"state": state, "dataset": "digits", "objective": "val_accuracy maximize", "k": k, "sweep": "a-1"}
    params = {"training.seed": "0", "training.epochs": epochs}
    return RunRecord("id", "trial", "FINISHED", own | tags, params, {"objective": 0.5}, 0.0, 1.0)


def said(*runs: RunRecord, axes: tuple[str, ...] = ("k",)) -> list[str]:
    return caveats(Report(runs, axes, axes, tuple(group_runs(runs, axes)), (), (), (), False))


def test_like_with_like_needs_no_word() -> None:
    assert said(run("3"), run("5")) == []
    assert said() == []


def test_different_epochs() -> None:
    runs = [run("3"), replace(run("5"), params={"training.seed": "0", "training.epochs": "20"})]
    assert said(*runs) == ["runs were trained for different numbers of epochs: 5, 20"]
    swept = [replace(each, tags={**each.tags, "epochs": each.params["training.epochs"]}) for each in runs]
    assert said(*swept, axes=("k", "epochs")) == []


def test_pruned_runs_are_missing_from_means() -> None:
    line = "1 pruned run is no part of any mean, which flatters what lost early"
    assert said(run("3"), run("5", "pruned")) == [line]
    assert said(run("3"), run("5", "pruned"), run("5", "pruned"))[0].startswith("2 pruned runs are no part")


def test_failed_seeds_are_named_by_their_trial() -> None:
    runs = [run("3"), run("5", "failed", trial="7"), run("5", "failed", trial="7")]
    assert said(*runs) == ["failed seeds are no part of any mean: trial 7"]


def test_sweeps_that_share_a_mean() -> None:
    assert said(run("3"), run("3", sweep="b-2")) == [
        "means are over runs of a-1, b-2; study=NAME takes one of them"
    ]

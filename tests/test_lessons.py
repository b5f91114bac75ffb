"""docs/lessons.md agrees with the recorded runs beside it."""

import csv
from pathlib import Path

import pytest

from benchmarks import lessons
from kerasweep.report.files import write_csv
from kerasweep.tracking.run_record import RunRecord

FOUND = [(dataset, name) for dataset in lessons.COURSES for name in lessons.measured(dataset)]


def test_page_agrees_with_the_runs() -> None:
    assert (lessons.ROOT / "docs" / "lessons.md").read_text(encoding="utf-8") == lessons.page()


@pytest.mark.parametrize(("dataset", "name"), FOUND)
def test_runs_are_five_seeds_of_each_configuration(dataset: str, name: str) -> None:
    runs, axes = lessons.read(dataset, name)
    groups, known = lessons.standing_of(runs, axes)
    assert axes and all(len({run.params["training.seed"] for run in group.runs}) == 5 for group in groups)
    own = {"fashion_mnist": {"fashion_mnist"}, "cifar10": {"cifar10", "custom"}}[dataset]
    assert {run.tags["dataset"] for group in groups for run in group.runs} <= own
    assert (lessons.LESSONS / dataset / f"{name}.png").stat().st_size > 1000
    if dataset == "cifar10":  # the same five splits for each configuration
        splits = [{run.params["data.split_seed"] for run in group.runs} for group in groups]
        assert all(len(each) == 5 and each == splits[0] for each in splits)


def test_a_course_leaves_the_axes_of_a_study_alone() -> None:
    assert "training.batch_size=64" in lessons.overrides("cifar10", "head")
    assert not any(text.startswith("model.filters") for text in lessons.overrides("cifar10", "head"))
    assert not any(text.startswith("schedule") for text in lessons.overrides("cifar10", "best_checkpoint"))
    sorted_by_class = lessons.overrides("cifar10", "shuffle_by_class")
    assert {"study=shuffle", "data=custom", "data.kwargs.path={path}"} <= set(sorted_by_class)
    assert not any(text.startswith("data.path") for text in sorted_by_class)


def test_a_csv_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "LESSONS", tmp_path)
    tags = {"state": "complete", "dataset": "cifar10", "split": "ab12", "kernel_size": "3"}
    run = RunRecord("id", "trial", "FINISHED", tags, {"training.seed": "1"}, {"objective": 0.5}, 0.0, 0.0)
    write_csv(tmp_path / "cifar10" / "filter_size.csv", [run], ["kernel_size"])
    (again,), axes = lessons.read("cifar10", "filter_size")
    assert axes == ["kernel_size"]
    assert again.tags == {**tags, "objective": "val_accuracy maximize"}
    assert (again.params, again.metrics) == (run.params, run.metrics)


def test_a_section_has_the_verdict_of_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In these invented runs, stride is as accurate as max pooling, and faster in each seed."""
    monkeypatch.setattr(lessons, "LESSONS", tmp_path)
    columns = [
        "run_id",
        "name",
        "state",
        "dataset",
        "downsampling",
        *lessons.CSV_PARAMS,
        *lessons.CSV_METRICS,
    ]
    rows = [
        {
            "run_id": f"{kind}{seed}".ljust(32, "0"),
            "state": "complete",
            "dataset": "fashion_mnist",
            "downsampling": kind,
            "seed": str(seed),
            "objective": str(0.9 + seed / 1000 + (seed % 2) * (kind == "max") / 1000),
            "seconds": str(seconds + seed / 100),
            "epoch_cpu_seconds": str(seconds / 5 + (seed % 2) * (kind == "max") / 100),
        }
        for kind, seconds in (("max", 2.0), ("stride", 1.0), ("average", 2.0))
        for seed in range(5)
    ]
    (tmp_path / "cifar10").mkdir()
    with open(tmp_path / "cifar10" / "downsampling.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "surprises.yaml").write_text("cifar10: {downsampling: How alike they are.}\n")
    text = lessons.section("downsampling", ["cifar10"])
    assert "**Supported.**" in text and "A stride of 2 is as accurate as max pooling" in text
    sides = "with model.downsampling=stride than with model.downsampling=max"
    assert f"- supported: epoch_cpu_seconds is lower {sides}" in text
    assert text.count("\n| ") == 4 + 1 and "15 networks, 0:00:25 of training." in text
    assert text.rstrip().endswith("How alike they are.")

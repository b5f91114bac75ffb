"""docs/lessons.md agrees with the recorded runs beside it."""

import csv
from pathlib import Path

import pytest

from benchmarks import courses, lesson_page, lessons
from kerasweep.multirun.tuning import ONCE
from kerasweep.report.files import write_csv
from kerasweep.tracking.run_record import RunRecord

FOUND = [(dataset, name) for dataset in courses.COURSES for name in lesson_page.measured(dataset)]


def test_page_agrees_with_the_runs() -> None:
    assert (lesson_page.ROOT / "docs" / "lessons.md").read_text(encoding="utf-8") == lesson_page.page()


@pytest.mark.parametrize(("dataset", "name"), FOUND)
def test_runs_are_five_seeds_of_each_configuration(dataset: str, name: str) -> None:
    runs, axes = lesson_page.read(dataset, name)
    groups, known = lesson_page.standing_of(runs, axes)
    assert axes and all(len({run.params["training.seed"] for run in group.runs}) == 5 for group in groups)
    own = {"fashion_mnist": {"fashion_mnist"}, "cifar10": {"cifar10", "custom"}}[dataset]
    assert {run.tags["dataset"] for group in groups for run in group.runs} <= own
    assert (lesson_page.LESSONS / dataset / f"{name}.png").stat().st_size > 1000
    if dataset == "cifar10":  # the same five splits for each configuration
        splits = [{run.params["data.split_seed"] for run in group.runs} for group in groups]
        assert all(len(each) == 5 and each == splits[0] for each in splits)


def test_a_course_leaves_the_axes_of_a_study_alone() -> None:
    assert "training.batch_size=64" in courses.overrides("cifar10", "head")
    assert not any(text.startswith("model.filters") for text in courses.overrides("cifar10", "head"))
    assert not any(text.startswith("schedule") for text in courses.overrides("cifar10", "best_checkpoint"))
    sorted_by_class = courses.overrides("cifar10", "shuffle_by_class")
    assert {"study=shuffle", "data=custom", "data.kwargs.path={path}"} <= set(sorted_by_class)
    assert not any(text.startswith("data.path") for text in sorted_by_class)


def test_a_csv_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_page, "LESSONS", tmp_path)
    tags = {"state": "complete", "dataset": "cifar10", "split": "ab12", "kernel_size": "3"}
    run = RunRecord("id", "trial", "FINISHED", tags, {"training.seed": "1"}, {"objective": 0.5}, 0.0, 0.0)
    write_csv(tmp_path / "cifar10" / "filter_size.csv", [run], ["kernel_size"])
    (again,), axes = lesson_page.read("cifar10", "filter_size")
    assert axes == ["kernel_size"]
    assert again.tags == {**tags, "objective": "val_accuracy maximize"}
    assert (again.params, again.metrics) == (run.params, run.metrics)


@pytest.mark.parametrize(
    ("score", "found"), [("cross-fitted", ["schedule"]), (None, ["schedule", "learning_rate"])]
)
def test_tuned_values_are_no_axes_but_in_older_runs(
    score: str | None, found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson_page, "LESSONS", tmp_path)
    columns = ["state", *(["score"] if score else []), "schedule", "learning_rate", "seed", "objective"]
    rows = [
        {"state": "complete", "score": score, "schedule": kind, "learning_rate": rate, "seed": str(seed)}
        for kind, rate in (("cosine", "0.008"), ("constant", "0.002"), ("step", "0.008"))
        for seed in range(2)
    ]
    (tmp_path / "cifar10").mkdir()
    with open(tmp_path / "cifar10" / "learning_rate_schedule.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["run_id", "name", *columns, "seconds"], "", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row | {"objective": "0.5", "seconds": "1"} for row in rows)
    runs, axes = lesson_page.read("cifar10", "learning_rate_schedule")
    assert axes == found and {run.tags["learning_rate"] for run in runs} == {"0.008", "0.002"}
    (tmp_path / "cifar10" / "learning_rate_schedule.notes").write_text("cosine still rose\n")
    text = lesson_page.section("learning_rate_schedule", ["cifar10"])
    tuned = "Tuned learning_rate: 0.002 for constant; 0.008 for cosine, step."
    assert (tuned in text) == (score is not None)
    assert "\n- note: cosine still rose\n" in text


def test_notes_are_those_that_the_introduction_lacks() -> None:
    lines = ["1 run: 1 complete", f"note: {ONCE}", "note: at the border", "verdict: supported"]
    assert lessons.notes_of("".join(f"{line}\n" for line in lines)) == "at the border\n"


def write_downsampling(folder: Path, stride_seconds: float) -> None:
    """Writes invented runs: stride is as accurate as max pooling, whose epochs take 0.4 CPU-seconds."""
    columns = [
        "run_id",
        "name",
        "state",
        "dataset",
        "downsampling",
        *lesson_page.CSV_PARAMS,
        *lesson_page.CSV_METRICS,
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
        for kind, seconds in (("max", 2.0), ("stride", stride_seconds), ("average", 2.0))
        for seed in range(5)
    ]
    (folder / "cifar10").mkdir()
    with open(folder / "cifar10" / "downsampling.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def test_a_section_has_the_verdict_of_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_page, "LESSONS", tmp_path)
    write_downsampling(tmp_path, stride_seconds=1.0)
    (tmp_path / "surprises.yaml").write_text("cifar10: {downsampling: How alike they are.}\n")
    text = lesson_page.section("downsampling", ["cifar10"])
    assert "**Supported.**" in text and "A stride of 2 is as accurate as max pooling" in text
    sides = "with model.downsampling=stride than with model.downsampling=max"
    assert f"- holds: the last epoch's epoch_cpu_seconds is lower {sides}" in text
    assert text.count("\n| ") == 4 + 1 and "15 networks, 0:00:25 of training." in text
    assert text.rstrip().endswith("How alike they are.")


@pytest.mark.parametrize(
    ("stride_seconds", "cells"),
    [
        (1.0, ["supported", "-0.0004 (-0.0011 to +0.00028), margin 0.01"]),
        (3.0, ["contradicted", "the last epoch's epoch_cpu_seconds +0.2 (+0.19 to +0.2)"]),
    ],
)
def test_the_effect_is_that_of_the_comparison_with_the_verdict(
    stride_seconds: float, cells: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson_page, "LESSONS", tmp_path)
    write_downsampling(tmp_path, stride_seconds)
    (row,) = [line for line in lesson_page.page().splitlines() if line.startswith("| [downsampling]")]
    assert row.split(" | ")[2:4] == cells

"""docs/lessons.md agrees with the recorded runs beside it."""

import csv
from pathlib import Path

import pytest

from benchmarks import lessons

FOUND = sorted(path.stem for path in lessons.LESSONS.glob("*.csv"))


def test_page_agrees_with_the_runs() -> None:
    assert (lessons.ROOT / "docs" / "lessons.md").read_text(encoding="utf-8") == lessons.page(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_runs_are_five_seeds_of_each_configuration(name: str) -> None:
    runs, axes = lessons.read(name)
    groups, known = lessons.standing_of(runs, axes)
    assert axes and all(len({run.params["training.seed"] for run in group.runs}) == 5 for group in groups)
    assert {run.tags["dataset"] for group in groups for run in group.runs} == {"fashion_mnist"}
    assert (lessons.LESSONS / f"{name}.png").stat().st_size > 1000


def test_a_section_has_the_verdict_of_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In these invented runs, stride is as accurate as max pooling, and faster in each seed."""
    monkeypatch.setattr(lessons, "LESSONS", tmp_path)
    columns = ["run_id", "name", "state", "dataset", "downsampling", "seed", *lessons.CSV_METRICS]
    rows = [
        {
            "run_id": f"{kind}{seed}".ljust(32, "0"),
            "state": "complete",
            "dataset": "fashion_mnist",
            "downsampling": kind,
            "seed": str(seed),
            "objective": str(0.9 + seed / 1000 + (seed % 2) * (kind == "max") / 1000),
            "seconds": str(seconds + seed / 100),
            "epoch_seconds": str(seconds / 5 + (seed % 2) * (kind == "max") / 100),
        }
        for kind, seconds in (("max", 2.0), ("stride", 1.0), ("average", 2.0))
        for seed in range(5)
    ]
    with open(tmp_path / "downsampling.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "surprises.yaml").write_text("downsampling: How alike they are.\n")
    text = lessons.section("downsampling")
    assert "**Supported.**" in text and "A stride of 2 is as accurate as max pooling" in text
    assert (
        "- supported: epoch_seconds is lower with model.downsampling=stride than with model.downsampling=max"
        in text
    )
    assert text.count("\n| ") == 4 + 1 and "15 networks, 0:00:25 of training." in text
    assert text.rstrip().endswith("How alike they are.")

"""Tables are whole wherever they are printed, and the CSV has every run."""

import csv
from pathlib import Path
from typing import Any

import pytest

from src.errors import ConfigError
from src.report.groups import group_runs
from src.report.tables import render, tally, write_csv
from src.terminal import say, show
from src.tracking.query import RunRecord


def run(run_id: str, objective: float, **tags: str) -> RunRecord:
    """A run that is complete unless the tags say otherwise."""
    own = {"state": "complete", "dataset": "digits", "objective": "val_accuracy maximize"}
    metrics = {"objective": objective, "parameters": 12345.0, "seconds": 1.25, "best_epoch": 2.0}
    return RunRecord(run_id, f"trial-{run_id[0]}", "FINISHED", own | tags, {}, metrics, 0.0, 1.0)


def printed(runs: list[RunRecord], axes: list[str], capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The cells of the table's rows, its head first."""
    show(render(group_runs(runs, axes), axes))
    lines = capsys.readouterr().out.splitlines()
    rows = [line.replace("┃", "│").strip("│").split("│") for line in lines if line[0] in "┃│"]
    return [[cell.strip() for cell in row] for row in rows]


def test_table_has_a_row_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run("a" * 32, 0.5, k="3"), run("b" * 32, 0.75, k="3"), run("c" * 32, 0.7, k="5")]
    assert printed(runs, ["k"], capsys) == [
        ["k", "mean val_accuracy", "runs", "parameters", "seconds", "best run"],
        ["5", "0.7000", "1", "12,345", "1.2", "c" * 32],
        ["3", "0.6250", "2", "12,345", "1.2", "b" * 32],
    ]


def test_nothing_is_cut_or_wrapped_in_a_narrow_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    tags = {f"axis_with_a_long_name_{number}": "value" * 10 for number in range(8)}
    head, row = printed([run("a" * 32, 0.5, **tags)], list(tags), capsys)
    assert head[:8] == list(tags)
    assert row[:8] == list(tags.values()) and row[-1] == "a" * 32


def test_brackets_and_colons_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed([run("a" * 32, 0.5, k="[max,bold]", n=":x:")], ["k", "n"], capsys)[1][:2] == [
        "[max,bold]",
        ":x:",
    ]
    say("[bold] :x:")
    assert capsys.readouterr().out == "[bold] :x:\n"


def test_tally_counts_states() -> None:
    states: list[dict[str, Any]] = [{}, {}, {"state": "failed"}, {"state": "pruned"}]
    runs = [run("a", 0.5, **tags) for tags in states]
    running = RunRecord("b", "trial", "RUNNING", {}, {}, {}, 0.0, None)
    assert tally([*runs, running]) == "2 complete, 1 failed, 1 pruned, 1 running"


def test_csv_has_a_row_a_run_in_the_order_of_its_axes(tmp_path: Path) -> None:
    runs = [run("c", 0.5, k="32"), run("b", 0.75, k="8", state="pruned"), run("a", 0.5, note='a,"b"')]
    write_csv(tmp_path / "new" / "runs.csv", runs, ["k", "note", "dataset"])
    with open(tmp_path / "new" / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("run_id", "name", "state", "dataset", "k", "note"),
        *("objective", "best_epoch", "parameters", "seconds", "test_accuracy"),
    ]
    assert [(row["run_id"], row["state"], row["k"], row["note"]) for row in rows] == [
        ("b", "pruned", "8", ""),
        ("c", "complete", "32", ""),
        ("a", "complete", "", 'a,"b"'),
    ]
    assert rows[0]["objective"] == "0.75" and rows[0]["test_accuracy"] == ""


def test_csv_replaces_an_older_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("old\n" * 100)
    write_csv(path, [run("a", 0.5)], [])
    assert len(path.read_text().splitlines()) == 2
    assert list(tmp_path.iterdir()) == [path]


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

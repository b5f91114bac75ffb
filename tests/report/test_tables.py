"""Tables have all their cells, also in narrow pipes, and notes say what was tested."""

from dataclasses import replace
from typing import Any

import pytest

from kerasweep.report.groups import group_runs
from kerasweep.report.standings import standings
from kerasweep.report.tables import notes, render, tally
from kerasweep.terminal import say, show
from kerasweep.tracking.run_record import RunRecord


def run(run_id: str, objective: float, **tags: str) -> RunRecord:
    """Returns a run that is complete unless the tags say otherwise."""
    own = {"state": "complete", "dataset": "digits", "objective": "val_accuracy maximize"}
    metrics = {"objective": objective, "parameters": 12345.0, "seconds": 1.25, "best_epoch": 2.0}
    return RunRecord(run_id, f"trial-{run_id[0]}", "FINISHED", own | tags, {}, metrics, 0.0, 1.0)


def printed(runs: list[RunRecord], axes: list[str], capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Returns the cells of the table's rows, the head first."""
    groups = group_runs(runs, axes)
    show(render(groups, axes, standings(groups, axes)))
    lines = capsys.readouterr().out.splitlines()
    rows = [line.replace("┃", "│").strip("│").split("│") for line in lines if line[0] in "┃│"]
    return [[cell.strip() for cell in row] for row in rows]


def test_table_has_a_row_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run("a" * 32, 0.5, k="3"), run("c" * 32, 0.7, k="5")]
    assert printed(runs, ["k"], capsys) == [
        ["k", "mean val_accuracy", "runs", "parameters", "seconds", "best run"],
        ["5", "0.7000", "1", "12,345", "1.2", "c" * 32],
        ["3", "0.5000", "1", "12,345", "1.2", "a" * 32],
    ]


def test_best_run_is_that_of_the_group(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run("a" * 32, 0.5, k="3"), run("b" * 32, 0.75, k="3")]
    (_, row) = printed(runs, ["k"], capsys)
    assert (row[1], row[-4], row[-1]) == ("0.6250", "2", "b" * 32)


def seeds(k: str, *objectives: float) -> list[RunRecord]:
    """Returns a run for each seed."""
    return [
        replace(run(f"{k}{seed}" * 16, objective, k=k), params={"training.seed": str(seed)})
        for seed, objective in enumerate(objectives)
    ]


def test_seeds_give_an_interval_and_a_comparison_with_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    """Student's interval of 0.9, 0.91, 0.92 is t(0.975, 2) = 4.3027 standard errors of 0.01 / sqrt(3).

    The lower end knows that the best was selected, see tests/report/test_ranking.py.
    """
    runs = [*seeds("3", 0.90, 0.91, 0.92), *seeds("5", 0.89, 0.92, 0.90), *seeds("7", 0.50, 0.51, 0.52)]
    lacking = seeds("9", 0.4)
    head, *rows = printed([*runs, *lacking], ["k"], capsys)
    assert head[:5] == ["k", "mean val_accuracy", "95 % interval", "seeds", "vs. best"]
    assert rows[0][:5] == ["3", "0.9100", "0.8735 to 0.9348", "3", "best"]
    assert rows[1][3:5] == ["3", "-0.0067, not significant"]
    assert rows[2][4].startswith("-0.4000, worse, p ")
    assert rows[3][1:5] == ["0.4000", "-", "1", "-0.5100, 1 seed"]


def test_notes_count_configurations_that_are_significantly_worse() -> None:
    runs = [*seeds("3", 0.90, 0.91, 0.92), *seeds("5", 0.89, 0.92, 0.90), *seeds("7", 0.50, 0.51, 0.52)]
    assert notes(standings(group_runs(runs, ["k"]), ["k"])) == [
        "significantly worse than the best (Holm, 5 %): 1 of 2 others"
    ]
    assert notes(standings(group_runs([*runs, *seeds("9", 0.4)], ["k"]), ["k"])) == [
        "significantly worse than the best (Holm, 5 %): 1 of 2 others; 1 not tested"
    ]
    three = [*seeds("3", 0.9, 0.91, 0.92), *seeds("5", 0.91, 0.9, 0.92), *seeds("7", 0.92, 0.9, 0.91)]
    assert notes(standings(group_runs(three, ["k"]), ["k"])) == [
        "significantly worse than the best (Holm, 5 %): 0 of 2 others"
    ]
    two = [*seeds("3", 0.9, 0.91, 0.92), *seeds("7", 0.50, 0.51, 0.52)]
    assert notes(standings(group_runs(two, ["k"]), ["k"])) == [
        "significantly worse than the best (Holm, 5 %): 1 of 1 other"
    ]
    alike = [*seeds("3", 0.9, 0.91, 0.92), *seeds("7", 0.91, 0.90, 0.92)]
    assert notes(standings(group_runs(alike, ["k"]), ["k"])) == [
        "significantly worse than the best (Holm, 5 %): 0 of 1 other"
    ]
    assert notes(standings(group_runs(seeds("3", 0.9, 0.91, 0.92), ["k"]), ["k"])) == [
        "one configuration: nothing to compare it with"
    ]
    assert notes(standings(group_runs([*seeds("3", 0.9, 0.91), *seeds("5", 0.9)], ["k"]), ["k"])) == [
        "note: nothing is tested: no configuration has 3 seeds or more"
    ]
    assert notes(standings(group_runs(seeds("3", 0.9), ["k"]), ["k"])) == [
        "note: each configuration has one seed, so there is no interval; study.repeats=5 trains five"
    ]


def test_equal_means_are_ties_despite_rounding(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The sum of these numbers depends on their order in its last bit."""
    thirds = (0.1, 0.7, 0.9)
    assert sum(thirds) != sum(reversed(thirds))
    runs = [*seeds("5", *thirds), *seeds("3", *reversed(thirds))]
    _, *rows = printed(runs, ["k"], capsys)
    assert [(row[0], row[4]) for row in rows] == [("3", "best"), ("5", "+0.0000, not significant")]


def test_a_note_says_that_no_two_seeds_were_trained_in_all_settings() -> None:
    """As in a search, only seed 0 was trained with both batch sizes."""
    one = [replace(each, tags={**each.tags, "b": "8"}) for each in seeds("3", 0.9, 0.91, 0.92)]
    other = [replace(each, tags={**each.tags, "b": "16"}) for each in seeds("3", 0.8)]
    (note,) = notes(standings(group_runs([*one, *other], ["k"]), ["k", "b"], ["k"]))
    assert note.startswith("note: nothing is tested: no two seeds were trained in all settings of a group")


@pytest.mark.parametrize("accuracy", [1.0, 0.1, 0.7])
def test_equal_accuracies_of_several_seeds_are_shown_without_an_interval(
    accuracy: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rounded mean of three equal numbers may differ from them."""
    runs = [*seeds("3", accuracy, accuracy, accuracy), *seeds("5", accuracy, accuracy, accuracy)]
    assert "one seed" not in notes(standings(group_runs(runs, ["k"]), ["k"]))[0]
    _, *rows = printed(runs, ["k"], capsys)
    assert [row[2:4] for row in rows] == [["-", "3"], ["-", "3"]]


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

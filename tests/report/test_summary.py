"""The winner's test score has an interval and appears only if it was measured."""

import pytest

from kerasweep.report.groups import Group, group_runs
from kerasweep.report.summary import test_lines as lines_of_test
from kerasweep.report.summary import winner_lines
from kerasweep.tracking.run_record import RunRecord


def run(name: str, objective: float, k: str, dataset: str = "digits", **metrics: float) -> RunRecord:
    tags = {"state": "complete", "dataset": dataset, "objective": "val_accuracy maximize", "k": k}
    return RunRecord(name * 32, name, "FINISHED", tags, {}, {"objective": objective, **metrics}, 0.0, 1.0)


def groups(*runs: RunRecord) -> list[Group]:
    return group_runs(runs, ["dataset", "k"])


def test_wilsons_interval_of_the_winner() -> None:
    """For 90 of 100: (0.9 + z²/200 ± z sqrt(0.9 · 0.1 / 100 + z²/40000)) / (1 + z²/100), z = 1.96."""
    winner = run("a", 0.95, "3", test_accuracy=0.9, test_images=100.0)
    other = run("b", 0.90, "5", test_accuracy=0.99, test_images=100.0)
    assert winner_lines(groups(other, winner)) == [
        "the winner, run aaaaaaaa, on the test set: accuracy 0.9000 (0.8256 to 0.9448) on 100 images; "
        "chosen by validation with val_accuracy 0.9500"
    ]


def test_a_measure_without_validation_has_its_name() -> None:
    winner = run("a", 6234.0, "3", test_accuracy=0.9, test_images=100.0)
    winner.tags["objective"] = "parameters minimize"
    (line,) = winner_lines(groups(winner))
    assert line.endswith(" on 100 images; chosen by its parameters, 6234")


def test_the_best_tested_seed_is_shown() -> None:
    seeds = [
        run("a", 0.99, "3"),
        run("b", 0.90, "3", test_accuracy=0.5, test_images=10.0),
        run("c", 0.95, "3", test_accuracy=0.8, test_images=10.0),
    ]
    (line,) = winner_lines(groups(*seeds))
    assert "run cccccccc" in line and "accuracy 0.8000" in line
    assert line.endswith("chosen by validation with val_accuracy 0.9500, the best of 3 runs")


def test_each_data_set_has_its_winner() -> None:
    one = run("a", 0.99, "3", test_accuracy=0.5, test_images=10.0)
    other = run("b", 0.60, "3", "cifar10", test_accuracy=0.4, test_images=10.0)
    heads = [line.partition(", on")[0] for line in winner_lines(groups(one, other))]
    assert heads == ["the winner on digits, run aaaaaaaa", "the winner on cifar10, run bbbbbbbb"]


@pytest.mark.parametrize(
    "runs",
    [(), (run("a", 0.9, "3"),), (run("a", 0.9, "3", test_accuracy=0.5),)],
    ids=["no runs", "no test", "no count"],
)
def test_without_a_test_score_there_is_no_line(runs: tuple[RunRecord, ...]) -> None:
    assert winner_lines(groups(*runs)) == []


def test_runs_evaluated_on_the_test_set_are_counted() -> None:
    tested, other = run("a", 0.9, "3", test_accuracy=0.9, test_images=10.0), run("b", 0.8, "5")
    better, both = run("c", 0.99, "7"), run("d", 0.7, "9", test_accuracy=0.5, test_images=10.0)
    (line,) = known(tested, other)
    assert line.startswith("The winner, run aaaaaaaa, ") and line.endswith("with val_accuracy 0.9000.")
    assert known(other) == ["No run was evaluated on the test set."]
    assert known(tested, better) == [
        "The winner was not evaluated on the test set.",
        "1 run was evaluated on the test set.",
    ]
    assert known(tested, both)[1:] == ["1 other run was evaluated on the test set."]


def known(*runs: RunRecord) -> list[str]:
    return lines_of_test(groups(*runs), runs)

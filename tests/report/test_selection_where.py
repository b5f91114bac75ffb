"""Expressions over params, metrics and tags select runs; numbers compare as numbers."""

import math

import pytest

from kerasweep.errors import ConfigError, TrackingError
from kerasweep.report.selection import filter_runs
from kerasweep.tracking.run_record import RunRecord


def run(name: str, params: dict[str, str], metrics: dict[str, float], **tags: str) -> RunRecord:
    return RunRecord(name, name, "FINISHED", tags, params, metrics, 0.0, 1.0)


RUNS = [
    run(
        "a",
        {"training.batch_size": "8", "optimizer.learning_rate": "1e-05"},
        {"val_accuracy": 0.9},
        regularizer="l1",
    ),
    run(
        "b",
        {"training.batch_size": "16", "optimizer.learning_rate": "0.001"},
        {"val_accuracy": 0.8},
        regularizer="l2",
    ),
    run(
        "c",
        {"training.batch_size": "128", "training.shuffle": "true"},
        {"val_accuracy": math.nan},
        regularizer="none",
    ),
    run("d", {"regularizer.strength": "null", "model.filters": "[16,32]"}, {}, state="failed"),
    run("e", {"regularizer.strength": "0.01", "model.filters": "[]"}, {}, state="complete"),
]


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ([], "abcde"),
        (["training.batch_size > 9"], "bc"),
        (["training.batch_size > 9 and training.batch_size < 100"], "b"),
        (["optimizer.learning_rate < 1e-4"], "a"),
        (["val_accuracy >= 0.8"], "ab"),
        (["val_accuracy >= 0.8", "regularizer in ['l2', 'none']"], "b"),
        (["regularizer != 'l1'"], "bc"),
        (["training.shuffle == true"], "c"),
        (["state == 'failed'"], "d"),
        (["regularizer.strength == null"], "d"),
        (["not training.batch_size > 9"], "a"),
        (["regularizer.strength < 1"], "e"),
        (["regularizer.strength > 1e-3"], "e"),
        (["model.filters == [16,32]"], "d"),
        (["model.filters in [[16,32], [8]]"], "d"),
        (["model.filters == []"], "e"),
    ],
)
def test_runs_that_satisfy_all_expressions_are_selected(texts: list[str], names: str) -> None:
    assert "".join(each.run_id for each in filter_runs(RUNS, texts)) == names


def test_a_trial_tuned_to_several_values_has_no_single_one() -> None:
    runs = [
        run("a", {}, {}, learning_rate="0.001,0.01", filters="[8,8]", momentum="0.9,-"),
        run("b", {}, {}, learning_rate="0.001", filters="[8],[8,8]", momentum="0.9"),
        run("c", {}, {}, learning_rate="0.01", filters="[8,8]", momentum="0.5"),
    ]

    def chosen(text: str, *tuned: str) -> str:
        return "".join(each.run_id for each in filter_runs(runs, [text], tuned))

    assert chosen("learning_rate > 0.005", "learning_rate") == "c"
    assert chosen("momentum > 0.6", "momentum") == "b"
    assert chosen("filters == [8,8]", "filters") == "ac"
    assert chosen("learning_rate == '0.001,0.01'") == "a"  # a tag that merely looks like it


def test_a_metric_is_no_tag_of_the_same_name() -> None:
    """Each run has the tag `objective`, such as `val_accuracy maximize`; a failed run lacks the metric."""
    runs = [
        run("a", {}, {"objective": 0.9}, objective="x maximize"),
        run("b", {}, {}, objective="x maximize"),
    ]
    assert [each.run_id for each in filter_runs(runs, ["objective > 0.5"])] == ["a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training.batch_sise > 9", "Did you mean training.batch_size?"),
        ("regularizer == l1", "As a value of regularizer it is quoted: regularizer == 'l1'."),
        ("regularizer == xyz", "There is "),
    ],
)
def test_an_unknown_key_gets_a_suggestion(text: str, said: str) -> None:
    with pytest.raises(TrackingError) as raised:
        filter_runs(RUNS, [text])
    assert f"which no run has as param, metric or tag. {said}" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training.batch_size >", "where: 'training.batch_size >' cannot be read: invalid syntax."),
        ("1 < 2", "where: '1 < 2' cannot be read: it names no key."),
        ("open('x')", "where: \"open('x')\" cannot be read: open('x') is not allowed."),
        ("regularizer > 3", "where: 'regularizer > 3' fails with regularizer=l1: "),
    ],
)
def test_malformed_expression_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        filter_runs(RUNS, [text])
    assert str(raised.value).startswith(said)

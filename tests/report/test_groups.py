"""Runs of one configuration are averaged, and configurations ranked."""

import math
from typing import Any

import pytest

from kerasweep.errors import TrackingError
from kerasweep.report.groups import comparable, group_runs, label, mixed_sweeps, natural_sort_key
from kerasweep.tracking.run_record import RunRecord


def run(objective: float | None, direction: str = "val_accuracy maximize", **tags: Any) -> RunRecord:
    """Returns a complete run with these tags."""
    own = {"state": "complete", "dataset": "digits", "objective": direction}
    metrics = {} if objective is None else {"objective": objective}
    texts = {key: str(value) for key, value in tags.items()}
    return RunRecord("id", "trial", "FINISHED", own | texts, {}, metrics, 0.0, 1.0)


def ranking(runs: list[RunRecord], *axes: str) -> list[tuple[tuple[str, ...], float | None, int]]:
    return [(group.values, group.mean("objective"), len(group.runs)) for group in group_runs(runs, axes)]


def test_seeds_of_one_configuration_are_averaged_and_the_best_comes_first() -> None:
    runs = [run(0.5, kernel_size=3), run(0.7, kernel_size=3), run(0.8, kernel_size=5)]
    assert ranking(runs, "kernel_size") == [(("5",), 0.8, 1), (("3",), 0.6, 2)]


def test_smaller_is_better_where_the_objective_is_minimized() -> None:
    runs = [run(0.8, "val_loss minimize", k=3), run(0.5, "val_loss minimize", k=5)]
    assert [values for values, _, _ in ranking(runs, "k")] == [("5",), ("3",)]


def test_first_of_several_objectives_ranks() -> None:
    both = "parameters minimize, val_accuracy maximize"
    assert [values for values, _, _ in ranking([run(9, both, k=3), run(5, both, k=5)], "k")] == [
        ("5",),
        ("3",),
    ]


def test_only_complete_runs_with_a_value_count() -> None:
    runs = [run(0.5, k=3), run(0.9, k=3, state="pruned"), run(0.9, k=3, state="failed"), run(None, k=3)]
    assert ranking(runs, "k") == [(("3",), 0.5, 1)]
    assert ranking([], "k") == []


def test_missing_value_of_an_axis_makes_a_separate_group() -> None:
    runs = [run(0.5, regularizer="none"), run(0.6, regularizer="l2", strength="0.01")]
    assert [values for values, _, _ in ranking(runs, "regularizer", "strength")] == [
        ("l2", "0.01"),
        ("none", "-"),
    ]


def test_of_equal_means_the_earliest_trial_is_first() -> None:
    """The summary of the sweep calls it the best, and its model is tested."""
    runs = [run(0.5, batch_size=size, trial=trial) for size, trial in ((8, 10), (16, 9), (32, 0))]
    assert [values for values, _, _ in ranking(runs, "batch_size")] == [("32",), ("16",), ("8",)]


def test_a_users_tag_trial_need_not_be_a_number() -> None:
    runs = [run(0.5, batch_size=size, trial="first try") for size in (32, 8)]
    assert [values for values, _, _ in ranking(runs, "batch_size")] == [("8",), ("32",)]


def test_equal_means_stand_in_the_order_of_numbers() -> None:
    runs = [run(0.5, batch_size=size) for size in (128, 8, 32)]
    assert [values for values, _, _ in ranking(runs, "batch_size")] == [("8",), ("32",), ("128",)]


def test_nan_comes_last() -> None:
    runs = [run(math.nan, k=3), run(0.1, k=5), run(0.2, k=7)]
    assert [values for values, _, _ in ranking(runs, "k")] == [("7",), ("5",), ("3",)]


@pytest.mark.parametrize(
    "ordered",
    [
        ["8", "32", "128"],
        ["-1", "1e-06", "0.001", "2"],
        ["[8,16]", "[16]", "[16,32]", "[128]"],
        ["3", "adam", "sgd"],
        ["1", "inf", "nan"],
        ["block2", "block10"],
    ],
)
def test_numbers_sort_as_numbers(ordered: list[str]) -> None:
    assert sorted(reversed(ordered), key=lambda value: natural_sort_key([value])) == ordered


def test_data_sets_are_not_averaged() -> None:
    runs = [run(0.5, kernel_size=3), run(0.5, kernel_size=3, dataset="mnist")]
    with pytest.raises(TrackingError) as raised:
        group_runs(runs, ["kernel_size"])
    assert str(raised.value) == (
        "The runs with kernel_size=3 come from different data sets: digits, mnist. "
        "Compare one at a time with tags.dataset=digits, or add dataset to group_by."
    )
    assert len(group_runs(runs, ["kernel_size", "dataset"])) == 2


def test_objectives_are_not_ranked_together() -> None:
    runs = [run(0.5, k=3), run(0.5, "val_loss minimize", k=5)]
    with pytest.raises(TrackingError) as raised:
        group_runs(runs, ["k"])
    assert str(raised.value) == (
        "These runs have different objectives: val_accuracy maximize; val_loss minimize. "
        "Compare one at a time with study=NAME, or with 'tags.objective=\"val_accuracy maximize\"'."
    )


def test_sweeps_that_share_a_mean_are_named() -> None:
    apart = [run(0.5, k=3, sweep="a-1"), run(0.5, k=5, sweep="a-2")]
    assert mixed_sweeps(group_runs(apart, ["k"])) == []
    together = [*apart, run(0.5, k=5, sweep="a-3"), run(0.5, k=5)]
    assert mixed_sweeps(group_runs(together, ["k"])) == ["a-2", "a-3", "single runs"]


COMPARABLE: dict[str, tuple[str, list[dict[str, Any]], dict[str, bool]]] = {
    "a full grid": ("k", [{"k": k, "b": b} for k in (3, 5) for b in (8, 16)], {"3": True, "5": True}),
    "an axis that one group lacks": (
        "penalty",
        [{"penalty": "none"}, *({"penalty": p, "strength": s} for p in ("l1", "l2") for s in (1, 2))],
        {"none": True, "l1": True, "l2": True},
    ),
    "the values of that axis, and those without one": (
        "strength",
        [{"penalty": "none"}, *({"penalty": p, "strength": s} for p in ("l1", "l2") for s in (1, 2))],
        {"-": False, "1": True, "2": True},
    ),
    "one that met more": (
        "k",
        [{"k": k, "b": 8} for k in (3, 5, 7)] + [{"k": 7, "b": 16}],
        {"3": True, "5": True, "7": False},
    ),
    "all different": ("k", [{"k": k, "b": k} for k in (3, 5, 7)], {"3": False, "5": False, "7": False}),
    "one alone": ("k", [{"k": 3, "b": b} for b in (8, 16)], {"3": True}),
}


@pytest.mark.parametrize("case", COMPARABLE.values(), ids=COMPARABLE)
def test_groups_with_the_same_settings_are_comparable(
    case: tuple[str, list[dict[str, Any]], dict[str, bool]],
) -> None:
    axis, tags, expected = case
    groups = group_runs([run(0.5, **each) for each in tags], [axis])
    varied = sorted({name for each in tags for name in each})
    found = dict(zip((group.values[0] for group in groups), comparable(groups, [axis], varied), strict=True))
    assert found == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("100000001", "100000001"),
        ("-100000002", "-100000002"),
        ("0.00012345678", "0.0001235"),
        ("0.001", "0.001"),
        ("he_normal", "he_normal"),
    ],
)
def test_fractions_are_cut_to_four_digits_and_integers_are_not(value: str, shown: str) -> None:
    assert label(value) == shown

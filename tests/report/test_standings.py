"""A group has one value a seed, the mean over the same settings."""

import math
from dataclasses import replace
from typing import Any

import pytest

from kerasweep.report.groups import group_runs
from kerasweep.report.repetition import Repetition
from kerasweep.report.standings import by_seed, ranked, runs_per_seed, standings, training_seconds
from kerasweep.tracking.run_record import RunRecord


def run(
    objective: float, seed: int | None = 0, kind: str = "trial", trial: int = 0, **tags: Any
) -> RunRecord:
    own = {"state": "complete", "dataset": "digits", "objective": "val_accuracy maximize", "kind": kind}
    texts = {key: str(value) for key, value in {**tags, "trial": trial, "sweep": "s"}.items()}
    params = {} if seed is None else {"training.seed": str(seed)}
    run_id = f"{kind}-{trial}-{seed}-{objective}"
    return RunRecord(run_id, "trial", "FINISHED", own | texts, params, {"objective": objective}, 0.0, 1.0)


def test_seeds_replace_the_mean_of_their_trial() -> None:
    mean, single = run(0.5, trial=1), run(0.6, trial=2)
    seeds = [run(value, seed, "repeat", trial=1) for seed, value in enumerate((0.4, 0.6))]
    alone = run(0.7, kind="run")
    assert runs_per_seed([mean, *seeds, single, alone]) == [*seeds, single, alone]


def test_training_seconds_include_every_seed() -> None:
    def timed(record: RunRecord, seconds: float) -> RunRecord:
        return replace(record, metrics={**record.metrics, "seconds": seconds})

    trial, other = timed(run(0.5, trial=1), 3.0), timed(run(0.6, trial=2, state="pruned"), 1.0)
    seeds = [timed(run(0.4, seed, "repeat", trial=1, state="failed"), 2.0 + 2 * seed) for seed in (0, 1)]
    assert training_seconds([trial, *seeds, other, run(0.7, kind="run")]) == 2.0 + 4.0 + 1.0


@pytest.mark.parametrize("state", ["failed", "pruned", None])
def test_seeds_of_an_incomplete_trial_are_not_ranked(state: str | None) -> None:
    own = run(0.5, trial=1)
    tags = {key: value for key, value in own.tags.items() if key != "state"} | (
        {"state": state} if state else {}
    )
    own = RunRecord(own.run_id, own.name, "FINISHED", tags, own.params, own.metrics, 0.0, 1.0)
    seeds = [run(value, seed, "repeat", trial=1) for seed, value in enumerate((0.9, 0.9))]
    other = [run(0.4, trial=2), run(0.4, 0, "repeat", trial=2)]
    assert runs_per_seed([own, *seeds, *other]) == [own, other[1]]
    assert runs_per_seed(seeds) == seeds  # without the trial's run, its state is unknown
    # A selection by results may lack the trial's run, but its state is known.
    assert runs_per_seed([*seeds, other[1]], [own, *seeds, *other]) == [other[1]]


def test_group_has_a_value_a_seed() -> None:
    (group,) = group_runs([run(0.5, 0, k=3), run(0.7, 1, k=3)], ["k"])
    assert by_seed(group, "objective", ["k"], Repetition()) == {"0": 0.5, "1": 0.7}
    assert by_seed(group, "seconds", ["k"], Repetition()) == {}


def test_other_axes_are_averaged_over_within_a_seed() -> None:
    runs = [
        run(value, seed, k=3, b=b)
        for seed, b, value in ((0, 8, 0.2), (0, 16, 0.4), (1, 8, 0.6), (1, 16, 0.8))
    ]
    (group,) = group_runs(runs, ["k"])
    assert by_seed(group, "objective", ["k", "b"], Repetition()) == pytest.approx({"0": 0.3, "1": 0.7})
    (lacking,) = group_runs(runs[:3], ["k"])
    assert by_seed(lacking, "objective", ["k", "b"], Repetition()) == pytest.approx({"0": 0.3})


def test_a_seed_trained_twice_counts_once() -> None:
    runs = [run(0.2, 0, k=3, b=8), run(0.4, 0, k=3, b=8), run(0.9, 0, k=3, b=16)]
    (group,) = group_runs(runs, ["k"])
    assert by_seed(group, "objective", ["k", "b"], Repetition()) == pytest.approx({"0": 0.6})


def test_runs_without_a_seed_count_as_different_seeds() -> None:
    (group,) = group_runs([run(0.2, None, k=3), run(0.4, None, k=3)], ["k"])
    assert len(by_seed(group, "objective", ["k"], Repetition())) == 2


def test_best_is_marked_and_others_are_compared_with_it() -> None:
    values = {3: (0.9, 0.91, 0.92), 5: (0.5, 0.51, 0.52), 7: (0.89, 0.92, 0.90)}
    groups = group_runs([run(v, s, k=k) for k, seeds in values.items() for s, v in enumerate(seeds)], ["k"])
    found = standings(groups, ["k"])
    assert [group.values for group in groups] == [("3",), ("7",), ("5",)]
    assert [each.is_best for each in found] == [True, False, False]
    assert [each.against_best.is_worse for each in found] == [False, False, True]
    assert found[2].estimate is not None and found[2].estimate.mean == pytest.approx(0.51)


def test_smaller_is_better_where_the_objective_says_so() -> None:
    groups = group_runs([run(v, s, k=k) for k, v in ((3, 0.9), (5, 0.1)) for s in (0, 1, 2)], ["k"])
    lower = [
        RunRecord(
            r.run_id,
            r.name,
            r.status,
            {**r.tags, "objective": "val_loss minimize"},
            r.params,
            r.metrics,
            0,
            1,
        )
        for group in groups
        for r in group.runs
    ]
    ranked = group_runs(lower, ["k"])
    assert [group.values for group in ranked] == [("5",), ("3",)]
    assert [each.is_best for each in standings(ranked, ["k"])] == [True, False]


def test_groups_of_other_settings_are_left_out_of_the_test() -> None:
    """The group without a strength has only runs without a penalty, the others only runs with one."""
    penalties = {"none": (None,), "l1": (1, 2), "l2": (1, 2)}
    runs = [
        run(
            0.5 + 0.1 * (strength or 3) + 0.001 * seed,
            seed,
            penalty=penalty,
            **({} if strength is None else {"strength": strength}),
        )
        for penalty, strengths in penalties.items()
        for strength in strengths
        for seed in range(5)
    ]
    groups = group_runs(runs, ["strength"])
    found = dict(
        zip(
            (each.values[0] for each in groups),
            standings(groups, ["penalty", "strength"], ["strength"]),
            strict=True,
        )
    )
    assert found["2"].is_best and found["1"].against_best.is_worse
    assert found["-"].untested == "settings differ" and not found["-"].is_tested


def test_one_seed_each_has_no_best() -> None:
    groups = group_runs([run(0.9, k=3), run(0.8, k=5)], ["k"])
    found = standings(groups, ["k"])
    assert [each.is_best for each in found] == [False, False]
    assert [each.estimate.low for each in found if each.estimate] == [None, None]


def test_nan_is_neither_averaged_nor_tested() -> None:
    values = {3: (0.9, 0.91, 0.92), 5: (0.99, math.nan, 0.99), 7: (0.1, 0.11, 0.12)}
    groups = group_runs([run(v, s, k=k) for k, seeds in values.items() for s, v in enumerate(seeds)], ["k"])
    found = dict(zip([group.values[0] for group in groups], standings(groups, ["k"]), strict=True))
    assert found["5"].estimate is None and not found["5"].is_best
    assert found["3"].is_best and found["7"].against_best.is_worse


def test_no_groups_have_no_standings() -> None:
    assert standings([], ["k"]) == []


@pytest.mark.parametrize(("objective", "high"), [("val_accuracy maximize", 1.0), ("val_loss minimize", None)])
def test_interval_of_an_accuracy_ends_at_one(objective: str, high: float | None) -> None:
    runs = [
        replace(each, tags=each.tags | {"objective": objective})
        for each in (run(value, seed, k=3) for seed, value in enumerate((0.97, 0.99, 1.0)))
    ]
    (standing,) = standings(group_runs(runs, ["k"]), ["k"])
    assert standing.estimate is not None and standing.estimate.high is not None
    assert standing.estimate.high == high if high else standing.estimate.high > 1


def test_a_configuration_that_lacks_repeats_comes_after_the_others() -> None:
    """Its other runs failed, so the rest is selected by results; the sweep ranks it so, too."""
    lacking = [run(0.9, seed, k=7) for seed in range(3)]
    others = [run(value, seed, k=k) for k, value in ((3, 0.5), (5, 0.4)) for seed in range(4)]
    groups = group_runs([*lacking, *others], ["k"])
    found = standings(groups, ["k"], min_runs={"digits": 4})
    assert [group.values for group, _ in ranked(groups, found)] == [("3",), ("5",), ("7",)]
    by_value = {group.values[0]: standing for group, standing in zip(groups, found, strict=True)}
    assert by_value["3"].is_best and not by_value["7"].is_tested and by_value["7"].lacks_repeats
    assert by_value["7"].against_best.behind == pytest.approx(-0.4)
    assert [group.values for group, _ in ranked(groups, standings(groups, ["k"]))][0] == ("7",)

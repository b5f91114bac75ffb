"""Notes warn of facts that could bias a comparison."""

from dataclasses import replace
from typing import Any, cast

import pytest
from omegaconf import OmegaConf

from kerasweep.config.search import ClaimConf
from kerasweep.report.claims import Verdict
from kerasweep.report.fairness import (
    BEST_EPOCH_TEXT,
    CROSS_FITTED_TEXT,
    LATER,
    MIXED,
    OTHER_FOLDS,
    OTHER_IMAGES,
    PICKED,
    SAME_IMAGES,
    caveats,
    epochs_line,
    images_line,
    score_line,
)
from kerasweep.report.groups import group_runs
from kerasweep.report.reading import Judged, Report
from kerasweep.report.standings import standings
from kerasweep.tracking.run_record import RunRecord


def run(k: str, state: str = "complete", seed: int = 0, epochs: str = "5", **tags: str) -> RunRecord:
    own = {"state": state, "dataset": "digits", "objective": "val_accuracy maximize", "k": k, "sweep": "a-1"}
    params = {"training.seed": str(seed), "training.epochs": epochs}
    return RunRecord("id", "trial", "FINISHED", own | tags, params, {"objective": 0.5}, 0.0, 1.0)


def said(
    *runs: RunRecord, axes: tuple[str, ...] = ("k",), varied: tuple[str, ...] = (), **more: Any
) -> list[str]:
    return caveats(report(*runs, axes=axes, varied=varied, **more))


def report(
    *runs: RunRecord, axes: tuple[str, ...] = ("k",), varied: tuple[str, ...] = (), **more: Any
) -> Report:
    groups = group_runs(runs, axes)
    every = varied or axes
    return Report(runs, axes, every, tuple(groups), tuple(standings(groups, every)), (), (), False, **more)


def test_a_fair_comparison_needs_no_note() -> None:
    assert said(run("3"), run("5"), run("3", seed=1), run("5", seed=1)) == []
    assert said() == []


def test_params_that_differ_without_being_an_axis_are_noted() -> None:
    assert said(run("3"), run("5", epochs="20")) == ["runs also differ in training.epochs"]


def test_a_key_that_the_user_added_is_an_axis() -> None:
    runs = [run("3", clip=clip) for clip in ("0.5", "1.0")]
    for each in runs:
        each.params["training.clip"] = each.tags["clip"]
    assert said(*runs, axes=("clip",)) == []
    assert said(*runs) == ["runs also differ in training.clip"]
    swept = [run("3", epochs=epochs) for epochs in ("5", "20")]
    swept = [replace(each, tags={**each.tags, "epochs": each.params["training.epochs"]}) for each in swept]
    assert said(*swept, axes=("k", "epochs")) == [
        "training.epochs is an axis: configurations are not compared at equal epochs"
    ]


def test_equal_epochs_are_noted() -> None:
    alike = "All complete runs trained for 5 epochs, however long these took."
    assert epochs_line(report(run("3"), run("5"), run("7", "pruned", epochs="9"))) == alike
    assert epochs_line(report(run("3"), run("5", epochs="20"))) is None
    assert epochs_line(report()) is None
    once = "All complete runs trained for 1 epoch, however long these took."
    assert epochs_line(report(run("3", epochs="1"))) == once


@pytest.mark.parametrize("key", ["data.seed", "data.split_seed"])
def test_page_says_whether_repeats_share_their_validation_images(key: str) -> None:
    one, other = (replace(run(k), params={**run(k).params, key: k}) for k in ("3", "5"))
    assert images_line(report(one, replace(one, tags=run("5").tags))) == SAME_IMAGES
    assert images_line(report(one, other)) == OTHER_IMAGES
    folds = [replace(each, params={**each.params, "data.folds": "5"}) for each in (one, other)]
    assert images_line(report(*folds)) == OTHER_FOLDS
    limited = replace(one, params={**one.params, "data.limit": "200"})
    assert images_line(report(one, limited)) is None


@pytest.mark.parametrize(("splits", "line"), [("aaa", SAME_IMAGES), ("abc", OTHER_IMAGES)])
def test_page_knows_the_validation_images_that_runs_recorded(splits: str, line: str) -> None:
    """An own validation part is the same for all seeds of the split."""
    runs = [
        replace(made, params={**made.params, "data.split_seed": str(seed)})
        for seed, split in enumerate(splits)
        for made in (run("3", seed=seed, split=split),)
    ]
    assert images_line(report(*runs)) == line


def scored(k: str, kind: str, objective: str = "val_accuracy maximize") -> RunRecord:
    """Returns a run of today's version, of one without this tag, or of a user's own function."""
    tags = {"score": {"score": "cross-fitted"}, "maximum": {"score": "best epoch"}}.get(kind, {})
    metrics = {"older": {"best_epoch": 3.0}, "newer": {"best_epoch": 3.0, "best_epoch_gain": 0.0}}
    made = run(k, objective=objective, **tags)
    return replace(made, metrics={**made.metrics, **metrics.get(kind, {})})


@pytest.mark.parametrize(
    ("kinds", "line", "notes"),
    [
        (("score", "newer"), CROSS_FITTED_TEXT, []),
        (("maximum", "older"), BEST_EPOCH_TEXT, []),
        (("score", "older"), None, [MIXED.format(older=1, count=2)]),
        (("user's", "user's"), None, []),
    ],
)
def test_page_says_how_values_are_scored(kinds: tuple[str, str], line: str | None, notes: list[str]) -> None:
    runs = [scored(k, kind) for k, kind in zip("35", kinds, strict=True)]
    assert score_line(report(*runs)) == line
    assert said(*runs) == notes
    others = [scored(k, kind, "parameters minimize") for k, kind in zip("35", kinds, strict=True)]
    assert score_line(report(*others)) is None and said(*others) == []


def test_early_stopping_leaves_no_equal_epochs() -> None:
    runs = [run("3"), run("5")]
    params = {**runs[1].params, "training.early_stopping.enabled": "true"}
    runs[1] = replace(runs[1], params=params)
    line = (
        "early stopping may have ended runs at different epochs: they are compared neither at equal epochs "
        "nor at equal seconds"
    )
    assert line in said(*runs) and epochs_line(report(*runs)) is None


def test_keys_of_a_swept_group_are_no_difference() -> None:
    runs = [run("3", regularizer="none"), run("3", regularizer="l2")]
    brought = [
        replace(each, params={**each.params, "regularizer.strength": strength})
        for each, strength in zip(runs, ("null", "0.01"), strict=True)
    ]
    assert said(*brought, axes=("regularizer",)) == []


def test_pruned_runs_are_missing_from_means() -> None:
    line = "1 pruned run is excluded from the means, which favours configurations with pruned runs"
    assert said(run("3"), run("5", "pruned")) == [line]
    assert said(run("3"), run("5", "pruned"), run("5", "pruned"))[0].startswith("2 pruned runs are excluded")


def test_failed_runs_are_counted_by_their_kind() -> None:
    runs = [
        run("3"),
        run("5", "failed", kind="repeat"),
        run("5", "failed", kind="repeat"),
        run("5", "failed"),
    ]
    assert said(*runs) == ["failed, and excluded from the means: 2 seeds, 1 run"]


def test_unequal_numbers_of_seeds_are_noted() -> None:
    assert said(run("3"), run("3", seed=1), run("5")) == ["configurations have 1 to 2 seeds"]


def test_groups_with_different_settings_are_noted() -> None:
    runs = [run("3", r="l1"), run("5", r="l1"), run("5", r="none")]
    assert said(*runs, varied=("k", "r")) == [
        "groups were trained with different values of r, which may explain their differences"
    ]


def test_selection_by_results_is_noted() -> None:
    assert said(run("3"), is_picked=True) == [PICKED]


def test_sweeps_that_share_a_mean_are_noted() -> None:
    assert said(run("3"), run("3", sweep="b-2")) == ["means mix the runs of a-1, b-2; study=NAME selects one"]


def test_a_claim_that_came_after_its_sweep_began_is_noted() -> None:
    claim = cast(ClaimConf, OmegaConf.structured(ClaimConf(text="so")))
    judged = [Judged("a-1", claim, Verdict("supported", ()), is_later) for is_later in (False, True)]
    given = report(run("3"), run("5"))
    assert caveats(replace(given, judged=(judged[0],))) == []
    assert caveats(replace(given, judged=(judged[1],))) == [LATER.format("a-1")]


def test_a_ranking_by_tuned_values_is_noted() -> None:
    parent = RunRecord("p", "a-1", "FINISHED", {"sweep": "a-1", "nuisance": "rate"}, {}, {}, 0.0, 1.0)
    runs = [run("3", rate="0.1", epochs="5"), run("3", rate="0.2", epochs="5")]
    (note,) = caveats(replace(report(*runs, axes=("rate",)), parents=(parent,)))
    assert note == "rate was tuned: results chose its values, so their ranking means nothing"
    assert caveats(replace(report(*runs, axes=("k",)), parents=(parent,))) == []


def test_a_tuned_number_of_epochs_is_noted() -> None:
    parent = RunRecord("p", "a-1", "FINISHED", {"sweep": "a-1", "nuisance": "epochs"}, {}, {}, 0.0, 1.0)
    runs = [run("3", epochs="5"), run("5", epochs="20")]
    (note,) = caveats(replace(report(*runs), parents=(parent,)))
    assert note == "training.epochs is an axis: configurations are not compared at equal epochs"


def test_a_score_that_a_users_function_made_up_is_unknown() -> None:
    given = report(run("3", score="mine"), run("5", score="mine"))
    assert score_line(given) is None and caveats(given) == []

"""A union of grids: each point is tried once, a key that a grid leaves out keeps its configured value."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.question import Question
from kerasweep.tracking.reader import find_runs
from tests.multirun.test_zip import Run, run, runs, studies

__all__ = ["run"]
GRIDS = "study.grids=[{model.kernel_size:[3,5]},{optimizer:[sgd],optimizer.learning_rate:[0.1,0.01]}]"
POINTS = [
    {"model.kernel_size": 3},
    {"model.kernel_size": 5},
    {"optimizer": "sgd", "optimizer.learning_rate": 0.1},
    {"optimizer": "sgd", "optimizer.learning_rate": 0.01},
]
NAME = "grids(model.kernel_size, optimizer, optimizer.learning_rate)"
AXES = ("kernel_size", "optimizer", "learning_rate")

pytestmark = pytest.mark.usefixtures("folder")


def values(folder: Path, **tags: str) -> list[tuple[str, ...]]:
    return sorted(tuple(run.tags[axis] for axis in AXES) for run in runs(folder, **tags))


def test_the_points_are_those_of_each_grid(plan: Callable[..., Plan]) -> None:
    planned = plan(GRIDS)
    assert list(planned.space.configurations()) == POINTS
    assert planned.base.sampler.name == "grid"
    assert planned.total() == 4


def test_a_point_of_two_grids_counts_once(ask: Callable[..., Question]) -> None:
    grids = (
        "study.grids=[{model.kernel_size:[3,5],model.dropout:0.1},"
        "{model.dropout:[0.1],model.kernel_size:[5,7]}]"
    )
    sizes = [params["model.kernel_size"] for params in ask(grids).space.configurations()]
    assert sizes == [3, 5, 7]


@pytest.mark.parametrize(
    ("grids", "expected"),
    [
        ("{model.kernel_size:[3,5]},{}", [3, 5]),
        ("{model.kernel_size:[3,5]},{optimizer:[adam,sgd]}", [3, 5, "sgd"]),
        ("{model.dropout:[0,0.1]},{model.dropout:[0.0]}", [0, 0.1]),
        ("{optimizer:[sgd]},{optimizer:[sgd],optimizer.learning_rate:[0.001]}", ["sgd", "sgd"]),
    ],
)
def test_points_that_train_the_same_count_once(
    grids: str, expected: list[object], ask: Callable[..., Question]
) -> None:
    points = list(ask(f"study.grids=[{grids}]").space.configurations())
    assert [next(iter(point.values())) for point in points] == expected


def test_entries_have_all_forms_of_axes(ask: Callable[..., Question]) -> None:
    grids = (
        "study.grids=[{model.kernel_size:'range(3,5)',optimizer:sgd},{model.kernel_size:'3,5'},{},"
        "{regularizer:[none,l2],regularizer.strength:{range:[0.1,0.2],when:{regularizer:l2}}}]"
    )
    assert list(ask(grids).space.configurations()) == [
        {"model.kernel_size": 3, "optimizer": "sgd"},
        {"model.kernel_size": 4, "optimizer": "sgd"},
        {"model.kernel_size": 3},
        {"model.kernel_size": 5},
        {"regularizer": "l2", "regularizer.strength": 0.1},
        {"regularizer": "l2", "regularizer.strength": 0.2},
    ]


def test_other_axes_cross_the_union(plan: Callable[..., Plan]) -> None:
    space = plan(GRIDS, "model.dropout=0.1,0.2", "sampler=tpe").space
    assert space.max_size == len(list(space.configurations())) == 8


def test_a_fixed_key_leaves_the_grids(plan: Callable[..., Plan]) -> None:
    planned = plan(GRIDS, "optimizer=adam", "optimizer.learning_rate=0.1")
    assert list(planned.space.configurations()) == POINTS[:2]


def test_a_condition_holds_for_the_configured_value(ask: Callable[..., Question]) -> None:
    space = "+study.space={model.dropout:{range:[0.1,0.2],when:{optimizer:adam}}}"
    found = list(ask(GRIDS, space).space.configurations())
    assert [params.get("model.dropout") for params in found] == [0.1, 0.2, 0.1, 0.2, None, None]


def test_a_constraint_sees_the_configured_value(plan: Callable[..., Plan]) -> None:
    planned = plan(GRIDS, "study.constraints=['model.kernel_size<4']")
    assert [params for params, _ in planned.left_out()] == [{"model.kernel_size": 5}]
    assert not planned.refusals.constraints.notes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("study.grids={model.kernel_size:[3,5]}",),
            "study.grids must list grids, each with keys and their values, but got "
            "{'model.kernel_size': [3, 5]}. Write it as in "
            "study.grids=[{model.kernel_size:[3,5]},{optimizer:[sgd],optimizer.learning_rate:[0.1,0.01]}].",
        ),
        (
            ("study.grids=[model.kernel_size]",),
            "study.grids must list grids, each with keys and their values, but got ['model.kernel_size']. "
            "Write it as in "
            "study.grids=[{model.kernel_size:[3,5]},{optimizer:[sgd],optimizer.learning_rate:[0.1,0.01]}].",
        ),
        (
            ("study.grids=[{optimizer.learning_rate:'interval(0.1,0.2)'}]",),
            "study.grids needs lists of values, but optimizer.learning_rate is an interval: 0.1 … 0.2. "
            "List its values with choice(...) or range(...), or move it to study.space.",
        ),
        (
            ("study.grids=[{model.dropout:{range:[0.1],when:{optimizer:sgd}}},{optimizer:[sgd]}]",),
            "study.grids.model.dropout has a condition on optimizer, which its grid does not name. "
            "Name it in this grid, or put the two cases into two grids.",
        ),
        (
            (GRIDS, "model.kernel_size=3,7"),
            "model.kernel_size is an axis of study.grids and another one. Name it in the grids alone, or "
            "leave it out there.",
        ),
        (
            (GRIDS, "study.zip=[[model.kernel_size,model.dropout]]", "model.dropout=0.1,0.2"),
            "study.zip names model.kernel_size, which is no axis of this sweep. "
            "Give it a list of values, or leave it out of study.zip.",
        ),
        (
            ("study.grids=[{training.seed:'range(0,1000)',data.seed:'range(0,1000)'}]",),
            "study.grids takes at most 100,000 points, but has more. Narrow an axis.",
        ),
        (
            ("study.grids=[{optimizer:[sdg]}]",),
            "optimizer has no option sdg. It has adam, adamw, custom, rmsprop, sgd.",
        ),
    ],
)
def test_grids_that_cannot_be_listed_are_refused(
    arguments: tuple[str, ...], message: str, ask: Callable[..., Question]
) -> None:
    with pytest.raises(ConfigError) as raised:
        ask(*arguments)
    assert str(raised.value) == message


def test_the_name_has_the_points_in_any_order(plan: Callable[..., Plan]) -> None:
    turned = "study.grids=[{optimizer:[sgd],optimizer.learning_rate:[0.01,0.1]},{model.kernel_size:[5,3]}]"
    names = [plan(grids).name(False) for grids in (GRIDS, turned, GRIDS.replace("0.01", "0.02"))]
    first, second, other = (name.rpartition("-")[2] for name in names)
    assert first == second != other


@pytest.mark.parametrize("key", ["model.kernel_size", "optimizer.learning_rate"])
def test_the_name_has_the_values_that_points_leave_out(key: str, plan: Callable[..., Plan]) -> None:
    planned, other = plan(GRIDS), plan(GRIDS)
    OmegaConf.update(other.question.master, key, 7)
    assert planned.hash_of(planned.space) != other.hash_of(other.space)


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_each_point_is_a_trial(sampler: str, run: Run, folder: Path) -> None:
    run(GRIDS, f"sampler={sampler}", "study.trials=4")
    assert values(folder) == [
        ("3", "adam", "0.001"),
        ("3", "sgd", "0.01"),
        ("3", "sgd", "0.1"),
        ("5", "adam", "0.001"),
    ]
    recorded = [(r.params["model.kernel_size"], r.params["optimizer.learning_rate"]) for r in runs(folder)]
    assert sorted(recorded) == [(size, rate) for size, _, rate in values(folder)]
    (study,) = studies(folder).values()
    assert all(list(trial.params) == [NAME] for trial in study.trials)


def test_the_same_command_continues(run: Run, folder: Path) -> None:
    run(GRIDS, "study.trials=1")
    assert "continuing: 1 of 4 trials are there already" in run(GRIDS)
    assert len(runs(folder)) == 4


def test_a_lost_storage_is_restored_from_the_runs(run: Run, folder: Path) -> None:
    run(GRIDS)
    for path in (folder / "mlruns/studies").iterdir():
        path.unlink()
    run(GRIDS)
    assert len(runs(folder)) == 4


def test_a_grown_union_adopts_its_trials(run: Run, folder: Path) -> None:
    run(GRIDS)
    lines = run(GRIDS.replace("[3,5]", "[3,5,7]"))
    assert any(line.startswith("note: 4 trials of ") and " are adopted" in line for line in lines)


def test_the_start_lists_the_points(run: Run) -> None:
    assert (
        f"  {NAME}: model.kernel_size=3, model.kernel_size=5, optimizer=sgd optimizer.learning_rate=0.1, "
        "optimizer=sgd optimizer.learning_rate=0.01"
    ) in run(GRIDS)


def test_points_are_tuned_one_by_one(run: Run, folder: Path) -> None:
    nuisance = "+study.nuisance={model.dropout:[0.1,0.4]}"
    run(GRIDS, nuisance, "study.repeats=2", "study.tuning=once")
    assert sorted(len(study.trials) for study in studies(folder).values()) == [4, 8]


def test_a_union_has_no_zip(run: Run, folder: Path) -> None:
    run(GRIDS)
    (sweep,) = find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {"kind": "study"})
    assert "zip" not in sweep.tags

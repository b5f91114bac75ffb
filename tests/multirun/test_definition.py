"""Some options make another sweep and others keep it; a study without a name is named after its axes."""

from collections.abc import Callable

import pytest

from kerasweep.config.search import TrialConf
from kerasweep.multirun.plan import Plan

pytestmark = pytest.mark.usefixtures("folder")


def test_a_fixed_key_below_a_swept_group_makes_another_sweep(plan: Callable[..., Plan]) -> None:
    names = [
        plan("sampler=grid", "regularizer=l1,l2", f"regularizer.strength={strength}")
        .open_sweep(fresh=False)
        .name
        for strength in ("0.01", "0.5", "0.01")
    ]
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("sampler=random", "sampler.seed=4"),
        ("study.trials=9", "budget.hours=1", "tracking.experiment=other", "pruner=median"),
    ],
)
def test_options_that_may_change_keep_the_sweep(
    plan: Callable[..., Plan], arguments: tuple[str, ...]
) -> None:
    axes = ("sampler=tpe", "model.kernel_size=3,5")
    assert plan(*axes).open_sweep(fresh=False).name == plan(*axes, *arguments).open_sweep(fresh=False).name


@pytest.mark.parametrize("axis", ["sampler=grid model.kernel_size=3,5", "sampler=grid data=digits,mnist"])
def test_the_way_of_the_data_keeps_the_sweep(plan: Callable[..., Plan], axis: str) -> None:
    plain, shipped = (plan(*axis.split(), f"data.ship={ship}") for ship in ("false", "true"))
    left_out = plan(*axis.split())
    assert plain.open_sweep(fresh=False).name == shipped.open_sweep(fresh=False).name
    assert plain.inputs == shipped.inputs == left_out.inputs
    assert left_out.open_sweep(fresh=False).name == shipped.open_sweep(fresh=False).name


def test_constraints_and_repeats_make_another_sweep_and_defaults_keep_the_old_one(
    plan: Callable[..., Plan],
) -> None:
    axes = ("sampler=grid", "model.kernel_size=3,5")
    changes: list[tuple[str, ...]] = [
        (),
        ("study.repeats=2",),
        ("study.constraints=['model.kernel_size < 9']",),
    ]
    names = [plan(*axes, *change).open_sweep(fresh=False).name for change in changes]
    assert len(set(names)) == 3
    assert plan(*axes, "study.repeats=1", "study.constraints=[]").open_sweep(fresh=False).name == names[0]


def test_fixed_splits_and_another_split_make_another_sweep(plan: Callable[..., Plan]) -> None:
    axes = ("sampler=grid", "model.kernel_size=3,5", "study.repeats=2")
    changes = ((), ("study.splits=fixed",), ("data.split_seed=1",))
    names = [plan(*axes, *change).open_sweep(fresh=False).name for change in changes]
    assert len(set(names)) == 3
    assert plan(*axes, "study.splits=resampled").open_sweep(fresh=False).name == names[0]
    # A single training has no other split, so the option changes nothing.
    once = [plan(*axes[:2], *change).open_sweep(fresh=False).name for change in changes[:2]]
    assert once[0] == once[1]


def test_another_training_function_makes_another_sweep(plan: Callable[..., Plan]) -> None:
    """Its results are not those of the built-in function."""
    axes = ("sampler=grid", "model.kernel_size=3,5")
    targets = ("benchmarks.targets:instant", "benchmarks.targets:sleeping", TrialConf.target)
    names = [plan(*axes, f"trial.target={target}").open_sweep(fresh=False).name for target in targets]
    assert len(set(names)) == 3
    assert plan(*axes).open_sweep(fresh=False).name == names[2]


def test_study_without_a_name_is_named_after_its_axes_in_60_characters(plan: Callable[..., Plan]) -> None:
    assert plan("model.kernel_size=3,5", "training.batch_size=8,9").study == "kernel_size-batch_size"
    momentum, epsilon = "model.normalization.momentum=0.5,0.9", "model.normalization.epsilon=0.1,0.2"
    more = ("model.normalization.center=true,false", "model.normalization.moving_statistics=keras,warmup")
    assert plan(momentum, epsilon, *more).study == "normalization.momentum-normalization.epsilon-center"
    assert (
        plan("trial.target=benchmarks.targets:instant", "+model.kwargs." + "x" * 90 + "=1,2").study
        == "x" * 60
    )
    assert plan("study.space={model.kernel_size:[3,5]}", "model.kernel_size=3").study == "sweep"

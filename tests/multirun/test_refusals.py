"""Configurations that cannot be trained are refused with a reason before any training."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from kerasweep.errors import ConfigError, DataError
from kerasweep.multirun import refusals
from kerasweep.multirun.plan import Plan

pytestmark = pytest.mark.usefixtures("folder")


DATA = """
import numpy as np

def load(mode="ok"):
    if mode == "raise":
        raise OSError("cannot read my file")
    part = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    return part, part
"""


@pytest.mark.parametrize(
    ("axis", "instead"),
    [
        ("model.kernel_size=interval(2,4)", "int(interval(2,4))"),
        ("training.batch_size=tag(log,interval(8,64))", "tag(log,int(interval(8,64)))"),
        ("schedule.patience=interval(1,4)", "int(interval(1,4))"),
    ],
)
def test_interval_of_real_numbers_for_a_whole_number_is_refused_with_the_right_form(
    plan: Callable[..., Plan], axis: str, instead: str
) -> None:
    key = axis.partition("=")[0]
    with pytest.raises(ConfigError) as refused:
        plan("sampler=random", "schedule=constant,plateau", axis)
    assert str(refused.value) == (
        f"{key} takes whole numbers, but its interval is one of real numbers. Write it as {key}='{instead}'."
    )
    plan("sampler=random", "schedule=constant,plateau", f"{key}={instead}")


def test_data_that_cannot_be_loaded_is_left_out(
    plan: Callable[..., Plan], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "loaders.py").write_text(DATA)
    monkeypatch.syspath_prepend(folder)
    made = plan("data=custom", "data.target=loaders:load", "+data.kwargs.mode=ok,raise")
    ((params, reason),) = made.left_out()
    assert params == {"+data.kwargs.mode": "raise"}
    assert "raised OSError: cannot read my file" in reason and "loaders.py, line 6" in reason


def test_data_that_all_trials_share_is_loaded_once(
    plan: Callable[..., Plan], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "absent_loaders.py").write_text(
        "calls = []\ndef load():\n    calls.append(1)\n    raise OSError('gone')\n"
    )
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(DataError, match="raised OSError: gone"):
        plan("data=custom", "data.target=absent_loaders:load", "model.kernel_size=3,5,7")
    assert len(import_module("absent_loaders").calls) == 1


def test_networks_with_too_many_parameters_are_refused(plan: Callable[..., Plan]) -> None:
    made = plan("model.filters=[8],[16],[64,64]", "budget.max_parameters=3000")
    reasons = [made.refusal(params) for params in made.space.configurations()]
    assert reasons == [None, None, "it has 40,522 parameters, budget.max_parameters is 3,000"]


def test_custom_network_is_built_to_count_it(plan: Callable[..., Plan], folder: Path) -> None:
    (folder / "counted_nets.py").write_text(
        "import keras\n"
        "def net(shape, classes, width):\n"
        "    if width == 3:\n"
        "        raise ValueError('odd')\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(),"
        " keras.layers.Dense(width), keras.layers.Dense(classes, activation='softmax')])\n"
    )
    made = plan(
        "model=custom",
        "model.target=counted_nets:net",
        "+model.kwargs.width=2,3,40",
        "budget.max_parameters=1000",
    )
    assert [made.refusal(params) for params in made.space.configurations()] == [
        None,
        "it cannot be built: ValueError: odd",
        "it has 3,010 parameters, budget.max_parameters is 1,000",
    ]


def test_every_configuration_is_checked_against_the_image_size(plan: Callable[..., Plan]) -> None:
    made = plan("augment=flip_crop", "augment.crop_padding=2,8", "model.filters=[4],[4,4,4,4]")
    assert [params for params in made.space.configurations() if made.refusal(params) is None] == [
        {"augment.crop_padding": 2, "model.filters": "[4]"}
    ]


def test_graph_is_known_before_any_refusal(plan: Callable[..., Plan]) -> None:
    """Learning rates share the graph of a kernel size; in an infinite space the graph is unknown."""
    made = plan("model.kernel_size=3,5", "optimizer.learning_rate=0.1,0.01")
    graphs = [made.graph_of(params) for params in made.space.configurations()]
    assert graphs[0] == graphs[1] != graphs[2] == graphs[3] and None not in graphs
    assert made.refusal({"model.kernel_size": 3, "optimizer.learning_rate": 0.1}) is None
    assert [made.graph_of(params) for params in made.space.configurations()] == graphs
    endless = plan("sampler=random", "model.dropout=interval(0.0,0.5)")
    assert endless.graph_of({"model.dropout": 0.1}) is None


LARGE = ("model.kernel_size=range(1,11)", "training.batch_size=range(1,101)", "training.seed=range(100)")


def test_a_large_grid_is_checked_as_far_as_its_trials_need(plan: Callable[..., Plan]) -> None:
    made = plan(*LARGE, "study.trials=3", "study.constraints=['training.seed != 1']")
    assert made.space.max_size == 100_000
    assert (made.total(), made.left_out()) == (3, [])
    assert len(made.refusals._checked) == 4  # one of them is refused


def test_a_small_grid_is_checked_as_a_whole_and_lists_what_it_skips(plan: Callable[..., Plan]) -> None:
    made = plan("model.kernel_size=3,5", "study.trials=1", "study.constraints=['model.kernel_size < 4']")
    assert (made.total(), len(made.left_out())) == (1, 1)


def test_a_check_says_how_far_it_is(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = plan("model.kernel_size=3,5,7", "study.constraints=['model.kernel_size != 5']")
    monkeypatch.setattr(refusals, "PROGRESS_SECONDS", 0.0)
    capsys.readouterr()
    assert len(list(made.refusals.checked(made.space))) == 3
    assert capsys.readouterr().out.splitlines()[1:] == [
        "checked 2 of at most 3 configurations, 1 can be trained",
        "checked 3 of at most 3 configurations, 2 can be trained",
    ]


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        (
            "+optimizer.momentum=interval(0.1,0.9)",
            "Nothing reads optimizer.momentum: the chosen optimizer has",
        ),
        (
            "+optimizer.momentum=0.1,0.9",
            "Nothing reads optimizer.momentum: the chosen optimizer has no momentum",
        ),
        ("+model.foo=int(interval(1,9))", "Nothing reads model.foo: the chosen model has no foo."),
    ],
)
def test_key_that_a_group_lacks_is_refused_before_any_trial(
    axis: str, said: str, plan: Callable[..., Plan]
) -> None:
    with pytest.raises(ConfigError) as refused:
        plan("sampler=random", axis)
    assert str(refused.value).startswith(said)
    plan("sampler=random", axis, "trial.target=benchmarks.targets:instant")

"""What follows from a question: the sweep's identity, its refusals, and what is never listed."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import DictConfig

from kerasweep.errors import ConfigError, DataError, StorageError
from kerasweep.multirun.conduct import with_its_runs
from kerasweep.multirun.plan import Plan
from kerasweep.search.sweep import Sweep
from kerasweep.tracking.writer import open_tracker

Compose = Callable[[list[str]], DictConfig]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_fixed_key_below_a_swept_group_makes_another_sweep(plan: Callable[..., Plan]) -> None:
    names = [
        plan("regularizer=l1,l2", f"regularizer.strength={strength}").sweep(fresh=False).name
        for strength in ("0.01", "0.5", "0.01")
    ]
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("study.trials=9",),
        ("sampler=random", "sampler.seed=4"),
        ("budget.hours=1",),
        ("tracking.experiment=other",),
        ("pruner=median",),
    ],
)
def test_what_may_change_on_the_way_keeps_the_sweep(
    plan: Callable[..., Plan], arguments: tuple[str, ...]
) -> None:
    axes = ("sampler=tpe", "model.kernel_size=3,5")
    assert plan(*axes).sweep(fresh=False).name == plan(*axes, *arguments).sweep(fresh=False).name


@pytest.mark.parametrize("axis", ["model.kernel_size=3,5", "model.dropout=interval(0.0,0.5)"])
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("study.name=../x", "study.name may hold letters"),
        ("tracking.models=few", "tracking.models must be one of best, all, none, but got few."),
        ("pruner=wilcoxon", "pruner=wilcoxon compares the seeds of a trial"),
        ("workers=0", "workers must be auto or a number from 1 up"),
    ],
)
def test_what_no_axis_can_mend_is_refused_as_such(
    plan: Callable[..., Plan], axis: str, argument: str, said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        plan("sampler=random", axis, argument)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("arguments", "was", "is_now"),
    [
        (["pruner=median"], "pruner=none", "pruner=median"),
        (["sampler=random"], "sampler=tpe", "sampler=random"),
        (["sampler=random", "pruner=asha"], "sampler=tpe pruner=none", "sampler=random pruner=asha"),
    ],
)
def test_another_sampler_or_pruner_than_at_the_beginning_is_noted(
    plan: Callable[..., Plan], arguments: list[str], was: str, is_now: str
) -> None:
    axes = ("sampler=tpe", "model.kernel_size=3,5")
    begun = plan(*axes).sweep(fresh=False)
    assert begun.notes == plan(*axes, "pruner=median").sweep(fresh=False).notes == ()
    begun = plan(*axes).sweep(fresh=False)
    begun.study.ask()
    assert plan(*axes, "study.trials=9").sweep(fresh=False).notes == ()
    for _ in range(2):
        assert plan(*axes, *arguments).sweep(fresh=False).notes == (
            f"this sweep was begun with {was}; its trials stay. study.fresh=true begins one with {is_now}",
        )
    assert plan(*axes, *arguments).sweep(fresh=True).notes == ()


def test_a_wide_integer_interval_is_never_listed(plan: Callable[..., Plan]) -> None:
    wide = "training.seed=int(interval(0,4000000000))"
    sweep = plan("sampler=random", "study.trials=2", wide).sweep(fresh=False)
    assert not sweep.space.is_finite and sweep.total == 2
    with pytest.raises(ConfigError, match="sampler=grid takes at most 100,000 configurations"):
        plan("sampler=grid", wide)


@pytest.mark.parametrize(
    ("axis", "instead"),
    [
        ("model.kernel_size=interval(2,4)", "int(interval(2,4))"),
        ("training.batch_size=tag(log,interval(8,64))", "tag(log,int(interval(8,64)))"),
        ("schedule.patience=interval(1,4)", "int(interval(1,4))"),
    ],
)
def test_interval_of_real_numbers_for_whole_ones_is_refused_with_what_to_write(
    plan: Callable[..., Plan], axis: str, instead: str
) -> None:
    key = axis.partition("=")[0]
    with pytest.raises(ConfigError) as refused:
        plan("sampler=random", "schedule=constant,plateau", axis)
    assert str(refused.value) == (
        f"{key} takes whole numbers, but its interval is one of real numbers. Write it as {key}='{instead}'."
    )
    plan("sampler=random", "schedule=constant,plateau", f"{key}={instead}")


def test_study_without_a_name_is_called_after_its_axes_in_60_characters(plan: Callable[..., Plan]) -> None:
    assert plan("model.kernel_size=3,5", "training.batch_size=8,9").study == "kernel_size-batch_size"
    momentum, epsilon = "model.normalization.momentum=0.5,0.9", "model.normalization.epsilon=0.1,0.2"
    more = ("model.normalization.center=true,false", "model.normalization.moving_statistics=keras,warmup")
    assert plan(momentum, epsilon, *more).study == "normalization.momentum-normalization.epsilon-center"
    assert plan("+model.kwargs." + "x" * 90 + "=1,2").study == "x" * 60
    assert plan("study.space={model.kernel_size:[3,5]}", "model.kernel_size=3").study == "sweep"


def test_a_damaged_journal_is_named(plan: Callable[..., Plan], folder: Path) -> None:
    journal = plan("model.kernel_size=3,5").sweep(fresh=False).journal
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(['{"op_code": 4, "wor', *lines]) + "\n")
    with pytest.raises(ConfigError, match=f"The journal {journal} is damaged"):
        plan("model.kernel_size=3,5").sweep(fresh=False)


def test_folder_that_cannot_be_written_is_named(plan: Callable[..., Plan], folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(StorageError, match="Not a directory: .*/file/studies. Name a folder .* storage.path"):
        plan("model.kernel_size=3,5", "storage.path=file/studies").sweep(fresh=False)


def test_a_journal_that_lost_its_trials_begins_the_next_generation(
    plan: Callable[..., Plan], folder: Path, copy_database: Callable[[Path], Path]
) -> None:
    copy_database(folder)
    made = plan("model.kernel_size=3,5")

    def opened() -> Sweep:
        return with_its_runs(made, made.sweep(fresh=False))

    first = opened()
    assert opened().name == first.name
    tracker = open_tracker(made.base.tracking)
    tracker.start("trial-0", {"sweep": first.name, "kind": "trial", "trial": "0"}, {})
    assert opened().name == f"{first.name}-2"
    assert opened().name == f"{first.name}-2"
    first.study.ask()
    assert plan("model.kernel_size=3,5").sweep(fresh=False).name == f"{first.name}-2"


DATA = """
import numpy as np

def load(mode="ok"):
    if mode == "raise":
        raise OSError("cannot read my file")
    part = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    return part, part
"""


def test_data_that_cannot_be_loaded_is_left_out(
    plan: Callable[..., Plan], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "loaders.py").write_text(DATA)
    monkeypatch.syspath_prepend(folder)
    made = plan("data=custom", "data.target=loaders:load", "+data.kwargs.mode=ok,raise")
    ((params, reason),) = made.left_out()
    assert params == {"+data.kwargs.mode": "raise"}
    assert "raised OSError: cannot read my file" in reason and "loaders.py, line 6" in reason


def test_data_that_all_trials_share_is_asked_for_once(
    plan: Callable[..., Plan], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "absent_loaders.py").write_text(
        "calls = []\ndef load():\n    calls.append(1)\n    raise OSError('gone')\n"
    )
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(DataError, match="raised OSError: gone"):
        plan("data=custom", "data.target=absent_loaders:load", "model.kernel_size=3,5,7")
    assert len(import_module("absent_loaders").calls) == 1


def trainable(made: Plan) -> list[dict[str, object]]:
    return [params for params in made.space.configurations() if made.refusal(params) is None]


def test_constraints_forbid_configurations_and_do_not_count(plan: Callable[..., Plan]) -> None:
    made = plan(
        "model.kernel_size=3,5,7",
        "optimizer=sgd,adam",
        "study.constraints=['model.kernel_size < 7','optimizer != \"sgd\" or model.kernel_size == 3']",
    )
    assert trainable(made) == [
        {"model.kernel_size": 3, "optimizer": "sgd"},
        {"model.kernel_size": 3, "optimizer": "adam"},
        {"model.kernel_size": 5, "optimizer": "adam"},
    ]
    assert made.sweep(fresh=False).total == 3
    reasons = {reason for _, reason in made.left_out()}
    assert reasons == {
        "study.constraints forbids it: model.kernel_size < 7",
        'study.constraints forbids it: optimizer != "sgd" or model.kernel_size == 3',
    }


def test_constraint_sees_fixed_keys_and_the_null_of_an_axis_that_does_not_apply(
    plan: Callable[..., Plan],
) -> None:
    made = plan(
        "study=full_search",
        "training.epochs=5",
        "study.constraints=['training.batch_size * training.epochs <= 160','regularizer.strength < 1e-4']",
    )
    of = {"model.kernel_size": 3, "initializer": "he_normal", "training.batch_size": 32}
    assert made.refusal({**of, "regularizer": "none"}) is None
    assert made.refusal({**of, "regularizer": "l2", "regularizer.strength": 1e-5}) is None
    assert made.refusal({**of, "regularizer": "l2", "regularizer.strength": 1e-3}) is not None
    assert made.refusal({**of, "regularizer": "none", "training.batch_size": 64}) is not None


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        ("model.kernel_sise < 7", "names model.kernel_sise, but there is no such key."),
        ("model.kernel_size < ", "cannot be read: invalid syntax."),
        ("model.kernel_size < optimizer", "fails with model.kernel_size=3, optimizer=adam"),
    ],
)
def test_constraint_that_makes_no_sense_is_named(
    plan: Callable[..., Plan], constraint: str, said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        plan("model.kernel_size=3,5", f"study.constraints=['{constraint}']")
    assert f"study.constraints: '{constraint}'" in str(refused.value) and said in str(refused.value)


def test_constraint_that_some_values_make_no_sense_of_is_refused_before_any_trial(
    plan: Callable[..., Plan],
) -> None:
    axes = ("sampler=random", "optimizer.learning_rate=interval(0.1,0.2)", "optimizer=adam,sgd")
    with pytest.raises(ConfigError) as refused:
        plan(*axes, 'study.constraints=["optimizer.momentum < optimizer"]')
    assert str(refused.value).startswith(
        "study.constraints: 'optimizer.momentum < optimizer' fails with optimizer=sgd, optimizer.momentum="
    )
    guarded = "study.constraints=[\"optimizer == 'sgd' or optimizer.momentum < optimizer\"]"
    assert plan(*axes, guarded).sweep(fresh=False).total == 20


def test_constraint_names_an_added_key_without_its_plus(plan: Callable[..., Plan]) -> None:
    made = plan("+model.kwargs.width=2,3,40", 'study.constraints=["model.kwargs.width < 40"]')
    assert trainable(made) == [{"+model.kwargs.width": 2}, {"+model.kwargs.width": 3}]


def test_constraints_and_repeats_make_another_sweep_and_their_absence_the_old_one(
    plan: Callable[..., Plan],
) -> None:
    axes = "model.kernel_size=3,5"
    changes: list[tuple[str, ...]] = [
        (),
        ("study.repeats=2",),
        ("study.constraints=['model.kernel_size < 9']",),
    ]
    names = [plan(axes, *change).sweep(fresh=False).name for change in changes]
    assert len(set(names)) == 3
    assert plan(axes, "study.repeats=1", "study.constraints=[]").sweep(fresh=False).name == names[0]


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


def test_every_configuration_is_held_to_the_images_size(plan: Callable[..., Plan]) -> None:
    made = plan("augment=flip_crop", "augment.crop_padding=2,8", "model.filters=[4],[4,4,4,4]")
    assert trainable(made) == [{"augment.crop_padding": 2, "model.filters": "[4]"}]


def test_a_graph_is_known_before_any_refusal_is_asked_for(plan: Callable[..., Plan]) -> None:
    """A graph is of a kernel size and shared by its learning rates; an endless space has none."""
    made = plan("model.kernel_size=3,5", "optimizer.learning_rate=0.1,0.01")
    graphs = [made.graph_of(params) for params in made.space.configurations()]
    assert graphs[0] == graphs[1] != graphs[2] == graphs[3] and None not in graphs
    assert made.refusal({"model.kernel_size": 3, "optimizer.learning_rate": 0.1}) is None
    assert [made.graph_of(params) for params in made.space.configurations()] == graphs
    endless = plan("sampler=random", "model.dropout=interval(0.0,0.5)")
    assert endless.graph_of({"model.dropout": 0.1}) is None

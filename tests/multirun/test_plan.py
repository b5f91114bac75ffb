"""A plan checks keys that all trials share, opens the sweep's journal, and notes changed options."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kerasweep.errors import ConfigError, StorageError
from kerasweep.multirun.plan import HALVES, OLDER, OTHER_TEST_IMAGES, OWN_VALIDATION, Plan
from kerasweep.search.study import BEGUN_WITH, SETTINGS
from kerasweep.search.sweep import Sweep
from tests.compositions import write_files

pytestmark = pytest.mark.usefixtures("folder")
INFINITE = "model.dropout=interval(0.0,0.5)"


@pytest.mark.parametrize(
    ("axis", "argument", "message"),
    [
        (INFINITE, "study.name=../x", "study.name may hold letters"),
        (INFINITE, "++sampler.foo=1", "Nothing reads sampler.foo: the chosen sampler has no foo."),
        (INFINITE, "tracking.models=few", "tracking.models must be one of best, all, none, but got few."),
        (INFINITE, "pruner=wilcoxon", "pruner=wilcoxon compares the seeds of a trial"),
        (INFINITE, "workers=0", "workers must be auto or a number from 1 up"),
        ("model.kernel_size=3,5", "study.name=../x", "study.name may hold letters"),
    ],
)
def test_error_in_a_shared_key_is_refused_with_its_message(
    plan: Callable[..., Plan], axis: str, argument: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        plan("sampler=random", axis, argument)
    assert str(refused.value).startswith(message)


def test_seeds_are_repeated_in_one_way(plan: Callable[..., Plan]) -> None:
    """Repeat 1 of seed 0 has the seed of repeat 0 of seed 1."""
    with pytest.raises(ConfigError, match="^training.seed is an axis, and study.repeats=2 counts it up"):
        plan("model.kernel_size=3,5", "training.seed=0,1", "study.repeats=2")
    with pytest.raises(ConfigError, match="^training.seed is an axis, and study.repeats=2 counts it up"):
        plan("sampler=random", "training.seed=int(interval(0,4000000000))", "study.repeats=2")
    plan("model.kernel_size=3,5", "data.seed=0,1", "study.repeats=2")


@pytest.mark.parametrize(
    ("key", "axis"), [("target=0.9", "training.seed"), ("patience=3", "data.split_seed")]
)
def test_a_single_lucky_seed_cannot_end_a_sweep(plan: Callable[..., Plan], key: str, axis: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plan("model.kernel_size=3,5", f"{axis}=range(3)", f"budget.{key}")
    name = key.partition("=")[0]
    assert str(refused.value).startswith(f"budget.{name} looks at single trials, but {axis} repeats them")
    plan("model.kernel_size=3,5", "study.repeats=3", f"budget.{key}")
    plan("model.kernel_size=3,5", f"{axis}=range(3)", "budget.hours=1")


@pytest.mark.parametrize(
    ("arguments", "resamples"),
    [(["study.repeats=3"], True), (["study.repeats=3", "study.splits=fixed"], False), ([], False)],
)
def test_repeats_have_their_own_splits_unless_these_are_fixed(
    plan: Callable[..., Plan], arguments: list[str], resamples: bool
) -> None:
    sweep = plan("model.kernel_size=3,5", *arguments).open_sweep(fresh=False)
    assert (sweep.resamples, sweep.is_cross_fitted, sweep.notes) == (resamples, True, ())


def test_a_sweep_of_an_older_version_goes_on_as_it_began(plan: Callable[..., Plan]) -> None:
    arguments = ("model.kernel_size=3,5", "study.repeats=3")
    study = plan(*arguments).open_sweep(fresh=False).study
    study.ask()
    study.set_user_attr(BEGUN_WITH, {"sampler": "grid", "pruner": "none"})
    sweep = plan(*arguments).open_sweep(fresh=False)
    assert (sweep.resamples, sweep.is_cross_fitted, sweep.notes) == (False, False, (OLDER,))
    fresh = plan(*arguments).open_sweep(fresh=True)
    assert (fresh.resamples, fresh.is_cross_fitted, fresh.notes) == (True, True, ())


def test_a_sweep_that_began_with_other_halves_keeps_them(plan: Callable[..., Plan]) -> None:
    arguments = ("model.kernel_size=3,5", "study.repeats=3")
    sweep = plan(*arguments).open_sweep(fresh=False)
    assert sweep.draws_odd
    sweep.study.ask()
    assert plan(*arguments).open_sweep(fresh=False).draws_odd
    begun = {key: value for key, value in sweep.study.user_attrs[BEGUN_WITH].items() if key != HALVES}
    sweep.study.set_user_attr(BEGUN_WITH, begun)
    older = plan(*arguments).open_sweep(fresh=False)
    assert (older.draws_odd, older.is_cross_fitted, older.notes) == (False, True, ())


def test_own_validation_images_are_noted_and_shared_by_the_repeats(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    images, labels = np.zeros((30, 8, 8), np.uint8), np.arange(30) % 3
    sets = {
        f"{axis}_{part}": array
        for part in ("train", "val", "test")
        for axis, array in (("x", images), ("y", labels))
    }
    np.savez(tmp_path / "data.npz", **sets)
    axes = ("model.kernel_size=3,5", "data=npz", f"data.path={tmp_path}/data.npz")
    sweep = plan(*axes, "study.repeats=3").open_sweep(fresh=False)
    assert (sweep.resamples, sweep.notes) == (False, (OWN_VALIDATION,))
    assert plan(*axes).open_sweep(fresh=False).notes == ()
    seeds = plan("data.split_seed=1,2", *axes[1:]).open_sweep(fresh=False)
    assert seeds.notes == (OWN_VALIDATION,)  # both train and validate on the same images


def test_seeds_that_draw_the_test_images_are_noted(plan: Callable[..., Plan]) -> None:
    assert plan("data.seed=1,2").open_sweep(fresh=False).notes == (OTHER_TEST_IMAGES,)
    assert plan("data.split_seed=1,2").open_sweep(fresh=False).notes == ()


@pytest.mark.parametrize(
    ("arguments", "was", "is_now"),
    [
        (["pruner=median"], "pruner=none", "pruner=median"),
        (["sampler=random"], "sampler=tpe", "sampler=random"),
        (["sampler=random", "pruner=asha"], "sampler=tpe pruner=none", "sampler=random pruner=asha"),
    ],
)
def test_a_changed_sampler_or_pruner_is_noted(
    plan: Callable[..., Plan], arguments: list[str], was: str, is_now: str
) -> None:
    axes = ("sampler=tpe", "model.kernel_size=3,5")
    begun = plan(*axes).open_sweep(fresh=False)
    assert begun.notes == plan(*axes, "pruner=median").open_sweep(fresh=False).notes == ()
    begun = plan(*axes).open_sweep(fresh=False)
    begun.study.ask()
    assert plan(*axes, "study.trials=9").open_sweep(fresh=False).notes == ()
    for _ in range(2):
        assert plan(*axes, *arguments).open_sweep(fresh=False).notes == (
            f"this sweep was begun with {was}; its trials stay. study.fresh=true begins one with {is_now}",
        )
    assert plan(*axes, *arguments).open_sweep(fresh=True).notes == ()


@pytest.mark.parametrize("arguments", [(), ("sampler=random", "optimizer.learning_rate=interval(0.1,0.2)")])
def test_targets_of_swept_group_files_belong_to_the_code_of_a_sweep(
    plan: Callable[..., Plan], folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.syspath_prepend(folder)
    option = "defaults: [custom, _self_]\ntarget: {}:net\n"
    write_files(folder, {"conf/model/mine.yaml": option.format("nets_of_plan")})
    code = "import keras\n\n\ndef net(shape, classes):\n    return keras.Sequential([{}])\n"
    (folder / "nets_of_plan.py").write_text(code.format(""))
    command = ("model=cnn,mine", f"hydra.searchpath=[{folder}/conf]", *arguments)
    made = plan(*command)
    assert list(made.sources) == ["model=mine"]
    made.open_sweep(fresh=False).study.ask()
    assert plan(*command).open_sweep(fresh=False).study.trials
    (folder / "nets_of_plan.py").write_text(code.format("keras.layers.Flatten()"))
    with pytest.raises(ConfigError, match="^The code of model=mine has changed since "):
        plan(*command).open_sweep(fresh=False)
    (folder / "nets_of_plan.py").write_text(code.format(""))
    plan(*command).open_sweep(fresh=False)
    (folder / "others_of_plan.py").write_text(code.format(""))
    write_files(folder, {"other/model/mine.yaml": option.format("others_of_plan")})
    with pytest.raises(ConfigError, match="^The code of model=mine has changed since "):
        plan(command[0], f"hydra.searchpath=[{folder}/other]", *arguments).open_sweep(fresh=False)


def test_a_wide_integer_interval_is_never_listed(plan: Callable[..., Plan]) -> None:
    wide = "training.seed=int(interval(0,4000000000))"
    sweep = plan("sampler=random", "study.trials=2", wide).open_sweep(fresh=False)
    assert not sweep.space.is_finite and sweep.total == 2
    with pytest.raises(ConfigError, match="sampler=grid takes at most 100,000 configurations"):
        plan("sampler=grid", wide)


def test_a_damaged_journal_is_named(plan: Callable[..., Plan], folder: Path) -> None:
    name = plan("model.kernel_size=3,5").open_sweep(fresh=False).name
    journal = folder / f"mlruns/studies/{name}.journal"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(['{"op_code": 4, "wor', *lines]) + "\n")
    with pytest.raises(ConfigError, match=f"The journal {journal} is damaged"):
        plan("model.kernel_size=3,5").open_sweep(fresh=False)


def test_folder_that_cannot_be_written_is_named(plan: Callable[..., Plan], folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(
        StorageError, match="Not a directory: .*/file/studies. Name another folder with storage.path"
    ):
        plan("model.kernel_size=3,5", "storage.path=file/studies").open_sweep(fresh=False)


def test_changed_settings_below_a_swept_group_are_refused(plan: Callable[..., Plan], folder: Path) -> None:
    """The sweep's name has nothing of a swept group but the names of its options."""
    study = (
        "# @package _global_\nstudy: {{name: s, space: {{optimizer: 'choice(sgd, mine)'}}}}\n"
        "optimizer: {{clipnorm: {clipnorm}}}\n"
    )
    option = "defaults: [sgd, _self_]\nmomentum: {}\n"

    def opened(clipnorm: float, momentum: float) -> Sweep:
        conf = f"conf-{clipnorm}-{momentum}"  # a process reads each file once
        texts = {"study/s": study.format(clipnorm=clipnorm), "optimizer/mine": option.format(momentum)}
        write_files(folder, {f"{conf}/{name}.yaml": text for name, text in texts.items()})
        return plan("study=s", "sampler=grid", f"hydra.searchpath=[{folder}/{conf}]").open_sweep(fresh=False)

    opened(1.0, 0.5).study.ask()
    assert opened(1.0, 0.5).study.trials
    with pytest.raises(ConfigError, match="^The settings of optimizer=mine have changed since s-"):
        opened(1.0, 0.7)
    with pytest.raises(ConfigError, match="^The settings of optimizer have changed since s-"):
        opened(2.0, 0.5)
    opened(1.0, 0.5)


def test_trials_of_no_tuning_are_refused(plan: Callable[..., Plan]) -> None:
    with pytest.raises(ConfigError, match="^study.nuisance_trials=8 tunes the axes of study.nuisance, but"):
        plan("model.kernel_size=3,5", "study.nuisance_trials=8")
    rates = "study.nuisance={optimizer.learning_rate:'choice(0.1,0.2)'}"
    plan("model.kernel_size=3,5", rates, "study.nuisance_trials=8", "optimizer.learning_rate=0.1")


def test_a_tag_of_our_own_is_refused_before_anything_is_recorded(
    plan: Callable[..., Plan], folder: Path
) -> None:
    rates = "study.nuisance={optimizer.learning_rate:'choice(0.1,0.2)'}"
    for name in ("trial", "kernel_size", "learning_rate"):
        with pytest.raises(ConfigError, match=f"^tracking.tags.{name} would replace the tag {name}"):
            plan("model.kernel_size=3,5", rates, f"tracking.tags.{name}=mine")
    assert not list(folder.iterdir())


def test_a_value_from_elsewhere_may_not_change(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By interpolation of an environment variable, or of a key that the user added at the top."""

    def opened(variable: str, rate: float, folder: str = "a") -> Sweep:
        monkeypatch.setenv("BATCH", variable)
        monkeypatch.setenv("TMPX", folder)
        return plan(
            *("training.batch_size=${oc.env:BATCH}", f"+rate={rate}", "optimizer.learning_rate=${rate}"),
            *("data.cache_dir=${oc.env:TMPX}/cache", "model.kernel_size=3,5"),
        ).open_sweep(fresh=False)

    first = opened("8", 0.1)
    first.study.ask()
    assert opened("8", 0.1, "b").name == first.name  # the cache may lie elsewhere on each machine
    with pytest.raises(ConfigError, match="^The settings of training.batch_size have changed since"):
        opened("16", 0.1)
    with pytest.raises(ConfigError, match="^The settings of (optimizer.learning_rate|rate) have"):
        opened("8", 0.2)


@pytest.mark.parametrize("swept", ["model.dropout=0,0.5", "model.weights=a.weights.h5,null"])
def test_the_content_of_a_backbones_weights_may_not_change(
    swept: str, plan: Callable[..., Plan], folder: Path
) -> None:
    weights = folder / "a.weights.h5"
    weights.write_bytes(b"first")
    keys = ("model=backbone", "model.weights=a.weights.h5", "model.image_size=[32,32]")
    plan(*keys, swept).open_sweep(fresh=False).study.ask()
    weights.write_bytes(b"other")
    with pytest.raises(ConfigError, match="^The settings of model.weights=a.weights.h5 have changed since"):
        plan(*keys, swept).open_sweep(fresh=False)


def test_a_key_that_a_users_function_reads_may_not_change(plan: Callable[..., Plan]) -> None:
    own = ("trial.target=benchmarks.targets:instant", "model.kernel_size=3,5")
    plan(*own, "+clip=0.5").open_sweep(fresh=False).study.ask()
    plan(*own, "+clip=0.5").open_sweep(fresh=False)
    with pytest.raises(ConfigError, match="^The settings of clip have changed since"):
        plan(*own, "+clip=0.9").open_sweep(fresh=False)


def test_a_sweep_of_an_older_version_has_no_settings_and_goes_on(plan: Callable[..., Plan]) -> None:
    command = ("regularizer=l1,l2", "+rate=0.1", "optimizer.learning_rate=${rate}")
    study = plan(*command).open_sweep(fresh=False).study
    study.ask()
    study.set_user_attr(SETTINGS, {})
    plan(*command).open_sweep(fresh=False)
    assert set(study.user_attrs[SETTINGS]) == {"regularizer", "optimizer.learning_rate", "rate"}


def test_seeds_that_lie_apart_may_be_repeated(plan: Callable[..., Plan]) -> None:
    plan("model.kernel_size=3,5", "training.seed=0,100", "study.repeats=2")

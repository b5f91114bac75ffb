"""An axis that no training reads is refused: equal networks would be ranked as if they differed."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan

pytestmark = pytest.mark.usefixtures("folder")
CUSTOM = ("model=custom", "model.target=nets:small")


@pytest.fixture(autouse=True)
def nets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    (folder / "nets.py").write_text("def small(shape, classes, width=4): ...\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("training.early_stopping.patience=1,3",), "Add training.early_stopping.enabled=true."),
        (("training.checkpoint.monitor=val_loss,val_accuracy",), "Add training.checkpoint.enabled=true."),
        (("model.dense_dropout=0.0,0.5",), "Add dense layers, as in model.dense_units=[128]."),
        (
            ("model.normalization.momentum=0.5,0.9", "model.normalization.kind=none"),
            "Add model.normalization.kind=batch.",
        ),
        (("regularizer.strength=0.1,0.2",), "Choose regularizer=l1, l2 or l1_l2, or leave the strength out"),
        (("regularizer.on=conv,dense",), "Add regularizer=l2."),
        ((*CUSTOM, "regularizer=none,l2"), "Nothing reads regularizer with model=custom"),
        ((*CUSTOM, "initializer=zeros,he_normal"), "Nothing reads initializer with model=custom"),
        ((*CUSTOM, "model.kernel_size=3,5"), "Nothing reads model.kernel_size with model=custom"),
        (
            ("model.kwargs.width=3,5",),
            "model.kwargs is for model=custom and model=backbone: nothing reads width. Add model=custom",
        ),
    ],
)
def test_an_axis_that_nothing_reads_is_refused(
    arguments: tuple[str, ...], said: str, plan: Callable[..., Plan]
) -> None:
    with pytest.raises(ConfigError) as refused:
        plan(*arguments)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("training.early_stopping.patience=1,3", "training.early_stopping.enabled=true"),
        ("training.early_stopping.patience=1,3", "training.early_stopping.enabled=true,false"),
        ("training.early_stopping.patience=1,3", "training=default,early_stopping"),
        ("model.dense_dropout=0.0,0.5", "model.dense_units=[],[8]"),
        ("model.normalization.momentum=0.5,0.9",),
        ("regularizer.strength=0.1,0.2", "regularizer=l2"),
        ("regularizer.strength=0.1,0.2", "regularizer=l1,l2"),
        ("regularizer.name=l1,l2", "regularizer.strength=1e-3"),
        (*CUSTOM, "initializer=zeros,he_normal", "model.kwargs.width=${initializer.name}"),
        (*CUSTOM, "model.kernel_size=3,5", "model.kwargs.width=${model.kernel_size}"),
        (*CUSTOM, "model.kwargs.width=3,5"),
        (*CUSTOM, "optimizer=sgd,adam"),
        (*CUSTOM, "training.early_stopping.patience=1,3", "training.early_stopping.enabled=true"),
        ("model.kwargs.width=3,5", "trial.target=nets:small"),
        ("training.early_stopping.patience=1,3", "trial.target=nets:small"),
    ],
)
def test_an_axis_that_some_trial_reads_is_accepted(
    arguments: tuple[str, ...], plan: Callable[..., Plan]
) -> None:
    plan(*arguments)


@pytest.mark.parametrize(
    "code",
    [
        "from os import*",
        "for n in range(3):\n    globals()[f'net_{n}'] = print",
        "def __getattr__(name): ...",
        "import numpy as small_1",
    ],
)
def test_a_function_may_be_defined_in_any_way(code: str, folder: Path, plan: Callable[..., Plan]) -> None:
    (folder / "any_way_of_axes.py").write_text(code)
    plan("trial.target=any_way_of_axes:small_1", "model.kernel_size=3,5")


def test_a_module_in_an_archive_is_left_to_python(
    folder: Path, plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(folder / "nets.zip", "w") as archive:
        archive.writestr("zipped_of_axes.py", "def small(): ...")
    monkeypatch.syspath_prepend(folder / "nets.zip")
    plan("trial.target=zipped_of_axes:small", "model.kernel_size=3,5")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ("trial.target=nest:small", "model.kernel_size=3,5"),
            "The module nest of 'nest:small' was not found",
        ),
        (("model=custom", "model.target=nets:small,nest:small"), "The module nest of 'nest:small'"),
        (("model=custom", "model.target=no.such:small", "training.batch_size=8,9"), "The module no.such of"),
        (("trial.target=small", "model.kernel_size=3,5"), "A target is written package.module:function"),
        (
            ("trial.target=nets:smal", "model.kernel_size=3,5"),
            "nets has no smal, which 'nets:smal' names. Did you mean small?",
        ),
        (
            (*CUSTOM, "model.kwargs.widht=8,16"),
            "model.kwargs.widht is no argument of model.target=nets:small. Did you mean width?",
        ),
        (
            (*CUSTOM, "+model.kwargs.widht=8", "training.batch_size=8,9"),
            "model.kwargs.widht is no argument of model.target=nets:small. Did you mean width?",
        ),
        (
            ("training.callbacks=[nets:small]", "training.batch_size=8,9"),
            "training.callbacks=nets:small is called without arguments: missing a required argument: 'shape'",
        ),
    ],
)
def test_a_misspelt_target_is_refused_before_the_first_trial(
    arguments: tuple[str, ...], named: str, plan: Callable[..., Plan]
) -> None:
    with pytest.raises(ConfigError) as refused:
        plan(*arguments)
    assert str(refused.value).startswith(named)

"""Experiments are an axis: each trial is composed with its experiment, and tagged with its name."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.plan import Plan
from kerasweep.search.sweep import Sweep
from kerasweep.tracking.reader import find_runs
from tests.multirun.test_zip import Run, run, runs, studies

__all__ = ["run"]
SMALL = "defaults: [{override /optimizer: sgd}]\nmodel: {filters: [4], kernel_size: 5}\n"
LARGE = "defaults: [{override /regularizer: l2}]\nmodel: {filters: [4, 8]}\ntracking: {tags: {size: large}}\n"
Write = Callable[[str, str], None]

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def write(folder: Path) -> Write:
    """Returns a function that writes an experiment; `small` and `large` are there."""
    (folder / "mine/experiment").mkdir(parents=True)

    def write(name: str, text: str) -> None:
        (folder / f"mine/experiment/{name}.yaml").write_text(f"# @package _global_\n{text}")

    write("small", SMALL)
    write("large", LARGE)
    return write


@pytest.fixture
def options(folder: Path, write: Write) -> tuple[str, str]:
    """Returns the arguments of a sweep over both experiments."""
    return f"hydra.searchpath=[{folder}/mine]", "experiment=small,large"


def test_each_trial_is_composed_with_its_experiment(run: Run, folder: Path, options: tuple[str, ...]) -> None:
    run(*options)
    small, large = sorted(runs(folder), key=lambda run: run.tags["trial"])
    assert [run.tags["experiment"] for run in (small, large)] == ["small", "large"]
    assert [run.params["model.filters"] for run in (small, large)] == ["[4]", "[4,8]"]
    assert [(run.tags["optimizer"], run.tags["kernel_size"]) for run in (small, large)] == [
        ("sgd", "5"),
        ("adam", "3"),
    ]
    assert [run.tags["regularizer"] for run in (small, large)] == ["none", "l2"]
    assert [run.tags.get("size") for run in (small, large)] == [None, "large"]
    (sweep,) = find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {"kind": "study"})
    assert sweep.tags["axes"] == "experiment"


def test_other_axes_cross_the_experiments(plan: Callable[..., Plan], options: tuple[str, ...]) -> None:
    planned = plan(*options, "model.kernel_size=2,3", "model.dropout=0.2")
    found = [planned.composer.compose(params) for params in planned.space.configurations()]
    assert [(list(cfg.model.filters), cfg.model.kernel_size, cfg.model.dropout) for cfg in found] == [
        ([4], 2, 0.2),
        ([4], 3, 0.2),
        ([4, 8], 2, 0.2),
        ([4, 8], 3, 0.2),
    ]


def test_an_empty_experiment_is_the_configuration_itself(
    plan: Callable[..., Plan], options: tuple[str, ...], write: Write
) -> None:
    write("plain", "")
    planned = plan(options[0], "experiment=plain,large")
    found = [planned.composer.compose(params) for params in planned.space.configurations()]
    assert [list(cfg.model.filters) for cfg in found] == [list(planned.base.model.filters), [4, 8]]


def test_experiments_may_be_zipped(plan: Callable[..., Plan], options: tuple[str, ...]) -> None:
    planned = plan(*options, "study.zip=[[experiment,training.seed]]", "training.seed=1,2")
    assert list(planned.space.configurations()) == [
        {"experiment": "small", "training.seed": 1},
        {"experiment": "large", "training.seed": 2},
    ]


def test_the_same_command_continues(run: Run, folder: Path, options: tuple[str, ...]) -> None:
    run(*options, "study.trials=1")
    run(*options, "sampler=tpe", "study.trials=2")
    assert len(runs(folder)) == 2
    assert len(studies(folder)) == 1


def test_a_changed_experiment_is_named(
    plan: Callable[..., Plan], options: tuple[str, ...], folder: Path, write: Write
) -> None:
    write("deep", "defaults: [{override /optimizer: mine}]\n")

    def opened(place: str, momentum: float) -> Sweep:
        """Returns the sweep, begun; its config files are a copy, since each file is read once a process."""
        copied = folder / place
        shutil.copytree(folder / "mine", copied)
        (copied / "optimizer").mkdir()
        (copied / "optimizer/mine.yaml").write_text(f"defaults: [sgd]\nmomentum: {momentum}\n")
        planned = plan(f"hydra.searchpath=[{copied}]", "experiment=small,deep")
        sweep = planned.open_sweep(fresh=False)
        sweep.study.ask()
        return sweep

    assert opened("a", 0.5).name == opened("b", 0.5).name
    with pytest.raises(ConfigError, match="^The settings of experiment=deep have changed since experiment-"):
        opened("c", 0.9)


def test_an_experiment_may_have_its_own_data(
    plan: Callable[..., Plan], folder: Path, options: tuple[str, ...], write: Write
) -> None:
    images, labels = np.zeros((40, 8, 8), np.uint8), np.arange(40) % 2
    np.savez(folder / "mine.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    write("other", "defaults: [{override /data: npz}]\ndata: {path: mine.npz}\n")
    write("lost", "defaults: [{override /data: npz}]\ndata: {path: lost.npz}\n")
    assert plan(*options).data.is_only
    planned = plan(options[0], "experiment=small,other")
    assert [cfg.source for cfg in planned.data.configs] == ["digits", "npz"]
    ((left_out, reason),) = plan(options[0], "experiment=small,lost").left_out()
    assert left_out == {"experiment": "lost"}
    assert "lost.npz" in reason


def test_a_constraint_sees_the_values_of_the_experiment(
    plan: Callable[..., Plan], options: tuple[str, ...]
) -> None:
    planned = plan(*options, "study.constraints=['regularizer!=l2']".replace("l2", '"l2"'))
    assert [params for params, _ in planned.left_out()] == [{"experiment": "large"}]
    assert not planned.refusals.constraints.notes


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("objective: [{metric: val_loss, direction: minimize}]", "objective"),
        (
            "defaults: [{override /sampler: tpe}, {override /pruner: asha}]\nstudy: {repeats: 2}",
            "study, pruner",
        ),
        ("tracking: {experiment: mine}", "tracking"),
        ("workers: 3", "workers"),
    ],
)
def test_an_experiment_cannot_set_what_trials_share(
    text: str, named: str, plan: Callable[..., Plan], options: tuple[str, ...], write: Write
) -> None:
    write("shared", f"{text}\n")
    with pytest.raises(ConfigError) as raised:
        plan(options[0], "experiment=small,shared", "sampler=grid")
    assert str(raised.value) == (
        f"experiment=shared sets {named}, which all trials of a sweep share, so it cannot be one of several. "
        "Take that out of the experiment, and give it on the command line."
    )


def test_an_experiment_cannot_set_a_tag_of_ours(
    plan: Callable[..., Plan], options: tuple[str, ...], write: Write
) -> None:
    write("large", "tracking: {tags: {kind: wide}}\n")
    with pytest.raises(ConfigError, match="^tracking.tags.kind would replace the tag kind, which kerasweep"):
        plan(*options)


def test_an_unknown_experiment_is_named(plan: Callable[..., Plan], options: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as raised:
        plan(options[0], "experiment=small,smal")
    assert str(raised.value) == (
        "experiment has no option smal. It has accuracy_and_size, cifar10_vgg, large, small."
    )


def test_none_is_no_experiment(plan: Callable[..., Plan], options: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="^experiment has no option null. It has accuracy_and_size, "):
        plan(options[0], "experiment=null,small")

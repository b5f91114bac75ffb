"""Zipped axes go together: in grids, searches, restarts, grown lists and tuned combinations."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig
from optuna.study import Study

from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.conduct import conduct
from kerasweep.multirun.plan import Plan
from kerasweep.multirun.question import Question
from kerasweep.search.journal import open_study
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord

Compose = Callable[[list[str]], DictConfig]
Run = Callable[..., list[str]]
INSTANT = ("trial.target=benchmarks.targets:instant", "hydra/launcher=basic")
ZIP = "study.zip=[[optimizer,optimizer.learning_rate]]"
AXES = ("optimizer=sgd,sgd,adam", "optimizer.learning_rate=0.1,0.01,0.001")
NAME = "zip(optimizer, optimizer.learning_rate)"
PAIRS = [("sgd", 0.1), ("sgd", 0.01), ("adam", 0.001)]

pytestmark = pytest.mark.usefixtures("folder")


def pairs(configurations: Iterator[dict[str, object]]) -> list[tuple[object, object]]:
    return [(params["optimizer"], params["optimizer.learning_rate"]) for params in configurations]


@pytest.fixture
def run(
    folder: Path,
    context: HydraContext,
    compose: Compose,
    copy_database: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Returns a function that runs a sweep and returns the lines that it prints."""
    copy_database(folder)

    def run(*arguments: str) -> list[str]:
        given = [*arguments, *INSTANT]
        capsys.readouterr()
        conduct(context, compose(given), given, {})
        return capsys.readouterr().out.splitlines()

    return run


def studies(folder: Path) -> dict[str, Study]:
    journals = sorted((folder / "mlruns/studies").glob("*.journal"))
    return {path.stem: open_study(path, path.stem, ["maximize"]) for path in journals}


def runs(folder: Path, **tags: str) -> list[RunRecord]:
    return find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {"kind": "trial", **tags})


def pairs_of_runs(folder: Path, **tags: str) -> list[tuple[str, str]]:
    return sorted((run.tags["optimizer"], run.tags["learning_rate"]) for run in runs(folder, **tags))


def test_the_nth_values_go_together(plan: Callable[..., Plan]) -> None:
    assert pairs(plan(ZIP, *AXES).space.configurations()) == PAIRS


def test_a_zip_counts_as_one_axis_beside_others(plan: Callable[..., Plan]) -> None:
    space = plan(ZIP, "model.kernel_size=3,5", *AXES).space
    assert space.max_size == len(list(space.configurations())) == 6
    assert [params["model.kernel_size"] for params in space.configurations()] == [3, 3, 3, 5, 5, 5]


@pytest.mark.parametrize(
    ("filters", "sizes"),
    [
        ("range(3,6)", [3, 4, 5]),
        ("range(5,2,-1)", [5, 4, 3]),
        ("range(3,8,2)", [3, 5, 7]),
    ],
)
def test_a_range_counts_as_its_list(filters: str, sizes: list[int], ask: Callable[..., Question]) -> None:
    question = ask(
        "study.zip=[[model.kernel_size,optimizer.learning_rate]]",
        f"model.kernel_size={filters}",
        "optimizer.learning_rate=0.1,0.2,0.3",
    )
    found = [(p["model.kernel_size"], p["optimizer.learning_rate"]) for p in question.space.configurations()]
    assert found == list(zip(sizes, [0.1, 0.2, 0.3], strict=True))


def test_a_study_file_zips_lists_and_choices(ask: Callable[..., Question]) -> None:
    space = "study.space={optimizer:[sgd,sgd,adam],optimizer.learning_rate:'choice(0.1,0.01,0.001)'}"
    assert pairs(ask(ZIP, space).space.configurations()) == PAIRS


def test_lists_as_choices_may_be_zipped(plan: Callable[..., Plan]) -> None:
    zips = "study.zip=[[model.filters,training.batch_size]]"
    planned = plan(zips, "model.filters=[4],[4,8]", "training.batch_size=8,16")
    composed = [planned.composer.compose(params) for params in planned.space.configurations()]
    assert [(list(cfg.model.filters), cfg.training.batch_size) for cfg in composed] == [
        ([4], 8),
        ([4, 8], 16),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("study.zip=[optimizer,model.kernel_size]", "optimizer=sgd,adam", "model.kernel_size=3,5"),
            "study.zip must list groups of two keys or more, but got ['optimizer', 'model.kernel_size']. "
            "Write it as in study.zip=[[data,data.path]].",
        ),
        (
            ("study.zip=[[optimizer]]", "optimizer=sgd,adam"),
            "study.zip must list groups of two keys or more, but got [['optimizer']]. "
            "Write it as in study.zip=[[data,data.path]].",
        ),
        (
            ("study.zip=3", "optimizer=sgd,adam"),
            "study.zip must list groups of two keys or more, but got 3. "
            "Write it as in study.zip=[[data,data.path]].",
        ),
        (
            ("study.zip=[[optimizer,model],[optimizer,data]]", "optimizer=sgd,adam"),
            "study.zip names optimizer twice, but an axis goes with one group of others. "
            "Name all that go together in one list.",
        ),
        (
            (ZIP, "optimizer=sgd,adam"),
            "study.zip names optimizer.learning_rate, which is no axis of this sweep. "
            "Give it a list of values, or leave it out of study.zip.",
        ),
        (
            (
                "study.zip=[[optimizer,optimizer.learnin_rate]]",
                "optimizer=sgd,adam",
                "optimizer.learning_rate=1,2",
            ),
            "study.zip names optimizer.learnin_rate, which is no axis of this sweep. "
            "Did you mean optimizer.learning_rate?",
        ),
        (
            (ZIP, "optimizer=sgd,adam", "optimizer.learning_rate=0.1,0.01,0.001"),
            "study.zip pairs values by their places, but optimizer has 2 and optimizer.learning_rate has 3. "
            "Give each as many.",
        ),
        (
            (ZIP, "optimizer=sgd,adam", "optimizer.learning_rate=interval(0.1,0.2)"),
            "study.zip needs lists of values, but optimizer.learning_rate is an interval: 0.1 … 0.2. "
            "List its values with choice(...) or range(...).",
        ),
        (
            (ZIP, "optimizer=sgd,adam,sgd", "optimizer.learning_rate=0.1,0.1,0.1"),
            "study.zip gives optimizer and optimizer.learning_rate the values sgd 0.1 twice. "
            "Name each combination once.",
        ),
        (
            (ZIP, "optimizer=sgd,adam", "+study.nuisance={optimizer.learning_rate:[0.1,0.2]}"),
            "study.zip joins optimizer and optimizer.learning_rate, but one is compared and the other tuned "
            "by study.nuisance. Move one of them.",
        ),
        (
            (
                "study.zip=[[optimizer,optimizer.momentum]]",
                "optimizer=sgd,adam",
                "+study.space={optimizer.momentum:{range:[0.5,0.9],when:{optimizer:sgd}}}",
            ),
            "study.zip sets optimizer.momentum together with optimizer, so optimizer.momentum cannot have a "
            "condition on optimizer. Leave the condition out, and list the values that go together.",
        ),
        (
            (
                "study.zip=[[optimizer.momentum,optimizer.learning_rate]]",
                "optimizer=sgd,adam",
                "+study.space={optimizer.momentum:{range:[0.5,0.9],when:{optimizer:sgd}},"
                "optimizer.learning_rate:{range:[0.1,0.2],when:{optimizer:adam}}}",
            ),
            "study.zip joins optimizer.momentum and optimizer.learning_rate, but they apply under different "
            "conditions on optimizer. Give them the same one.",
        ),
        (
            (
                "study.zip=[[training.seed,data.seed]]",
                *(f"{k}.seed=range(0,200000)" for k in ("training", "data")),
            ),
            "study.zip takes at most 100,000 values of an axis, but training.seed has more. Narrow it.",
        ),
    ],
)
def test_a_zip_that_pairs_nothing_is_refused(
    arguments: tuple[str, ...], message: str, ask: Callable[..., Question]
) -> None:
    with pytest.raises(ConfigError) as raised:
        ask(*arguments)
    assert str(raised.value) == message


def test_a_value_is_named_twice_only_where_a_zip_pairs_it(ask: Callable[..., Question]) -> None:
    with pytest.raises(ConfigError, match="model.kernel_size lists 3 twice. Name each value once."):
        ask(ZIP, *AXES, "model.kernel_size=3,3")
    with pytest.raises(ConfigError, match="lists 1 twice"):
        ask("study.zip=[[model.a,model.b]]", "+model.a=true,1", "+model.b=1,2")


def test_a_condition_of_a_member_holds_for_the_whole_zip(plan: Callable[..., Plan]) -> None:
    space = (
        "+study.space={regularizer.strength:{range:[0.1,0.2],when:{regularizer:l2}},model.dropout:[0.3,0.4]}"
    )
    zips = "study.zip=[[regularizer.strength,model.dropout]]"
    found = list(plan(zips, space, "regularizer=none,l2").space.configurations())
    assert found == [
        {"regularizer": "none"},
        {"regularizer": "l2", "regularizer.strength": 0.1, "model.dropout": 0.3},
        {"regularizer": "l2", "regularizer.strength": 0.2, "model.dropout": 0.4},
    ]


def test_a_condition_may_name_a_member(plan: Callable[..., Plan]) -> None:
    space = "+study.space={optimizer.momentum:{range:[0.5,0.9],when:{optimizer:sgd}}}"
    found = list(plan(ZIP, *AXES, space).space.configurations())
    momenta = [
        (params["optimizer.learning_rate"], params.get("optimizer.momentum", "none")) for params in found
    ]
    assert momenta == [(0.1, 0.5), (0.1, 0.9), (0.01, 0.5), (0.01, 0.9), (0.001, "none")]


def test_constraints_leave_out_rows(plan: Callable[..., Plan]) -> None:
    planned = plan(ZIP, *AXES, "study.constraints=['optimizer.learning_rate<0.05']")
    assert planned.total() == 2
    assert [params for params, _ in planned.left_out()] == [
        {"optimizer": "sgd", "optimizer.learning_rate": 0.1}
    ]


def test_the_name_has_the_zip_and_no_order(plan: Callable[..., Plan]) -> None:
    name = plan(ZIP, *AXES).name(False)
    turned = ("optimizer=adam,sgd,sgd", "optimizer.learning_rate=0.001,0.01,0.1")
    assert plan("study.zip=[[optimizer.learning_rate,optimizer]]", *turned).name(False) == name
    paired_otherwise = plan(ZIP, "optimizer=sgd,adam,sgd", AXES[1]).name(False)
    product = plan("optimizer=sgd,adam", AXES[1]).name(False)
    assert len({name, paired_otherwise, product}) == 3
    assert plan("optimizer=sgd,adam", AXES[1], "study.zip=[]").name(False) == product


def test_only_the_data_of_the_pairs_is_read(plan: Callable[..., Plan], folder: Path) -> None:
    for name in ("a.npz", "b.npz"):
        labels = np.arange(40) % 2
        images = np.full((40, 8, 8), len(name), np.uint8)
        np.savez(folder / name, x_train=images, y_train=labels, x_test=images, y_test=labels)
    paths = "data.path=a.npz,b.npz"
    sizes = "data.resize=stretch,crop"
    assert len(plan("data=npz", paths, sizes).data.configs) == 4
    assert len(plan("data=npz", "study.zip=[[data.path,data.resize]]", paths, sizes).data.configs) == 2


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe", "nsga2", "qmc"])
def test_a_draw_sets_the_whole_zip(sampler: str, run: Run, folder: Path) -> None:
    run(ZIP, *AXES, f"sampler={sampler}", "study.trials=3")
    assert pairs_of_runs(folder) == [("adam", "0.001"), ("sgd", "0.01"), ("sgd", "0.1")]
    recorded = [(run.params["optimizer.name"], run.params["optimizer.learning_rate"]) for run in runs(folder)]
    assert sorted(recorded) == pairs_of_runs(folder)
    (study,) = studies(folder).values()
    assert all(list(trial.params) == [NAME] for trial in study.trials)


def test_the_same_command_continues(run: Run, folder: Path) -> None:
    run(ZIP, *AXES, "study.trials=1")
    lines = run(ZIP, *AXES)
    assert "continuing: 1 of 3 trials are there already" in lines
    assert len(studies(folder)) == 1
    assert pairs_of_runs(folder) == [("adam", "0.001"), ("sgd", "0.01"), ("sgd", "0.1")]
    run(ZIP, "optimizer=adam,sgd,sgd", "optimizer.learning_rate=0.001,0.01,0.1", "sampler=tpe")
    assert len(runs(folder)) == 3


def test_a_lost_storage_is_restored_from_the_runs(run: Run, folder: Path) -> None:
    run(ZIP, *AXES)
    for path in (folder / "mlruns/studies").iterdir():
        path.unlink()
    run(ZIP, *AXES)
    assert len(runs(folder)) == 3
    (study,) = studies(folder).values()
    assert [trial.params[NAME] for trial in study.trials] == [
        f'{{"optimizer": "{name}", "optimizer.learning_rate": {rate}}}' for name, rate in PAIRS
    ]


def test_a_grown_zip_adopts_its_trials(run: Run, folder: Path) -> None:
    run(ZIP, "optimizer=sgd,sgd", "optimizer.learning_rate=0.1,0.01")
    lines = run(ZIP, *AXES)
    assert any(line.startswith("note: 2 trials of ") and " are adopted" in line for line in lines)
    grown = max(studies(folder).items(), key=lambda item: len(item[1].trials))[0]
    assert pairs_of_runs(folder, sweep=grown) == [("adam", "0.001"), ("sgd", "0.01"), ("sgd", "0.1")]


def test_a_zip_adopts_nothing_of_the_product(run: Run) -> None:
    run("optimizer=sgd,adam", "optimizer.learning_rate=0.1,0.01")
    lines = run(ZIP, "optimizer=sgd,adam", "optimizer.learning_rate=0.1,0.01")
    assert not any("adopted" in line for line in lines)


def test_the_start_lists_the_rows(run: Run) -> None:
    assert f"  {NAME}: sgd 0.1, sgd 0.01, adam 0.001" in run(ZIP, *AXES)


def test_first_trials_may_name_a_part_of_a_row(run: Run, folder: Path) -> None:
    run(ZIP, *AXES, "sampler=tpe", "study.trials=1", "study.start_with=[{optimizer:adam}]")
    assert pairs_of_runs(folder) == [("adam", "0.001")]


@pytest.mark.parametrize(
    ("entry", "count", "named"),
    [
        ("{optimizer:sgd}", 2, "optimizer=sgd"),
        (
            "{optimizer:adam,optimizer.learning_rate:0.1}",
            0,
            "optimizer=adam optimizer.learning_rate=0.1",
        ),
    ],
)
def test_a_first_trial_that_names_no_row_is_refused(entry: str, count: int, named: str, run: Run) -> None:
    with pytest.raises(ConfigError) as raised:
        run(ZIP, *AXES, f"study.start_with=[{entry}]")
    assert str(raised.value) == (
        f"Entry 1 of study.start_with must name one combination of {NAME}, but {count} have {named}. "
        "They are sgd 0.1, sgd 0.01, adam 0.001."
    )


def test_combinations_of_a_zip_are_tuned(run: Run, folder: Path) -> None:
    nuisance = "+study.nuisance={model.dropout:'interval(0.1,0.4)'}"
    run(ZIP, *AXES, nuisance, "study.nuisance_trials=5", "study.repeats=2", "study.tuning=once")
    tuning, compared = sorted(studies(folder).items(), key=lambda item: -len(item[1].trials))
    assert "-tuning-" in tuning[0]
    assert len(tuning[1].trials) == 15
    assert pairs_of_runs(folder, sweep=compared[0]) == [("adam", "0.001"), ("sgd", "0.01"), ("sgd", "0.1")]


def test_a_zip_of_nuisance_axes_is_tuned_together(run: Run, folder: Path) -> None:
    nuisance = "+study.nuisance={optimizer:[sgd,sgd,adam],optimizer.learning_rate:[0.1,0.01,0.001]}"
    run(ZIP, "model.kernel_size=3,5", nuisance, "sampler=grid", "study.repeats=2", "study.tuning=once")
    tuning = max(studies(folder).values(), key=lambda study: len(study.trials))
    assert len(tuning.trials) == 6
    found = {trial.params[NAME] for trial in tuning.trials}
    assert len(found) == 3


def test_the_sweep_names_the_axes_that_go_together(run: Run, folder: Path) -> None:
    run(ZIP, *AXES)
    database = TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")
    (sweep,) = find_runs(database, {"kind": "study"})
    assert sweep.tags["zip"] == "optimizer,learning_rate"

"""A small sweep is trained, recorded in MLflow, and continued by the same command."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.types import HydraContext
from mlflow import MlflowClient
from mlflow.entities import Run
from omegaconf import DictConfig

from kerasweep.errors import ConfigError
from kerasweep.multirun.conduct import conduct

Compose = Callable[[list[str]], DictConfig]
INSTANT = ["trial.target=benchmarks.targets:instant", "hydra/launcher=basic"]


pytestmark = pytest.mark.usefixtures("folder")


def runs_in(folder: Path) -> list[Run]:
    """Returns all runs that MLflow has."""
    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("kerasweep")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_sweep_is_recorded_and_continued(
    folder: Path,
    context: HydraContext,
    compose: Compose,
    copy_database: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy_database(folder)

    def run(*arguments: str) -> float | None:
        given = [*arguments, *INSTANT, "sampler=random", "optimizer.learning_rate=0.001,0.01,0.1"]
        return conduct(context, compose(given), given, {})

    first = run("study.trials=1")
    assert first is not None and 0 <= first <= 1
    best = run("study.trials=2")
    assert best is not None and best >= first
    assert run("study.trials=2") == best
    printed = capsys.readouterr().out
    assert printed.count("finished: all 2 trials are done") == 2
    assert "continuing: 1 of 2 trials are there already" in printed

    runs = runs_in(folder)
    (parent,) = [run for run in runs if run.data.tags["kind"] == "study"]
    trials = [run for run in runs if run.data.tags["kind"] == "trial"]
    assert {run.data.tags["trial"] for run in trials} == {"0", "1"}
    assert len({run.data.tags["learning_rate"] for run in trials}) == 2
    assert best == max(run.data.metrics["val_accuracy"] for run in trials)
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(list((folder / "mlruns/studies").glob("*.journal"))) == 1


def test_a_tuning_ends_where_a_constraint_refuses_some_of_its_values(
    folder: Path,
    context: HydraContext,
    compose: Compose,
    copy_database: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy_database(folder)
    given = [
        *("model.kernel_size=3,5", "study.repeats=2", *INSTANT),
        "study.nuisance={optimizer.learning_rate:'choice(0.001,0.01,0.1)'}",
        "study.constraints=['model.kernel_size * optimizer.learning_rate < 0.4']",
    ]
    assert conduct(context, compose(given), given, {}) is not None
    printed = capsys.readouterr().out
    assert "tuned: all 10 trials are done" in printed
    assert "finished: all 2 trials are done" in printed
    runs = runs_in(folder)
    assert {run.info.status for run in runs} == {"FINISHED"}
    repeats = [run for run in runs if run.data.tags["kind"] == "repeat"]
    assert len(repeats) == 4
    for trial in (run for run in runs if run.data.tags["kind"] == "trial"):
        rates = [
            run.data.tags["learning_rate"]
            for repeat in "01"
            for run in repeats
            if (run.data.tags["trial"], run.data.tags["repeat"]) == (trial.data.tags["trial"], repeat)
        ]
        is_same = len(set(rates)) == 1
        assert trial.data.tags["learning_rate"] == (rates[0] if is_same else ",".join(rates))
        assert ("optimizer.learning_rate" in trial.data.params) == is_same


def test_a_study_that_cannot_be_tuned_is_a_failure(
    folder: Path,
    context: HydraContext,
    compose: Compose,
    copy_database: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some tunings of each combination have no complete trial: the command ends with exit code 1."""
    copy_database(folder)
    (folder / "unlucky.py").write_text(
        "from kerasweep import Outcome\n\n\n"
        "def train(cfg, ref, recorder, report, folder):\n"
        "    if cfg.training.seed % 2:\n"
        "        return Outcome('failed', ref.run_id, reason='unlucky')\n"
        "    return Outcome('complete', ref.run_id, (0.5,))\n"
    )
    monkeypatch.syspath_prepend(folder)
    nuisance = "study.nuisance={optimizer.learning_rate:'choice(0.001,0.01)'}"
    target = ("trial.target=unlucky:train", "hydra/launcher=basic")
    given = ["model.kernel_size=3,5", "study.repeats=2", nuisance, *target]
    assert conduct(context, compose(given), given, {}) is None
    assert "nothing can be compared: no combination has a complete trial in" in capsys.readouterr().out


def test_a_budget_that_a_tuning_used_up_is_no_failure(
    folder: Path,
    context: HydraContext,
    compose: Compose,
    copy_database: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy_database(folder)

    def run(*arguments: str) -> float | None:
        nuisance = "study.nuisance={optimizer.learning_rate:'choice(0.001,0.01)'}"
        given = ["model.kernel_size=3,5", nuisance, *INSTANT, *arguments]
        return conduct(context, compose(given), given, {})

    assert run("study.repeats=2", "budget.hours=1e-9") is None  # no trial began
    capsys.readouterr()
    best = run("study.repeats=2")
    assert best is not None
    assert "finished: all 2 trials are done" in capsys.readouterr().out
    assert run("study.repeats=2", "budget.hours=1e-9") == best
    assert "finished: all 2 trials are done" in capsys.readouterr().out
    # Three repeats are another comparison, and of once tuned values this is the same tuning.
    assert run("study.repeats=2", "study.tuning=once") is not None
    assert "note: each combination was tuned once" in capsys.readouterr().out
    tuned = run("study.repeats=3", "study.tuning=once", "budget.hours=1e-9")
    tunings = [run for run in runs_in(folder) if run.data.tags["kind"] == "tuning"]
    once = [run for run in tunings if run.data.tags["sweep"] == tunings[0].data.tags["sweep"]]
    assert tuned in {max(run.data.metrics["objective"] for run in runs) for runs in (tunings, once)}
    assert "the combinations are not compared" in capsys.readouterr().out
    # The next comparison has its own budget's rest, and says the whole.
    assert run("study.repeats=3", "study.tuning=once", "budget.hours=2") is not None
    parents = {run.data.tags["sweep"]: run for run in runs_in(folder) if run.data.tags["kind"] == "study"}
    assert any("hours=2" in value for run in parents.values() for value in run.data.tags.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sampler=grid", "model.dropout=interval(0.0,0.5)"], "sampler=grid needs finite axes"),
        (
            ["model.kernel_size=0,-1"],
            "No configuration of this space can be trained. The first one: model.ker",
        ),
        (["data.seed=0,1", "tracking.experiment=a,b"], "tracking.experiment cannot be swept"),
        (["data.seed=0,1", "data.ship=true"], "data.ship=true sends the data to the nodes of a Ray cluster."),
    ],
)
def test_refused_sweep_leaves_nothing_behind(
    arguments: list[str], message: str, folder: Path, context: HydraContext, compose: Compose
) -> None:
    with pytest.raises(ConfigError) as refused:
        conduct(context, compose(arguments), arguments, {})
    assert str(refused.value).startswith(message)
    assert list(folder.iterdir()) == []

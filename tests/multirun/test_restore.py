"""Trials that the storage has lost are restored from their runs, and none is trained twice."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.types import HydraContext
from omegaconf import DictConfig

from kerasweep.config.search import TrackingConf
from kerasweep.errors import ConfigError
from kerasweep.multirun.conduct import conduct
from kerasweep.search.journal import open_study
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.writer import open_tracker

Compose = Callable[[list[str]], DictConfig]
Run = Callable[..., float | None]
INSTANT = ("trial.target=benchmarks.targets:instant", "hydra/launcher=basic")
RATES = "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))"
GRID = ("model.kernel_size=3,5", "model.filters=[4],[4,8]", "data.limit=null,100", *INSTANT)

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def run(folder: Path, context: HydraContext, compose: Compose, copy_database: Callable[[Path], Path]) -> Run:
    copy_database(folder)

    def run(*arguments: str) -> float | None:
        return conduct(context, compose(list(arguments)), list(arguments), {})

    return run


def journal_of(folder: Path) -> Path:
    (journal,) = (folder / "mlruns/studies").glob("*.journal")
    return journal


def trials(folder: Path) -> list[tuple[Any, ...]]:
    journal = journal_of(folder)
    found = open_study(journal, journal.stem, ["maximize"]).trials
    return [(trial.number, trial.state.name, trial.params, trial.values) for trial in found]


def runs(folder: Path) -> list[tuple[str | None, ...]]:
    found = find_runs(TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db"), {})
    return sorted((run.run_id, run.status, run.tags.get("trial")) for run in found)


@pytest.mark.parametrize(
    "arguments",
    [
        GRID,
        (
            "sampler=random",
            "study.trials=4",
            "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))",
            *INSTANT,
        ),
        ("regularizer=none,l2", "training.batch_size=range(8,11)", "study.repeats=2", *INSTANT),
    ],
    ids=["grid", "interval", "repeats"],
)
def test_a_deleted_journal_is_restored(
    arguments: tuple[str, ...], run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = run(*arguments)
    before = trials(folder), runs(folder)
    journal_of(folder).unlink()
    capsys.readouterr()
    assert run(*arguments) == best
    assert (trials(folder), runs(folder)) == before
    assert f"{len(before[0])} are taken from their runs in MLflow" in capsys.readouterr().out


def test_an_older_journal_gets_the_later_trials(run: Run, folder: Path) -> None:
    run("study.trials=3", *GRID)
    shutil.copy(journal_of(folder), folder / "older")
    run("study.trials=6", *GRID)
    before = trials(folder), runs(folder)
    shutil.copy(folder / "older", journal_of(folder))
    run("study.trials=6", *GRID)
    assert (trials(folder), runs(folder)) == before
    run(*GRID)
    assert len(trials(folder)) == len({str(params) for _, _, params, _ in trials(folder)}) == 8


def test_trials_that_runs_do_not_tell_begin_the_next_generation(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With two objectives, a run does not keep the value of the second."""
    two = "objective=[{metric:val_accuracy,direction:maximize},{metric:parameters,direction:minimize}]"
    arguments = (two, "sampler=nsga2", *GRID)
    run("study.trials=2", *arguments)
    journal = journal_of(folder)
    shutil.copy(journal, folder / "older")
    run("study.trials=3", *arguments)
    shutil.copy(folder / "older", journal)
    with pytest.raises(ConfigError, match="has trials of .* that its storage lacks: it is older. Restore it"):
        run("study.trials=3", *arguments)
    journal.unlink()
    capsys.readouterr()
    run("study.trials=2", *arguments)
    assert f"without stored trials; these stay, and {journal.stem}-2 begins" in capsys.readouterr().out


def test_fresh_restores_nothing(run: Run, folder: Path) -> None:
    run("study.trials=2", *GRID)
    journal = journal_of(folder)
    journal.unlink()
    run("study.trials=1", "study.fresh=true", *GRID)
    assert (folder / f"mlruns/studies/{journal.stem}-2.journal").exists()


def test_trials_with_other_inputs_are_not_restored(run: Run, folder: Path) -> None:
    """They were trained with other data, code or settings, or by an older version, which kept no digest."""
    run("study.trials=2", *GRID)
    journal = journal_of(folder)
    journal.unlink()
    tracking = TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")
    (parent,) = find_runs(tracking, {"kind": "study"})
    open_tracker(tracking).set_tags(parent.run_id, {"inputs": "other"})
    run("study.trials=1", *GRID)
    assert (folder / f"mlruns/studies/{journal.stem}-2.journal").exists()


def test_a_trial_that_ended_after_the_copy_is_not_trained_again(run: Run, folder: Path) -> None:
    """The copy has it as a trial that runs."""
    run(*GRID)
    journal = journal_of(folder)
    lines = journal.read_text().splitlines(keepends=True)
    results = [number for number, line in enumerate(lines) if '"result"' in line]
    kept = "".join(lines[: results[-1]])
    journal.write_text(kept.replace(f'"pid":{os.getpid()}', '"pid":1'))  # its driver has died
    before = runs(folder)
    (trial,) = [each for each in trials(folder) if each[1] == "RUNNING"]
    run(*GRID)
    assert runs(folder) == before
    assert all(state == "COMPLETE" for _, state, _, _ in trials(folder)) and len(trials(folder)) == 8


def test_complete_repeats_of_an_interrupted_trial_are_kept(run: Run, folder: Path) -> None:
    """Its driver died in its second repeat, and then the journal was lost."""
    arguments = ("training.batch_size=8,9", "study.repeats=2", *INSTANT)
    run(*arguments)
    tracking = TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")
    (own,) = find_runs(tracking, {"kind": "trial", "trial": "1"})
    repeats = {found.tags["repeat"]: found for found in find_runs(tracking, {"kind": "repeat", "trial": "1"})}
    for interrupted in (own, repeats["1"]):
        open_tracker(tracking).set_tags(interrupted.run_id, {"state": "cancelled"})
    journal_of(folder).unlink()
    run(*arguments)
    assert [state for _, state, _, _ in trials(folder)] == ["COMPLETE", "FAIL", "COMPLETE"]
    again = find_runs(tracking, {"kind": "repeat", "trial": "2"})
    assert {found.tags["repeat"] for found in again} == {"0", "1"}
    assert repeats["0"].run_id in {found.run_id for found in again}


def test_a_trial_with_a_repeat_that_failed_is_restored(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    (folder / "unlucky_repeat.py").write_text(
        "from benchmarks.targets import instant\n\n\n"
        "def train(cfg, *others):\n"
        "    if (cfg.training.batch_size, cfg.training.seed) == (9, 1):\n"
        "        raise ValueError('unlucky')\n"
        "    return instant(cfg, *others)\n"
    )
    target = ("trial.target=unlucky_repeat:train", "hydra/launcher=basic")
    arguments = ("training.batch_size=8,9", "study.repeats=2", *target)
    run(*arguments)
    before = trials(folder), runs(folder)
    assert [state for _, state, _, _ in before[0]] == ["COMPLETE", "FAIL"]
    journal_of(folder).unlink()
    run(*arguments)
    assert (trials(folder), runs(folder)) == before

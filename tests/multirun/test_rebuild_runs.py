"""Runs that MLflow has lost are recorded again from the storage; nothing is trained or recorded twice."""

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.types import HydraContext
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from omegaconf import DictConfig

from benchmarks.targets import Report, instant
from kerasweep.config.search import TrackingConf
from kerasweep.multirun.conduct import conduct
from kerasweep.results import Outcome, TrialRef
from kerasweep.search.journal import open_study
from kerasweep.search.ledger import REPEAT, RESULT
from kerasweep.sweep import recording
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.recorder import Recorder
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.writer import open_tracker

Compose = Callable[[list[str]], DictConfig]
Run = Callable[..., float | None]
INSTANT = ("trial.target=benchmarks.targets:instant", "hydra/launcher=basic")
GRID = ("model.kernel_size=3,5", *INSTANT)
TAGGED = ("trial.target=tests.multirun.test_rebuild_runs:tagged", "hydra/launcher=basic")
REPEATS = ("regularizer=none,l2", "study.repeats=2", *TAGGED)
TUNED = (
    *("training.batch_size=8,9", "study.repeats=2", "sampler=random", "study.nuisance_trials=2"),
    "study.nuisance={optimizer.learning_rate:'tag(log,interval(0.001,0.1))'}",
    *INSTANT,
)
NOTE = "since its database is new or older: they are recorded again from the storage, without the metrics of"

pytestmark = pytest.mark.usefixtures("folder")


def tagged(cfg: DictConfig, ref: TrialRef, recorder: Recorder, report: Report, folder: Path) -> Outcome:
    """Tags its run, as a training does with the split."""
    tags = {"split": f"of seed {cfg.data.seed}"}
    recorder.set_tags(ref.run_id, tags)
    return replace(instant(cfg, ref, recorder, report, folder), tags=tags)


@pytest.fixture
def run(folder: Path, context: HydraContext, compose: Compose, copy_database: Callable[[Path], Path]) -> Run:
    copy_database(folder)

    def run(*arguments: str) -> float | None:
        forget_connections()
        return conduct(context, compose(list(arguments)), list(arguments), {})

    return run


def forget_connections() -> None:
    """Closes MLflow's connections, as the end of a command does: they would keep a file that is gone."""
    for engine in SqlAlchemyStore._engine_map.values():
        engine.dispose()


def database_of(folder: Path) -> Path:
    return folder / "mlruns/mlflow.db"


def tracking_of(folder: Path) -> TrackingConf:
    return TrackingConf(uri=f"sqlite:///{database_of(folder)}")


def runs(folder: Path) -> list[RunRecord]:
    return find_runs(tracking_of(folder), {})


def ids(folder: Path) -> set[str]:
    return {found.run_id for found in runs(folder)}


def content(folder: Path) -> list[tuple[Any, ...]]:
    """Returns what must come back of each run: name, parent, status, params, tags, objective, seeds."""
    found = runs(folder)
    names = {each.run_id: each.name for each in found}
    lost = ("mlflow.parentRunId", "mlflow.note.content", "command")
    return sorted(
        (
            each.name,
            names.get(each.tags.get("mlflow.parentRunId", ""), ""),
            each.status,
            sorted(each.params.items()),
            sorted((key, value) for key, value in each.tags.items() if key not in lost),
            each.metrics.get("objective"),
            each.metrics.get("seeds"),
        )
        for each in found
    )


def trials(folder: Path) -> list[tuple[Any, ...]]:
    found = []
    for journal in sorted((folder / "mlruns/studies").glob("*.journal")):
        for trial in open_study(journal, journal.stem, ["maximize"]).trials:
            found.append((journal.stem, trial.number, trial.state.name, trial.params, trial.values))
    return found


def damage(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database_of(folder))) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def delete(folder: Path) -> None:
    database_of(folder).unlink()


def empty(folder: Path) -> None:
    database_of(folder).write_bytes(b"")


@pytest.mark.parametrize(
    ("arguments", "lose", "sweeps"),
    [(REPEATS, empty, 1), (TUNED, delete, 2)],
    ids=["repeats", "tuned"],
)
def test_runs_of_a_lost_database_are_recorded_again(
    arguments: tuple[str, ...],
    lose: Callable[[Path], None],
    sweeps: int,
    run: Run,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    best = run(*arguments)
    before, whole = trials(folder), content(folder)
    lose(folder)
    capsys.readouterr()
    assert run(*arguments) == best
    said = capsys.readouterr().out
    assert (trials(folder), content(folder)) == (before, whole)
    assert said.count(NOTE) == sweeps and said.count("note: MLflow lacks") == sweeps
    again = ids(folder)
    assert run(*arguments) == best and ids(folder) == again
    assert NOTE not in capsys.readouterr().out


def test_an_older_database_gets_the_results_that_came_later(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("study.trials=1", *REPEATS)
    shutil.copy(database_of(folder), folder / "older.db")
    older = ids(folder)
    run(*REPEATS)
    before, whole = trials(folder), content(folder)
    shutil.copy(folder / "older.db", database_of(folder))
    capsys.readouterr()
    run(*REPEATS)
    assert (trials(folder), content(folder)) == (before, whole)
    assert older < ids(folder)
    assert "MLflow lacks results of 1 trial of" in capsys.readouterr().out


def test_a_run_that_was_open_when_the_database_was_copied_gets_its_result(run: Run, folder: Path) -> None:
    run(*GRID)
    whole = content(folder)
    before = ids(folder)
    last = "(SELECT run_uuid FROM tags WHERE key = 'trial' AND value = '1')"
    damage(
        folder,
        f"UPDATE runs SET status = 'RUNNING', end_time = NULL WHERE run_uuid IN {last}",
        *(f"DELETE FROM {table} WHERE run_uuid IN {last}" for table in ("latest_metrics", "metrics")),
        f"DELETE FROM tags WHERE key = 'state' AND run_uuid IN {last}",
    )
    run(*GRID)
    assert (content(folder), ids(folder)) == (whole, before)


@pytest.mark.parametrize("tables", [("tags",), ("params", "metrics", "latest_metrics")])
def test_results_come_back_if_a_table_was_emptied(tables: tuple[str, ...], run: Run, folder: Path) -> None:
    run(*GRID)
    whole = content(folder)
    damage(folder, *(f"DELETE FROM {table}" for table in tables))
    run(*GRID)
    found = [each for each in content(folder) if dict(each[4]).get("sweep")]
    assert [each[2:] for each in found if each[1]] == [each[2:] for each in whole if each[1]]
    assert Counter(each[0] for each in found) == Counter(each[0] for each in whole)
    assert {each.status for each in runs(folder)} == {"FINISHED"}


def test_rebuilding_goes_on_after_a_kill(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*REPEATS)
    whole = content(folder)
    delete(folder)
    closed: list[str] = []

    def kill(record: Any, *arguments: Any) -> None:
        closed.append("run")
        if len(closed) == 3:
            raise KeyboardInterrupt
        close(record, *arguments)

    close = recording.SweepRecord._close
    with monkeypatch.context() as patch:
        patch.setattr(recording.SweepRecord, "_close", kill)
        with pytest.raises(KeyboardInterrupt):
            run(*REPEATS)
    assert "RUNNING" in {each.status for each in runs(folder)}
    run(*REPEATS)
    assert content(folder) == whole


def test_runs_that_the_user_deleted_stay_deleted(run: Run, folder: Path) -> None:
    run(*REPEATS)
    client = open_tracker(tracking_of(folder)).client
    (repeat,) = find_runs(tracking_of(folder), {"trial": "1", "repeat": "1"})
    deleted = [repeat, *find_runs(tracking_of(folder), {"trial": "0"})]
    for each in deleted:
        client.delete_run(each.run_id)
    left = ids(folder)
    damage(folder, "DELETE FROM latest_metrics WHERE key = 'objective'")
    run(*REPEATS)
    assert ids(folder) == left and len(deleted) == 4


def test_failed_trials_come_back(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    (folder / "unlucky_trial.py").write_text(
        "from benchmarks.targets import instant\n\n\n"
        "def train(cfg, *others):\n"
        "    if cfg.training.batch_size == 9:\n"
        "        raise ValueError('unlucky')\n"
        "    return instant(cfg, *others)\n"
    )
    target = ("trial.target=unlucky_trial:train", "hydra/launcher=basic")
    run("training.batch_size=8,9", *target)
    whole = content(folder)
    delete(folder)
    run("training.batch_size=8,9", *target)
    assert content(folder) == whole
    assert Counter(each.status for each in runs(folder)) == {"FINISHED": 2, "FAILED": 1}


def test_a_repeat_of_an_interrupted_trial_comes_back_below_the_next_attempt(run: Run, folder: Path) -> None:
    """Its driver died in the second repeat, and then the database was lost."""
    run(*REPEATS)
    (journal,) = (folder / "mlruns/studies").glob("*.journal")
    lines = journal.read_text().splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if f'"{REPEAT}:1"' in line or f'"{RESULT}"' in line]
    journal.write_text("".join(lines[: ends[-2]]).replace(f'"pid":{os.getpid()}', '"pid":1'))
    delete(folder)
    run(*REPEATS)
    states = Counter((each.tags["kind"], each.status) for each in runs(folder))
    assert states == {("study", "FINISHED"): 1, ("trial", "FINISHED"): 2, ("repeat", "FINISHED"): 4}
    parents = Counter(
        each.tags["mlflow.parentRunId"] for each in find_runs(tracking_of(folder), {"kind": "repeat"})
    )
    assert set(parents.values()) == {2}

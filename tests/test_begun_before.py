"""A sweep that version 0.1 started, whose modules were named `src`, continues with today's code.

The sweep has four trials of two seeds each and was killed during the third trial. `begun_before.zip` holds
its journal, the rows written to MLflow, and the weights of the trials that may win. /FOLDER stands for the
working directory.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from zipfile import ZipFile

import pytest

from kerasweep.search.journal import open_study
from tests.processes import run

SWEEP = "begun_before-71b7a3ef"
COMMAND = (
    *("-m", "model.kernel_size=3,5", "training.batch_size=32,64", "model.filters=[4]", "training.epochs=4"),
    *(
        "training.checkpoint.enabled=true",
        "study.repeats=2",
        "study.name=begun_before",
        "workers=1",
        "data.limit=400",
    ),
)


@pytest.fixture
def folder(tmp_path: Path, copy_database: Callable[[Path], Path]) -> Path:
    """Returns a working directory in the state that the kill left."""
    database = copy_database(tmp_path)
    with ZipFile(Path(__file__).with_name("begun_before.zip")) as archive:
        archive.extractall(tmp_path)
    for file in (tmp_path / "rows.sql", tmp_path / "mlruns" / "studies" / f"{SWEEP}.journal"):
        file.write_text(file.read_text().replace("/FOLDER", str(tmp_path)))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript((tmp_path / "rows.sql").read_text())
    return tmp_path


def ended_runs(database: Path) -> dict[str, int]:
    """Returns the end time of each run that has ended, by its id."""
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT run_uuid, end_time FROM runs WHERE end_time IS NOT NULL"))


def trained(journal: Path) -> list[tuple[int, str]]:
    """Returns the trial and the seed of each finished training."""
    study = open_study(journal, SWEEP, ["maximize"])
    return [
        (trial.number, key)
        for trial in study.get_trials(deepcopy=False)
        for key in sorted(trial.user_attrs)
        if key.startswith("seed:")
    ]


def test_a_sweep_of_an_older_version_continues(folder: Path) -> None:
    database, journal = folder / "mlruns" / "mlflow.db", folder / "mlruns" / "studies" / f"{SWEEP}.journal"
    before = ended_runs(database)
    done = run(folder, "train", *COMMAND)
    assert done.code == 0, done.stderr
    assert f"sweep {SWEEP}" in done.stdout
    assert "4 complete" in done.stdout
    assert "the winner, run" in done.stdout
    # Trial 2 died and was retried as trial 3; the grid's last configuration is trial 4.
    assert trained(journal) == [(trial, f"seed:{repeat}") for trial in (0, 1, 3, 4) for repeat in (0, 1)]
    after = ended_runs(database)
    assert {run_id: after[run_id] for run_id in before} == before
    with closing(sqlite3.connect(database)) as connection:
        states = connection.execute(
            "SELECT t.value, count(*) FROM tags t JOIN tags k ON t.run_uuid = k.run_uuid"
            " WHERE t.key = 'state' AND k.key = 'kind' AND k.value = 'trial' GROUP BY t.value"
        ).fetchall()
    assert dict(states) == {"complete": 4, "cancelled": 1}

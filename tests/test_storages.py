"""A sweep whose study is in a database continues, begins anew, is checked, compared and shared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import FrozenTrial
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from kerasweep.config.search import TrackingConf
from kerasweep.data import prepare
from kerasweep.search.database import Database
from kerasweep.search.ledger import counts
from kerasweep.tracking.reader import find_runs
from tests import postgres
from tests.processes import Command, Done, call, environment

SWEEP = (
    *("-m", "model.kernel_size=3,5", "optimizer.learning_rate=tag(log,interval(0.001,0.1))"),
    *("data=npz", "data.path=images.npz", "study.name=stored", "sampler=random", "storage=rdb"),
    *("trial.target=benchmarks.targets:instant", "hydra/launcher=basic"),
)


def write_images(folder: Path, level: int) -> None:
    """As a new process, this one has read none then."""
    prepare.forget_data()
    images, labels = np.full((30, 8, 8), level, np.uint8), np.arange(30) % 3
    np.savez(folder / "images.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)


def trials(database: Database, sweep: str) -> list[FrozenTrial]:
    """Returns the trials of a sweep that count towards its total."""
    return [trial for trial in database.open(sweep, ["maximize"]).trials if counts(trial)]


def trained(folder: Path, sweep: str) -> list[tuple[str, str]]:
    """Returns the configurations of a sweep's complete runs."""
    tracking = TrackingConf(uri=f"sqlite:///{folder}/mlruns/mlflow.db")
    found = find_runs(tracking, {"kind": "trial", "sweep": sweep, "state": "complete"})
    return [(run.tags["kernel_size"], run.tags["learning_rate"]) for run in found]


@dataclass(frozen=True)
class Swept:
    """The same command in one folder, and how each start ended."""

    folder: Path
    database: Database
    first: Done  # a total of ten trials
    more: Done  # a total of eleven
    changed: Done  # with other images
    fresh: Done  # with these, a total of one
    comparison: Done


@pytest.fixture(scope="module")
def swept(
    postgresql: postgres.Server,
    tmp_path_factory: pytest.TempPathFactory,
    copy_database: Callable[[Path], Path],
) -> Iterator[Swept]:
    folder = tmp_path_factory.mktemp("stored")
    copy_database(folder)
    url = postgresql.create()
    command = (*SWEEP, f"storage.url={url}")
    write_images(folder, 0)
    first = call(folder, "train", *command, "study.trials=10")
    more = call(folder, "train", *command, "study.trials=11")
    write_images(folder, 7)
    changed = call(folder, "train", *command, "study.trials=11")
    fresh = call(folder, "train", *command, "study.trials=1", "study.fresh=true")
    comparison = call(folder, "compare", "study=stored")
    yield Swept(folder, Database(url, folder), first, more, changed, fresh, comparison)
    postgres.close_connections()


def test_a_sweep_continues_to_its_total(swept: Swept) -> None:
    assert "finished: all 10 trials are done" in swept.first.stdout, swept.first
    assert "continuing: 10 of 11 trials are there already" in swept.more.stdout, swept.more
    name = min(swept.database.names())
    assert [trial.state.name for trial in trials(swept.database, name)] == ["COMPLETE"] * 11
    assert len(set(trained(swept.folder, name))) == 11


def test_the_importance_of_axes_is_printed(swept: Swept) -> None:
    assert "parameter importance (PED-ANOVA: how the best 5 differ from all 10" in swept.first.stdout


def test_changed_data_are_refused(swept: Swept) -> None:
    name = min(swept.database.names())
    assert swept.changed.code == 2
    assert swept.changed.stderr.startswith(f"error: The data of {name} has changed since it began")


def test_fresh_begins_the_next_generation(swept: Swept) -> None:
    assert swept.fresh.code == 0, swept.fresh
    first, second = sorted(swept.database.names())
    assert second == f"{first}-2"
    assert len(trials(swept.database, second)) == len(trained(swept.folder, second)) == 1


def test_a_study_is_compared(swept: Swept) -> None:
    assert swept.comparison.code == 0, swept.comparison
    assert all(axis in swept.comparison.stdout for axis in ("kernel_size", "learning_rate"))


def test_sqlite_keeps_a_sweep_too(tmp_path: Path, copy_database: Callable[[Path], Path]) -> None:
    copy_database(tmp_path)
    write_images(tmp_path, 0)
    command = (*SWEEP, "storage.url=sqlite:///studies.db")
    for total in (2, 3):
        done = call(tmp_path, "train", *command, f"study.trials={total}")
        assert f"finished: all {total} trials are done" in done.stdout, done
    assert "continuing: 2 of 3 trials are there already" in done.stdout
    database = Database(f"sqlite:///{tmp_path}/studies.db", tmp_path)
    (name,) = database.names()
    assert len(trials(database, name)) == len(set(trained(tmp_path, name))) == 3
    assert not list((tmp_path / "mlruns").glob("studies/*.journal"))
    postgres.close_connections()


# python -c DRIVER URL FOLDER TOTAL: asks for trials of a database and ends them, once the file `go` is there.
DRIVER = """
import sys, time
from pathlib import Path
from kerasweep.results import Outcome
from kerasweep.search.ask import ask
from kerasweep.search.database import Database
from kerasweep.search.database import Database
from kerasweep.search.ledger import settle
from kerasweep.search.stops import Ending
from kerasweep.search.suggest import Proposal
from tests.searches import make_numbers, make_sweep

url, folder, total = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
sweep = make_sweep(Database(url, folder), make_numbers({"a": "range(100)"}), total, sampler="grid")
print("open", flush=True)
while not (folder / "go").exists():
    time.sleep(0.01)
ended = 0
while not isinstance(answer := ask(sweep, (), 0.0), Ending):
    if isinstance(answer, Proposal):
        settle(sweep.study, answer.trial, Outcome("complete", str(answer.trial.number), (1.0,)))
        ended += 1
    else:  # the last trials of others are under way
        time.sleep(0.05)
print(ended)
"""


def test_eight_drivers_of_a_database_keep_to_the_total(postgresql: postgres.Server, tmp_path: Path) -> None:
    url, total = postgresql.create(), 24
    arguments = ["-c", DRIVER, url, str(tmp_path), str(total)]
    drivers = [Command(tmp_path, arguments, environment()) for _ in range(8)]
    assert [driver.stdout.readline() for driver in drivers] == ["open\n"] * 8
    count = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        assert connection.execute(count).scalar() == 8 + 1  # and this one
    (tmp_path / "go").touch()
    ended = [driver.communicate(timeout=120) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0] * 8, ended
    assert sum(int(stdout) for stdout, _ in ended) == total
    kept = trials(Database(url, tmp_path), "s-0")
    postgres.close_connections()
    assert sorted(trial.params["a"] for trial in kept) == list(range(total))
    assert {trial.state.name for trial in kept} == {"COMPLETE"}

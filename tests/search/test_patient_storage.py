"""Each call of a database may lose its connection, or the answer: a sweep goes on, and repeats nothing."""

import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.exceptions import UpdateFinishedTrialError
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from kerasweep.errors import StorageError
from kerasweep.results import Outcome
from kerasweep.search import owner, patient_storage
from kerasweep.search.database import Database
from kerasweep.search.ledger import counts, settle
from kerasweep.search.owner import OWNER, leased, renew_lease, this_owner
from kerasweep.search.patient_storage import PatientStorage
from kerasweep.search.stops import Ending, StopRequest
from kerasweep.search.sweep import Sweep
from kerasweep.sweep.driver import Driver
from kerasweep.sweep.progress import Progress
from kerasweep.sweep.view import View
from tests import postgres
from tests.searches import number
from tests.sweep.stand_ins import Notes, OnePlace, Waiting

# The calls of a sweep; those of locks are named as in AdvisoryLocks.
CALLS = {
    *("_take", "_free", "_get_trials", "get_trial", "get_study_user_attrs", "set_study_user_attr"),
    *("_create_new_trial", "_set_trial_param", "set_trial_state_values", "set_trial_user_attr"),
}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    postgres.close_connections()


@pytest.fixture
def stored(
    postgresql: postgres.Server, tmp_path: Path, sweep_of: Callable[..., Sweep]
) -> Callable[..., Sweep]:
    """Returns a function that opens a sweep in a new database."""

    def open_sweep(*arguments: Any, **options: Any) -> Sweep:
        database = Database(postgresql.create(), tmp_path)
        sweep = sweep_of(*arguments, **options)
        return replace(sweep, storage=database, study=database.open("s-0", ["maximize"]))

    return open_sweep


def end_connections(url: str) -> None:
    """Ends all connections to a database, as a restart of the server does."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with create_engine(url, poolclass=NullPool).connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))
        while connection.execute(text(f"SELECT count(*) {others}")).scalar():
            connection.rollback()


def drive(sweep: Sweep, pool: OnePlace) -> tuple[Ending, Notes]:
    notes = Notes()
    ending = Driver(sweep, pool, notes, View(Progress.read(sweep)), StopRequest()).run()
    return ending, notes


@pytest.mark.parametrize("loses_answer", [False, True])
@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_a_sweep_goes_on_whatever_call_loses_its_connection(
    sampler: str, loses_answer: bool, stored: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call of each kind does; with a lost answer, the database has done it already."""
    sweep = stored({"a": "1,2,3"}, total=3, sampler=sampler)
    assert isinstance(sweep.storage, Database)
    url, lost = sweep.storage.url, set()
    wait = PatientStorage.wait

    def lose(self: PatientStorage, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        def once(*arguments: Any, **options: Any) -> Any:
            if call.__name__ in lost:
                return call(*arguments, **options)
            lost.add(call.__name__)
            if loses_answer:
                call(*arguments, **options)
            end_connections(url)
            return call(*arguments, **options)

        return wait(self, once, *arguments, **options)

    monkeypatch.setattr(PatientStorage, "wait", lose)
    ending, notes = drive(sweep, OnePlace(number))
    assert lost >= CALLS
    assert ending.is_whole
    trials = [trial for trial in sweep.study.get_trials(deepcopy=False) if counts(trial)]
    assert sorted((trial.params["a"], trial.value) for trial in trials) == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert sorted(params["a"] for params in notes.trained) == [1, 2, 3]


def test_a_driver_that_waits_for_another_one_outlives_a_restart(
    stored: Callable[..., Sweep], postgresql: postgres.Server
) -> None:
    sweep = stored({"a": "1,2"}, total=2, sampler="grid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "pod-a")
        renew_lease(sweep.study)
        theirs = sweep.study.ask({axis.key: axis.distribution for axis in sweep.space.axes})
        theirs.set_user_attr(OWNER, {**this_owner(), "host": "pod-a"})

    def tick() -> None:
        postgresql.kill()
        postgresql.start()
        settle(sweep.study, theirs, Outcome("complete", "run", (1.0,)))

    ending, notes = drive(sweep, Waiting(number, tick))
    assert ending.reason == "all 2 trials are done" and len(notes.trained) == 1


def test_a_lease_is_renewed_after_an_outage(
    stored: Callable[..., Sweep], postgresql: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = stored({"a": "1,2"}).study
    renewed = threading.Event()
    monkeypatch.setattr(owner, "RENEWAL_SECONDS", 0.01)
    with leased(study):
        postgresql.kill()
        postgresql.start()
        name, before = next(iter(study.user_attrs.items()))
        monkeypatch.setattr(owner, "renew_lease", lambda study: (renew_lease(study), renewed.set()))
        assert renewed.wait(60)
        assert study.user_attrs[name] > before


def test_a_database_that_stays_away_ends_the_sweep(
    stored: Callable[..., Sweep], postgresql: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = stored({"a": "1,2"}).study
    monkeypatch.setattr(patient_storage, "WAITING_SECONDS", 0.0)
    postgresql.kill()
    with pytest.raises(StorageError, match="cannot be used: .* Start it, or correct storage.url"):
        study.set_user_attr("a", 1)
    monkeypatch.setattr(patient_storage, "WAITING_SECONDS", 600.0)
    with pytest.raises(StorageError):  # at once, so that the command ends
        study.set_user_attr("a", 1)
    postgresql.start()


def test_a_user_who_stops_twice_while_the_database_is_away_waits_no_more(
    stored: Callable[..., Sweep], postgresql: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, stop, pauses = stored({"a": "1,2"}, total=2, sampler="grid"), StopRequest(), []

    def train(params: Mapping[str, Any]) -> Outcome:
        postgresql.kill()
        return number(params)

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(patient_storage, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    with stop.listening(), pytest.raises(KeyboardInterrupt):
        Driver(sweep, OnePlace(train), Notes(), View(Progress.read(sweep)), stop).run()
    assert len(pauses) == 1
    postgresql.start()


def test_a_locked_sqlite_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Database(f"sqlite:///{tmp_path}/a.db?timeout=0", tmp_path).open("s", ["maximize"])
    pauses = []
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            other.execute("ROLLBACK")

        clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)
        monkeypatch.setattr(patient_storage, "time", clock)
        study.set_user_attr("a", 1)
    assert study.user_attrs == {"a": 1} and len(pauses) == 1


def test_a_result_that_the_database_has_already_is_the_drivers_own(stored: Callable[..., Sweep]) -> None:
    """The answer to the first call was lost; it is another driver's if the results differ."""
    study = stored({"a": "1,2"}).study
    trial = study.ask()
    for _ in range(2):
        settle(study, trial, Outcome("complete", "run", (1.0,)))
    assert [each.value for each in study.trials] == [1.0]
    with pytest.raises(UpdateFinishedTrialError, match="was ended by another driver"):
        settle(study, trial, Outcome("complete", "run", (2.0,)))

"""Studies in a database keep what journals keep, with locks, and survive a restart of the postgresql."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import Trial, TrialState
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from kerasweep.config.search import StorageConf
from kerasweep.errors import ConfigError, StorageError
from kerasweep.search import connect, suggest
from kerasweep.search.ask import ask
from kerasweep.search.database import Database
from kerasweep.search.ledger import LOST
from kerasweep.search.open_storage import open_storage
from kerasweep.search.stops import Ending
from kerasweep.search.storage import LockLostError, Storage
from kerasweep.search.suggest import Proposal
from kerasweep.search.sweep import Sweep
from tests import postgres


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    postgres.close_connections()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path}/optuna.db", tmp_path)
    return Database(request.getfixturevalue("postgresql").create(), tmp_path)


def test_studies_are_kept(database: Storage) -> None:
    assert database.names() == []
    study = database.open("s", ["maximize"])
    trial = study.ask()
    trial.set_user_attr("owner", {"host": "here"})
    trial.report(0.25, 1)
    study.tell(trial, 0.5)
    assert database.names() == ["s"]
    (again,) = database.open("s", ["maximize"]).trials
    assert (again.value, again.user_attrs, again.intermediate_values) == (
        0.5,
        {"owner": {"host": "here"}},
        {1: 0.25},
    )


def test_other_directions_are_refused(database: Storage) -> None:
    database.open("s", ["maximize"])
    with pytest.raises(ConfigError, match="was begun with the directions"):
        database.open("s", ["minimize"])


def _hold(database: Storage, held: "multiprocessing.queues.SimpleQueue[str]") -> None:
    with database.lock("s"):
        held.put("locked")
        multiprocessing.Event().wait(600)


def test_lock_is_freed_when_its_owner_dies(database: Storage) -> None:
    database.open("s", ["maximize"])
    context = multiprocessing.get_context("spawn")
    held = context.SimpleQueue()
    owner = context.Process(target=_hold, args=(database, held))
    owner.start()
    assert held.get() == "locked"
    with database.lock("t"), database.winner_lock("s"):  # others
        owner.kill()
        owner.join()
    with database.lock("s"), database.winner_lock("s"):
        pass


def test_one_driver_holds_one_connection(postgresql: postgres.Server, tmp_path: Path) -> None:
    url = postgresql.create("connections")
    database = Database(url, tmp_path)
    study = database.open("s", ["maximize"])
    threads = [threading.Thread(target=study.set_user_attr, args=(f"lease{i}", i)) for i in range(4)]
    with database.lock("s"), database.winner_lock("s"):
        for thread in threads:
            thread.start()
        study.tell(study.ask(), 1.0)
        for thread in threads:
            thread.join()
    count = text("SELECT count(*) FROM pg_stat_activity WHERE datname = 'connections'")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        assert connection.execute(count).scalar() == 2  # and this one


def test_a_driver_waits_until_there_is_a_connection_for_it(
    postgresql: postgres.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 drivers that start at once need more than the 100 of a default PostgreSQL to create the tables."""
    url = postgresql.create("few")
    engine = create_engine(url.replace("postgres@", "few@"), poolclass=NullPool)
    with create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        connection.execute(text("CREATE ROLE few LOGIN CONNECTION LIMIT 2"))
        connection.execute(text("ALTER DATABASE few OWNER TO few"))
    others = [engine.connect(), engine.connect()]

    def sleep(seconds: float) -> None:
        others.pop().close()

    monkeypatch.setattr(connect, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    assert Database(url.replace("postgres@", "few@"), tmp_path).names() == [] and not others


def test_a_restart_of_the_server_costs_nothing(postgresql: postgres.Server, tmp_path: Path) -> None:
    database = Database(postgresql.create(), tmp_path)
    study = database.open("s", ["maximize"])
    trial = study.ask()
    postgresql.kill()
    timer = threading.Timer(1.0, postgresql.start)
    timer.start()
    trial.set_user_attr("result", 1)  # waits
    timer.join()
    study.tell(trial, 0.5)
    assert [(each.value, each.user_attrs) for each in study.trials] == [(0.5, {"result": 1})]


def test_a_lock_that_a_restart_took_is_noticed(postgresql: postgres.Server, tmp_path: Path) -> None:
    database = Database(postgresql.create(), tmp_path)
    study = database.open("s", ["maximize"])
    went_on = False
    with pytest.raises(LockLostError), database.lock("s"):
        postgresql.kill()
        postgresql.start()
        study.set_user_attr("a", 1)
        went_on = True
    assert not went_on
    with database.lock("s"):
        study.tell(study.ask(), 1.0)
    assert study.trials[-1].state is TrialState.COMPLETE


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "postgresql+psycopg://me:secret@127.0.0.1:9/x",
            "The storage postgresql+psycopg://me:***@127.0.0.1:9/x cannot be used: connection failed",
        ),
        (
            "sqlite:////no/such/folder/a.db",
            "cannot be used: unable to open database file. Start it, or correct",
        ),
    ],
)
def test_a_database_that_cannot_be_used_is_named(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as raised:
        Database(url, tmp_path).open("s", ["maximize"])
    assert said in str(raised.value) and "secret" not in str(raised.value)


def test_a_lock_is_lost_although_another_thread_reconnects_first(
    postgresql: postgres.Server, tmp_path: Path
) -> None:
    """The thread that renews the lease does."""
    database = Database(postgresql.create(), tmp_path)
    study = database.open("s", ["maximize"])
    went_on = False
    with pytest.raises(LockLostError), database.lock("s"):
        postgresql.kill()
        postgresql.start()
        thread = threading.Thread(target=study.set_user_attr, args=("lease", 1))
        thread.start()
        thread.join()
        study.set_user_attr("a", 1)
        went_on = True
    assert not went_on


def test_a_lock_that_was_lost_in_silence_is_noticed_at_its_end(
    postgresql: postgres.Server, tmp_path: Path
) -> None:
    database = Database(postgresql.create(), tmp_path)
    database.open("s", ["maximize"])
    with pytest.raises(LockLostError), database.lock("s"):
        postgresql.kill()
        postgresql.start()


def test_other_threads_use_the_connection_while_one_waits_for_a_lock(
    postgresql: postgres.Server, tmp_path: Path
) -> None:
    database = Database(postgresql.create(), tmp_path)
    study = database.open("s", ["maximize"])
    context = multiprocessing.get_context("spawn")
    held = context.SimpleQueue()
    owner = context.Process(target=_hold, args=(database, held))
    owner.start()
    assert held.get() == "locked"
    taken = threading.Event()

    def take() -> None:
        with database.lock("s"):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    study.set_user_attr("lease", 1)
    assert not taken.is_set()
    owner.kill()
    owner.join()
    thread.join(30)
    assert taken.is_set()


def test_a_trial_that_a_lost_lock_left_behind_comes_again(
    postgresql: postgres.Server, tmp_path: Path, sweep_of: Callable[..., Sweep]
) -> None:
    """The database was restarted after the trial got its owner, and before the lock was released."""
    database = Database(postgresql.create(), tmp_path)
    sweep = replace(
        sweep_of({"a": "1,2"}, total=2, sampler="grid"),
        storage=database,
        study=database.open("s-0", ["maximize"]),
    )
    restarts = [postgresql]
    original = suggest.begin_trial

    def begin(*arguments: Any) -> Trial:
        begun = original(*arguments)
        for each in restarts:
            each.kill()
            each.start()
        restarts.clear()
        return begun

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suggest, "begin_trial", begin)
        first = ask(sweep, (), 0.0)
        assert isinstance(first, Proposal)
        second = ask(sweep, {first.trial.number}, 0.0)
        assert isinstance(second, Proposal)
        assert isinstance(ask(sweep, {first.trial.number, second.trial.number}, 0.0), Ending)
    states = [(trial.state, trial.user_attrs.get(LOST, False)) for trial in sweep.study.trials]
    running = (TrialState.RUNNING, False)
    assert states == [(TrialState.FAIL, True), running, running]
    assert {first.params["a"], second.params["a"]} == {1, 2}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg:/me@host", "storage.url is no address of a database"),
        ("postgresql+psycopg2://me@host/x", "The driver of storage.url is not installed"),
        ("postgresql+nosuch://me@host/x", "storage.url is no address of a database"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        open_storage(StorageConf("rdb", None, url)).names()


def test_the_password_of_a_query_is_masked(tmp_path: Path) -> None:
    url = "postgresql+psycopg://127.0.0.1:9/x?user=me&password=secret"
    with pytest.raises(StorageError) as raised:
        Database(url, tmp_path).names()
    assert "secret" not in str(raised.value) and "user=me" in str(raised.value)


def test_sqlite_does_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = open_storage(StorageConf("rdb", "other", "sqlite:///trials.db"))
    storage.open("s", ["maximize"])
    with storage.lock("s"):
        monkeypatch.chdir("/")
        assert storage.names() == ["s"]
    assert {path.name for path in tmp_path.iterdir()} == {"trials.db", "trials.db.s.lock"}

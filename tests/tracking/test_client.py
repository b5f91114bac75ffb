"""A database is created once, and a sentence explains each failure to open a database or server."""

import os
import resource
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError, UnreachableError
from kerasweep.tracking import retry
from kerasweep.tracking.client import import_mlflow, open_client
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.writer import Tracker, open_tracker
from tests.processes import Command, environment

ADVICE = "Start it, or correct tracking.uri or MLFLOW_TRACKING_URI."


def refusal(uri: str, error: type[TrackingError] = TrackingError) -> str:
    """Returns the message of the error that opening a tracker raises."""
    with pytest.raises(error) as raised:
        open_tracker(TrackingConf(uri=uri))
    return str(raised.value)


@pytest.fixture
def silent_server() -> Iterator[int]:
    """Returns the port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def broken_server() -> Iterator[str]:
    """Returns the URI of a server that answers each request with 503."""

    class Broken(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(503)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def no_template(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns an empty cache folder, as on a machine where no database was ever created."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Creates a database where none was ever created, then a second one after a change to the kept copy."""
    folder = tmp_path_factory.mktemp("twice")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for name in ("first", "second"):
            open_client(f"sqlite:///{folder}/{name}/mlflow.db", create=True)
            (template,) = (folder / "cache" / "kerasweep").iterdir()
            with closing(sqlite3.connect(template)) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS mark (x)")
    return folder


@pytest.mark.parametrize(("name", "marks"), [("first", 0), ("second", 1)])
def test_empty_database_is_made_once_a_machine_and_then_copied(twice: Path, name: str, marks: int) -> None:
    with closing(sqlite3.connect(twice / name / "mlflow.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name='mark'").fetchone()
    assert count == marks


@pytest.mark.parametrize("name", ["first", "second"])
def test_new_database_stores_artifacts_beside_itself(twice: Path, name: str) -> None:
    (default,) = open_client(f"sqlite:///{twice}/{name}/mlflow.db", create=False).search_experiments()
    assert default.artifact_location == (twice / name / "artifacts" / "default").as_uri()


def test_database_is_made_without_a_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    open_client(f"sqlite:///{tmp_path}/mlflow.db", create=True)
    assert {file.name for file in tmp_path.iterdir()} == {"file", "mlflow.db", "mlflow.db.lock"}


def test_full_disk_at_the_creation_is_named(empty_database: Path, tmp_path: Path) -> None:
    """MLflow's tables need more than the 100 kB that this process may write to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TrackingError) as refused:
            open_client(f"sqlite:///{tmp_path}/mlflow.db", create=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(refused.value) == (
        f"tracking.uri names {tmp_path}/mlflow.db, but it cannot be used: File too large. "
        "Choose another place, as in tracking.uri=sqlite:///FOLDER/mlflow.db."
    )
    assert not (tmp_path / "mlflow.db").exists()


def test_two_processes_create_one_database_in_silence(no_template: Path, tmp_path: Path) -> None:
    program = (
        "from kerasweep.config.search import TrackingConf\n"
        "from kerasweep.tracking.writer import open_tracker\n"
        "print(open_tracker(TrackingConf()).start('first', {}, {}))"
    )
    both = [Command(tmp_path, ["-c", program], environment(), None) for _ in range(2)]
    outputs = [process.communicate() for process in both]
    assert [(process.returncode, errors) for process, (_, errors) in zip(both, outputs, strict=True)] == [
        (0, ""),
        (0, ""),
    ]
    found = find_runs(TrackingConf(uri=f"sqlite:///{tmp_path}/mlruns/mlflow.db"), {})
    assert {run.run_id for run in found} == {output.strip() for output, _ in outputs}


def test_killed_creation_leaves_a_complete_database_or_none(no_template: Path, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    program = "import sys; from kerasweep.tracking.client import open_client; open_client(sys.argv[1], True)"
    arguments = ["-c", program, f"sqlite:///{database}"]
    process = Command(tmp_path, arguments, environment(), None)
    deadline = time.monotonic() + 60
    while not (begun := list(tmp_path.glob("mlflow.db*[!k]"))) or not begun[0].stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not database.exists()
    second = Command(tmp_path, arguments, environment(), None)
    assert second.communicate()[1] == "" and second.returncode == 0
    assert {file.name for file in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_artifacts_lie_beside_the_database(copy_database: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = tmp_path / "내 runs"
    tracker = open_tracker(TrackingConf(uri=f"sqlite:///{copy_database(folder)}"))
    run_id = tracker.start("first", {}, {})
    tracker.log_text(run_id, "글", "notes/a.txt")
    assert [path.read_text() for path in (folder / "mlruns" / "artifacts").rglob("a.txt")] == ["글"]


def test_refused_connection_names_the_uri() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    said = refusal(f"http://127.0.0.1:{port}", UnreachableError)
    assert said.startswith(f"MLflow at http://127.0.0.1:{port} cannot be used: ")
    assert "Connection refused" in said
    assert said.endswith(ADVICE)


def test_silent_server_is_given_up_after_the_limit(
    silent_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert retry.CONNECT_SECONDS <= 10, "with the import of MLflow it must stay below 15 s"
    monkeypatch.setattr(retry, "CONNECT_SECONDS", 1)
    started = time.monotonic()
    said = refusal(f"http://127.0.0.1:{silent_server}", UnreachableError)
    assert time.monotonic() - started < 5
    assert said.startswith(f"MLflow at http://127.0.0.1:{silent_server} cannot be used: Read timed out")


def test_broken_server_is_asked_once_and_the_environment_does_not_change(broken_server: str) -> None:
    before = dict(os.environ)
    started = time.monotonic()
    said = refusal(broken_server, UnreachableError)
    assert time.monotonic() - started < 3
    assert said == f"MLflow at {broken_server} cannot be used: too many 503 error responses. {ADVICE}"
    assert dict(os.environ) == before


def test_unreachable_database_server_is_named_without_its_password() -> None:
    said = refusal("postgresql://me:secret@127.0.0.1:1/runs", UnreachableError)
    assert said.startswith("The tracking database postgresql://me:***@127.0.0.1:1/runs cannot be reached: ")
    assert said.endswith(ADVICE)


def test_missing_driver_is_named(silent_server: int) -> None:
    said = refusal(f"mssql+absent://me@127.0.0.1:{silent_server}/runs")
    assert "cannot be used: " in said and "absent" in said


def test_unknown_scheme_is_refused() -> None:
    assert "unsupported URI 'ftp://host'" in refusal("ftp://host")


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = tmp_path / "file" / "mlflow.db"
    assert refusal(f"sqlite:///{database}") == (
        f"tracking.uri names {database}, but it cannot be used: File exists. "
        "Choose another place, as in tracking.uri=sqlite:///FOLDER/mlflow.db."
    )


def test_file_that_is_no_database_stays_unchanged(tmp_path: Path) -> None:
    database = tmp_path / "notes.txt"
    database.write_text("my notes, longer than a header")
    assert refusal(f"sqlite:///{database}") == (
        f"tracking.uri names {database}, but that is not a SQLite database. "
        "Choose another file, as in tracking.uri=sqlite:///FOLDER/mlflow.db."
    )
    assert database.read_text() == "my notes, longer than a header"


def test_damaged_database_is_named(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    said = refusal(f"sqlite:///{database}")
    assert said.startswith(f"MLflow at sqlite:///{database} cannot be used: ")
    assert "file is not a database" in said


def test_database_of_an_unknown_version_is_named(
    copy_database: Callable[[Path], Path], tmp_path: Path
) -> None:
    database = copy_database(tmp_path)
    with sqlite3.connect(database) as connection:
        connection.execute("update alembic_version set version_num = 'abc'")
    connection.close()
    assert f"MLflow at sqlite:///{database} cannot be used: " in refusal(f"sqlite:///{database}")


def test_reading_creates_nothing(tmp_path: Path) -> None:
    database = tmp_path / "mlruns" / "mlflow.db"
    with pytest.raises(TrackingError) as raised:
        find_runs(TrackingConf(uri=f"sqlite:///{database}"), {})
    assert str(raised.value) == (
        f"No runs are recorded yet: there is no {database}. "
        "Make some with python -m src.train -m, or name another database with tracking.uri."
    )
    assert list(tmp_path.iterdir()) == []


def test_deleted_experiment_says_how_to_restore_it(tracking: TrackingConf, tracker: Tracker) -> None:
    tracker.client.delete_experiment(tracker.experiment_id)
    said = (
        "The experiment kerasweep was deleted. Choose another one with tracking.experiment=NAME, or restore "
        f"it with: MLFLOW_TRACKING_URI='{tracker.uri}' mlflow experiments restore --experiment-id "
        f"{tracker.experiment_id}"
    )
    for use in (open_tracker, lambda cfg: find_runs(cfg, {})):
        with pytest.raises(TrackingError) as raised:
            use(tracking)
        assert str(raised.value) == said


def test_the_environment_names_the_experiment_by_its_id(
    tracking: TrackingConf, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tracker.client.create_experiment("mine")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", mine)
    assert open_tracker(tracking).experiment_id == mine
    named = TrackingConf(uri=tracking.uri, experiment="other")  # the user's own choice wins
    assert open_tracker(named).experiment_id not in (mine, tracker.experiment_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    with pytest.raises(TrackingError) as refused:
        open_tracker(tracking)
    assert str(refused.value) == (
        f"MLFLOW_EXPERIMENT_ID=77 is no experiment at {tracking.uri}. Unset the variable, or choose an "
        "experiment with tracking.experiment=NAME."
    )
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    with pytest.raises(TrackingError) as refused:
        open_tracker(TrackingConf(uri=tracking.uri, experiment="mine"))
    assert str(refused.value) == (
        f"MLFLOW_EXPERIMENT_NAME=mine and MLFLOW_EXPERIMENT_ID=77 are two experiments: the first has the id "
        f"{mine}. Unset one of these variables."
    )


@pytest.mark.parametrize(("chosen", "sends"), [(None, False), ("false", True)])
def test_telemetry_of_mlflow_is_off_unless_the_user_turns_it_on(
    chosen: str | None, sends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    if chosen is not None:
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", chosen)
    import_mlflow("http://localhost:1")
    from mlflow.telemetry import utils

    monkeypatch.setattr(utils, "_IS_IN_CI_ENV_OR_TESTING", False)  # there it is off in any case
    assert utils.is_telemetry_disabled() is not sends

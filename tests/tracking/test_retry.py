"""Requests to a server that does not answer are retried for a limited time, and later ones only once."""

import json
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service import utils
from sqlalchemy import event
from sqlalchemy.engine import Engine

from kerasweep.config.search import TrackingConf
from kerasweep.errors import RefusedError, TrackingError, UnreachableError
from kerasweep.tracking import retry
from kerasweep.tracking.client import open_client
from kerasweep.tracking.reader import get_run
from kerasweep.tracking.writer import Tracker

RUN = "0" * 32


@dataclass
class Server:
    """Answers requests with these statuses in turn, then always with the last.

    `asked` holds the last part of each request's path.
    """

    uri: str
    statuses: list[int]
    saving: list[int] = field(default_factory=lambda: [200])  # those of requests that save an artifact
    listing: list[int] = field(default_factory=lambda: [200])  # statuses of requests that list artifacts
    artifacts: str = "mlflow-artifacts:/"
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, method: str) -> int:
        self.asked.append(path.rpartition("/")[2])
        listing = self.listing if path.endswith("/mlflow-artifacts/artifacts") else self.statuses
        statuses = self.saving if method == "PUT" else listing
        return statuses.pop(0) if len(statuses) > 1 else statuses[0]


@pytest.fixture
def server() -> Iterator[Server]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            run = {"info": {"run_id": RUN, "artifact_uri": f"{found.artifacts}0/{RUN}/artifacts"}, "data": {}}
            self._answer({"experiment": {"experiment_id": "0"}, "run": run, "files": []})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer({"run": {"info": {}, "data": {}}})

        do_PUT = do_POST

        def _answer(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(found.answer(self.path.partition("?")[0], self.command))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            return

    utils._artifact_repos_cache.clear()  # of servers with other ports
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as http:
        found = Server(f"http://127.0.0.1:{http.server_port}", [200])
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        http.shutdown()


def tracker_of(uri: str) -> Tracker:
    return Tracker(MlflowClient(uri), uri, "0")


def test_request_is_retried_until_the_server_answers(server: Server) -> None:
    server.statuses = [503, 500, 200]
    before = dict(os.environ)
    tracker_of(server.uri).set_tags(RUN, {"a": "1"})
    assert server.asked == ["set-tag"] * 3
    assert dict(os.environ) == before


def test_lost_server_receives_only_the_request_to_close_the_run(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "WAITING_SECONDS", 0.5)
    tracker = tracker_of(server.uri)
    server.statuses = [503]
    with pytest.raises(UnreachableError) as raised:
        tracker.log_epoch(RUN, 1, {"loss": 2.0})
    assert str(raised.value) == (
        f"MLflow at {server.uri} can no longer be used: too many 503 error responses. "
        "Start it again, and then this command."
    )
    assert len(server.asked) >= 2
    server.asked.clear()
    for log in (tracker.log_epoch, tracker.log_epoch):
        with pytest.raises(UnreachableError, match="too many 503"):
            log(RUN, 2, {"loss": 2.0})
    with pytest.raises(UnreachableError, match="too many 503"):
        tracker.log_model(RUN, None, [])
    assert server.asked == []
    with pytest.raises(UnreachableError, match="too many 503"):
        tracker.finish(RUN, "failed", "it is gone")
    assert server.asked == ["log-batch"]
    server.statuses = [200]
    tracker.finish(RUN, "failed", "it was gone")
    assert server.asked == ["log-batch"] * 2 + ["update"]
    tracker.log_epoch(RUN, 2, {"loss": 2.0})


def test_without_waiting_a_lost_server_is_asked_after_pauses_that_grow(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("kerasweep.tracking.writer.time.monotonic", lambda: clock[0])
    tracker = tracker_of(server.uri)
    server.statuses = [503]
    with tracker.without_waiting():
        assert tracker.outage() is None
        with pytest.raises(UnreachableError, match="too many 503"):
            tracker.set_tags(RUN, {"a": "1"})
        assert server.asked == ["set-tag"]
        said = f"MLflow at {server.uri} can no longer be used: too many 503 error responses"
        asked = []
        for _ in range(80):
            clock[0] += 0.5
            before = len(server.asked)
            assert tracker.outage() == said
            if len(server.asked) > before:
                asked.append(clock[0] - 100)
        assert asked == [0.5, 1.5, 3.5, 7.5, 15.5, 25.5, 35.5]
        server.statuses = [200]
        clock[0] += 10
        assert tracker.outage() is None
        tracker.set_tags(RUN, {"a": "1"})
    assert server.asked[-2:] == ["get", "set-tag"]


def test_a_server_that_answers_and_refuses_is_not_away(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token has expired meanwhile. Entries are not sent, and are kept."""
    clock = [100.0]
    monkeypatch.setattr("kerasweep.tracking.writer.time.monotonic", lambda: clock[0])
    tracker = tracker_of(server.uri)
    server.statuses = [503]
    with tracker.without_waiting():
        for ask in (tracker.outage, lambda: tracker.set_tags(RUN, {"a": "1"})):
            server.statuses = [503]
            with pytest.raises(UnreachableError):
                tracker.set_tags(RUN, {"a": "1"})
            server.statuses, clock[0] = [403], clock[0] + 20
            with pytest.raises(TrackingError, match="says: ") as raised:
                ask()
            assert not isinstance(raised.value, UnreachableError | RefusedError)
            assert server.asked[-1] == "get"
            server.statuses, clock[0] = [200], clock[0] + 20
            assert tracker.outage() is None
        tracker.set_tags(RUN, {"a": "1"})


def test_silent_server_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(retry.TIMEOUT, "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"can no longer be used: Read timed out"):
            tracker_of(uri).set_tags(RUN, {"a": "1"})
        server.setblocking(False)
        server.accept()[0].close()
        with pytest.raises(BlockingIOError):
            server.accept()


def test_error_of_a_dead_server_names_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "WAITING_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"

        def hang_up() -> None:
            with server.accept()[0] as connection:
                connection.recv(1)

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(UnreachableError, match=r"used: (Connection reset by peer|Remote end closed)"):
            tracker_of(uri).set_tags(RUN, {"a": "1"})
    with pytest.raises(UnreachableError, match=r"used: Failed to .*Connection refused\. Start it again"):
        tracker_of(uri).set_tags(RUN, {"a": "1"})


@pytest.mark.parametrize(("is_creation", "times"), [(True, 1), (False, 3)])
def test_a_run_is_not_created_twice_if_the_answer_is_lost(
    is_creation: bool, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "WAITING_SECONDS", 0.25)  # allows the pauses of 0.1 and 0.2 s
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        tracker = tracker_of(f"http://127.0.0.1:{server.getsockname()[1]}")

        def hang_up() -> None:
            with suppress(OSError):  # the end of the test closes it
                while True:
                    with server.accept()[0] as connection:
                        heard.append(connection.recv(100))

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(UnreachableError):
            if is_creation:
                tracker.start("a run", {}, {})
            else:
                tracker.set_tags(RUN, {"a": "1"})
    assert len(heard) == times


def test_environment_limits_the_retries(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(retry.RETRIES, "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    server.statuses = [503]
    with pytest.raises(UnreachableError):
        tracker_of(server.uri).set_tags(RUN, {"a": "1"})
    assert server.asked == ["set-tag"] * 3


def test_refused_request_is_not_retried(server: Server) -> None:
    server.statuses = [403]
    with pytest.raises(TrackingError, match="says: ") as raised:
        tracker_of(server.uri).set_tags(RUN, {"a": "1"})
    assert not isinstance(raised.value, UnreachableError)
    assert server.asked == ["set-tag"]


def test_artifact_is_saved_again_until_its_store_takes_it(server: Server) -> None:
    server.saving = [503, 500, 200]
    tracker_of(server.uri).log_text(RUN, "text", "a.txt")
    assert server.asked.count("a.txt") == 3


@pytest.mark.parametrize(("status", "is_away"), [(500, True), (507, True), (403, False), (404, False)])
def test_artifact_store_that_fails_is_named_without_a_password(
    status: int, is_away: bool, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not refused: the artifact is kept, and the store may take it later."""
    monkeypatch.setattr(retry, "WAITING_SECONDS", 0)
    server.saving = [status]
    uri = server.uri.replace("://", "://me:pass%40word@")
    with pytest.raises(TrackingError) as raised:
        tracker_of(uri).log_text(RUN, "text", "a.txt")
    shown = server.uri.replace("://", "://me:***@")
    assert isinstance(raised.value, UnreachableError) is is_away
    assert not isinstance(raised.value, RefusedError)
    assert str(raised.value).startswith(f"The artifact store of MLflow at {shown} ")
    assert str(status) in str(raised.value) and "word" not in str(raised.value)


def test_artifact_host_that_does_not_answer_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "WAITING_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        server.artifacts = f"http://127.0.0.1:{free.getsockname()[1]}/api/2.0/mlflow-artifacts/artifacts/"
    with pytest.raises(UnreachableError, match=r"The artifact store of MLflow .*Connection refused"):
        tracker_of(server.uri).log_text(RUN, "text", "a.txt")


@pytest.mark.parametrize("listing", [200, 403])
def test_an_artifact_store_that_is_away_is_asked_itself(
    listing: int, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's server answers meanwhile. A store that answers, even if only to refuse a list, and then takes
    nothing is an error.
    """
    clock = [100.0]
    monkeypatch.setattr("kerasweep.tracking.writer.time.monotonic", lambda: clock[0])
    tracker = tracker_of(server.uri)
    server.saving, server.listing = [503], [503]
    with tracker.without_waiting():
        with pytest.raises(UnreachableError):
            tracker.log_text(RUN, "text", "a.txt")
        for _ in range(3):
            clock[0] += 20
            assert str(tracker.outage()).startswith(f"The artifact store of MLflow at {server.uri} ")
        server.listing = [listing]
        clock[0] += 20
        assert tracker.outage() is None
        with pytest.raises(TrackingError) as raised:
            tracker.log_text(RUN, "text", "a.txt")
        assert not isinstance(raised.value, UnreachableError) and tracker.outage() is None
        server.saving = [200]
        tracker.log_text(RUN, "text", "a.txt")
        server.saving = [503]
        with pytest.raises(UnreachableError):
            tracker.log_text(RUN, "text", "a.txt")


@dataclass
class Clock:
    """Takes the place of the module `time` in `retry`: its seconds pass in calls and in pauses only."""

    seconds: float = 0.0
    on_pause: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_pause()


@contextmanager
def locked(database: Path) -> Iterator[sqlite3.Connection]:
    """Holds a database as another program would; a rollback frees it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Shortens SQLite's own wait for a lock: Python's of 5 s, and MLflow's of 20 s."""
    monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 10.0)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", partial(sqlite3.connect, timeout=0.05))  # type: ignore[attr-defined]

    def shorten(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        return statement.replace("busy_timeout = 20000", "busy_timeout = 50"), parameters

    event.listen(Engine, "before_cursor_execute", shorten, retval=True)
    yield
    event.remove(Engine, "before_cursor_execute", shorten)


def database_of(tracker: Tracker) -> Path:
    return Path(tracker.uri.removeprefix("sqlite:///"))


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        *((sqlite3.OperationalError("database is locked"), seconds) for seconds in (0.0, 5.0, 20.0)),
        (MlflowException("QueuePool limit of size 5 overflow 10 reached, connection timed out"), 30.0),
    ],
)
def test_a_database_that_others_hold_is_waited_for_a_minute(
    error: Exception, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite and MLflow's server wait themselves for some seconds in each call."""
    clock, calls = Clock(), []
    monkeypatch.setattr(retry, "time", clock)

    def locked_call() -> None:
        calls.append(clock.seconds)
        clock.seconds += seconds
        raise error

    with pytest.raises(UnreachableError):
        retry.with_retries("sqlite:///mlflow.db", locked_call)
    assert 60 <= clock.seconds < 60 + seconds + 1 and len(calls) > 1
    clock.seconds, calls[:] = 0.0, []
    with retry.at_once(), pytest.raises(UnreachableError):
        retry.with_retries("sqlite:///mlflow.db", locked_call)
    assert (clock.seconds, len(calls)) == (seconds, 1)


@pytest.mark.usefixtures("short_waits")
def test_the_end_of_a_run_does_not_wait_for_a_lock_another_minute(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = tracker.start("run", {}, {})
    clock = Clock()
    monkeypatch.setattr(retry, "time", clock)
    with locked(database_of(tracker)):
        with pytest.raises(UnreachableError, match="locked"):
            tracker.log_epoch(run_id, 1, {"loss": 2.0})
        assert clock.seconds == 60
        clock.seconds = 0.0
        with pytest.raises(UnreachableError, match="locked"):
            tracker.finish(run_id, "failed")
        assert clock.seconds == 0
    tracker.finish(run_id, "failed")
    assert tracker.client.get_run(run_id).info.status == "FAILED"


@pytest.mark.usefixtures("short_waits")
def test_a_command_waits_at_its_start_until_a_lock_is_free(
    tracker: Tracker, tracking: TrackingConf, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = tracker.start("run", {}, {})
    with locked(database_of(tracker)) as holder:
        monkeypatch.setattr(retry, "time", Clock(on_pause=lambda: holder.rollback()))
        assert get_run(tracking, run_id).status == "RUNNING"


@pytest.mark.parametrize("is_opened_before", [True, False])
@pytest.mark.usefixtures("short_waits")
def test_a_lock_at_the_start_is_named_after_a_minute(
    is_opened_before: bool,
    copy_database: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database, clock = copy_database(tmp_path), Clock()
    uri = f"sqlite:///{database}"
    if is_opened_before:
        open_client(uri, create=True)
    monkeypatch.setattr(retry, "time", clock)
    with locked(database), pytest.raises(UnreachableError) as raised:
        open_client(uri, create=True)
    assert str(raised.value) == (
        f"MLflow at {uri} cannot be used: database is locked. Another program holds it: start this command "
        "again once that has ended."
    )
    assert clock.seconds == 60
